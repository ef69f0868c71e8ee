"""Packed installers in the cache: taken again where nothing changed, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.disk import squashfs
from diskgen.errors import HostError
from diskgen.events import Event, Notice
from diskgen.image.repair import repairing
from diskgen.image.store import Store
from diskgen.iso.runtimes import packed
from diskgen.tree import BLOCK, Directory, File, Packed, regular, symlink

from ...fixtures.oci import EPOCH


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "cache").session() as opened:
        yield opened


def tree(store: Store, name: str = "a" * 64) -> Directory:
    """Return a small runtime, one content of it in a layer's pack."""
    pack = store.layers / f"{name}.pack"
    pack.write_bytes(b"in a pack".ljust(2 * BLOCK, b"."))
    root = Directory()
    root.add("usr/bin/tool", regular(b"#!/bin/sh\n", mode=0o755))
    root.add("usr/bin/other", regular(b"other"))
    root.add("usr/link", symlink("bin/tool"))
    root.add("usr/null", File(0o020666, rdev=(1, 3)))
    root.add("usr/packed", File(0o100644, content=Packed(pack, BLOCK, ((0, BLOCK, 0),))))
    return root


def make(store: Store, root: Directory, timestamp: int = EPOCH) -> tuple[Path, bool]:
    return packed.make(store, root, timestamp=timestamp, advance=lambda _: None)


def file(root: Directory, path: str) -> File:
    node = root.get(path)
    assert isinstance(node, File)
    return node


def test_the_same_tree_is_packed_once(store: Store, tmp_path: Path) -> None:
    image, known = make(store, tree(store))
    assert not known
    squashfs.make(tmp_path / "fresh", tree(store), timestamp=EPOCH, advance=lambda _: None)
    assert image.read_bytes() == (tmp_path / "fresh").read_bytes()
    assert make(store, tree(store)) == (image, True)
    (row,) = (row for row in store.usage() if row.kind == "runtime")
    assert row.paths == (image,)
    assert row.size >= image.stat().st_size


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped"])
def test_what_was_damaged_is_packed_anew(store: Store, damage: str) -> None:
    """After a power cut a file may have its name and not its content."""
    image, _known = make(store, tree(store))
    good = image.read_bytes()
    bad = {"cut": good[:-1], "empty": b"", "flipped": good[:100] + b"!" + good[101:]}
    image.write_bytes(bad[damage])
    said: list[Event] = []
    again, known = repairing(store, said.append, lambda: make(store, tree(store)))
    assert any(isinstance(one, Notice) and f"'{image}' of the cache is damaged" in one.message
               for one in said)  # fmt: skip
    assert not known
    assert again.read_bytes() == good
    assert [row.paths for row in store.usage() if row.kind == "runtime"] == [(again,)]


def _link(root: Directory) -> None:
    root.add("usr/bin/other", file(root, "usr/bin/tool"))


def _copy(root: Directory) -> None:
    root.add("usr/bin/other", regular(b"#!/bin/sh\n", mode=0o755))


def _other_pack(root: Directory) -> None:
    node = file(root, "usr/packed")
    assert isinstance(node.content, Packed)
    node.content = replace(node.content, pack=node.content.pack.with_name("b" * 64 + ".pack"))


def _further(root: Directory) -> None:
    node = file(root, "usr/packed")
    assert isinstance(node.content, Packed)
    node.content = replace(node.content, extents=((0, BLOCK, BLOCK),))


CHANGES: dict[str, Callable[[Directory], None]] = {
    "mode": lambda root: setattr(file(root, "usr/bin/tool"), "mode", 0o100700),
    "owner": lambda root: setattr(file(root, "usr/bin/tool"), "uid", 5),
    "group": lambda root: setattr(file(root, "usr/bin/tool"), "gid", 5),
    "time": lambda root: setattr(file(root, "usr/bin/tool"), "mtime_ns", 10**9),
    "attribute": lambda root: setattr(file(root, "usr/bin/tool"), "xattrs", ((b"user.a", b"1"),)),
    "target": lambda root: setattr(file(root, "usr/link"), "target", b"bin/other"),
    "device": lambda root: setattr(file(root, "usr/null"), "rdev", (1, 5)),
    "content": lambda root: root.add("usr/bin/other", regular(b"OTHER")),
    "pack": _other_pack,
    "place in its pack": _further,
    "name": lambda root: root.add("usr/bin/more", regular(b"")),
    "directory": lambda root: root.add("usr/lib", Directory()),
    "root": lambda root: setattr(root, "mode", 0o40700),
    "link": _link,
    "copy": _copy,
}


def test_any_change_is_packed_anew(store: Store) -> None:
    seen = {make(store, tree(store))[0]}
    for change in CHANGES.values():
        root = tree(store)
        tree(store, "b" * 64)
        change(root)
        image, known = make(store, root)
        assert not known
        seen.add(image)
    seen.add(make(store, tree(store), EPOCH + 1)[0])
    assert len(seen) == len(CHANGES) + 2


def test_files_that_are_no_layers_are_read(store: Store, tmp_path: Path) -> None:
    """What is elsewhere can change under its name."""
    path = tmp_path / "file"
    root = Directory()
    root.add("file", File(0o100644, content=Packed(path, 4, ((0, 4, 0),))))
    path.write_bytes(b"1234")
    first, _known = make(store, root)
    path.write_bytes(b"5678")
    second, known = make(store, root)
    assert not known
    assert first != second


def test_what_fails_leaves_nothing(store: Store, tmp_path: Path) -> None:
    root = tree(store)
    for path in store.layers.iterdir():
        path.unlink()
    with pytest.raises(HostError, match="cannot be read"):
        make(store, root)
    assert [row for row in store.usage() if row.kind == "runtime"] == []
    assert not list((tmp_path / "cache/v1/tmp").iterdir())


def test_it_is_pruned(store: Store, tmp_path: Path) -> None:
    image, _known = make(store, tree(store))
    cache = Store(tmp_path / "elsewhere")
    with cache.session() as other:
        image, _known = make(other, tree(other))
    assert cache.prune(older_than_days=1) == 0
    assert image.exists()
    assert cache.prune(older_than_days=0) > 0
    assert not image.exists()
