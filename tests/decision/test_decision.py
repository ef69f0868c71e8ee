"""What a deployment gets: the answers of every command and installer, side by side."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from diskgen import build, build_iso, disk_writer, medium_writer
from diskgen.config import AccessOptions, IsoRequest, Request
from diskgen.errors import UsageError
from diskgen.events import discard
from diskgen.image.store import Store
from diskgen.install import identity, image_mode
from diskgen.install.disks import Disk
from diskgen.install.medium import Medium
from diskgen.install.payload import Payload
from diskgen.kickstart import recipe
from diskgen.ostree.facts import UnfitError
from diskgen.place import PLACES
from diskgen.reference import parse
from diskgen.tree import read

from ..fixtures import installers, sysroots
from ..fixtures.oci import TarBuilder, bootable
from ..fixtures.registry import Registry

TARGET = parse("registry.example/os:1")
CONFIG = b"""[install]
kargs = ["first=1 second", "gone=1", 'quoted="plain"', 'spaced="a b"', "odd=$x`y'z"]
karg-deletes = ["gone", "quiet", "crash_kernel=1G"]
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
        "first=1", "second", "quoted=plain", "spaced=a b", "odd=$x`y'z", "nosmt",
        "console=tty0", "console=ttyS0,115200n8",
        "user=1",
    ],
}  # fmt: skip


def answers(name: str) -> dict[str, Any]:
    """Return the answers for a disk of a format, or for an installer: a machine of its own."""
    place = PLACES.get(name, PLACES["raw"])
    consoles = place.consoles.get("x86_64", ("console=tty0", "console=ttyS0,115200n8"))
    image = ["first=1", "second", "quoted=plain", "spaced=a b", "odd=$x`y'z", "nosmt"]
    return {**ANSWERS, "kernel arguments": [*image, *consoles, *place.kargs, "user=1"]}


def asking(config: bytes = CONFIG) -> bytes:
    tar = TarBuilder()
    tar.file("usr/lib/bootc/install/10.toml", config)
    tar.file("usr/lib/bootc/kargs.d/10.toml", b'kargs = ["nosmt"]\n')
    tar.file("etc/containers/policy.json", b'{"default": [{"type": "reject"}]}')
    return tar.finish()


def makers(*names: str) -> bytes:
    tar = TarBuilder()
    for name in names:
        tar.file(f"usr/sbin/{name}", b"#!/bin/sh\n", mode=0o755)
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
    installers.machine(place / "own", installers.own_runtime(), makers("mkfs.xfs", "tar"))
    installers.machine(place / "small", installers.own_runtime())
    installers.installer(place / "anaconda", installers.anaconda())
    return Sources(place)


def prepared_disk(request: Request) -> disk_writer.Prepared:
    with Store(request.cache).session() as store:
        return build.prepare(request, store, discard)


def prepared_medium(request: IsoRequest) -> medium_writer.Prepared:
    with Store(request.cache).session() as store:
        return build_iso.prepare(request, store, discard)


def text_of(medium: medium_writer.Prepared, name: str) -> str:
    file = medium.ours.get_file(name)
    assert file is not None
    assert file.content is not None
    return read(file.content).decode()


def of_disk(prepared: disk_writer.Prepared) -> dict[str, object]:
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
        no_encryption=facts["no_encryption"],
        payload="embedded", modes=("image",), kickstart_version="F44", packages=None, device=None,
    )  # fmt: skip
    payload = Payload(
        source=parse(sources.payload), access=AccessOptions(), digest=medium.plan.digest, size=1
    )
    disk = Disk(
        name="vda", path=Path("/dev/vda"), size=20 << 30, sector_size=512, model="", partitions=()
    )  # fmt: skip
    asked = image_mode.request_of(
        wanted, identity.given(wanted), payload, disk, "x86_64", here, request.cache
    )
    return of_disk(prepared_disk(asked))


