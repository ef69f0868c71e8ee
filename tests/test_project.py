"""The project's own rules, as tests: lint, format, types, import directions, fixed layout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def tool(*argv: str) -> None:
    done = subprocess.run(
        [BIN / argv[0], *argv[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}", pytrace=False)


@pytest.mark.parametrize(
    "argv",
    [
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy", "--cache-dir=/dev/null"),
        pytest.param(("basedpyright", "--pythonpath", sys.executable), marks=pytest.mark.extended),
        ("lint-imports", "--no-cache"),
    ],
    ids=lambda argv: argv[0] + " " + argv[1],
)
def test_linter(argv: tuple[str, ...]) -> None:
    tool(*argv)


def test_shell_scripts() -> None:
    scripts = [ROOT / ".ci/run", ROOT / ".ci/host-packages", ROOT / "release/stage"]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_top_level_is_what_the_user_fixed() -> None:
    for name in ("diskgen", "installer", "kickstart", "tests", "vm-tests"):
        assert (ROOT / name).is_dir()
    for data in ("installer", "kickstart", "tests", "vm-tests"):
        assert not (ROOT / data / "__init__.py").exists(), "data folders are never imported"


@pytest.mark.parametrize("status", [0, 2])
def test_ci_ends_as_the_tests_do(status: int, tmp_path: Path) -> None:
    """And shows where the room went only where they failed."""
    for name, text in (("make", f"exit {status}"), ("du", "seq 100000; exit 1")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    done = subprocess.run(
        [ROOT / ".ci/run"], env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert ("\n99999\n" in done.stdout) is bool(status)
