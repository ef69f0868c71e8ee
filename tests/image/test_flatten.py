"""Layers as one root filesystem, compared with what umoci unpacks of the same image."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from diskgen.errors import SourceError
from diskgen.image.flatten import flatten
from diskgen.tree import Directory, File, read

from ..fixtures.layers import indexed
from ..fixtures.oci import Layout, TarBuilder

Fill = Callable[[TarBuilder], None]


def flat(place: Path, tars: list[bytes]) -> Directory:
    return flatten([indexed(place / str(number), tar) for number, tar in enumerate(tars)])


def names(root: Directory) -> list[str]:
    return [path.decode() for path, _ in root.walk()]


def layer(*fills: Fill) -> bytes:
    tar = TarBuilder()
    for fill in fills:
        fill(tar)
    return tar.finish()


def chance_layers(seed: int) -> list[bytes]:
    """Return layers that write, replace, link and hide what they find below."""
    dice = random.Random(seed)
    folders, files = {"": True}, set[str]()
    tars = []
    for _number in range(4):
        tar = TarBuilder()
        touched: set[str] = set()
        for _ in range(12):
            parent = dice.choice(sorted(folders))
            name = f"{parent}/{dice.choice('abcdef')}".lstrip("/")
            if name in touched or any(name.startswith(f"{old}/") for old in touched & files):
                continue
            what = dice.choice(["file", "dir", "link", "hard", "hide", "hide"])
            old = name in files or name in folders
            if what == "hide":
                below = [path for path in touched if path.startswith(f"{name}/")]
                if not old or below:
                    continue
                tar.file(f"{parent}/.wh.{name.rpartition('/')[2]}".lstrip("/"))
            elif what == "dir":
                tar.directory(name, dice.choice([0o755, 0o700, 0o1777]))
            elif name in folders:
                continue
            elif what == "hard":
                choices = sorted(files - touched - {name})
                own = sorted(path for path in touched & files if path != name)
                if not own or not choices:
                    continue
                tar.hardlink(name, dice.choice(own))
            elif what == "link":
                tar.symlink(name, dice.choice(["a", "/b", "../c"]))
            else:
                data = dice.randbytes(dice.randrange(5000))
                tar.file(name, data, mode=dice.choice([0o644, 0o4755]), uid=dice.choice([0, 7]))
            touched.add(name)
            for known in [p for p in (*folders, *files) if p == name or p.startswith(f"{name}/")]:
                if what != "dir" or known in files:
                    files.discard(known)
                    if known:
                        folders.pop(known, None)
            if what == "dir":
                folders[name] = True
            elif what in ("file", "hard"):
                files.add(name)
        tars.append(tar.finish())
    return tars


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="owners")
@pytest.mark.parametrize("seed", range(12))
def test_umoci_unpacks_the_same(seed: int, tmp_path: Path) -> None:
    tars = chance_layers(seed)
    made = Layout(tmp_path / "layout")
    made.finish(made.image([made.layer(tar) for tar in tars]))
    root = flat(tmp_path / "layers", tars)
    out = tmp_path / "out"
    subprocess.run(["umoci", "raw", "unpack", "--image", f"{tmp_path}/layout:latest", out],
                   check=True, capture_output=True)  # fmt: skip
    found = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    assert found == set(names(root))
    inodes: dict[int, File | Directory] = {}
    for raw, node in root.walk():
        path = out / raw.decode()
        info = path.lstat()
        assert info.st_mode == node.mode, raw
        assert (info.st_uid, info.st_gid) == (node.uid, node.gid), raw
        assert inodes.setdefault(info.st_ino, node) is node
        if isinstance(node, File) and node.is_symlink:
            assert os.fsencode(path.readlink()) == node.target
        elif isinstance(node, File):
            assert node.content is not None
            assert path.read_bytes() == read(node.content)
            assert info.st_mtime_ns == node.mtime_ns


def test_devices_are_refused_where_nothing_hides_them(tmp_path: Path) -> None:
    device = layer(lambda t: t.special("opt/x", tarfile.CHRTYPE))
    with pytest.raises(SourceError, match="'opt/x'"):
        flat(tmp_path / "alone", [device])
    uppers: dict[str, Fill] = {
        "gone": lambda t: t.file("opt/.wh.x"), "file": lambda t: t.file("opt/x"),
        "link": lambda t: t.symlink("opt/x", "y"), "folder": lambda t: t.directory("opt/x"),
    }  # fmt: skip
    for name, fill in uppers.items():
        wanted = ["opt"] if name == "gone" else ["opt", "opt/x"]
        assert names(flat(tmp_path / name, [device, layer(fill)])) == wanted


def test_whiteouts_hide_only_what_is_below(tmp_path: Path) -> None:
    lower = layer(lambda t: t.file("d/old", b"1"), lambda t: t.file("gone", b"1"))
    upper = layer(
        lambda t: t.file("d/new", b"2"),
        lambda t: t.file("d/.wh..wh..opq"),
        lambda t: t.file("gone", b"2"),
        lambda t: t.file(".wh.gone"),
    )
    assert names(flat(tmp_path, [lower, upper])) == ["d", "d/new", "gone"]


def test_etc_stays_where_it_is(tmp_path: Path) -> None:
    root = flat(tmp_path, [layer(lambda t: t.file("etc/passwd", b"x", uid=5))])
    node = root.get_file("etc/passwd")
    assert node is not None
    assert node.uid == 5


def test_a_later_layer_has_the_last_word_on_directories(tmp_path: Path) -> None:
    lower = layer(lambda t: t.directory("d", 0o700), lambda t: t.file("d/x", b""))
    upper = layer(lambda t: t.directory("d", 0o755))
    folder = flat(tmp_path, [lower, upper]).get_dir("d")
    assert folder is not None
    assert stat.S_IMODE(folder.mode) == 0o755
    assert b"x" in folder.entries


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (lambda t: t.file(".wh."), "is a whiteout of nothing"),
        (lambda t: t.hardlink("a", "nowhere"), "is a hard link to 'nowhere'"),
        (lambda t: (t.file("f", b"x"), t.file("f/below", b"y")), "lies below a path"),
    ],
)
def test_malformed_layers(tmp_path: Path, fill: Fill, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        flat(tmp_path, [layer(fill)])


LINKED: dict[str, tuple[Fill, ...]] = {
    "below": (lambda t: t.hardlink("b", "d/a"),),
    "replaced": (lambda t: t.hardlink("b", "d/a"), lambda t: t.file("d/a", b"new")),
    "replaced before": (lambda t: t.file("d/a", b"new"), lambda t: t.hardlink("b", "d/a")),
    "hidden": (lambda t: t.hardlink("b", "d/a"), lambda t: t.file("d/.wh.a")),
    "hidden folder": (lambda t: t.hardlink("b", "d/a"), lambda t: t.file(".wh.d")),
    "opaque": (lambda t: t.hardlink("b", "d/a"), lambda t: t.file("d/.wh..wh..opq")),
}  # fmt: skip


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="owners")
@pytest.mark.parametrize("name", LINKED)
def test_a_hard_link_is_to_what_is_there_when_it_is_unpacked(name: str, tmp_path: Path) -> None:
    """As umoci and containers-storage (by copies of layers) unpack it: each entry in its turn."""
    tars = [layer(lambda t: t.directory("d"), lambda t: t.file("d/a", b"old")),
            layer(*LINKED[name])]  # fmt: skip
    made = Layout(tmp_path / "layout")
    made.finish(made.image([made.layer(tar) for tar in tars]))
    image, out = f"{tmp_path}/layout:latest", tmp_path / "out"
    subprocess.run(["umoci", "raw", "unpack", "--image", image, out], check=True,
                   capture_output=True)  # fmt: skip
    store = f"[vfs@{tmp_path}/store+{tmp_path}/run]q.io/x:1"
    subprocess.run(["skopeo", "--insecure-policy", "copy", f"oci:{image}",
                    f"containers-storage:{store}"], check=True, capture_output=True)  # fmt: skip
    ours = {path.decode(): read(node.content) for path, node in flat(tmp_path, tars).walk()
            if isinstance(node, File) and node.content is not None}  # fmt: skip
    assert ours["b"] == (b"new" if name == "replaced before" else b"old")
    (top,) = [place for place in tmp_path.glob("store/vfs/dir/*") if (place / "b").exists()]
    for place in (out, top):
        assert ours == {str(path.relative_to(place)): path.read_bytes()
                        for path in place.rglob("*") if path.is_file()}  # fmt: skip


@pytest.mark.parametrize("hidden", [False, True])
def test_a_hard_link_before_its_target(hidden: bool, tmp_path: Path) -> None:
    """No program unpacks it; where the layer has the target itself, there is but one answer."""
    link = layer(*[lambda t: t.file(".wh.a")] * hidden, lambda t: t.hardlink("b", "a"),
                 lambda t: t.file("a", b"new"))  # fmt: skip
    root = flat(tmp_path, [layer(lambda t: t.file("a", b"old"))] * hidden + [link])
    assert root.get("b") is root.get("a")
