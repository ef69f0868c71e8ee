"""What we write against what the real tools write, and the kernel's view of it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
import sid

from diskgen.ostree import composefs
from tests.fixtures.composefs_trees import dump, tree
from tests.oracles.mkcomposefs import SEEDS

pytestmark = pytest.mark.root


@pytest.fixture(scope="session")
def tools(cache: Path) -> Path:
    return sid.tools(cache)


def real_image(tools: Path, text: str) -> bytes:
    """Let mkcomposefs make an image of its dump format."""
    script = "cat > /tmp/dump && mkcomposefs --min-version=0 --from-file /tmp/dump -"
    return subprocess.run(
        ["chroot", tools, "sh", "-c", script], input=text.encode(), capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize("first", range(0, 260, 20))
def test_mkcomposefs_writes_the_same_bytes(tools: Path, first: int) -> None:
    for seed in range(first, first + 20):
        made = tree(seed)
        assert real_image(tools, dump(made)) == composefs.image(made), f"tree {seed}"


def test_the_golden_digests_are_those_of_mkcomposefs(tools: Path) -> None:
    for seed, digest in SEEDS.items():
        assert hashlib.sha256(real_image(tools, dump(tree(seed)))).hexdigest() == digest
