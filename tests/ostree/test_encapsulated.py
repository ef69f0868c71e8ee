"""Encapsulated images: a commit in chunks, verified object by object, and layers above it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.budgets import COMMIT_BYTES, COMMIT_ENTRIES
from diskgen.errors import SourceError
from diskgen.gvariant import array, pack, xattr_array
from diskgen.image.index import Entry, LayerIndex
from diskgen.image.model import Image
from diskgen.ostree.deploy import DeployRequest, Sysroot, deploy
from diskgen.ostree.encapsulated import LABEL, Base, count_base_layers, read_base
from diskgen.ostree.facts import examine
from diskgen.ostree.layertree import layer_tree
from diskgen.ostree.objects import ObjectSet
from diskgen.ostree.objects import commit as serialise_commit
from diskgen.ostree.stack import stack
from diskgen.reference import escape_ref, parse
from diskgen.tree import Directory, File

from ..fixtures.encapsulate import REPO, Encapsulated, encapsulate, file_entries, path
from ..fixtures.materialise import materialise
from ..fixtures.ostree_samples import (
    LABELS,
    TIMESTAMP,
    bootable,
    d,
    f,
    h,
    image,
    layer,
    listing,
    ostree,
    s,
)

ATTRIBUTED = (
    f("usr/bin/cap", b"cap", xattrs=((b"security.capability", b"1"), (b"user.x", b"2"))),
    f("usr/bin/labelled", b"x", xattrs=((b"security.selinux", b"bin_t\0"),)),
    f("usr/share/other", b"x", mode=0o600, owner=(5, 6)),
)


def commit_tree(*entries: Entry) -> Directory:
    return layer_tree(layer(*bootable(), *entries))[0]


def indexes(made: Encapsulated, *derived: tuple[Entry, ...]) -> list[LayerIndex]:
    layers = [*made.layers, *derived]
    return [layer(*entries, number=number) for number, entries in enumerate(layers, 1)]


def image_of(rows: list[LayerIndex], base: int) -> Image:
    return image(len(rows), labels=LABELS | {LABEL: rows[base - 1].diff_id})


def base_of(made: Encapsulated) -> Base:
    return read_base(indexes(made), lambda _bytes: None)


def same(one: Directory, other: Directory) -> None:
    assert listing(one) == listing(other)
    for name, node in one.walk():
        twin = other.get(name)
        assert twin is not None
        assert node.xattrs == twin.xattrs, name
        if isinstance(node, File):
            assert isinstance(twin, File)
            assert node.checksum == twin.checksum, name


@pytest.mark.parametrize("chunks", [1, 3])
def test_the_commit_comes_back(chunks: int) -> None:
    tree = commit_tree(*ATTRIBUTED)
    made = encapsulate(tree, chunks=chunks, signature=b"signed")
    base = base_of(made)
    assert base.commit == made.commit
    assert base.commitmeta == b"signed"
    same(base.tree, tree)
    assert len(base.chunks) == chunks
    names = {name.decode() for chunk in base.chunks for name in chunk.entries}
    objects = ObjectSet()
    objects.add_tree(tree)
    assert names == {checksum.hex() for checksum in objects.files}


def test_one_layer_may_hold_everything() -> None:
    tree = commit_tree()
    made = encapsulate(tree, chunks=1)
    whole = Encapsulated(made.commit, (made.layers[0] + made.layers[1],))
    base = base_of(whole)
    same(base.tree, tree)
    assert base.chunks == ()


def test_attributes_may_be_inline_and_files_links() -> None:
    tree = commit_tree(*ATTRIBUTED)
    made = encapsulate(tree, chunks=1)
    entries: list[Entry] = []
    for entry in made.layers[1]:
        if entry.path.endswith(b".file-xattrs-link"):
            checksum = bytes.fromhex(
                entry.path.split(b"/objects/")[1][:65].replace(b"/", b"").decode()
            )
            objects = ObjectSet()
            objects.add_tree(tree)
            entries.append(f(entry.path, xattr_array(objects.files[checksum].xattrs)))
        else:
            entries.append(entry)
    same(base_of(Encapsulated(made.commit, (made.layers[0], tuple(entries)))).tree, tree)


Change = Callable[[Encapsulated], tuple[tuple[Entry, ...], ...]]


def _without(kind: str) -> Change:
    def change(made: Encapsulated) -> tuple[tuple[Entry, ...], ...]:
        gone = next(e for rows in made.layers for e in rows if e.path.endswith(kind.encode()))
        return tuple(tuple(e for e in rows if e is not gone) for rows in made.layers)

    return change


def _plus(number: int, *entries: Entry) -> Change:
    return lambda made: tuple(
        rows + entries if at == number else rows for at, rows in enumerate(made.layers)
    )


def _damaged(kind: str) -> Change:
    def change(made: Encapsulated) -> tuple[tuple[Entry, ...], ...]:
        old = next(
            e
            for rows in made.layers
            for e in rows
            if e.path.endswith(kind.encode()) and e.content is not None and e.content.size
        )
        new = f(old.path, b"something else", mode=old.mode & 0o7777)
        return tuple(tuple(new if e is old else e for e in rows) for rows in made.layers)

    return change


def _twice(made: Encapsulated) -> tuple[tuple[Entry, ...], ...]:
    return (made.layers[0], made.layers[1] + made.layers[1], *made.layers[2:])


EMPTY = hashlib.sha256(b"").digest()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without(".file"), r"object '[0-9a-f]{64}\.file' of the image's commit is missing"),
        (_without(".dirtree"), r"\.dirtree' of the image's commit is missing"),
        (_without(".dirmeta"), r"\.dirmeta' of the image's commit is missing"),
        (_without(".commit"), "0 commits"),
        (_damaged(".file"), "has not the content of its name"),
        (_damaged(".dirtree"), "has not the content of its name"),
        (_damaged(".commit"), "has not the content of its name"),
        (_damaged(".file-xattrs"), "has not the content of its name"),
        (_plus(1, f(path(EMPTY, "dirtree"), b"")), "does not belong into a chunk"),
        (_plus(0, f(path(EMPTY, "commit"), b"")), "2 commits"),
        (_plus(0, f(path(EMPTY, "dirtree"), bytes(11_000_000))), "has more than 10 MiB"),
        (_plus(1, h(path(EMPTY, "file"), path(b"no" * 16, "file"))), "a link to nothing"),
        (_twice, "is there twice"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_faults_are_named(change: Change, words: str) -> None:
    made = encapsulate(commit_tree(*ATTRIBUTED))
    with pytest.raises(SourceError, match=words) as caught:
        base_of(Encapsulated(made.commit, change(made)))
    assert caught.value.hint is not None


def _framed(tree: bytes, meta: bytes) -> bytes:
    """Return a commit of any tree; only these two members are looked at."""
    return serialise_commit(tree, meta, timestamp=0, metadata={})


@pytest.mark.parametrize("name", [b"..", b".", b"", b"a/b", b"a\0b", b"\xff"])
def test_hostile_names_in_a_tree(name: bytes) -> None:
    file = layer_tree(layer(f("x")))[0].entries[b"x"]
    assert isinstance(file, File)
    objects = ObjectSet()
    commit = objects.add_commit(Directory(entries={name: file}), timestamp=0, metadata={})
    first = [f(path(commit, "commit"), objects.commits[commit])]
    first += [f(path(key, "dirtree"), data) for key, data in objects.dirtrees.items()]
    first += [f(path(key, "dirmeta"), data) for key, data in objects.dirmetas.items()]
    with pytest.raises(SourceError, match="malformed"):
        base_of(Encapsulated(commit, (tuple(first), tuple(file_entries(file)))))


def test_a_tree_that_shares_itself_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty levels that each hold the one below twice would be a million million directories."""
    fewer = replace(COMMIT_ENTRIES, limit=10_000)
    monkeypatch.setattr("diskgen.ostree.encapsulated.COMMIT_ENTRIES", fewer)
    objects = ObjectSet()
    _tree, meta = objects.add_tree(Directory())
    data = pack((array([]), 1, False), (array([]), 1, False))
    trees = {hashlib.sha256(data).digest(): data}
    below = hashlib.sha256(data).digest()
    for _level in range(40):
        rows = [
            pack((name + b"\0", 1, False), (below, 1, False), (meta, 1, False))
            for name in (b"a", b"b")
        ]
        data = pack((array([]), 1, False), (array(rows), 1, False))
        below = hashlib.sha256(data).digest()
        trees[below] = data
    commit = _framed(below, meta)
    digest = hashlib.sha256(commit).digest()
    first = [f(path(digest, "commit"), commit), f(path(meta, "dirmeta"), objects.dirmetas[meta])]
    first += [f(path(key, "dirtree"), value) for key, value in trees.items()]
    with pytest.raises(SourceError, match=r"more than 10,000 entries \(budget 'commit-entries'\)"):
        base_of(Encapsulated(digest, (tuple(first),)))


