"""Names that mean something to one program or another are only names of files to us."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from diskgen.disk import fat
from diskgen.disk.ext4 import mkfs
from diskgen.units import MIB

from ..fixtures.hostile import EVIL_NAME
from ..fixtures.oci import bootable
from ..fixtures.program import Program, fingerprint
from ..fixtures.registry import Registry

ODD = (
    "a b", " a ", "a'b", 'a"b', "a\\b", "a\nb", "a\tb", "-n", "--help", "@file", "a@@64", "a;b",
    "a:b", "c:", "a,b", "a,,b", "a?offset=1", "a?b", "?", "a*b", "[a]", "{a,b}", "$HOME", "`id`",
    "~", "~root", "#a", "a&b", "a|b", "a>b", "a%sb", "%n", "a=b", "=", "!", "(a)", "a^b",
    "json:{}", "fd:0", "nbd:x:1", "blkdebug::x", "file:a", "oci:a", "é", "日本", "\udcff",
    "\u202ea", "...", ".a", "a.", "con", "nul", "a" * 200, EVIL_NAME,
)  # fmt: skip


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_every_tool_takes_a_disk_of_any_name(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    place.mkdir()
    disk = place / name
    with disk.open("wb") as file:
        file.truncate(64 * MIB)
    fat.make(disk, offset=MIB, size=5 * MIB, label="ESP", volume_id=1, timestamp=1_800_000_000,
             files={"EFI/BOOT/A": b"x"})  # fmt: skip
    mkfs.make_empty(disk, offset=8 * MIB, size=48 * MIB, uuid=UUID(int=1), label="x",
                    hash_seed=UUID(int=2), timestamp=1_800_000_000, inodes=100)  # fmt: skip
    mkfs.check(disk, offset=8 * MIB, size=48 * MIB)
    assert [path.name for path in place.iterdir()] == [name]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_everything_has_odd_names(diskgen: Program, images: Path, server: Registry) -> None:
    layout = bootable(images / "os")
    server.push(layout, "odd/os")
    odd = diskgen.own_directory("a?b;c@@64,d:é\n'$x")
    reference = f"{server.host}/odd/os"
    plain = diskgen("raw", reference, "--tls-verify=false", "-o", "plain.raw")
    words = diskgen.command(
        "raw", reference, "--tls-verify=false", "-o", odd / "e?f;g@@1.raw",
        "--cache-dir", odd / "cache",
    )  # fmt: skip
    env = diskgen.environment(TMPDIR=str(odd))
    subprocess.run(words, env=env, cwd=diskgen.place, check=True, capture_output=True)
    assert fingerprint(odd / "e?f;g@@1.raw") == fingerprint(diskgen.place / plain.strip())
    assert sorted(path.name for path in odd.iterdir()) == ["cache", "e?f;g@@1.raw"]
    facts = json.loads(diskgen("inspect", odd / "e?f;g@@1.raw", "--json"))
    assert len(facts["partitions"]) == 4
