"""What comes out of the cache is what was put there, or it is read again: the same bytes always."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .fixtures import installers
from .fixtures.oci import TarBuilder, bootable, bootable_tar
from .fixtures.program import Program, fingerprint
from .fixtures.registry import Registry

PLAIN = "--tls-verify=false"
_BIG = 3_000_000
_HOLE = 128 * 1024
_LABEL = ((b"security.selinux", b"system_u:object_r:usr_t:s0\0"),)


def _tar(path: str, size: int) -> bytes:
    tar = TarBuilder()
    tar.file(path, os.urandom(size))
    return tar.finish()


def _flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x10]))


def _layers(program: Program, suffix: str) -> list[Path]:
    """Return a file of each layer, the largest layer first."""
    found = (program.cache / "v1/layers").glob(f"*.{suffix}")
    return sorted(found, key=lambda path: -path.with_suffix(".pack").stat().st_size)


def _planted(program: Program) -> None:
    """Give one layer's pack and index to another layer."""
    (first, *_, last) = _layers(program, "pack")
    for suffix in (".pack", ".idx"):
        shutil.copyfile(last.with_suffix(suffix), first.with_suffix(suffix))


def _planted_pack(program: Program) -> None:
    """Give a layer a pack of the right length with other contents."""
    (first, *_) = _layers(program, "pack")
    first.write_bytes(os.urandom(first.stat().st_size))


def _not_ours(program: Program) -> None:
    for path in _layers(program, "idx"):
        os.chown(path, 4711, 4711)


def _instead(program: Program, suffix: str, make: Callable[[Path], object]) -> None:
    (path, *_) = _layers(program, "pack")
    path = path.with_suffix(f".{suffix}")
    path.unlink()
    make(path)
    os.chown(path, path.parent.stat().st_uid, -1, follow_symlinks=False)


