"""Our own installer: what the runtime is given, and the initramfs that finds it, by cpio's word."""

from __future__ import annotations

import re
import stat

import pytest
import zstandard

from diskgen import resources
from diskgen.errors import SourceError
from diskgen.iso.runtimes import initramfs, own
from diskgen.tree import Directory, regular, symlink

from ...fixtures.installers import REAL, cpio

RELEASE = "6.12.1-300.fc44.x86_64"
PLACE = f"usr/lib/modules/{RELEASE}"
# Where Linux has what ``init`` asks for, and what else that needs.
DRIVERS = {
    "drivers/block/loop": "", "drivers/block/virtio_blk": "", "drivers/scsi/sd_mod": "",
    "drivers/scsi/sr_mod": "drivers/cdrom/cdrom", "drivers/scsi/virtio_scsi": "",
    "drivers/usb/storage/usb-storage": "", "fs/fat/vfat": "fs/fat/fat", "fs/isofs/isofs": "",
    "fs/nls/nls_ascii": "", "fs/nls/nls_cp437": "", "fs/nls/nls_iso8859-1": "",
    "fs/overlayfs/overlay": "", "fs/squashfs/squashfs": "lib/xxhash", "sound/soundcore": "",
}  # fmt: skip


def runtime() -> Directory:
    root = Directory()
    for name in REAL:
        root.add(f"usr/bin/{name}", regular(b"#!/bin/sh\n", mode=0o755))
    lines = []
    for driver, needed in DRIVERS.items():
        paths = [f"kernel/{name}.ko.xz" for name in (driver, needed) if name]
        lines.append(f"{paths[0]}: {' '.join(paths[1:])}\n")
        for path in paths:
            root.add(f"{PLACE}/{path}", regular(path.encode()))
    root.add(f"{PLACE}/modules.dep", regular("".join(lines).encode()))
    return root


def init() -> str:
    return resources.data("installer", "init").decode()


@pytest.fixture(scope="module")
def names() -> set[str]:
    """What is in an initramfs."""
    made = initramfs.make(runtime(), RELEASE, 1_790_000_000, Directory())
    return set(cpio(zstandard.ZstdDecompressor().decompress(made)))


def test_init_finds_the_places_that_it_mounts_at(names: set[str]) -> None:
    places = re.findall(r"^(?:mount .*|  runtime) /(\w+)(?: \|\| .*)?$", init(), re.MULTILINE)
    assert sorted(places) == ["dev", "proc", "run", "sys", "sysroot"]
    assert names >= {*places}


def test_init_finds_the_drivers_that_it_loads(names: set[str]) -> None:
    wanted = re.search(r"^for name in (.*); do\n  modprobe", init(), re.MULTILINE)
    assert wanted is not None
    there = {name.rpartition("/")[2].partition(".")[0] for name in names if ".ko" in name}
    assert {name.replace("-", "_") for name in there} >= {*wanted[1].split()}
    assert there >= {"cdrom", "fat", "xxhash"}  # by modules.dep
    assert "soundcore" not in there


@pytest.mark.parametrize("without", [PLACE, f"{PLACE}/modules.dep"])
@pytest.mark.parametrize("instead", [None, Directory()])
def test_a_kernel_without_drivers_is_refused(without: str, instead: Directory | None) -> None:
    root = runtime()
    above, _, name = without.rpartition("/")
    folder = root.get_dir(above)
    assert folder is not None
    del folder.entries[name.encode()]
    if instead is not None:
        folder.add(name, instead)
    with pytest.raises(SourceError, match=rf"has no '/{PLACE}/modules\.dep'"):
        initramfs.make(root, RELEASE, 0, Directory())


def test_a_runtime_has_where_systemd_mounts() -> None:
    """Images of containers may lack any of it; a link that leads to /var is the image's own."""
    root, link = Directory(), symlink("var/mnt")
    root.add("mnt", link)
    root.make_dirs("proc", mode=0o700)
    own.add_to(root)
    assert root.entries[b"mnt"] is link
    modes = {
        name: root.entries[name.encode()].mode for name in ("dev", "proc", "run", "sys", "tmp")
    }
    assert all(map(stat.S_ISDIR, modes.values()))
    assert {name: stat.S_IMODE(mode) for name, mode in modes.items()} == {
        "dev": 0o755, "proc": 0o700, "run": 0o755, "sys": 0o555, "tmp": 0o1777,
    }  # fmt: skip
