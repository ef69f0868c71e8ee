"""The JSON that programs read is what ``docs/schemas`` declares: real outputs, held to each key."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from diskgen import inspection, plan, ui
from diskgen.errors import DiskgenError
from diskgen.place import PLACES

from ..fixtures import installers
from ..fixtures.oci import TarBuilder, bootable
from ..fixtures.program import Program, placed
from ..oracles.schemas import NAMES, check, objects, schema

ITEM = "additionalProperties"
TARGET = ("--target-imgref", "quay.io/tiny/os:1")


@pytest.fixture(scope="module")
def made(program_path: Path) -> Iterator[tuple[Program, Path]]:
    """The program and images, for all tests: the second run of each costs little."""
    people = TarBuilder()
    people.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n")
    with placed(program_path, "diskgen-schemas-") as program:
        layouts = program.place / "images"
        layouts.mkdir()
        for arch in ("x86_64", "aarch64", "s390x"):
            bootable(layouts / arch, people.finish(), arch=arch)
        installers.machine(layouts / "own", installers.own_runtime(), installers.accounts())
        installers.machine(layouts / "os", installers.bootupd(), installers.accounts())
        installers.installer(layouts / "anaconda", installers.anaconda())
        yield program, layouts


def values(name: str) -> list[Any]:
    """Return every constant that a schema gives a key."""
    return [part["properties"][key]["const"] for part in objects(schema(name))
            for key in part["properties"] if "const" in part["properties"][key]]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_sound_and_says_what_each_key_means(name: str) -> None:
    made = schema(name)
    jsonschema.Draft202012Validator.check_schema(made)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["$id"].endswith(f"/schemas/{name}.json")
    for part in objects(made):
        assert part["required"], "a reader relies on what is always there"
        assert set(part["required"]) <= part["properties"].keys()
        for key, value in part["properties"].items():
            assert value["description"].endswith("."), key
        assert ITEM not in part, "readers take keys that a later version adds"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("plan-disk", plan.SCHEMA_VERSION), ("plan-medium", plan.SCHEMA_VERSION),
        ("inspect-disk", inspection.SCHEMA_VERSION), ("inspect-image", inspection.SCHEMA_VERSION),
        ("inspect-medium", inspection.SCHEMA_VERSION), ("events", ui.JSON_VERSION),
    ],
)  # fmt: skip
def test_versions_are_those_of_the_program(name: str, version: int) -> None:
    assert version in values(name)


REQUESTS: dict[str, tuple[str, ...]] = {
    "gce": ("gce", "x86_64"),
    "aarch64": ("qcow2", "aarch64", "--arch", "aarch64"),
    "s390x": ("raw", "s390x", "--arch", "s390x", "--sector-size", "4096"),
    "named": ("raw", "os", *TARGET, "--seed", "x", "--karg", "quiet"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_plans_of_disks(name: str, made: tuple[Program, Path]) -> None:
    program, layouts = made
    form, image, *options = REQUESTS[name]
    value = json.loads(program("plan", form, f"oci:{layouts / image}", *options, "--json"))
    check("plan-disk", value)


def test_manifests_beside_disks(made: tuple[Program, Path]) -> None:
    program, layouts = made
    words = ("bib", "--type", "qcow2,vhd", "--output", "out", "--rootfs", "ext4")
    program(*words, f"oci:{layouts / 'x86_64'}")
    text = (program.place / "out/manifest-qcow2-vhd.json").read_text()
    check("plan-disk", json.loads(text))


MEDIA: dict[str, tuple[str, ...]] = {
    "own": ("own", "--unattended", "vda", "--user", "ann", "--hostname", "db1"),
    "kickstart": ("own", "--kickstart", "images/mine.ks", "--user", "ann"),
    "anaconda": ("os", "--payload", "both", "--packages", "https://mirror.invalid/os/"),
}


@pytest.mark.parametrize(
    "name", ["anaconda", "own", pytest.param("kickstart", marks=pytest.mark.extended)]
)
def test_media(name: str, made: tuple[Program, Path]) -> None:
    program, layouts = made
    image, *options = MEDIA[name]
    (layouts / "mine.ks").write_text(
        "lang de_DE.UTF-8\nignoredisk --only-use=vda\nclearpart --all --initlabel\nreqpart\n"
        "part / --grow\nrootpw --lock\ntimezone Europe/Berlin\n"
    )
    options = [word.replace("images", str(layouts)) for word in options]
    words = [f"oci:{layouts / image}", *TARGET, *options]
    if name == "anaconda":
        words += ["--installer", f"oci:{layouts / 'anaconda'}"]
    check("plan-medium", json.loads(program("plan", "iso", *words, "--json")))
    if name != "anaconda":
        return
    done = program.run("iso", *words, "-o", f"{name}.iso", "--progress", "json")
    lines(done.stderr)
    iso = program.place / f"{name}.iso"
    assert done.stdout == f"{iso.name}\n"
    facts = json.loads(program("inspect", iso.name, "--json"))
    check("inspect-medium", facts)
    assert facts["payload"]["where"] == "both"
    extract = ("xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/diskgen/medium.json",
               layouts / f"{name}.json")  # fmt: skip
    subprocess.run(extract, check=True, capture_output=True)
    check("medium", json.loads((layouts / f"{name}.json").read_text()))


def lines(stderr: str) -> list[Mapping[str, Any]]:
    """Return the events of a run, each of which the schema has."""
    found = [json.loads(line) for line in stderr.splitlines()]
    for value in found:
        check("events", value)
    assert found[0]["event"] == "hello" or len(found) == 1
    return found


@pytest.mark.parametrize("arch", ["x86_64", pytest.param("s390x", marks=pytest.mark.extended)])
def test_disks_and_their_events(arch: str, made: tuple[Program, Path]) -> None:
    program, layouts = made
    words = (f"oci:{layouts / arch}", "--arch", arch, "-o", f"{arch}.raw")
    done = program.run("raw", *words, "--progress", "json", "-v")
    assert done.stdout == f"{arch}.raw\n"
    kinds = {value["event"] for value in lines(done.stderr)}
    assert {"start", "progress", "finish", "program"} <= kinds
    facts = json.loads(program("inspect", f"{arch}.raw", "--json"))
    check("inspect-disk", facts)
    assert facts["deployments"]
    check("inspect-image", json.loads(program("inspect", words[0], "--arch", arch, "--json")))
    again = program.run("raw", *words, "--progress", "json")
    (problem,) = lines(again.stderr)[-1]["problems"]
    assert problem["code"] == "exists"
    check("cache", json.loads(program("cache", "ls", "--json")))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (2, ("raw", "quay.io/UPPER/case")),
        (3, ("raw", "oci:/nowhere")),
        (4, ("raw", "oci:images/os", "-o", "/no/where/x.raw")),
    ],
)
def test_failures(status: int, words: tuple[str, ...], made: tuple[Program, Path]) -> None:
    program, layouts = made
    done = program.run(*(word.replace("images", str(layouts)) for word in words),
                       "--progress", "json")  # fmt: skip
    last = lines(done.stderr)[-1]
    assert (last["event"], last["exit_status"]) == ("error", done.returncode)
    assert done.returncode == status


def test_every_error_has_its_kind_and_status_in_the_schema() -> None:
    declared = schema("events")["$defs"]["error"]["properties"]
    classes = list(DiskgenError.__subclasses__())
    classes += [inner for outer in classes for inner in outer.__subclasses__()]
    ours = [  # the installer on a medium has statuses of its own, and writes no events
        kind for kind in classes
        if kind.__module__.startswith("diskgen.") and ".install." not in kind.__module__
    ]  # fmt: skip
    public = {kind.__name__ for kind in ours if kind.__module__ == "diskgen.errors"}
    assert public == set(declared["kind"]["enum"])
    assert {kind.exit_status for kind in ours} == set(declared["exit_status"]["enum"])


def test_doctor(made: tuple[Program, Path]) -> None:
    program, _layouts = made
    done = program.run("doctor", "--json")
    check("doctor", json.loads(done.stdout))


def test_what_a_reader_relies_on_is_asked_for() -> None:
    """A key that goes, one that comes and a value of another type are all found."""
    value: dict[str, Any] = {"version": 1, "entries": [
        {"kind": "blob", "digest": "sha256:" + "0" * 64, "size": 1, "last_used": 1, "images": []},
    ]}  # fmt: skip
    check("cache", value)
    for damage in ({"size": "1"}, {"more": 1}, {"kind": "other"}):
        broken = copy.deepcopy(value)
        broken["entries"][0] |= damage
        with pytest.raises(AssertionError):
            check("cache", broken)
    del value["entries"][0]["images"]
    with pytest.raises(AssertionError):
        check("cache", value)


def test_formats_are_those_of_the_table() -> None:
    assert schema("plan-disk")["properties"]["format"]["enum"] == list(PLACES)


def test_the_records_of_our_kickstarts() -> None:
    """What the kickstarts' own shell writes, run as it stands there."""
    root = Path(__file__).resolve().parents[2] / "kickstart"
    check("installed", {"mode": "package"})
    for name in ("end.ks", "package.ks"):
        text = (root / name).read_text()
        at = text.index('printf \'{"mode"')
        line = text[at : text.index("diskgen-install.json", at)].rpartition(">")[0]
        for digest in ('"sha256:' + "1" * 64 + '"', ""):
            env = {**os.environ, "digest": digest, "reference": "quay.io/tiny/os:1"}
            line = line.replace("\\\n", " ")
            said = subprocess.run(["dash", "-c", line], env=env, check=True, capture_output=True)
            check("installed", json.loads(said.stdout))
