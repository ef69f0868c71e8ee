"""Command blocks that boot a machine: all of the tutorial, and those of other pages.

The base is our image of Debian under the names that pages give, with a ``bootc`` that does what
this image's own tools can: Fedora's would have to be fetched.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures import podman
from tests.fixtures.oci import TarBuilder
from tests.fixtures.pages import ROOT, Block, commands, pages
from tests.fixtures.program import Program, installed
from tests.fixtures.registry import registry
from tests.fixtures.sandbox import Sandbox

pytestmark = [pytest.mark.vm, pytest.mark.extended]
TUTORIAL = ROOT / "docs/tutorial.md"
BASE = "quay.io/fedora/fedora-bootc:44"
BOOTC = """\
#!/bin/sh
# Stands in for bootc: says what is booted, moves this machine to what its origin names now.
set -eu
[ "$1" = status ] && exec ostree admin status
[ "$1" = upgrade ]
key=container-image-reference=ostree-unverified-registry
origin=$(sed -n "s/^$key://p" /ostree/deploy/default/deploy/*.origin | head -n 1)
exec /usr/libexec/diskgen-test/update "$origin"
"""


@dataclass(frozen=True)
class Reader:
    """Somebody who reads a page and types what it says."""

    sandbox: Sandbox
    base: Path


@pytest.fixture
def reader(first_image: Path) -> Iterator[Reader]:
    place = Path(tempfile.mkdtemp(prefix="diskgen-reader-", dir="/var/tmp"))
    place.chmod(0o755)
    program = Program(installed(place), place)
    program.own(place)
    program.home.mkdir()
    with registry(place / "registry") as server:
        tar = TarBuilder()
        tar.file("usr/bin/bootc", BOOTC.encode(), mode=0o755)
        location = f"10.0.2.2:{server.port}"  # what QEMU's user network calls this machine
        mirror = f'[[registry]]\nprefix = "registry.example"\nlocation = "{location}"\n'
        tar.file("etc/containers/registries.conf.d/pages.conf", mirror.encode())
        copy = shutil.copytree(first_image, place / "first")
        base = podman.derive(copy, place / "base", tar.finish())
        yield Reader(Sandbox(program, server), base)
    shutil.rmtree(place)


def test_from_a_containerfile_to_the_first_update(reader: Reader) -> None:
    sandbox = reader.sandbox
    store = sandbox.program.own_directory("store")
    podman.install(sandbox.tools, sandbox.server, {BASE: reader.base}, store)
    place = sandbox.directory(TUTORIAL)
    for block in commands(TUTORIAL):
        sandbox.run(block, place)


LONGER = [(page, [block for block in commands(page) if block.longer])
          for page in pages() if page != TUTORIAL]  # fmt: skip


@pytest.mark.parametrize(
    ("page", "found"), [pytest.param(page, found, id=page.stem) for page, found in LONGER if found]
)
def test_machines_of_other_pages(page: Path, found: list[Block], reader: Reader) -> None:
    """Each supposes that ``os.qcow2`` was made of ``registry.example/os:1``."""
    sandbox = reader.sandbox
    sandbox.server.push(reader.base, "os", "1")
    place = sandbox.directory(page)
    made = ("$ diskgen qcow2 registry.example/os:1",)
    sandbox.run(Block("vm-tests", 0, "console", "", made), place)
    for block in found:
        sandbox.run(block, place)
