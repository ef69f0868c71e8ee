"""A source of packages for a medium: what it is, and whether machines can install from it.

RPM and apt repositories go onto the medium as they are; loose .deb files get the index that apt
needs for ``deb [trusted=yes] file:/DIRECTORY ./``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import UsageError
from ...tree import Directory, File, regular
from . import debs, repodata, suites
from .folder import host_path, refusal, regular_at, scan

_EXPECTED: Final = (
    "give an RPM repository (repodata/repomd.xml, also several in directories), an apt repository "
    "(dists/SUITE/Release) or a directory of .deb files"
)
# Indexes that apt would prefer to ours, or check ours by, where a directory has had its own.
_INDEXES: Final = frozenset(
    {b"InRelease", b"Release", b"Release.gpg", b"Packages"}
    | {b"Packages." + end for end in (b"bz2", b"gz", b"lz4", b"lzma", b"xz", b"zst")}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Packages for a medium; ``tree`` refers to the user's own files and is the same every time."""

    kind: str  # rpm, apt, or debs: loose ones, with our index
    tree: Directory
    architectures: frozenset[str]  # in the packages' own words; empty where unknown
    repositories: tuple[str, ...]  # paths below the tree that hold repodata, suites, or "."
    packages: int
    size: int  # of all files, in bytes


def examine(path: Path) -> Source:
    """Return what a directory of packages brings.

    Raises UsageError for anything from which a machine could not install.
    """
    try:
        if not path.is_dir():
            what = "is no directory" if path.exists() else "does not exist"
            raise refusal(f"'{path}' {what}", _EXPECTED)
        return _examine(path)
    except OSError as error:
        raise refusal(
            f"'{error.filename or path}' cannot be read: {error.strerror or error}",
            "every file of the directory goes onto the medium, and must be readable",
        ) from error


def _examine(path: Path) -> Source:
    tree = scan(path)
    rpm, apt = repodata.repositories(tree), suites.suites(tree)
    if rpm and apt:
        raise refusal(
            f"'{path}' has RPM repositories and an apt repository",
            "give the directory of one of them",
        )
    if rpm:
        return _rpm(path, tree, rpm)
    if apt:
        packages, architectures = suites.examine(tree, apt, path)
        return _source("apt", tree, architectures, apt, packages)
    loose = list(_loose(tree))
    rpms = any(name.endswith(b".rpm") for name, _node in tree.walk())
    if loose and not rpms:
        return _debs(path, tree, loose)
    raise _unknown(path, tree, both=bool(loose), rpms=rpms)


def _rpm(path: Path, tree: Directory, found: tuple[bytes, ...]) -> Source:
    read = [repodata.examine(tree, repository, path) for repository in found]
    orphan = next(repodata.orphans(tree, found, read), None)
    if orphan is not None:
        place = path / os.fsdecode(orphan)
        raise refusal(
            f"'{place}' has .rpm files that no repository names",
            f"make the index that is missing: createrepo_c {place}",
        )
    packages = sum(repository.packages for repository in read)
    if not packages:
        raise refusal(f"the repodata of '{path}' names no packages", _EXPECTED)
    architectures = frozenset[str]().union(*(repository.architectures for repository in read))
    return _source("rpm", tree, architectures, found, packages)


def _debs(path: Path, tree: Directory, loose: list[tuple[bytes, Path]]) -> Source:
    for name in _INDEXES & tree.entries.keys():
        if isinstance(tree.entries.pop(name), Directory):
            raise refusal(
                f"'{path / os.fsdecode(name)}' is a directory, where apt looks for an index",
                "rename it",
            )
    made = debs.index(loose)
    tree.entries[b"Packages"] = regular(made.packages)
    tree.entries[b"Release"] = regular(made.release)
    return _source("debs", tree, made.architectures, (b"",), made.count)


def _loose(tree: Directory) -> Iterator[tuple[bytes, Path]]:
    """Yield the .deb files of a tree, once each: a symlink only where its target is none itself."""
    links: list[tuple[bytes, File]] = []
    seen: set[Path] = set()
    for name, node in tree.walk():
        if not name.endswith(b".deb") or not isinstance(node, File):
            continue
        if node.is_symlink:
            target = regular_at(tree, _beside(name, node.target))
            links += [(name, target)] if target is not None else []
        else:
            seen.add(host_path(node))
            yield name, host_path(node)
    for name, target in links:
        if host_path(target) not in seen:
            seen.add(host_path(target))
            yield name, host_path(target)


def _beside(name: bytes, target: bytes) -> bytes:
    return b"/".join(filter(None, (name.rpartition(b"/")[0], target)))


def _source(
    kind: str,
    tree: Directory,
    architectures: frozenset[str],
    repositories: tuple[bytes, ...],
    packages: int,
) -> Source:
    return Source(
        kind=kind,
        tree=tree,
        architectures=architectures,
        repositories=tuple(os.fsdecode(repository) or "." for repository in repositories),
        packages=packages,
        size=sum(node.size for _path, node in tree.walk() if isinstance(node, File)),
    )


def _unknown(path: Path, tree: Directory, *, both: bool, rpms: bool) -> UsageError:
    if both:
        return refusal(
            f"'{path}' has .deb files and .rpm files", "give the directory of one of them"
        )
    if rpms:
        return refusal(
            f"'{path}' has .rpm files and no repodata", f"make it with: createrepo_c {path}"
        )
    if tree.get("dists") is not None:
        return refusal(
            f"'{path}' has 'dists' and no 'Release' or 'InRelease' in a suite below it", _EXPECTED
        )
    files = [name for name, node in tree.walk() if isinstance(node, File)]
    if not files:
        return refusal(f"'{path}' is empty", _EXPECTED)
    first = os.fsencode(path) + b"/" + files[0]
    return refusal(
        f"no file of '{path}' is a package or an index of packages; the first of {len(files)} is "
        f"'{first.decode(errors='backslashreplace')}'",
        _EXPECTED,
    )
