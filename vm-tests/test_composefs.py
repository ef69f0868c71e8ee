"""What we write against what the real tools write, and the kernel's view of it."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

import pytest
import sid

from diskgen.fsverity import seal
from diskgen.image.sums import add_checksums
from diskgen.ostree import composefs
from diskgen.ostree.stack import Stack, digest_of
from diskgen.ostree.stack import seal as seal_all
from diskgen.tree import Directory, File, regular, symlink
from tests.fixtures.composefs_trees import digest, dump, tree
from tests.fixtures.materialise import materialise
from tests.oracles.mkcomposefs import SEALED, SEEDS

pytestmark = pytest.mark.root
_COMMIT = """
cd "$1"
ostree --repo=r init --mode=bare-user
ostree --repo=r commit -b x --owner-uid=0 --owner-gid=0 --no-xattrs --canonical-permissions \
  --generate-composefs-metadata tree >/dev/null
ostree --repo=r show --print-hex --print-metadata-key ostree.composefs.digest.v0 x
"""


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
        sealed = composefs.image(made, digest)
        assert real_image(tools, dump(made, digests=True)) == sealed, f"tree {seed}, sealed"


def test_the_golden_digests_are_those_of_mkcomposefs(tools: Path) -> None:
    for seed, wanted in SEEDS.items():
        assert hashlib.sha256(real_image(tools, dump(tree(seed)))).hexdigest() == wanted
    for seed, wanted in SEALED.items():
        image = real_image(tools, dump(tree(seed), digests=True))
        assert hashlib.sha256(image).hexdigest() == wanted


def test_ostree_names_the_same_root_in_a_commit(tools: Path) -> None:
    """``ostree commit --generate-composefs-metadata``: what is signed, and mounted by."""
    tree = Directory()
    for number, size in enumerate((0, 1, 4096, 4097, 600_000)):
        tree.add(f"usr/lib/{number}", regular(bytes([number]) * size))
    tree.add("usr/bin/sh", regular(b"#!", mode=0o755))
    tree.add("bin", symlink("usr/bin"))
    with tempfile.TemporaryDirectory(dir=tools / "tmp") as place:
        materialise(tree, Path(place, "tree"))
        commands = (
            f"mount -t proc proc {tools}/proc; exec chroot {tools} sh -ec '{_COMMIT}' - /tmp/"
        )
        named = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", commands + Path(place).name],
            capture_output=True, check=True, text=True,
        ).stdout  # fmt: skip
    add_checksums((n for _p, n in tree.walk() if isinstance(n, File)), lambda _bytes: None)
    seal_all(Stack(base=None, layers=(), merged=tree, warnings=()), lambda _bytes: None)
    image = composefs.image(tree, digest_of)
    assert named.strip() == seal(image).digest.hex()
