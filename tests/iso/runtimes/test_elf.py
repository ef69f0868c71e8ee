"""What programs need to run, held against the loader of this machine."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from diskgen.errors import SourceError
from diskgen.iso.runtimes import elf
from diskgen.tree import Directory, regular, symlink


def real(path: str) -> Path:
    return Path(path).resolve()


PROGRAMS = [path for path in ("/bin/sh", "/bin/mount", "/sbin/blkid", "/bin/kmod", sys.executable)
            if Path(path).exists()]  # fmt: skip


@pytest.mark.parametrize("path", PROGRAMS)
def test_what_a_program_needs(path: str) -> None:
    found = elf.needs(real(path).read_bytes())
    assert found is not None
    said = subprocess.run(["readelf", "-dl", "-W", real(path)], check=True, capture_output=True,
                          text=True).stdout  # fmt: skip
    libraries = [line.partition("[")[2].rstrip("]") for line in said.splitlines()
                 if "(NEEDED)" in line]  # fmt: skip
    assert list(found.libraries) == libraries
    assert f"program interpreter: {found.interpreter}]" in said


def host_tree(*paths: str) -> Directory:
    """Return the host's programs and directories of libraries, as far as links of them go."""
    root = Directory()
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            root.add(name, symlink(os.fspath(Path("/", name).readlink())))
    names = {*paths}
    for path in paths:
        said = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
        names |= {word for word in said.split() if word.startswith("/")}
    for name in names:
        place = real(str(Path(name).parent)) / Path(name).name
        while place.is_symlink():
            root.add(str(place), symlink(os.fspath(place.readlink())))
            place = real(str(place.parent)) / place.readlink()
        root.add(str(place.resolve()), regular(place.read_bytes(), mode=0o755))
    return root


def test_all_libraries_are_found() -> None:
    paths = ("/bin/sh", "/bin/mount", "/sbin/blkid")
    found = elf.closure(host_tree(*paths), tuple(path.lstrip("/") for path in paths))
    for path in paths:
        assert path.lstrip("/") in found
        said = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
        wanted = {Path(word).name for word in said.split() if word.startswith("/")}
        assert wanted <= {Path(name).name for name in found}


@pytest.mark.parametrize("place", ["usr/lib64", "usr/lib", "lib64", "lib"])
def test_libraries_are_found_in_every_place_that_distributions_have(place: str) -> None:
    said = subprocess.run(["ldd", "/bin/mount"], check=True, capture_output=True, text=True).stdout
    libraries = {Path(word) for word in said.split() if word.startswith("/")}
    root = Directory()
    root.add("bin/mount", regular(real("/bin/mount").read_bytes()))
    for path in libraries:
        where = str(path)[1:] if "/ld-" in str(path) else f"{place}/{path.name}"
        root.add(where, regular(path.resolve().read_bytes()))
    found = elf.closure(root, ("bin/mount",))
    assert {Path(name).name for name in found} == {"mount", *(path.name for path in libraries)}


def test_a_library_that_is_missing() -> None:
    root = host_tree("/bin/mount")
    for path, _node in list(root.walk()):
        if b"libmount" in path:
            folder = root.get_dir(path.rpartition(b"/")[0])
            assert folder is not None
            del folder.entries[path.rpartition(b"/")[2]]
    with pytest.raises(SourceError, match=r"'/bin/mount' of the image needs 'libmount\.so\.1'"):
        elf.closure(root, ("bin/mount",))
    with pytest.raises(SourceError, match="the image has no '/bin/none'"):
        elf.closure(root, ("bin/none",))


def test_scripts_need_nothing() -> None:
    assert elf.needs(b"#!/bin/sh\n") is None
    assert elf.needs(b"") is None


def test_damaged_programs() -> None:
    """Cut anywhere, or with numbers changed: an answer or an error, never anything else."""
    data = real("/bin/mount").read_bytes()
    dice = random.Random(1)
    for size in [4, 5, 6, 16, 63, 64, 100, *(dice.randrange(64, len(data)) for _ in range(60))]:
        _look(data[:size])
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(dice.randrange(1, 6)):
            damaged[dice.randrange(1024)] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        _look(bytes(damaged))
    huge = bytearray(data)
    struct.pack_into("<Q", huge, 32, 2**63)  # place of the program headers
    _look(bytes(huge))


def _look(data: bytes) -> None:
    root = Directory()
    root.add("bin/x", regular(data))
    with suppress(SourceError):
        elf.closure(root, ("bin/x",))
