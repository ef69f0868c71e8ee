"""composefs images, held against digests of what mkcomposefs 1.0.8 made of the same trees."""

from __future__ import annotations

import hashlib
import struct

import pytest

from diskgen.ostree import composefs
from diskgen.ostree.erofs_xattrs import xxh32
from diskgen.tree import Directory

from ..fixtures.composefs_trees import digest, tree
from ..oracles.mkcomposefs import SEALED, SEEDS


@pytest.mark.parametrize("seed", SEEDS)
def test_images_are_those_of_mkcomposefs(seed: int) -> None:
    assert hashlib.sha256(composefs.image(tree(seed))).hexdigest() == SEEDS[seed]


@pytest.mark.parametrize("seed", SEALED)
def test_so_are_images_with_digests(seed: int) -> None:
    image = composefs.image(tree(seed), digest)
    assert hashlib.sha256(image).hexdigest() == SEALED[seed]


def test_the_tree_stays_as_it_was() -> None:
    root = tree(3)
    before = [(path, node.xattrs) for path, node in root.walk()]
    composefs.image(root)
    assert [(path, node.xattrs) for path, node in root.walk()] == before


@pytest.mark.parametrize(
    ("name", "flags"),
    [("user.a", 0), ("system.posix_acl_access", 1), ("system.posix_acl_default", 1)],
)
def test_the_header_says_whether_there_are_acls(name: str, flags: int) -> None:
    """composefs' lcfs-erofs.h: LCFS_EROFS_FLAGS_HAS_ACL. Without it the kernel is spared them."""
    root = Directory(xattrs=((b"user.b", b"2"),))
    root.make_dirs("usr").xattrs = ((name.encode(), b"1"),)
    assert struct.unpack_from("<III", composefs.image(root)) == (0xD078629A, 1, flags)


def test_an_empty_commit_has_what_is_mounted_upon() -> None:
    image = composefs.image(Directory())
    for name in (b"usr", b"etc", b"boot", b"var", b"sysroot"):
        assert name in image


@pytest.mark.parametrize(
    ("data", "seed", "digest"),
    [
        (b"", 0, 0x02CC5D05),
        (b"abc", 0, 0x32D153FF),
        (b"Nobody inspects the spammish repetition", 0, 0xE2293B2F),
    ],
)
def test_xxh32(data: bytes, seed: int, digest: int) -> None:
    """Vectors of the xxHash project's own documentation and test suite."""
    assert xxh32(data, seed) == digest
