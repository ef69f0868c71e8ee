"""What a deployment gets: the answers of every command and installer, side by side."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from diskgen import build, build_iso
from diskgen.config import AccessOptions, IsoRequest, Request
from diskgen.events import discard
from diskgen.image.store import Store
from diskgen.install import image_mode
from diskgen.install.disks import Disk
from diskgen.install.medium import Medium
from diskgen.install.payload import Payload
from diskgen.kickstart import recipe
from diskgen.place import PLACES
from diskgen.reference import parse
from diskgen.tree import read

from . import installers
from .oci import TarBuilder
from .registry import Registry

TARGET = parse("registry.example/os:1")
CONFIG = b"""[install]
kargs = ["first=1 second", "gone=1", 'quoted="plain"']
karg-deletes = ["gone"]
stateroot = "tiny"
enforce-container-sigpolicy = true
[install.filesystem.root]
type = "xfs"
"""
ANSWERS = {
    "origin": "ostree-image-signed:docker://registry.example/os:1",
    "stateroot": "tiny",
    "root filesystem": "xfs",
    "kernel arguments": [
        "first=1", "second", "quoted=plain", "nosmt", "console=tty0", "console=ttyS0,115200n8",
        "user=1",
    ],
}  # fmt: skip


def asking(config: bytes = CONFIG) -> bytes:
    tar = TarBuilder()
    tar.file("usr/lib/bootc/install/10.toml", config)
    tar.file("usr/lib/bootc/kargs.d/10.toml", b'kargs = ["nosmt"]\n')
    tar.file("etc/containers/policy.json", b'{"default": [{"type": "reject"}]}')
    return tar.finish()


@dataclass(frozen=True)
class Sources:
    place: Path

    @property
    def payload(self) -> str:
        return f"oci:{self.place / 'os'}"

    def disk(self, name: str, **wishes: Any) -> Request:
        return Request(
            format=name, source=parse(self.payload), target=TARGET, arch="x86_64",
            cache=self.place / "cache", **wishes,
        )  # fmt: skip

    def medium(self, *, anaconda: bool, **wishes: Any) -> IsoRequest:
        name = "anaconda" if anaconda else "own"
        wishes = {"source": parse(self.payload), **wishes}
        return IsoRequest(
            target=TARGET, arch="x86_64", installer=parse(f"oci:{self.place / name}"),
            unattended="vda", cache=self.place / "cache", **wishes,
        )  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    place = tmp_path_factory.mktemp("decision")
    installers.machine(place / "os", installers.bootupd(), asking())
    installers.machine(place / "own", installers.own_runtime())
    installers.installer(place / "anaconda", installers.anaconda())
    return Sources(place)


def prepared_disk(request: Request) -> build.Prepared:
    with Store(request.cache).session() as store:
        return build.prepare(request, store, discard)


def prepared_medium(request: IsoRequest) -> build_iso.Prepared:
    with Store(request.cache).session() as store:
        return build_iso.prepare(request, store, discard)


def text_of(medium: build_iso.Prepared, name: str) -> str:
    file = medium.ours.get_file(name)
    assert file is not None
    assert file.content is not None
    return read(file.content).decode()


def of_disk(prepared: build.Prepared) -> dict[str, object]:
    plan = prepared.plan
    fixed = ("root=", "rw", "boot=")
    return {
        "origin": plan.origin,
        "stateroot": plan.image.stateroot,
        "root filesystem": plan.layout.partitions[-1].filesystem,
        "kernel arguments": [
            word.replace('"', "") for word in plan.kargs if not word.startswith(fixed)
        ],
    }


def of_own_installer(sources: Sources, request: IsoRequest) -> dict[str, object]:
    """Return what our installer would write, started from the medium."""
    medium = prepared_medium(request)
    facts = json.loads(text_of(medium, "medium.json"))
    wanted = recipe.parse(text_of(medium, "unattended-image.ks"), "F44", "x.ks")
    here = Medium(
        product="", reference=facts["reference"], signature=facts["signature"], signed=True,
        payload="embedded", modes=("image",), kickstart_version="F44", packages=None, device=None,
    )  # fmt: skip
    payload = Payload(
        source=parse(sources.payload), access=AccessOptions(), digest=medium.plan.digest, size=1
    )
    disk = Disk(
        name="vda", path=Path("/dev/vda"), size=20 << 30, sector_size=512, model="", partitions=()
    )  # fmt: skip
    asked = image_mode.request_of(wanted, payload, disk, "x86_64", here, request.cache)
    return of_disk(prepared_disk(asked))


def of_anaconda(request: IsoRequest) -> dict[str, object]:
    """Return what Anaconda is told, by its own parser of kickstarts."""
    text = text_of(prepared_medium(request), "unattended-image.ks")
    handler = makeVersion("F44")
    KickstartParser(handler).readKickstartFromString(text)
    (root,) = [part for part in handler.partition.partitions if part.mountpoint == "/"]
    (rule,) = re.findall(r"^rule='(.*)'$", text, re.MULTILINE)
    (reference,) = re.findall(r"^reference='(.*)'$", text, re.MULTILINE)
    return {
        "origin": rule + reference,
        "stateroot": handler.ostreecontainer.stateroot,
        "root filesystem": root.fstype,
        "kernel arguments": shlex.split(handler.bootloader.appendLine),
    }


def test_every_command_and_installer_gives_the_same_answers(sources: Sources) -> None:
    user = ("user=1",)
    found = {
        name: of_disk(prepared_disk(sources.disk(name, kargs=user))) for name in PLACES
    }  # fmt: skip
    own = sources.medium(anaconda=False, install_kargs=user)
    found["own installer"] = of_own_installer(sources, own)
    found["Anaconda"] = of_anaconda(sources.medium(anaconda=True, install_kargs=user))
    assert found == dict.fromkeys(found, ANSWERS)


def test_the_user_has_the_last_word_about_signatures(sources: Sources) -> None:
    wish = {"signature": "ostree-unverified-registry"}
    wanted = "ostree-unverified-registry:registry.example/os:1"
    assert prepared_disk(sources.disk("raw", **wish)).plan.origin == wanted
    assert of_own_installer(sources, sources.medium(anaconda=False, **wish))["origin"] == wanted
    assert of_anaconda(sources.medium(anaconda=True, **wish))["origin"] == wanted


@pytest.mark.parametrize("place", ["oci", "oci-archive", "dir", "containers-storage"])
def test_an_origin_of_the_build_host_alone(sources: Sources, place: str) -> None:
    """It is found out by the machine, months later."""
    request = Request(
        format="raw", source=parse(sources.payload), target=parse(f"{place}:/somewhere"),
        arch="x86_64", cache=sources.place / "cache",
    )  # fmt: skip
    (warning,) = prepared_disk(request).plan.warnings
    assert f"'{place}:/somewhere' is on this host alone" in warning
    assert "--target-imgref" in warning
    assert prepared_disk(sources.disk("raw")).plan.warnings == ()


def test_an_image_that_is_not_read(server: Registry, sources: Sources) -> None:
    """Our installer reads it on the machine; Anaconda would be told by nobody."""
    server.push(sources.place / "os", "asking/os")
    wish = {
        "source": parse(f"{server.host}/asking/os"),
        "payload": "remote",
        "access": AccessOptions(tls_verify=False),
    }
    own = prepared_medium(sources.medium(anaconda=False, **wish))
    assert json.loads(text_of(own, "medium.json"))["signature"] is None
    assert not any("not read" in text for text in own.plan.warnings)
    anaconda = prepared_medium(sources.medium(anaconda=True, **wish)).plan.warnings
    (warning,) = [text for text in anaconda if "the image is not read here" in text]
    for option in ("--install-karg", "--target-signature", "--kickstart", "--payload both"):
        assert option in warning
