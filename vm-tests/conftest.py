"""What the boot tests share: images made once, a registry, diskgen run as an ordinary user."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import debian_image
import pytest

from diskgen.vm import stall
from tests.fixtures.program import Program, installed
from tests.fixtures.registry import Registry, registry

PLACE = Path(__file__).parent
DISK_SIZE = 12 * 1024**3  # of what is installed on
GUEST_HOST = "10.0.2.2"  # what QEMU's user network calls the machine outside


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a test again whose emulated machine lost its timers; nothing else is tried twice."""
    for item in items:
        if item.path.is_relative_to(PLACE):
            item.add_marker(pytest.mark.flaky(reruns=2, only_rerun=["StalledError", stall.MEANING]))


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where images are kept from run to run."""
    return debian_image.default_cache()


@pytest.fixture(scope="session")
def first_image(cache: Path) -> Path:
    """The image of day 1, an OCI layout."""
    return debian_image.build(cache)


@pytest.fixture(scope="session")
def changed_image(cache: Path) -> Path:
    """The image of day 2: one layer more."""
    return debian_image.build(cache, changed=True)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, first_image: Path) -> Iterator[Registry]:
    """A registry that has the first image as ``os:1``."""
    with registry(tmp_path_factory.mktemp("registry")) as made:
        made.push(first_image, "os", "1")
        yield made


@pytest.fixture(scope="session")
def diskgen() -> Iterator[Program]:
    """diskgen as an ordinary user, with a directory and a cache for the whole session."""
    place = Path(tempfile.mkdtemp(prefix="diskgen-vm-", dir="/var/tmp"))
    place.chmod(0o755)
    program = Program(installed(place), place)
    program.own(place)
    program.home.mkdir()
    program.own(program.home)
    yield program
    shutil.rmtree(place)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """An empty disk to install on."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(DISK_SIZE)
    return path
