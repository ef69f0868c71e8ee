"""What an apt repository holds.

Format: "DebianRepository/Format" of the Debian wiki: ``dists/SUITE/Release`` or ``InRelease``, and
below it one index ``Packages`` per component and architecture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...compression import Damaged, inflate
from ...tree import Directory, File
from .folder import host_path, refusal, regular_at

_DISTS: Final = b"dists"
_RELEASES: Final = (b"Release", b"InRelease")
_NOT_SUITES: Final = frozenset({b"by-hash", b"debian-installer"})  # same files, packages of no apt
_SUFFIXES: Final = ("", ".gz", ".xz")  # what repositories have; one of these
_MAX_RELEASE: Final = 16 * 1024 * 1024
_MAX_PACKAGES: Final = 512 * 1024 * 1024  # Debian's main has 50 MiB
_MAX_LINE: Final = 16 * 1024 * 1024


def suites(root: Directory) -> tuple[bytes, ...]:
    """Return the directories of a tree that hold a suite, sorted."""
    dists = root.get_dir(_DISTS)
    return tuple(sorted(_suites(root, dists, _DISTS))) if dists is not None else ()


def examine(root: Directory, found: tuple[bytes, ...], place: Path) -> tuple[int, frozenset[str]]:
    """Return how many packages the suites of a tree name, and the architectures that they have.

    ``place`` is the tree's directory, for messages. Raises UsageError for indexes that cannot be
    read, and where packages are named of which none is there.
    """
    architectures: set[str] = set()
    files: set[bytes] = set()
    for path in found:
        suite = root.get_dir(path)
        assert suite is not None
        release = _release(root, path)
        assert release is not None
        architectures.update(
            word.decode(errors="backslashreplace")
            for words in _values(release, "", _MAX_RELEASE, b"Architectures")
            for word in words.split()
        )
        for index, suffix in _indexes(root, suite, path):
            files.update(_values(index, suffix, _MAX_PACKAGES, b"Filename"))
    if not any(regular_at(root, name) is not None for name in files):
        what = f"names {len(files)} packages, and none of them is there" if files else (
            "names no packages"
        )  # fmt: skip
        raise refusal(
            f"the apt repository '{place}' {what}",
            "copy the repository with its 'pool', and with an uncompressed, .gz or .xz 'Packages'",
        )
    return len(files), frozenset(architectures)


def _release(root: Directory, path: bytes) -> File | None:
    found = (regular_at(root, path + b"/" + name) for name in _RELEASES)
    return next((file for file in found if file is not None), None)


def _suites(root: Directory, folder: Directory, path: bytes) -> Iterator[bytes]:
    for name, node in folder.entries.items():
        below = path + b"/" + name
        if isinstance(node, Directory):
            if _release(root, below) is not None:
                yield below
            else:  # security archives have names with slashes
                yield from _suites(root, node, below)


def _indexes(root: Directory, folder: Directory, path: bytes) -> Iterator[tuple[File, str]]:
    """Yield one ``Packages`` of each directory, and how it is compressed."""
    for suffix in _SUFFIXES:
        found = regular_at(root, path + b"/Packages" + suffix.encode())
        if found is not None:
            yield found, suffix
            break
    for name, node in folder.entries.items():
        if isinstance(node, Directory) and name not in _NOT_SUITES:
            yield from _indexes(root, node, path + b"/" + name)


def _values(file: File, suffix: str, limit: int, field: bytes) -> Iterator[bytes]:
    """Yield the values of a field in all stanzas of a file."""
    path = host_path(file)
    start = field + b":"
    try:
        with path.open("rb") as source:
            rest = b""
            for piece in inflate(source, suffix, limit):
                *lines, rest = (rest + piece).split(b"\n")
                if len(rest) > _MAX_LINE:
                    raise Damaged(f"it has a line of more than {_MAX_LINE // 1024**2} MiB")
                for line in lines:
                    if line.startswith(start):
                        yield line[len(start) :].strip()
            if rest.startswith(start):
                yield rest[len(start) :].strip()
    except Damaged as error:
        raise refusal(f"'{path}' cannot be used: {error}", "copy the repository again") from error