def of_anaconda(request: IsoRequest, place: Path) -> dict[str, object]:
    """Return what Anaconda is told, by its own parser of kickstarts, and what its scripts do."""
    text = text_of(prepared_medium(request), "unattended-image.ks")
    handler = makeVersion("F44")
    KickstartParser(handler).readKickstartFromString(text)
    (root,) = [part for part in handler.partition.partitions if part.mountpoint == "/"]
    (rule,) = re.findall(r"^rule='(.*)'$", text, re.MULTILINE)
    (reference,) = re.findall(r"^reference='(.*)'$", text, re.MULTILINE)
    words = sysroots.completed(
        place,
        f"root=UUID=x rw quiet crash-kernel=1G {handler.bootloader.appendLine} nosmt",
        [one.script for one in handler.scripts if "set-kargs" in one.script],
    )
    assert words[:2] == ["root=UUID=x", "rw"]
    return {
        "origin": rule + reference,
        "stateroot": handler.ostreecontainer.stateroot,
        "root filesystem": root.fstype,
        "kernel arguments": words[2:],
    }


def test_a_kickstart_names_the_stateroot(sources: Sources) -> None:
    """And what lies in the image's is in that one: the deployment, its menu entry, its origin."""
    made = prepared_disk(sources.disk("raw", stateroot="mine"))
    assert made.plan.image.stateroot == "mine"
    for tree in (made.root, made.boot):
        names = [path for path, _node in tree.walk() if b"usr/" not in path]
        assert any(b"/mine" in name for name in names)
        assert not any(b"/tiny" in name for name in names)


def test_every_command_and_installer_gives_the_same_answers(
    sources: Sources, tmp_path: Path
) -> None:
    user = ("user=1",)
    found = {
        name: of_disk(prepared_disk(sources.disk(name, kargs=user))) for name in PLACES
    }  # fmt: skip
    own = sources.medium(anaconda=False, install_kargs=user)
    found["own installer"] = of_own_installer(sources, own)
    found["Anaconda"] = of_anaconda(sources.medium(anaconda=True, install_kargs=user), tmp_path)
    assert found == {name: answers(name) for name in found}


def test_the_user_has_the_last_word_about_signatures(sources: Sources, tmp_path: Path) -> None:
    wish = {"signature": "ostree-unverified-registry"}
    wanted = "ostree-unverified-registry:registry.example/os:1"
    assert prepared_disk(sources.disk("raw", **wish)).plan.origin == wanted
    assert of_own_installer(sources, sources.medium(anaconda=False, **wish))["origin"] == wanted
    found = of_anaconda(sources.medium(anaconda=True, **wish), tmp_path)
    assert found["origin"] == wanted


@pytest.mark.parametrize("anaconda", [False, True])
def test_packages_get_what_the_user_says_and_nothing_of_the_image(
    sources: Sources, anaconda: bool
) -> None:
    """Of the kernel arguments; the system is another one."""
    wish = {"install_kargs": ("user=1", "quiet"), "packages": "https://mirror.example/os"}
    text = text_of(prepared_medium(sources.medium(anaconda=anaconda, **wish)),
                   "unattended-package.ks")  # fmt: skip
    handler = makeVersion("F44")
    KickstartParser(handler).readKickstartFromString(text)
    assert handler.bootloader.appendLine == "user=1 quiet"
    if not anaconda:
        assert recipe.parse(text, "F44", "x.ks").kargs == ("user=1", "quiet")


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
    text = text_of(own, "unattended-image.ks")
    read_there = recipe.parse(text, "F44", "x.ks").image
    assert read_there is not None
    assert read_there.stateroot is None
    assert "/ostree/deploy/*/deploy/" in text
    assert not any("not read" in text for text in own.plan.warnings)
    anaconda = prepared_medium(sources.medium(anaconda=True, **wish)).plan.warnings
    (warning,) = [text for text in anaconda if "the image is not read here" in text]
    for option in ("--install-karg", "--target-signature", "--kickstart", "--payload both"):
        assert option in warning


def test_an_installer_that_could_not_make_the_root(sources: Sources) -> None:
    """The disk would be erased before anybody knew."""
    request = sources.medium(anaconda=False)
    small = replace(request, installer=parse(f"oci:{sources.place / 'small'}"))
    with pytest.raises(UnfitError, match=r"'xfs', and the installer lacks 'mkfs\.xfs'"):
        prepared_medium(small)


def test_btrfs_by_anaconda(sources: Sources, tmp_path: Path) -> None:
    config = b'[install]\nroot-fs-type = "btrfs"\nkargs = ["rootflags=subvol=top"]\n'
    installers.machine(tmp_path / "os", installers.bootupd(), asking(config))
    request = sources.medium(anaconda=True, source=parse(f"oci:{tmp_path / 'os'}"))
    text = text_of(prepared_medium(request), "unattended-image.ks")
    handler = makeVersion("F44")
    KickstartParser(handler).readKickstartFromString(text)
    volume, root = handler.btrfs.btrfsList
    assert (volume.label, volume.devices) == ("root", ["btrfs.01"])
    assert (root.mountpoint, root.subvol, root.name) == ("/", True, "top")
    with pytest.raises(UnfitError, match=r"'btrfs', which this installer \(RHEL10\) does not make"):
        prepared_medium(replace(request, kickstart_version="RHEL10"))


