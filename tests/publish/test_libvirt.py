"""A volume of a real libvirt, whose daemon is the user's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from diskgen.errors import HostError
from diskgen.events import discard
from diskgen.publish.libvirt import Libvirt
from diskgen.units import MIB

from ..fixtures.disks import varied
from ..fixtures.formats import convert
from ..fixtures.libvirt import URI, session, virsh
from ..fixtures.program import Program
from ..oracles.schemas import check

POOL = "my pool"
TO = ("--connect", URI, "--pool", POOL)


@dataclass(frozen=True)
class Daemon:
    """The pool of a daemon that whoever runs the program has."""

    program: Program
    pool: Path

    def virsh(self, *words: str | Path) -> str:
        return virsh(self.program, *words)


@pytest.fixture
def daemon(diskgen: Program) -> Iterator[Daemon]:
    """It starts when it is asked for the first time, and is ended with the test."""
    made = Daemon(diskgen, diskgen.own_directory("pool"))
    with session(diskgen):
        made.virsh("pool-define-as", POOL, "dir", "--target", made.pool)
        made.virsh("pool-start", POOL)
        yield made


def made(diskgen: Program, name: str, suffix: str) -> Path:
    place = diskgen.own_directory(f"files-{name}")
    raw = varied(place / "raw", 96 * MIB)
    out = convert(raw, place / f"my os.{suffix}", name)
    raw.unlink(missing_ok=True)
    out.chmod(0o644)
    return out


@pytest.mark.parametrize(
    ("name", "suffix", "kind"),
    [
        ("qcow2", "qcow2", "qcow2"),
        pytest.param("ami", "ami.raw", "raw", marks=pytest.mark.extended),
        pytest.param("vmdk", "vmdk", "vmdk", marks=pytest.mark.extended),
    ],
)
def test_a_disk_becomes_a_volume(
    diskgen: Program, daemon: Daemon, name: str, suffix: str, kind: str
) -> None:
    """The same bytes, the holes still holes, and the format as libvirt sees it."""
    file = made(diskgen, name, suffix)
    words = ("publish", "libvirt", file, *TO)
    assert "vol-upload" in diskgen(*words, "--dry-run")
    assert list(daemon.pool.iterdir()) == []
    facts = json.loads(diskgen(*words, "--json"))
    check("published", facts)
    volume = Path(facts["id"])
    assert volume == daemon.pool / file.name
    assert volume.read_bytes() == file.read_bytes()
    assert volume.stat().st_blocks * 512 < 32 * MIB
    shown = daemon.virsh("vol-dumpxml", "--pool", POOL, file.name)
    assert f"<format type='{kind}'/>" in shown
    if kind != "vmdk":  # whose size libvirt takes from the file's
        assert f"<capacity unit='bytes'>{96 * MIB}</capacity>" in shown
    taken = diskgen.run(*words)
    assert taken.returncode == 4
    assert f"has a volume '{file.name}'" in taken.stderr
    assert diskgen(*words, "--volume", "other") == f"{daemon.pool}/other\n"


def test_what_cannot_be_is_said_before(diskgen: Program, daemon: Daemon) -> None:
    file = made(diskgen, "qcow2", "qcow2")
    archive = made(diskgen, "gce", "tar.gz")
    done = diskgen.run("publish", "libvirt", archive, *TO)
    assert done.returncode == 2
    assert "libvirt has no volumes of the format 'gce'" in done.stderr
    daemon.virsh("pool-destroy", POOL)
    for words, status, message in (
        ((file, *TO), 4, f"the pool '{POOL}' is not active"),
        ((file, "--connect", URI, "--pool", "none"), 9, "no storage pool with matching name"),
        ((file, "--connect", "qemu:///nonsense"), 9, "libvirt refuses pool-info"),
        ((file, *TO, "--volume", "a/b"), 2, "'a/b' is no name of a volume"),
    ):
        done = diskgen.run("publish", "libvirt", *words)
        assert done.returncode == status, (words, done.stderr)
        assert message in done.stderr


def test_who_lacks_virsh_hears_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diskgen.run.search_path", lambda: str(tmp_path))
    with pytest.raises(HostError, match="'virsh' is not installed") as caught:
        Libvirt(volume="os").check(discard)
    assert "libvirt" in (caught.value.hint or "")


def test_a_volume_that_is_not_filled_is_removed(diskgen: Program, daemon: Daemon) -> None:
    """The file goes away between the making of the volume and its filling: virsh says so."""
    file = made(diskgen, "qcow2", "qcow2")
    tools = diskgen.own_directory("tools")
    script = tools / "virsh"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *vol-upload*) rm \'{file}\';; esac\nexec /usr/bin/virsh "$@"\n'
    )
    script.chmod(0o755)
    done = diskgen.run("publish", "libvirt", file, *TO, env={"PATH": f"{tools}:/usr/bin:/bin"})
    assert done.returncode == 9, done.stderr
    assert "libvirt refuses vol-upload" in done.stderr
    assert list(daemon.pool.iterdir()) == []
