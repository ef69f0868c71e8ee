"""No parser falls over hostile bytes: it understands what it reads, or says that it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.errors import SourceError
from diskgen.image.manifest import parse_any, parse_config

from .fixtures.parsers import PARSERS, trials
from .fixtures.program import ROOT

COUNT = 150


@pytest.mark.parametrize("name", PARSERS)
def test_changed_seeds(name: str, tmp_path: Path) -> None:
    refused, wrong = trials(name, COUNT, tmp_path)
    assert wrong == []
    assert refused < COUNT  # the seeds themselves are understood


@pytest.mark.extended
@pytest.mark.parametrize("name", PARSERS)
def test_many_changed_seeds(name: str, tmp_path: Path) -> None:
    assert trials(name, 5000, tmp_path, seed=2)[1] == []


@pytest.mark.extended
@pytest.mark.parametrize("name", PARSERS)
def test_atheris_finds_nothing(name: str) -> None:
    pytest.importorskip("atheris", reason="pip install --group fuzz")
    argv = [sys.executable, "-m", "tests.fuzz", name, "-max_total_time=10", "-timeout=30"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("value", [["x"], {"a": 1}, 7, 1.5, True, "", [[]]])
def test_fields_of_any_type(value: object, tmp_path: Path) -> None:
    """Each field of a manifest, an index and a config, with a value of each type in its place."""

    def spots(found: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
        pairs: list[tuple[str | int, object]] = []
        if isinstance(found, dict):
            pairs = list(found.items())
        elif isinstance(found, list):
            pairs = list(enumerate(found))
        return [path, *(spot for key, item in pairs for spot in spots(item, (*path, key)))]

    tried = 0
    for name in ("manifest", "config"):
        for seed in PARSERS[name].seeds(tmp_path / f"{name}"):
            for path in spots(json.loads(seed))[1:]:
                changed = json.loads(seed)
                inside = changed
                for key in path[:-1]:
                    inside = inside[key]
                inside[path[-1]] = value
                data = json.dumps(changed).encode()
                try:
                    if name == "manifest":
                        parse_any(data, "x")
                    else:
                        parse_config(data, 1, MACHINES["x86_64"], "x")
                except SourceError:
                    tried += 1
    assert tried > 5