def test_objects_that_are_large_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros take no room in a layer, and each object alone may be as large as libostree's limit."""
    fewer = replace(COMMIT_BYTES, limit=1000)
    monkeypatch.setattr("diskgen.ostree.encapsulated.COMMIT_BYTES", fewer)
    rows = [f(path(hashlib.sha256(bytes(n)).digest(), "dirtree"), bytes(n)) for n in range(90, 110)]
    with pytest.raises(SourceError, match="budget 'commit-bytes'"):
        base_of(Encapsulated(bytes(32), (tuple(rows),)))


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 9, bytes(300), b"\xff" * 300])
def test_malformed_objects_are_no_crash(data: bytes) -> None:
    digest = hashlib.sha256(data).digest()
    rows = (f(path(digest, "commit"), data), f(path(digest, "dirtree"), data))
    with pytest.raises(SourceError):
        base_of(Encapsulated(digest, (rows,)))
    commit = _framed(digest, digest)
    name = hashlib.sha256(commit).digest()
    more = (
        f(path(name, "commit"), commit), f(path(digest, "dirtree"), data),
        f(path(digest, "dirmeta"), data),
    )  # fmt: skip
    with pytest.raises(SourceError):
        base_of(Encapsulated(name, (more,)))


def test_which_layers_are_the_base() -> None:
    rows = indexes(encapsulate(commit_tree(), chunks=2), (f("usr/new"),))
    assert count_base_layers(image_of(rows, 3)) == 3
    assert count_base_layers(image(4)) == 0
    with pytest.raises(SourceError, match="none of its layers"):
        count_base_layers(image(4, labels=LABELS | {LABEL: "sha256:beef"}))


