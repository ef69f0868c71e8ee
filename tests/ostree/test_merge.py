"""Merging layers: a naive model and ostree's own checkout are the judges."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diskgen.errors import SourceError
from diskgen.image.index import Entry
from diskgen.ostree.layertree import layer_tree
from diskgen.ostree.merge import merge
from diskgen.tree import Directory, File

from ..fixtures.ostree_samples import d, f, layer, listing, ostree, s, write_tar

OPAQUE = ".wh..wh..opq"


def merged(*layers: Sequence[Entry]) -> tuple[dict[str, str], list[str]]:
    root, warnings = merge([layer_tree(layer(*entries))[0] for entries in layers])
    return listing(root), warnings


# Trees that ostree itself merges in a test below, with what must come out.
CASES = {
    "whiteout": ([f("a"), f("b")], [f(".wh.a", b"")], {"b"}),
    "whiteout of a tree": ([f("a/b/c"), f("b")], [f(".wh.a", b"")], {"b"}),
    "whiteout of nothing there": ([f("b")], [f(".wh.a", b"")], {"b"}),
    "whiteout then file": ([f("a"), f("b")], [f(".wh.a", b""), f("a", b"new")], {"a", "b"}),
    "file sorted before its whiteout": ([f("b")], [f("-a"), f(".wh.-a", b"")], {"b"}),
    "whiteout then directory": (
        [f("a/old")],
        [f(".wh.a", b""), d("a", mode=0o700), f("a/new")],
        {"a", "a/new"},
    ),
    "opaque": (
        [f("a/x"), f("a/y/z"), f("b")],
        [f(f"a/{OPAQUE}", b""), f("a/n")],
        {"a", "a/n", "b"},
    ),
    "opaque takes the new mode": (
        [d("a", mode=0o700), f("a/x")],
        [d("a", mode=0o711), f(f"a/{OPAQUE}", b"")],
        {"a"},
    ),
    "opaque of nothing there": ([f("b")], [f(f"a/{OPAQUE}", b""), f("a/n")], {"a", "a/n", "b"}),
    "opaque inside": (
        [f("a/b/x"), f("a/y")],
        [f(f"a/b/{OPAQUE}", b""), f("a/b/n")],
        {"a", "a/y", "a/b", "a/b/n"},
    ),
    "opaque symlink": ([f("a/x")], [s(f"a/{OPAQUE}", "q")], {"a", f"a/{OPAQUE}"}),
    "a symlink is no whiteout": ([f("a")], [s(".wh.a", "b")], {"a", ".wh.a"}),
    "a directory is no whiteout": ([f("a")], [f(".wh.a/x")], {"a", ".wh.a", ".wh.a/x"}),
    "mode of directories stays": (
        [d("a", mode=0o700)],
        [d("a", mode=0o755), f("a/x")],
        {"a", "a/x"},
    ),
    "file over directory": ([f("a/b/c")], [f("a", b"file")], {"a"}),
    "symlink over directory": ([f("a/b/c"), d("t")], [s("a", "t")], {"a", "t"}),
    "file over file": ([f("a", mode=0o600)], [f("a", b"new", mode=0o755)], {"a"}),
    "first layer's whiteouts count too": ([f(".wh.a", b""), f("b")], [], {"b"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_merge_is_what_ostree_checks_out(name: str, tmp_path: Path) -> None:
    below, above, expected = CASES[name]
    trees = [layer_tree(layer(*entries))[0] for entries in (below, above)]
    ours, _warnings = merge(trees)
    assert set(listing(ours)) - {""} == expected

    repo, place = tmp_path / "repo", tmp_path / "checkout"
    ostree("init", f"--repo={repo}", "--mode=archive")
    for entries in (below, above):
        tar = write_tar(tmp_path / "layer.tar", entries)
        commit = ostree(
            "commit", f"--repo={repo}", "--no-bindings", "--tar-autocreate-parents",
            f"--tree=tar={tar}", "--orphan",
        ).strip()  # fmt: skip
        ostree("checkout", f"--repo={repo}", "--union", "--whiteouts", "-U", commit, place)
    assert _modes(ours) == _modes_on_disk(place)


def _modes(root: Directory) -> dict[str, tuple[int, int | bytes]]:
    found: dict[str, tuple[int, int | bytes]] = {}
    for path, node in root.walk():
        what: int | bytes = 0
        if isinstance(node, File):
            what = node.target or node.size
        found[path.decode()] = (node.mode, what)
    return found


def _modes_on_disk(place: Path) -> dict[str, tuple[int, int | bytes]]:
    found: dict[str, tuple[int, int | bytes]] = {}
    for path in place.rglob("*"):
        status = path.lstat()
        what: int | bytes = 0
        if stat.S_ISLNK(status.st_mode):
            what = os.fsencode(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            what = status.st_size
        found[str(path.relative_to(place))] = (status.st_mode, what)
    return found


def test_directory_over_file_replaces_it() -> None:
    # The ostree of these tests refuses that; current ones do as we do.
    listed, _ = merged([f("a"), s("b", "a")], [f("a/x"), d("b", mode=0o700)])
    assert listed == {
        "": "040755 0:0", "a": "040755 0:0", "a/x": "100644 0:0 1", "b": "040700 0:0",
    }  # fmt: skip


def test_ignored_directory_metadata_is_told_once() -> None:
    below = [d(f"d{n}", mode=0o700) for n in range(5)]
    above = [d(f"d{n}", mode=0o755) for n in range(5)]
    listed, warnings = merged(below, above, [d("d0", mode=0o700)])
    assert listed["d0"] == "040700 0:0"
    assert len(warnings) == 1
    assert "5 directories ('/d0', '/d1', '/d2' and 2 more)" in warnings[0]
    assert merged(below, below)[1] == []
    assert "of 1 directory ('/d0')" in merged(below, [d("d0", owner=(1, 0))])[1][0]


def test_whiteout_in_etc_reaches_the_moved_directory() -> None:
    assert set(merged([f("etc/a"), f("etc/b")], [f("etc/.wh.a", b"")])[0]) == {
        "", "usr", "usr/etc", "usr/etc/b",
    }  # fmt: skip


@pytest.mark.parametrize("name", [".wh.", "q/.wh.", "q/.wh..", "q/.wh..."])
def test_whiteout_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="is a whiteout of nothing"):
        merged([f("q/a")], [f(name, b"")])


def test_leftovers_of_build_tools_are_removed() -> None:
    listed, _ = merged(
        [f("etc/hostname", b""), f("etc/resolv.conf", b""), f("etc/hosts", b""), f("etc/motd", b"")]
    )
    assert set(listed) == {"", "usr", "usr/etc", "usr/etc/hosts", "usr/etc/motd"}
    listed, _ = merged([f("etc/hostname", b"host\n"), s("etc/resolv.conf", "../run/x")])
    assert {"usr/etc/hostname", "usr/etc/resolv.conf"} <= set(listed)


def test_layers_stay_untouched_and_files_are_shared() -> None:
    layers = [
        layer_tree(layer(*entries))[0]
        for entries in ([f("a/x"), f("b")], [f("a/.wh.x", b""), f("a/y")], [f("a/z")])
    ]
    before = [listing(tree) for tree in layers]
    root, _ = merge(layers)
    root.make_dirs("a/new")
    assert [listing(tree) for tree in layers] == before
    assert root.get("a/z") is layers[2].get("a/z")


def test_no_layers_make_an_empty_root() -> None:
    assert listing(merge([])[0]) == {"": "040755 0:0"}


# A model that knows nothing of trees: a dictionary of paths.
_NAMES = ["a", "b", "-"]
_DIRS = st.lists(st.sampled_from(_NAMES), max_size=3).map("/".join)
_FILES = st.builds(
    lambda parent, name: f"{parent}/{name}".strip("/"),
    _DIRS,
    st.sampled_from([*_NAMES, ".wh.a", ".wh.b", ".wh.-", OPAQUE]),
)
_ENTRIES = st.one_of(
    st.builds(f, _FILES, st.binary(max_size=2)),
    st.builds(lambda p, mode: d(p, mode=mode), _DIRS, st.sampled_from([0o700, 0o755])),
)
_LAYERS = st.lists(st.lists(_ENTRIES, max_size=8), max_size=4)


def _model(layers: list[dict[str, str]]) -> dict[str, str]:
    result: dict[str, str] = {"": layers[0][""]} if layers else {"": "040755 0:0"}

    def remove(path: str) -> None:
        for known in [p for p in result if p == path or p.startswith(f"{path}/")]:
            del result[known]

    for tree in layers:
        if tree.get(OPAQUE, "").startswith("10"):
            result = {"": result[""]}

        # Parents first; in each directory files in order of names, then directories.
        def order(path: str, tree: dict[str, str] = tree) -> tuple[tuple[int, str], ...]:
            parts = path.split("/")
            ups = ["/".join(parts[: n + 1]) for n in range(len(parts))]
            return tuple((tree[up].startswith("04"), up) for up in ups)

        for path in sorted((p for p in tree if p), key=order):
            parent, _slash, name = path.rpartition("/")
            place = f"{parent}/" if parent else ""
            if tree[path].startswith("04"):
                opaque = f"{path}/{OPAQUE}" in tree and tree[f"{path}/{OPAQUE}"].startswith("10")
                if opaque or not result.get(path, "").startswith("04"):
                    remove(path)
                    result[path] = tree[path]
            elif name == OPAQUE:
                continue
            elif name.startswith(".wh."):
                remove(place + name[4:])
            else:
                remove(path)
                result[path] = tree[path]
    return result


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layers=_LAYERS)
def test_merge_equals_a_naive_model(layers: list[list[Entry]]) -> None:
    trees = []
    for entries in layers:
        try:
            trees.append(layer_tree(layer(*entries))[0])
        except SourceError:  # a file below a file
            continue
    root, _warnings = merge(trees)
    assert listing(root) == _model([listing(tree) for tree in trees])
