"""Every key of a description, on every way by which a machine is made of it: one verdict each.

The ways: a disk, a medium with Anaconda, one with our own installer, a system of packages, and both
kinds through the command line of bootc-image-builder.
"""

from __future__ import annotations

import copy
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from diskgen.bib.arguments import parse as parse_words
from diskgen.bib.request import job_of
from diskgen.blueprint import portable
from diskgen.blueprint.errors import BlueprintError
from diskgen.blueprint.keys import KEYS, MEDIA, TOP, Key, Use, Way
from diskgen.blueprint.model import Customizations
from diskgen.blueprint.read import read
from diskgen.blueprint.summary import left_out
from diskgen.config import IsoRequest
from diskgen.decision import described_kargs, installing
from diskgen.events import discard
from diskgen.iso.assembly import contents
from diskgen.iso.kickstarts import partitions
from diskgen.iso.kickstarts.kickstart import Packages
from diskgen.iso.runtimes.anaconda import configuration
from diskgen.layout import Content
from diskgen.reference import parse

from .fixtures.descriptions import document, value_of

REQUEST = IsoRequest(source=parse("quay.io/example/os:1"), arch="x86_64")
ROOTS = {"image": "ext4", "package": "ext4"}
ABOUT = ("given", "source")  # the document, not the machine


def load(value: Any, way: Way) -> Customizations:
    return read(json.dumps(value), "json", "config.json", medium=way is not Way.DISK)


def outcome(value: Any, way: Way) -> str:
    """Return all that a machine is made of, in words, for a document."""
    wanted = load(value, way)
    if way is Way.DISK:
        return repr([(each.name, getattr(wanted, each.name)) for each in fields(wanted)
                     if each.name not in ABOUT] + [[u.plain for u in wanted.users],
                     [f.data for f in wanted.files]])  # fmt: skip
    sizes = any(path.startswith(f"{TOP}.filesystem") for path in wanted.given)
    request = replace(REQUEST, customizations=wanted, unattended="vda" if sizes else None)
    request = installing(request)
    wanted = request.customizations
    anaconda = way in (Way.ANACONDA, Way.PACKAGES)
    settings = replace(
        contents.asked(request, "sha256:" + "1" * 64),
        anaconda=anaconda,
        packages=Packages(url="https://example.org/os"),
        boot=partitions.commands(Content(), wanted.sizes.get("/boot", 0)),
    )
    texts = dict(contents.write(request, settings, "F44", ROOTS, anaconda=anaconda).texts)
    name = "package.ks" if way is Way.PACKAGES else "image-offline.ks"
    mode = "package" if way is Way.PACKAGES else "image"
    said = [texts[name], texts.get(f"unattended-{mode}.ks", ""), str(described_kargs(wanted))]
    said += [str(request.label), str(request.application), str(request.publisher)]
    if anaconda:
        installer = wanted.installer
        said.append(configuration(installer.enabled, installer.disabled).decode())
    else:
        # ``source`` alone says that there is a file.
        said.append(json.dumps(portable.to_json(replace(settings.described, source=None))))
    return "\n".join(said)


def without(value: dict[str, Any], key: Key) -> dict[str, Any]:
    """Return a document without a key; without its row where the key makes one."""
    made = copy.deepcopy(value)
    table: Any = made
    *parents, last = key.path.split(".")
    for part in parents:
        if part.endswith("[]") and (key.required or len(parents) == 0):
            del table[part.removesuffix("[]")]
            return made
        table = table[part.removesuffix("[]")]
        table = table[0] if isinstance(table, list) else table
    del table[last]
    return made


def with_key(key: Key, way: Way) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the smallest documents with and without a key."""
    value = document(key, value_of(key))
    if key.path.startswith(f"{TOP}.filesystem"):
        if way is Way.OWN:  # the root takes the rest
            value[TOP]["filesystem"][0]["mountpoint"] = "/boot"
        return value, {}
    if key.path.endswith("sshkey[].user"):
        value[TOP]["sshkey"][0]["user"] = "other"
    return value, without(value, key)


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_a_key_is_applied_or_said_to_be_left_out(key: Key, way: Way) -> None:
    value, bare = with_key(key, way)
    use = key.use(way)
    if use is Use.REFUSED:
        with pytest.raises(BlueprintError, match="cannot be done") as caught:
            load(value, way)
        assert key.path.replace("[]", "[0]") in caught.value.problems[0].message
        return
    said = [*left_out(load(value, way), (way,))]
    named = f"'{key.path.replace('[]', '[0]')}' of 'config.json'"
    if use in (Use.WARNED, Use.UNATTENDED):
        assert [named in text for text in said].count(True) == 1, said
    else:
        assert said == []
    if use is Use.UNATTENDED:
        assert [*left_out(load(value, way), (way,), unattended=True)] == []
    changed = outcome(value, way) != outcome(bare, way)
    if way is Way.PACKAGES and use is Use.WARNED:
        return  # what an image gets by the same medium
    assert changed == (use in (Use.DONE, Use.UNATTENDED))


@pytest.mark.parametrize("kind", ["qcow2", "anaconda-iso"])
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_the_front_end_has_the_same_verdicts(key: Key, kind: str, tmp_path: Path) -> None:
    value, _bare = with_key(key, Way.DISK)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(value))
    words = ["--type", kind, "--config", str(config), "docker://quay.io/tiny/os:1"]
    way = Way.DISK if kind == "qcow2" else Way.ANACONDA
    if key.use(way) is Use.REFUSED:
        with pytest.raises(BlueprintError, match="cannot be done"):
            job_of(parse_words(words), tmp_path, discard)
        return
    made = job_of(parse_words(words), tmp_path, discard).request.customizations
    assert replace(made, source=None) == replace(load(value, way), source=None)


def test_each_way_has_keys_of_each_verdict() -> None:
    """A column that nobody filled in would pass all of the above."""
    for way in Way:
        assert {key.use(way) for key in KEYS} >= {Use.DONE, Use.WARNED, Use.REFUSED, Use.IDLE}
    for key in KEYS:
        if key.of_media:
            assert key.disk is Use.WARNED
    about = {key.path: {key.use(way) for way in MEDIA} for key in KEYS if key.of_media}
    assert len(about) == 10
