"""Squashfs images: listed by unsquashfs, and mounted by Linux where we may."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from diskgen.disk import squashfs
from diskgen.errors import SourceError, ToolError
from diskgen.tree import BLOCK, Directory, File, Packed, read, regular, symlink

from ..fixtures.sample_tree import sample

WHEN = 1_790_000_000


def tree(tmp_path: Path) -> Directory:
    root = sample(tmp_path)
    del root.entries[b"old"]  # squashfs has no time before 1970
    root.add("to-a-root", symlink("/usr/bin/x"))
    root.add("to-far-below-a-root", symlink("/" + "far/" * 40 + "x"))
    sparse = root.get_file("sparse")
    assert sparse is not None
    assert isinstance(sparse.content, Packed)
    extents = ((BLOCK, BLOCK, 0), (1 << 25, 2 * BLOCK, 3 * BLOCK))
    sparse.content = Packed(sparse.content.pack, 1 << 26, extents)
    return root


def made(tmp_path: Path, root: Directory, name: str = "image", **options: str) -> Path:
    output = tmp_path / name
    amounts: list[int] = []
    squashfs.make(output, root, timestamp=WHEN, advance=amounts.append, **options)
    assert sum(amounts) > 0
    return output


@pytest.mark.parametrize("compression", ["zstd", "xz"])
def test_unsquashfs_lists_the_tree(tmp_path: Path, compression: str) -> None:
    root = tree(tmp_path)
    image = made(tmp_path, root, compression=compression)
    about = subprocess.run(["unsquashfs", "-s", image], check=True, capture_output=True,
                           text=True).stdout  # fmt: skip
    assert f"Compression {compression}" in about
    listed = subprocess.run(["unsquashfs", "-l", "-d", "", image], check=True,
                            capture_output=True).stdout  # fmt: skip
    found = {line.removeprefix(b"/") for line in listed.splitlines() if line.startswith(b"/")}
    assert {path for path, _ in root.walk()} <= found
    content = subprocess.run(["unsquashfs", "-cat", image, "packed"], check=True,
                             capture_output=True).stdout  # fmt: skip
    links = subprocess.run(["unsquashfs", "-lls", "-d", "", image], check=True,
                           capture_output=True).stdout  # fmt: skip
    for path, entry in root.walk():
        if isinstance(entry, File) and entry.is_symlink:
            assert b" /" + path + b" -> " + entry.target + b"\n" in links
    node = root.get_file("packed")
    assert node is not None
    assert node.content is not None
    assert content == read(node.content)


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    root = tree(tmp_path)
    first, second = made(tmp_path, root, "a"), made(tmp_path, root, "b")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("attributes", [True, False])
@pytest.mark.parametrize("fill", [0, 1000])
def test_anyone_at_any_time_gives_the_same_bytes(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch, attributes: bool, fill: int
) -> None:
    """Whoever runs mksquashfs owns nothing in the image; the root is the tree's."""
    root = tree(tmp_path)
    for number in range(fill):  # the table of inodes has many blocks
        root.add(f"many/{number}", regular(b"%d" % number))
    if not attributes:
        for _path, node in root.walk():
            node.xattrs = ()
    first = made(tmp_path, root, "a")
    tools = tmp_path / "tools"
    tools.mkdir()
    other = tools / "mksquashfs"
    user = "setpriv --reuid=4711 --regid=4712 --clear-groups" if os.geteuid() == 0 else ""
    other.write_text(f'#!/bin/sh\nsleep 1.1\numask 077\nexec {user} /usr/bin/mksquashfs "$@"\n')
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    images.chmod(0o777)
    second = made(images, root, "b")
    assert first.read_bytes() == second.read_bytes()
    listed = subprocess.run(["unsquashfs", "-lln", "-UTC", second], check=True,
                            capture_output=True, text=True, errors="replace").stdout  # fmt: skip
    top = next(line for line in listed.splitlines() if line.endswith(" squashfs-root"))
    assert top.split()[1] == f"{root.uid}/{root.gid}"
    assert time.strftime("%Y-%m-%d %H:%M", time.gmtime(WHEN)) in top
    assert "4711" not in listed
    about = subprocess.run(["unsquashfs", "-s", second], check=True, capture_output=True,
                           text=True, errors="replace").stdout  # fmt: skip
    ids = {number for _, node in root.walk() for number in (node.uid, node.gid)}
    assert f"Number of ids {len(ids | {root.uid, root.gid})}" in about
    out = tmp_path / "out"
    subprocess.run(["unsquashfs", "-q", "-n", "-d", out, second], check=os.geteuid() == 0,
                   capture_output=True)  # fmt: skip
    found = subprocess.run(["find", out, "-mindepth", "1", "-printf", "%P\\0"], check=True,
                           capture_output=True).stdout  # fmt: skip
    assert set(found.split(b"\0")) - {b""} == {path for path, _ in root.walk()}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_linux_reads_everything(tmp_path: Path) -> None:
    root = tree(tmp_path)
    image = made(tmp_path, root)
    place = tmp_path / "mounted"
    place.mkdir()
    subprocess.run(["mount", "-t", "squashfs", "-o", "loop,ro", image, place], check=True)
    try:
        for path, node in root.walk():
            where = os.fsencode(place) + b"/" + path
            info = os.lstat(where)
            assert info.st_mode == node.mode, path
            assert (info.st_uid, info.st_gid) == (node.uid, node.gid), path
            assert info.st_mtime == node.mtime_ns // 10**9, path
            found = {os.fsencode(name): os.getxattr(where, name, follow_symlinks=False)
                     for name in os.listxattr(where, follow_symlinks=False)}  # fmt: skip
            assert found == dict(node.xattrs), path
            if isinstance(node, File) and stat.S_ISREG(node.mode) and node.size < 1 << 20:
                assert node.content is not None
                assert Path(os.fsdecode(where)).read_bytes() == read(node.content)
        assert (place / "a/2").samefile(place / "z/1")
        assert (place / "sparse").stat().st_size == 1 << 26
    finally:
        subprocess.run(["umount", place], check=True)


def test_access_control_lists_are_left_out(tmp_path: Path) -> None:
    """systemd gives some to the journal's directory, and squashfs has none."""
    lists = (b"system.posix_acl_access", b"\2\0\0\0\1\0\7\0\xff\xff\xff\xff")
    root = Directory()
    root.add("journal", Directory(xattrs=(lists, (b"user.kept", b"yes"))))
    root.add("journal/file", regular(b"x"))
    image = made(tmp_path, root)
    listed = subprocess.run(["unsquashfs", "-d", tmp_path / "out", image], check=False,
                            capture_output=True, text=True)  # fmt: skip
    assert "posix_acl" not in listed.stderr
    assert os.listxattr(tmp_path / "out/journal") == ["user.kept"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "image"
    root = Directory()
    root.add("file", regular(b"x"))
    tmp_path.chmod(0o555)
    place = tmp_path / "no/such" / "image"
    with pytest.raises(ToolError):
        squashfs.make(place, root, timestamp=WHEN, advance=lambda _: None)
    assert not output.exists()
    tmp_path.chmod(0o755)


def test_a_file_that_is_all_hole(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.write_bytes(b"")
    root = Directory()
    root.add("bomb", File(mode=stat.S_IFREG, content=Packed(pack, 1 << 50, ())))
    with pytest.raises(SourceError, match="'bomb' of the image is a file with '1024 TiB' of holes"):
        squashfs.make(tmp_path / "image", root, timestamp=WHEN, advance=lambda _: None)
