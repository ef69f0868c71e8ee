"""The image is looked for before any disk is touched."""

from __future__ import annotations

import functools
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.errors import DiskgenError, HostError, SourceError, UsageError
from diskgen.events import discard
from diskgen.install import __main__ as installer
from diskgen.install import connect, disks, medium, payload
from diskgen.install.console import Consoles
from diskgen.install.disks import Disk
from diskgen.install.medium import Medium
from diskgen.install.network import Device
from diskgen.install.payload import Payload
from diskgen.install.target import mounts
from diskgen.kickstart import recipe
from diskgen.kickstart.links import Booted, of_boot
from diskgen.kickstart.recipe import ImageSource
from diskgen.link import Link
from diskgen.units import MIB

from ..fixtures.oci import Layout, bootable, bootable_tar
from ..fixtures.registry import Registry
from ..fixtures.terminals import Typist, doing


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> functools.partial[Payload]:
    made = functools.partial(payload.look, policy=tmp_path / "policy.json", patience=0)
    monkeypatch.setattr(payload, "look", made)
    monkeypatch.setattr(installer, "installed_machine", lambda: "x86_64")
    return made


@pytest.fixture
def insecure(server: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    conf = tmp_path / ".config/containers/registries.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(f'[[registry]]\nlocation = "{server.host}"\ninsecure = true\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    return server


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    path = tmp_path / "disk"
    path.write_bytes(b"precious" * 1024)
    return Disk(name="vda", path=path, size=100 * MIB, sector_size=512, model="", partitions=())


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The name of a registry that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        yield f"127.0.0.1:{taken.getsockname()[1]}/tiny/os:1"


def on_medium(layout: Path) -> ImageSource:
    return ImageSource(transport="oci", url=str(layout), stateroot="default")


def in_registry(name: str) -> ImageSource:
    return ImageSource(transport="registry", url=name, stateroot="default")


def test_the_image_on_the_medium(look: functools.partial[Payload], tmp_path: Path) -> None:
    layout = bootable(tmp_path / "os")
    found = look(on_medium(layout), "x86_64", discard)
    manifest = Layout.manifest_of(layout)
    assert found.size == sum(layer["size"] for layer in manifest["layers"])
    index = json.loads((layout / "index.json").read_bytes())
    assert found.digest == index["manifests"][0]["digest"]
    assert str(found.source) == f"oci:{layout}"
    assert found.access.policy == tmp_path / "policy.json"


def test_the_image_in_a_registry(
    look: functools.partial[Payload], insecure: Registry, tmp_path: Path
) -> None:
    """What was looked at is what is installed, whatever the tag means a minute later."""
    digest = insecure.push(bootable(tmp_path / "os"), "payload/os", "1")
    found = look(in_registry(f"{insecure.host}/payload/os:1"), "x86_64", discard)
    assert found.digest == digest
    assert found.source.name == f"{insecure.host}/payload/os@{digest}"
    assert insecure.fetched("payload/os") == [
        Layout.manifest_of(tmp_path / "os")["config"]["digest"]
    ]


def test_what_is_no_system(look: functools.partial[Payload], tmp_path: Path) -> None:
    layout = Layout(tmp_path / "os")
    layout.finish(layout.image([layout.layer(bootable_tar())], labels={}))
    with pytest.raises(SourceError, match="not made to boot"):
        look(on_medium(layout.place), "x86_64", discard)


def test_what_is_for_another_machine(look: functools.partial[Payload], tmp_path: Path) -> None:
    layout = bootable(tmp_path / "os", arch="aarch64")
    with pytest.raises(SourceError, match="arm64"):
        look(on_medium(layout), "x86_64", discard)


def test_what_is_damaged(look: functools.partial[Payload], tmp_path: Path) -> None:
    layout = bootable(tmp_path / "os")
    digest = Layout.manifest_of(layout)["config"]["digest"]
    (layout / "blobs" / digest.replace(":", "/")).write_bytes(b"{}")
    with pytest.raises(SourceError, match="does not match its digest"):
        look(on_medium(layout), "x86_64", discard)
    with pytest.raises(SourceError, match="is no OCI layout"):
        look(on_medium(tmp_path / "none"), "x86_64", discard)


def test_what_is_not_in_the_registry(look: functools.partial[Payload], insecure: Registry) -> None:
    with pytest.raises(SourceError, match="does not exist in its registry"):
        look(in_registry(f"{insecure.host}/no/such:1"), "x86_64", discard)
    with pytest.raises(SourceError, match="is not an image reference"):
        look(in_registry("UPPER/case"), "x86_64", discard)


def test_a_registry_that_does_not_answer(look: functools.partial[Payload], nowhere: str) -> None:
    with pytest.raises(HostError, match=r"cannot be reached: .*; nothing was changed") as caught:
        look(in_registry(nowhere), "x86_64", discard)
    assert "connect this machine to the network" in (caught.value.hint or "")


def test_a_registry_that_answers_later(
    insecure: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is while the network comes up: the first skopeo of several fails."""
    insecure.push(bootable(tmp_path / "os"), "later/os", "1")
    tools = tmp_path / "tools"
    tools.mkdir()
    fake = tools / "skopeo"
    fake.write_text(
        f"#!/bin/sh\nif [ ! -e {tools}/tried ]; then : >{tools}/tried\n"
        'echo "dial tcp: lookup x: Temporary failure in name resolution" >&2; exit 1; fi\n'
        'exec /usr/bin/skopeo "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setattr(payload, "_PAUSE_SECONDS", 0.1)
    source = in_registry(f"{insecure.host}/later/os:1")
    assert payload.look(source, "x86_64", discard).size > 0
    assert (tools / "tried").exists()


def test_a_disk_that_is_too_small(
    look: functools.partial[Payload], disk: Disk, tmp_path: Path
) -> None:
    found = look(on_medium(bootable(tmp_path / "os")), "x86_64", discard)
    payload.check_room(found, disk)
    with pytest.raises(UsageError, match="'vda' has 1 KiB; the image has"):
        payload.check_room(replace(found, size=4000), replace(disk, size=1024))


HERE = Medium(
    product="Tiny", reference="q.io/a", signature=None, signed=False, no_encryption=False,
    payload="remote", modes=("image",), kickstart_version="F44", packages=None,
    device=Path("/dev/sr0"),
)  # fmt: skip


@pytest.mark.usefixtures("look")
@pytest.mark.parametrize("case", ["registry", "label", "layout", "packages", "device"])
def test_no_kickstart_erases_before_all_is_known(
    disk: Disk, nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Whatever is wrong with payload and network: the disk, which may be erased, is as it was."""
    layout = Layout(tmp_path / "os")
    layout.finish(layout.image([layout.layer(bootable_tar())], labels={}))
    text = {
        "registry": f"ostreecontainer --url={nowhere}",
        "label": f"ostreecontainer --transport=oci --url={layout.place}",
        "layout": f"ostreecontainer --transport=oci --url={tmp_path}/none",
        "packages": "%packages\nvim\n%end",
        "device": f"ostreecontainer --transport=oci --url={bootable(tmp_path / 'good')}\n"
        "network --device=nosuch0 --bindto=mac --mtu=1400",
    }[case]
    kickstart = tmp_path / "all.ks"
    kickstart.write_text(f"clearpart --all\nzerombr\npart / --grow --size=1\n{text}\n")
    monkeypatch.setattr(disks, "candidates", lambda _medium: [disk])
    typist = Typist()
    before = disk.path.read_bytes()
    with mounts() as mounted, pytest.raises(DiskgenError):
        installer._decide(
            Consoles([typist.path]), HERE, {"inst.ks": f"file:{kickstart}"}, mounted, Booted()
        )
    typist.hang_up()
    assert disk.path.read_bytes() == before


@pytest.mark.usefixtures("look")
def test_nobody_is_asked_for_a_disk_that_nothing_can_be_put_on(
    disk: Disk, nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image-remote.ks").write_text("ostreecontainer --url=@@REF@@\n")
    monkeypatch.setattr(medium, "ROOM", tmp_path)
    monkeypatch.setattr(disks, "candidates", lambda _medium: [disk])
    typist = Typist()
    with mounts() as mounted, pytest.raises(HostError, match="cannot be reached"):
        installer._decide(
            Consoles([typist.path]), HERE,
            {"diskgen.mode": "image", "diskgen.ref": nowhere}, mounted, Booted(),
        )  # fmt: skip
    assert "Onto which disk?" not in typist.read("FAILED")
    typist.hang_up()


@pytest.mark.usefixtures("look")
def test_all_is_known_before_the_last_question(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = bootable(tmp_path / "container")
    (tmp_path / "image-offline.ks").write_text(
        f"ostreecontainer --transport=oci --url={layout}\nrootpw --lock\n"
        'sshkey --username=root "ssh-rsa A"\n'
    )
    monkeypatch.setattr(medium, "ROOM", tmp_path)
    monkeypatch.setattr(disks, "candidates", lambda _medium: [disk])
    typist = Typist()

    def talk() -> None:
        typist.answer("Choice [1]: ", "1")
        typist.answer("to go on", "erase")

    with mounts() as mounted, doing(talk):
        task = installer._decide(
            Consoles([typist.path]), replace(HERE, payload="embedded"),
            {"diskgen.mode": "image"}, mounted, Booted(),
        )  # fmt: skip
    assert task.disk is disk
    assert task.payload is not None
    assert typist.seen.index("Looking for") < typist.seen.index("Onto which disk?")
    typist.hang_up()


ONE = Device(name="enp1s0", mac="52:54:00:00:00:01", connected=True)


@pytest.mark.parametrize(
    ("line", "arguments", "device", "mtu", "host"),
    [
        ("network --device=e0 --mtu=1400 --hostname=a", "", "e0", 1400, "a"),
        ("network --mtu=1400", "ip=dhcp", ONE.mac, 1400, None),
        ("network --device=e0 --mtu=1400", "ip=::::b:e1:dhcp:1500", "e0", 1400, "b"),
        ("network --device=link --hostname=a", "ip=::::b:e1:dhcp:1500", "e1", 1500, "a"),
        ("", "ip=::::b:e1:dhcp:1500", "e1", 1500, "b"),
        ("network --bootproto=dhcp --device=link", "ip=dhcp", None, None, None),
    ],
)
def test_whose_word_counts_for_the_network(
    line: str, arguments: str, device: str | None, mtu: int | None, host: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The kickstart's, if it says more than DHCP; else that of the kernel's command line."""
    started: list[tuple[Link, ...]] = []
    monkeypatch.setattr(connect, "found", lambda _links: (ONE,))
    monkeypatch.setattr(connect, "start", lambda links, _warn: started.append(links))
    asked = recipe.parse(f"ostreecontainer --url=q.io/a\n{line}\n", "F44", "x.ks")
    made = installer._connected(Consoles([]), asked, of_boot(arguments))
    assert started == [made.links]
    assert [(link.device, link.mtu) for link in made.links] == ([(device, mtu)] if device else [])
    assert made.hostname == host


def test_a_registry_that_never_answers_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks drop what they do not like; the image on the medium is taken then."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setattr(medium, "_REGISTRY_SECONDS", 1.0)
        assert not medium.reachable(f"127.0.0.1:{silent.getsockname()[1]}/tiny/os:1")
