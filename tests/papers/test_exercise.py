"""The newcomer's exercise, done as its page says: one file, one row, and QEMU as the judge."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from ..fixtures.pages import ROOT, blocks, commands
from ..fixtures.program import Program
from ..fixtures.registry import registry
from ..fixtures.sandbox import Sandbox

PAGE = ROOT / "docs/exercise.md"
FILE = "diskgen/formats/vdi.py"
TABLE = "diskgen/place.py"


@pytest.fixture
def applied(program_path: Path) -> Iterator[Program]:
    """A copy of the package with the exercise in it, as a program of its own."""
    place = Path(tempfile.mkdtemp(prefix="diskgen-exercise-", dir="/var/tmp"))
    place.chmod(0o755)
    copy = place / "copy"
    for name in ("diskgen", "installer", "kickstart"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    module, row = ["\n".join(block.body) + "\n" for block in blocks(PAGE)
                   if block.language == "python"]  # fmt: skip
    assert not (copy / FILE).exists()
    (copy / FILE).write_text(module)
    table = (copy / TABLE).read_text()
    before, end, after = table.partition("\n)\n\nPLACES")
    assert end
    (copy / TABLE).write_text(f"{before}\n{indent(row.rstrip(), '    ')},{end}{after}")
    subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
    python = program_path.with_name("python")
    script = place / "diskgen"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={copy} exec {python} -P -m diskgen "$@"\n')
    script.chmod(0o755)
    program = Program(script, place)
    program.own(place)
    program.home.mkdir()
    yield program
    shutil.rmtree(place)


def test_the_exercise_makes_disks_that_qemu_takes(applied: Program) -> None:
    with registry(applied.place / "registry") as server:
        sandbox = Sandbox(applied, server)
        sandbox.serve()
        place = sandbox.directory(PAGE)
        (block,) = commands(PAGE)
        sandbox.run(block, place)
    assert (place / "os.vdi").stat().st_size < 200 * 1024**2


@pytest.mark.extended
def test_the_exercise_is_written_as_we_write(applied: Program) -> None:
    copy = applied.place / "copy"
    for words in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy", "--strict"]):
        tool = ROOT / ".venv/bin" / words[0]
        found = str(tool) if tool.exists() else words[0]
        cache = ["--cache-dir=/dev/null"] if words[0] == "mypy" else ["--no-cache"]
        done = subprocess.run([found, *words[1:], *cache, FILE, TABLE], cwd=copy, check=False,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    said = subprocess.run(["git", "diff", "--no-index", "--stat", ROOT / "diskgen", "diskgen"],
                          cwd=copy, check=False, capture_output=True, text=True)  # fmt: skip
    changed = [line for line in said.stdout.splitlines() if "|" in line and "pycache" not in line]
    assert len(changed) == 2, "one file and one row"