def deployed(made: Encapsulated, *derived: tuple[Entry, ...]) -> tuple[Sysroot, Image]:
    rows = indexes(made, *derived)
    whole = image_of(rows, len(made.layers))
    stacked = stack(whole, rows, lambda _bytes: None)
    request = DeployRequest(
        image=whole,
        target=parse("quay.io/example/os:2"),
        origin=parse("quay.io/example/os:2").origin,
        stateroot="default",
        timestamp=TIMESTAMP,
        kargs=("rw",),
        boot_uuid="11111111-2222-3333-4444-555555555555",
    )
    facts = examine(stacked.merged, LABELS, "x86_64")
    return deploy(request, facts, stacked.merged, stacked.layers, stacked.base), whole


@pytest.mark.root
def test_the_repository_has_every_ref(tmp_path: Path) -> None:
    simple = f("usr/bin/labelled", b"x", xattrs=((b"user.label", b"bin_t"),))
    made = encapsulate(commit_tree(simple), chunks=2)
    sysroot, whole = deployed(made, (f("usr/share/new", b"new"),), (f("etc/more"),))
    materialise(sysroot.root, tmp_path / "root")
    repo = f"--repo={tmp_path}/root/ostree/repo"
    ostree("fsck", repo)
    blobs = [f"ostree/container/blob/{escape_ref(row.digest)}" for row in whole.layers]
    refs = set(ostree("refs", repo).split())
    assert set(blobs) <= refs
    assert len(blobs) == 5
    assert ostree("rev-parse", repo, blobs[0]).strip() == made.commit.hex()
    for blob in blobs[1:3]:
        names = ostree("ls", repo, "-C", blob).splitlines()[1:]
        assert names
        for line in names:  # every file's name is its checksum
            words = line.partition(" -> ")[0].split()
            assert words[-2] == words[-1].strip("/")
        assert "1970-01-01" in ostree("show", repo, blob)
    merged = "ostree/container/image/docker_3A__2F__2F_quay_2E_io/example/os_3A_2"
    assert ostree("rev-parse", repo, f"{merged}^").strip() == made.commit.hex()
    assert "/usr/share/new" in ostree("ls", repo, "-R", merged)
    assert "/usr/etc/more" in ostree("ls", repo, "-R", merged)


def _derived(*entries: Entry, conf: bytes = b"[composefs]\nenabled=yes\n") -> Directory:
    made = encapsulate(commit_tree(f("usr/lib/ostree/prepare-root.conf", conf)), chunks=1)
    rows = indexes(made, entries)
    return stack(image_of(rows, 2), rows, lambda _bytes: None).merged


@pytest.mark.parametrize(
    ("conf", "kept"),
    [
        (b"[composefs]\nenabled = yes\n", True),
        (b"[composefs]\nenabled=maybe\n", True),
        (b"[root]\ntransient=true\n", True),
        (b"[composefs]\nenabled=no\n", False),
        (b"[etc]\ntransient=true\n", False),
        (b"[sysroot]\nreadonly=true\n", False),
    ],
)
def test_what_the_root_does_not_show_is_dropped(conf: bytes, kept: bool) -> None:
    merged = _derived(f("opt/tool"), f("usr/tool"), f("etc/tool"), d("run"), conf=conf)
    assert (merged.get("opt/tool") is not None) == kept
    assert merged.get("usr/tool") is not None
    assert merged.get("usr/etc/tool") is not None


def test_a_changed_file_of_the_base_arrives_by_its_object() -> None:
    """An unpacked file is a link of its object: a change of one is written as both."""
    target = f"{REPO}/objects/ab/cd.file"
    merged = _derived(
        d("sysroot/ostree/repo/objects/ab"),
        f(target, b"changed", mode=0o755),
        h("usr/bin/tool", target),
        h("usr/bin/alias", target),
        h("usr/bin/lost", f"{REPO}/objects/ee/ff.file"),
        s("usr/bin/link", "tool"),
    )
    tool = merged.get("usr/bin/tool")
    assert isinstance(tool, File)
    assert tool.size == 7
    assert tool.mode == 0o100755
    assert merged.get("usr/bin/alias") is tool
    assert merged.get("usr/bin/lost") is None
    assert merged.get(target) is None


def test_whiteouts_reach_into_the_base() -> None:
    merged = _derived(f("usr/bin/.wh.su", b""), f("usr/bin/sh", b"new shell"))
    assert merged.get("usr/bin/su") is None
    shell = merged.get("usr/bin/sh")
    assert isinstance(shell, File)
    assert shell.size == 9
