"""Children that die before they read what they are given: each is named by whoever started it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diskgen import run
from diskgen.arch import MACHINES
from diskgen.disk import squashfs
from diskgen.errors import DiskgenError, HostError, ToolError
from diskgen.image.layers import index_layers
from diskgen.image.model import Image, Layer
from diskgen.install import image_mode
from diskgen.layout import Content, Filesystem, Partition, Role, make_layout
from diskgen.ostree import selinux
from diskgen.reference import parse
from diskgen.tree import Directory, regular
from diskgen.units import MIB

from .fixtures.dying import DIES, Dead
from .fixtures.oci import bootable
from .fixtures.program import ROOT


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that dies at once, which our own modules, mksquashfs and tar are."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("deadly", "mksquashfs", "tar"):
        (tools / name).write_text(DIES)
        (tools / name).chmod(0o755)
    for name in ("mount", "umount", "mkfs.btrfs"):
        (tools / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr("diskgen.run.subprocess.Popen", Dead)
    monkeypatch.setattr(run, "own_module", lambda _module: ([str(tools / "deadly")], {}))
    return tools / "deadly"


def part() -> tuple[Any, Partition]:
    layout = make_layout(MACHINES["x86_64"], seed="x", content=Content(root=MIB), disk_size=None)
    return layout, replace(layout.partition(Role.ROOT), filesystem=Filesystem.BTRFS)


def tree() -> Directory:
    """More than a pipe holds."""
    root = Directory()
    root.add("file", regular(b"x" * 2 * MIB))
    return root


def layers(tmp_path: Path, _deadly: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"x")
    digests = {"digest": f"sha256:{0:064}", "diff_id": f"sha256:{1:064}"}
    layer = Layer(**digests, size=1, media_type="", blob=blob)
    image = Image(parse("oci:/os"), "x86_64", "", b"", b"", (layer,))
    index_layers(image, tmp_path / "layers", lambda _event: None)


def packed(tmp_path: Path, _deadly: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    squashfs.make(tmp_path / "image", tree(), timestamp=0, advance=lambda _size: None)


def unpacked(tmp_path: Path, _deadly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_mode, "PHYSICAL", tmp_path / "mounted")
    image_mode.fill_foreign(tmp_path / "device", part()[1], tree(), lambda _size: None)


def labelled(tmp_path: Path, _deadly: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    policy = selinux.Policy(name="targeted", files={"": b""})
    selinux.ask(policy, [(b"/usr", 0o40755)], tmp_path)


def simple(_tmp_path: Path, _deadly: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    run.run(["tar", "-x"], stdin=b"x" * 2 * MIB)


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (layers, HostError), (packed, ToolError), (unpacked, HostError),
        (labelled, HostError), (simple, ToolError),
    ],
)  # fmt: skip
def test_each_is_named(
    write: Callable[[Path, Path, pytest.MonkeyPatch], None],
    kind: type[DiskgenError],
    tmp_path: Path,
    deadly: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(kind, match="killed by signal 15"):
        write(tmp_path, deadly, monkeypatch)


def test_one_function_writes_to_children() -> None:
    writers = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "diskgen").rglob("*.py")
        if re.search(r"\bstdin\.(write|flush|close)\(", path.read_text())
    ]
    assert writers == ["diskgen/run.py"]


def test_what_pieces_raise_is_no_end_of_the_child() -> None:
    """Such as a reader of our progress that went away while a tree was packed."""

    def pieces() -> Any:
        yield b"x"
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError), run.running(["cat"], stdin=run.PIPE) as child:
        run.feed(child, pieces())


SCRIPT = """
import sys
from diskgen import run
from diskgen.__main__ import main
from tests.fixtures.dying import DIES, Dead
run.subprocess.Popen = Dead
run.own_module = lambda module: (["/bin/sh", "-c", DIES], {})
sys.exit(main())
"""


def test_a_worker_that_is_ended_is_named(tmp_path: Path) -> None:
    layout = bootable(tmp_path / "os")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "raw", f"oci:{layout}", "-o", tmp_path / "disk.raw"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DISKGEN_CACHE": str(tmp_path / "cache")},
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == HostError.exit_status
    assert "error: a process that reads layers was killed by signal 15" in done.stderr
    assert not (tmp_path / "disk.raw").exists()


@pytest.mark.parametrize("closed", ["", "stdout", "stderr"])
def test_only_our_own_streams_have_readers_that_go_away(closed: str) -> None:
    """A pipe of any other kind that breaks is no reason to be silent."""
    script = """
import sys
from diskgen import __main__
from diskgen.errors import HostError
def broken(_words):
    raise BrokenPipeError(32, "Broken pipe")
sys.modules["diskgen.cli.parser"] = type("parser", (), {"build_parser": staticmethod(broken)})
sys.exit(__main__.main())
"""
    reading, writing = os.pipe()
    os.close(reading)
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if closed:
        streams[closed] = writing
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        check=False, timeout=60, **streams,
    )  # fmt: skip
    os.close(writing)
    assert done.returncode == HostError.exit_status
    if closed != "stderr":
        assert ("Broken pipe" in done.stderr) is not bool(closed)
