"""A layer as a tree: the path rules, and `ostree commit --tree=tar=` as the judge of the rest."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diskgen.errors import SourceError
from diskgen.image.index import Entry
from diskgen.ostree import newlines
from diskgen.ostree.layertree import layer_tree
from diskgen.ostree.objects import ObjectSet
from diskgen.tree import Directory, File

from ..fixtures.ostree_samples import d, f, h, layer, listing, ostree, s, write_tar


def tree(*entries: Entry) -> Directory:
    return layer_tree(layer(*entries))[0]


def test_etc_moves_below_usr() -> None:
    root = tree(d("etc", mode=0o700), f("etc/a"), h("etc/b", "etc/a"), s("etc/c", "/etc/a"))
    assert listing(root) == {
        "": "040755 0:0",
        "usr": "040755 0:0",
        "usr/etc": "040700 0:0",
        "usr/etc/a": "100644 0:0 1",
        "usr/etc/b": "100644 0:0 1",
        "usr/etc/c": "120777 0:0 -> /etc/a",  # a symlink's text is nobody's business
    }
    assert root.get("usr/etc/a") is root.get("usr/etc/b")


@pytest.mark.parametrize("mount", ["run", "tmp", "proc", "sys", "dev"])
def test_mount_points_stay_empty(mount: str) -> None:
    root, warnings = layer_tree(
        layer(d(mount, mode=0o1777), d(f"{mount}/x"), f(f"{mount}/x/y"), f(f"{mount}2"))
    )
    assert set(listing(root)) == {"", mount, f"{mount}2"}
    assert root.get(mount) is not None
    assert root.entries[mount.encode()].mode == stat.S_IFDIR | 0o1777
    assert len(warnings) == 1
    assert f"2 entries below /run, /tmp, /proc, /sys or /dev ('/{mount}/x'" in warnings[0]


def test_a_mount_point_that_is_no_directory_is_dropped() -> None:
    assert set(listing(tree(s("tmp", "var/tmp"), f("a")))) == {"", "a"}


def test_var_and_unusual_places_are_kept() -> None:
    assert set(listing(tree(f("var/lib/x"), f("opt/y")))) == {
        "", "var", "var/lib", "var/lib/x", "opt", "opt/y",
    }  # fmt: skip


def test_later_entries_replace_earlier_ones() -> None:
    root = tree(d("a", mode=0o700), d("a"), f("e", b"1"), f("e", b"22"), f("l"), s("l", "e"))
    assert listing(root) == {
        "": "040755 0:0", "a": "040755 0:0", "e": "100644 0:0 2", "l": "120777 0:0 -> e",
    }  # fmt: skip


def test_hard_links_are_resolved_at_the_end() -> None:
    root = tree(h("b", "a"), f("a", b"1"), h("c", "a"), f("a", b"22"), f("c", b"333"), h("a", "a"))
    assert {path: _size(root, path) for path in (b"a", b"b", b"c")} == dict.fromkeys(
        (b"a", b"b", b"c"), 2
    )


def _size(root: Directory, path: bytes) -> int:
    node = root.entries[path]
    assert isinstance(node, File)
    return node.size


def test_a_directory_entry_keeps_what_is_in_it() -> None:
    root = tree(d("a", mode=0o700), f("a/x"), d("a", mode=0o750, owner=(1, 2)))
    assert listing(root)["a"] == "040750 1:2"
    assert "a/x" in listing(root)


def test_files_are_objects_without_a_time() -> None:
    entry = f("a", b"data", mode=0o4755, owner=(7, 8), xattrs=((b"user.x", b"1"),))
    node = tree(entry).entries[b"a"]
    assert isinstance(node, File)
    assert (node.mtime_ns, node.checksum, node.xattrs) == (0, entry.checksum, entry.xattrs)
    assert (node.mode, node.uid, node.gid) == (stat.S_IFREG | 0o4755, 7, 8)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ((f(b"a\xff"),), r"'a\\xff' has a name that is not UTF-8"),
        ((h("a", b"b\xff"),), r"'a' has a name that is not UTF-8"),
        ((d("b"), s("a", "b"), f("a/x")), "'a/x' lies below 'a', which is no directory"),
        ((f("a"), f("a/b/c")), "'a/b/c' lies below 'a', which is no directory"),
        ((f("a"), d("a/b")), "'a/b' lies below 'a', which is no directory"),
        ((h("a", "b"),), "'a' is a hard link to 'b', which is no file"),
        ((d("b"), h("a", "b")), "'a' is a hard link to 'b', which is no file"),
        ((h("a", "tmp/b"), f("tmp/b")), "'a' is a hard link to 'tmp/b', which is no file"),
        ((s("a", b"caf\xe9"),), "'a' is a symlink to a name that is not UTF-8"),
        ((f("usr/etc/p/y"), s("etc/p", "y")), "'etc/p' is in the place of a directory of the same"),
        ((s("etc/p", "y"), f("usr/etc/p/y")), "'usr/etc/p/y' lies below 'usr/etc/p', which is no"),
        ((f("a/b"), f("a")), "'a' is in the place of a directory of the same layer"),
        ((f("a"), d("a")), "'a' is a directory in the place of a file of the same layer"),
        ((d("b"), f("a"), h("b", "a")), "'b' is in the place of a directory of the same layer"),
        ((f("a"), h("b", "a"), h("c", "b")), "'c' is a hard link to 'b', which is a hard link"),
        ((h("a", "a"),), "'a' is a hard link to 'a', which is no file"),
        ((f(""),), "is the layer's root, but no directory"),
    ],
)
def test_refusals_name_the_layer_and_the_entry(entries: tuple[Entry, ...], reason: str) -> None:
    with pytest.raises(SourceError, match=reason) as caught:
        tree(*entries)
    assert layer().diff_id in caught.value.message


def test_the_root_entry_is_the_root() -> None:
    assert listing(tree(f("a"), d("", mode=0o711, owner=(3, 4)))) == {
        "": "040711 3:4",
        "a": "100644 0:0 1",
    }


# What may occur in a tar; a name is of a file or of a directory, because libostree takes no change.
_OWNERS = st.tuples(st.sampled_from([0, 7, 70000]), st.sampled_from([0, 8]))
_MODES = st.sampled_from([0o755, 0o644, 0o700, 0o4711, 0o1777, 0])
_XATTRS = st.sampled_from([(), ((b"user.a", b"1"),), ((b"security.capability", b"x" * 20),)])
_PARENTS = st.lists(st.sampled_from(["d1", "d2", "döt"]), max_size=3).map("/".join)
_LEAVES = st.sampled_from(["f1", "f2", "F", "é" * 120, ".wh.f1", ".wh..wh..opq"])
_FILES = st.builds(lambda parent, leaf: f"{parent}/{leaf}".strip("/"), _PARENTS, _LEAVES)
_ENTRIES = st.one_of(
    st.builds(
        lambda p, data, mode, owner, x: f(p, data, mode=mode, owner=owner, xattrs=x),
        _FILES, st.binary(max_size=4), _MODES, _OWNERS, _XATTRS,
    ),
    st.builds(
        lambda p, mode, owner, x: d(p, mode=mode, owner=owner, xattrs=x),
        _PARENTS, _MODES, _OWNERS, _XATTRS,
    ),
    st.builds(lambda p, t, owner: s(p, t, owner=owner), _FILES, _FILES, _OWNERS),
)  # fmt: skip


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(entries=st.lists(_ENTRIES, max_size=12), data=st.data())
def test_same_commit_as_ostree_makes(
    tmp_path: Path, entries: list[Entry], data: st.DataObject
) -> None:
    files = sorted({entry.path.decode() for entry in entries if entry.content is not None})
    if files:  # hard links last: to what stands at their target's path in the end
        links = data.draw(st.lists(st.sampled_from(files), max_size=2))
        entries = [*entries, *(h(f"d9/h{n}", t, owner=(5, 6)) for n, t in enumerate(links))]
    repo = tmp_path / "repo"
    if not repo.exists():
        ostree("init", f"--repo={repo}", "--mode=archive")
    tar = write_tar(tmp_path / "layer.tar", entries)
    theirs = ostree(
        "commit", f"--repo={repo}", "--no-bindings", "--tar-autocreate-parents",
        f"--tree=tar={tar}", "--orphan", "--timestamp=@1700000000",
        "--add-metadata-string=ostree.importer.version=0.15.3",
    )  # fmt: skip
    ours = ObjectSet().add_commit(
        tree(*entries), timestamp=1700000000, metadata={"ostree.importer.version": "0.15.3"}
    )
    assert ours.hex() == theirs.strip()


@pytest.mark.parametrize(
    "entry",
    [f("a\nb"), s("a", "b\nc"), f("a", xattrs=((b"security.capability", b"\1\n\0"),))],
)
def test_newlines_that_a_machine_cannot_read(entry: Entry) -> None:
    (warning,) = newlines.doubts([layer(f("x", xattrs=((b"user.a", b"1"),)), entry, f("y"))])
    assert "of 1 entry" in warning
    assert "\n" not in warning
    assert list(newlines.doubts([layer(f("a", b"line\nline"))])) == []
