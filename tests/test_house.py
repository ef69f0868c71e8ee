"""The rules of the house: rooms that stay small, tests that stand where what they test does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from .fixtures.program import ROOT

LINES = {"diskgen": 350, "tests": 600, "vm-tests": 400, "bench": 400}  # of a module
FUNCTION = {"diskgen": 60, "tests": 75, "vm-tests": 75, "bench": 75}
# What has no room of the package: what tests share, what judges, papers, releases, measures.
OWN = {"fixtures", "oracles", "papers", "release", "worth"}


def modules(top: str) -> list[Path]:
    return sorted((ROOT / top).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("top", LINES)
def test_modules_stay_small(top: str) -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines())
             for path in modules(top)}  # fmt: skip
    assert len(sizes) > 3
    assert {name: size for name, size in sizes.items() if size > LINES[top]} == {}


@pytest.mark.parametrize("top", FUNCTION)
def test_functions_stay_small(top: str) -> None:
    sizes = {f"{path.relative_to(ROOT)}: {name}": size
             for path in modules(top) for name, size in functions(path)}  # fmt: skip
    assert len(sizes) > 10
    assert {name: size for name, size in sizes.items() if size > FUNCTION[top]} == {}


def test_modules_open_with_a_sentence() -> None:
    for path in modules("diskgen"):
        text = ast.get_docstring(parsed(path))
        first = (text or "").split("\n\n", maxsplit=1)[0]
        assert first.endswith((".", "?")), path.relative_to(ROOT)


def test_tests_mirror_the_rooms() -> None:
    """A folder of tests is a room of the package; and a room with tests of its own has a folder."""
    folders = {path.parent.relative_to(ROOT / "tests") for path in modules("tests")
               if path.name.startswith("test_")} - {Path()}  # fmt: skip
    assert len(folders) > 15
    for folder in folders:
        if folder.parts[0] not in OWN:
            assert (ROOT / "diskgen" / folder / "__init__.py").exists(), folder


def test_tests_take_nothing_from_each_other() -> None:
    """What several tests use is a fixture or an oracle."""
    for path in (*modules("tests"), *modules("vm-tests")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(alias.name for alias in node.names)]
                taken = [name for name in names if name.rpartition(".")[2].startswith("test_")]
                assert taken == [], path.relative_to(ROOT)


def test_no_module_is_called_by_nothing() -> None:
    """Names like these say where something was put, and not what it is."""
    empty = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "tools"}
    for top in LINES:
        assert empty.isdisjoint(path.stem for path in modules(top))