DAMAGE: dict[str, Callable[[Program], object]] = {
    "a bit of what only the disk gets": lambda p: _flip(_layers(p, "pack")[0], _BIG // 2),
    "the last byte": lambda p: _flip(_layers(p, "pack")[0], _BIG - 1),
    "a bit of what the plan is made of": lambda p: _flip(_layers(p, "pack")[-1], 5),
    "a pack cut short": lambda p: os.truncate(_layers(p, "pack")[0], 4096),
    "an empty pack": lambda p: os.truncate(_layers(p, "pack")[0], 0),
    "no pack": lambda p: _layers(p, "pack")[0].unlink(),
    "a bit of an index": lambda p: _flip(_layers(p, "idx")[0], 500),
    "an index cut short": lambda p: os.truncate(_layers(p, "idx")[0], 200),
    "another layer's pack and index": _planted,
    "another pack": _planted_pack,
    "an index of another user": _not_ours,
    "a directory for an index": lambda p: _instead(p, "idx", Path.mkdir),
    "a directory for a pack": lambda p: _instead(p, "pack", Path.mkdir),
    "a FIFO for an index": lambda p: _instead(p, "idx", os.mkfifo),
    "a FIFO for a pack": lambda p: _instead(p, "pack", os.mkfifo),
    "a link for a pack": lambda p: _instead(p, "pack", lambda x: x.symlink_to("/dev/zero")),
    "a link for an index": lambda p: _instead(p, "idx", lambda x: x.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_and_repaired(diskgen: Program, images: Path, what: str) -> None:
    if what == "an index of another user" and os.geteuid():
        pytest.skip("gives files away")
    layout = bootable(images / "os", _tar("usr/share/big", _BIG))
    words = ("raw", f"oci:{layout}", "--progress", "plain", "-o")
    first = diskgen.run(*words, diskgen.place / "a.raw")
    assert first.returncode == 0, first.stderr
    DAMAGE[what](diskgen)
    second = diskgen.run(*words, diskgen.place / "b.raw")
    assert second.returncode == 0, second.stderr
    assert fingerprint(diskgen.place / "b.raw") == fingerprint(diskgen.place / "a.raw")
    assert "damaged" in second.stderr
    assert "reading it again" in second.stderr
    third = diskgen.run(*words, diskgen.place / "c.raw")
    assert "damaged" not in third.stderr
    assert "2 of 2 layers from the cache" in third.stderr


def test_labels_are_not_made_of_damaged_contents(diskgen: Program, images: Path) -> None:
    """A content that is hashed again for another header is compared with its sums, too."""
    from diskgen.image.index import load
    from diskgen.image.sums import add_checksums
    from diskgen.packsums import DamagedEntry
    from diskgen.tree import File

    layout = bootable(images / "os", _tar("usr/share/big", _BIG))
    diskgen("plan", "raw", f"oci:{layout}")
    pack = _layers(diskgen, "pack")[0]
    for path in _layers(diskgen, "pack") + _layers(diskgen, "idx"):
        os.chown(path, os.geteuid(), -1)
    _flip(pack, _BIG // 2)
    index = load(pack.with_suffix(".idx"), pack, f"sha256:{pack.stem}")
    assert index is not None
    content = next(entry.content for entry in index.entries if entry.path == b"usr/share/big")
    with pytest.raises(DamagedEntry):
        add_checksums(
            [File(0o100644, xattrs=((b"user.a", b"b"),), content=content)], lambda _: None
        )


def test_a_hole_is_not_the_packs_first_content(tmp_path: Path) -> None:
    """Their sums are remembered apart, though owner, mode and size are the same."""
    from diskgen.image.sums import add_checksums
    from diskgen.tree import File, Packed

    pack = tmp_path / f"{'a' * 64}.pack"
    pack.write_bytes(b"x" * _HOLE)

    def sums() -> list[bytes | None]:
        contents = Packed(pack, _HOLE, ((0, _HOLE, 0),)), Packed(pack, _HOLE, ())
        files = [File(0o100644, xattrs=_LABEL, content=content) for content in contents]
        add_checksums(files, lambda _: None)
        return [file.checksum for file in files]

    first = sums()
    assert first[0] != first[1]
    assert sums() == first


def test_a_cut_blob_under_an_intact_layer(diskgen: Program, images: Path, server: Registry) -> None:
    """A medium carries the blobs, which the layers' indexes say nothing of."""
    big = _tar("usr/share/big", 100_000)
    server.push(installers.machine(images / "os", installers.own_runtime(), big), "cut")
    words = ("iso", f"{server.host}/cut", PLAIN, "--progress", "plain", "-o")
    first = diskgen.run(*words, diskgen.place / "a.iso")
    assert first.returncode == 0, first.stderr
    blobs = sorted((diskgen.cache / "v1/blobs/sha256").iterdir(), key=lambda x: -x.stat().st_size)
    for number, size in enumerate((1000, blobs[0].stat().st_size)):
        os.truncate(blobs[0], size)  # the second time it is as long as it was
        _flip(blobs[0], 500)
        again = diskgen.run(*words, diskgen.place / f"{number}.iso")
        assert again.returncode == 0, again.stderr
        assert "is broken" in again.stderr
        assert fingerprint(diskgen.place / f"{number}.iso") == fingerprint(diskgen.place / "a.iso")


def test_a_cut_blob_of_a_layout(diskgen: Program, images: Path) -> None:
    """It is not ours to repair."""
    layout = installers.machine(images / "os", installers.own_runtime())
    words = ("iso", f"oci:{layout}", "-o")
    target = ("--target-imgref", "quay.io/tiny/os:1")
    diskgen(*words, diskgen.place / "a.iso", *target)
    blob = max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(blob, 1000)
    done = diskgen.run(*words, diskgen.place / "b.iso", *target)
    assert done.returncode == 3
    assert f"layer 'sha256:{blob.name}' is broken: it has 1000 bytes" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["cache", "cache/v1", "cache/v1/layers", "."])
@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_cache_that_others_can_write_to(
    diskgen: Program, images: Path, place: str, mode: int
) -> None:
    layout = bootable(images / "os")
    diskgen("plan", "raw", f"oci:{layout}")
    if mode == 0o775:  # a group of which we are no part, or not alone
        os.chown(diskgen.place / place, -1, 4711)
    (diskgen.place / place).chmod(mode)
    done = diskgen.run("raw", f"oci:{layout}")
    assert done.returncode == 4, done.stderr
    who = "everybody" if mode == 0o777 else "the group '4711'"
    assert f"{who} can write to '{(diskgen.place / place).resolve()}'" in done.stderr
    assert "chmod go-w" in done.stderr
    assert "--cache-dir" in done.stderr


def test_a_cache_of_somebody_else(diskgen: Program, images: Path) -> None:
    if os.geteuid():
        pytest.skip("gives directories away")
    layout = bootable(images / "os")
    diskgen("plan", "raw", f"oci:{layout}")
    os.chown(diskgen.cache / "v1/layers", 4711, 4711)
    (diskgen.cache / "v1/layers").chmod(0o755)
    done = diskgen.run("raw", f"oci:{layout}")
    assert done.returncode == 4, done.stderr
    assert "belongs to '4711'" in done.stderr


def test_a_sticky_directory_above_is_common(diskgen: Program, images: Path) -> None:
    """Such as /tmp and /var/tmp: nobody moves what others have there."""
    (diskgen.place).chmod(0o1777)
    diskgen("plan", "raw", f"oci:{bootable(images / 'os', bootable_tar())}")
