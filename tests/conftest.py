"""What tests share: the installed program, a directory of an ordinary user, a registry."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .fixtures.program import Program, installed, placed
from .fixtures.registry import Registry, registry


@pytest.fixture(scope="session")
def program_path() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="diskgen-program-", dir="/var/tmp"))
    place.chmod(0o755)
    yield installed(place)
    shutil.rmtree(place)


@pytest.fixture
def diskgen(program_path: Path) -> Iterator[Program]:
    """The program with an empty directory and an empty cache of its own."""
    with placed(program_path, "diskgen-test-") as program:
        yield program


@pytest.fixture
def images() -> Iterator[Path]:
    """A directory for images, readable by everyone."""
    place = Path(tempfile.mkdtemp(prefix="diskgen-images-", dir="/var/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A plain registry, without TLS or passwords."""
    with registry(tmp_path_factory.mktemp("registry")) as made:
        yield made
