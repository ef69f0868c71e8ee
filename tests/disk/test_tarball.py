"""The tar stream of a tree, read by Python's tarfile and unpacked by GNU tar."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from diskgen.disk import tarball
from diskgen.errors import HostError, SourceError
from diskgen.tree import BLOCK, Data, Directory, File, Packed, read

from ..fixtures.sample_tree import sample


def archive(root: Directory) -> bytes:
    amounts: list[int] = []
    data = b"".join(tarball.stream(root, amounts.append))
    assert sum(amounts) == sum(
        len(node.content.data)
        if isinstance(node.content, Data)
        else sum(length for _, length, _ in node.content.extents)
        for node in {n for _, n in root.walk() if isinstance(n, File)}
        if node.content is not None
    )
    return data


def test_tarfile_reads_the_same_tree(tmp_path: Path) -> None:
    root = sample(tmp_path)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive(root))) as tar:
        for member in tar:
            found[os.fsencode(member.name)] = member
        assert found[b"."].mode == 0o751
        assert found[b"."].pax_headers["mtime"] == "5.000000001"
        names = {path for path, _ in root.walk()}
        assert found.keys() == names | {b"."}
        assert found[b"z/1"].islnk()
        assert found[b"z/1"].linkname == "a/2"
        for path, node in root.walk():
            member = found[path]
            assert (member.mode, member.uid, member.gid) == (
                stat.S_IMODE(node.mode), node.uid, node.gid,
            )  # fmt: skip
            xattrs = {
                os.fsencode(key.removeprefix("SCHILY.xattr.")): os.fsencode(value)
                for key, value in member.pax_headers.items()
                if key.startswith("SCHILY.xattr.")
            }
            assert xattrs == dict(node.xattrs)
            if isinstance(node, File) and node.is_symlink:
                assert os.fsencode(member.linkname) == node.target
            if isinstance(node, File) and node.content is not None and node.size < 1 << 20:
                file = tar.extractfile(member)
                assert file is not None
                assert file.read() == read(node.content)
        assert found[b"sparse"].size == 9 << 30


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="owners")
def test_gnu_tar_makes_the_same_tree(tmp_path: Path) -> None:
    root = sample(tmp_path)
    place = tmp_path / "out"
    place.mkdir()
    subprocess.run(
        ["tar", "-C", place, "--xattrs", "--xattrs-include=*", "-p", "--numeric-owner", "-x"],
        input=archive(root), check=True,
    )  # fmt: skip
    for path, node in [(b".", root), *root.walk()]:
        where = os.path.join(os.fsencode(place), path)  # noqa: PTH118 - bytes
        info = os.lstat(where)
        assert info.st_mode == node.mode
        assert (info.st_uid, info.st_gid, info.st_mtime_ns) == (node.uid, node.gid, node.mtime_ns)
        for name, value in node.xattrs:
            assert os.getxattr(where, name) == value
        if isinstance(node, File):
            assert info.st_size == node.size
            assert (os.major(info.st_rdev), os.minor(info.st_rdev)) == node.rdev
    assert (place / "a/2").samefile(place / "z/1")
    with (place / "sparse").open("rb") as file:
        assert (place / "sparse").stat().st_blocks * 512 <= 16 * BLOCK
        sparse = root.get_file("sparse")
        assert sparse is not None
        assert isinstance(sparse.content, Packed)
        data = sparse.content.pack.read_bytes()
        for at, length, offset in sparse.content.extents:
            file.seek(at)
            assert file.read(length) == data[offset : offset + length]


def test_what_tar_cannot_hold() -> None:
    root = Directory()
    root.add("run/socket", File(mode=stat.S_IFSOCK | 0o600))
    with pytest.raises(SourceError, match=r"'run/socket' of the image is no file"):
        archive(root)


def test_a_pack_that_is_gone_or_short(tmp_path: Path) -> None:
    root = Directory()
    pack = tmp_path / "pack"
    root.add("file", File(mode=stat.S_IFREG, content=Packed(pack, 10, ((0, 10, 0),))))
    with pytest.raises(HostError, match="cannot be read: No such file"):
        b"".join(tarball.stream(root, lambda _: None))
    pack.write_bytes(b"short")
    with pytest.raises(HostError, match="it is shorter than it was"):
        b"".join(tarball.stream(root, lambda _: None))


def test_a_pack_that_fails_in_the_middle() -> None:
    """The kernel's word for it has no name, and that of the image may be no text."""
    failing = Packed(Path("/proc/self/mem"), 10, ((0, 10, 0),))
    root = Directory(entries={b"caf\xe9": File(mode=stat.S_IFREG, content=failing)})
    with pytest.raises(HostError, match=r"'caf\\xe9' cannot be read: Input/output error"):
        b"".join(tarball.stream(root, lambda _: None))