@pytest.mark.parametrize(
    ("spec", "line"),
    [(None, r"UUID=[0-9a-f-]{36} /boot auto ro 0 0\n"), ("LABEL=x", "LABEL=x /boot auto ro 0 0\n"),
     ("", "the image's\n")],
)  # fmt: skip
def test_what_mounts_boot(sources: Sources, tmp_path: Path, spec: str | None, line: str) -> None:
    tar = TarBuilder()
    said = f'boot-mount-spec = "{spec}"\n' if spec is not None else ""
    tar.file("usr/lib/bootc/install/10.toml", f"[install]\n{said}".encode())
    tar.file("etc/fstab", b"the image's\n")
    layout = bootable(tmp_path / "os", tar.finish())
    made = prepared_disk(replace(sources.disk("raw"), source=parse(f"oci:{layout}")))
    place = f"ostree/deploy/default/deploy/{made.plan.commit}.0/etc/fstab"
    file = made.root.get_file(place)
    assert file is not None
    assert file.content is not None
    assert re.fullmatch(line, read(file.content).decode())
    assert any(word.startswith("boot=") for word in made.plan.kargs) is (spec != "")


def test_fs_verity_is_where_diskgen_writes_it(sources: Sources, tmp_path: Path) -> None:
    """By disks and by our own installer; Anaconda makes the filesystem by itself."""
    tar = TarBuilder()
    tar.file("usr/lib/ostree/prepare-root.conf", b"[composefs]\nenabled=verity\n")
    guarded = tar.finish()
    installers.machine(tmp_path / "os", installers.bootupd(), guarded)
    source = parse(f"oci:{tmp_path / 'os'}")
    disk = prepared_disk(replace(sources.disk("raw"), source=source))
    config = disk.root.get_file("ostree/repo/config")
    assert config is not None
    assert config.seal is not None
    prepared_medium(sources.medium(anaconda=False, source=source))
    wish = TarBuilder()
    wish.file("usr/lib/bootc/install/90.toml", b'[install.filesystem.root]\ntype = "btrfs"\n')
    installers.machine(tmp_path / "btrfs", installers.bootupd(), guarded, wish.finish())
    with pytest.raises(UnfitError, match="diskgen's own installer does not write on btrfs"):
        prepared_medium(sources.medium(anaconda=False, source=parse(f"oci:{tmp_path / 'btrfs'}")))
    with pytest.raises(UnfitError, match="filesystems that Anaconda makes do not have"):
        prepared_medium(sources.medium(anaconda=True, source=source))
    made = prepared_disk(replace(sources.disk("raw"), source=source, root_filesystem="btrfs"))
    with pytest.raises(UsageError, match="this installer does not write on 'btrfs'"):
        image_mode.check_guard(made)
    image_mode.check_guard(disk)
    with pytest.raises(UnfitError, match="which diskgen does not write on xfs"):
        prepared_disk(replace(sources.disk("raw"), source=source, root_filesystem="xfs"))


def test_encryption_is_refused_by_every_command(sources: Sources, tmp_path: Path) -> None:
    config = b'[install]\nblock = ["tpm2-luks"]\n'
    installers.machine(tmp_path / "os", installers.bootupd(), asking(config))
    source = parse(f"oci:{tmp_path / 'os'}")
    asked = {name: replace(sources.disk(name), source=source) for name in PLACES}
    for disk in asked.values():
        with pytest.raises(UnfitError, match="an encrypted root filesystem"):
            prepared_disk(disk)
    plan = prepared_disk(replace(asked["raw"], no_encryption=True)).plan
    assert any("not encrypted" in text for text in plan.warnings)
    for anaconda in (False, True):
        with pytest.raises(UnfitError, match="an encrypted root filesystem"):
            prepared_medium(sources.medium(anaconda=anaconda, source=source))
    made = prepared_medium(sources.medium(anaconda=True, source=source, no_encryption=True))
    assert json.loads(text_of(made, "medium.json"))["no_encryption"] is True
