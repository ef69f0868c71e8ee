"""The ostree repository of a sysroot, as a tree: mode ``bare``, its files shared with checkouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ..fsverity import seal
from ..tree import Directory, Node, regular
from .objects import ObjectSet

_EMPTY: Final = (
    "extensions", "state", "tmp/cache", "refs/heads", "refs/mirrors", "refs/remotes",
)  # fmt: skip
_MAX_LINKS: Final = 60_000  # ext4 takes 65,000 names per inode


def repository(
    objects: ObjectSet,
    refs: Mapping[str, str],
    *,
    bootloader: str = "none",
    bls_append_except_default: str | None = None,
    sealed: bool = False,
) -> Directory:
    """Return the repository's directory; ``refs`` are commit checksums (hex) by name.

    ``bootloader`` is ostree.repo-config(5)'s: what the machine's own updates call. One that is
    ``sealed`` has files under fs-verity, and says so of those to come.
    """
    repo = Directory()
    settings = {"bootloader": bootloader, "bootprefix": "true", "readonly": "true"}
    if bls_append_except_default is not None:
        settings["bls-append-except-default"] = bls_append_except_default
    config = "[core]\nrepo_version=1\nmode=bare\n\n[sysroot]\n"
    config += "".join(f"{key}={value}\n" for key, value in settings.items())
    if sealed:
        config += "\n[ex-integrity]\nfsverity=true\n"
    file = regular(config.encode())
    if sealed:  # by which bootc knows that all objects are
        file.seal = seal(config.encode())
    repo.add("config", file)
    repo.add(".lock", regular(b"", mode=0o640))
    for name in _EMPTY:
        repo.make_dirs(name)
    for ref, commit in refs.items():
        repo.add(f"refs/heads/{ref}", regular(f"{commit}\n".encode()))
    buckets = repo.make_dirs("objects").entries
    for checksum, kind, file in objects.stored():
        hexed = checksum.hex()
        bucket = buckets.setdefault(hexed[:2].encode(), Directory())
        assert isinstance(bucket, Directory)
        bucket.entries[f"{hexed[2:]}.{kind}".encode()] = file
    return repo


def checkout(tree: Directory, objects: ObjectSet) -> Directory:
    """Return a tree whose files are the repository's own inodes, but for empty ones.

    Empty files are inodes of their own, as in libostree: there are too many of them for one.
    """
    return _checkout(tree, objects, Counter())


def copy(tree: Directory, *, attributes: bool = True) -> Directory:
    """Return a full copy: every file an inode of its own, with or without extended attributes."""
    entries: dict[bytes, Node] = {}
    for name, node in tree.entries.items():
        if isinstance(node, Directory):
            entries[name] = copy(node, attributes=attributes)
        else:
            xattrs = node.xattrs if attributes else ()
            entries[name] = replace(node, xattrs=xattrs, checksum=None, seal=None)
    return replace(tree, entries=entries, xattrs=tree.xattrs if attributes else ())


def _checkout(tree: Directory, objects: ObjectSet, links: Counter[bytes]) -> Directory:
    entries: dict[bytes, Node] = {}
    for name, node in tree.entries.items():
        if isinstance(node, Directory):
            entries[name] = _checkout(node, objects, links)
            continue
        checksum = node.checksum
        assert checksum is not None
        links[checksum] += 1
        if links[checksum] > _MAX_LINKS or (node.content is not None and not node.content.size):
            entries[name] = replace(node, seal=None)
        else:
            entries[name] = objects.files[checksum]
    return replace(tree, entries=entries)
