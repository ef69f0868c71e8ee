"""What RPM repositories hold, and whether all of it is there.

Format: createrepo_c's ``repodata``: repomd.xml names the other files with their checksums, and
primary.xml the packages.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from ...compression import SUFFIXES, Damaged, inflate
from ...tree import Directory, File, pieces
from .folder import host_path, refusal, regular_at

REPOMD: Final = b"repodata/repomd.xml"
_REPO: Final = "{http://linux.duke.edu/metadata/repo}"
_COMMON: Final = "{http://linux.duke.edu/metadata/common}"
_BASE: Final = "{http://www.w3.org/XML/1998/namespace}base"
# What an installer loads; a repository may name more, databases for example, that nobody misses.
_LOADED: Final = frozenset({"primary", "filelists", "group", "modules"})
_CHECKSUMS: Final = frozenset({"sha224", "sha256", "sha384", "sha512"})
_MAX_REPOMD: Final = 4 * 1024 * 1024
_MAX_PRIMARY: Final = 1024 * 1024 * 1024  # Fedora's largest is below 300 MiB
_MAX_WORD: Final = 256  # of text that is of interest


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What a repository names, all of which is there."""

    packages: int
    architectures: frozenset[str]
    files: frozenset[Path]  # of the packages, symlinks followed


def repositories(root: Directory) -> tuple[bytes, ...]:
    """Return the directories of a tree that hold repodata, sorted; the root itself is empty."""
    return tuple(
        sorted(
            path.removesuffix(b"repodata").rstrip(b"/")
            for path, _node in root.walk()
            if (b"/" + path).endswith(b"/repodata")
            and regular_at(root, path + b"/repomd.xml") is not None
        )
    )


def examine(root: Directory, repository: bytes, place: Path) -> Repository:
    """Return what a repository of a tree has.

    ``place`` is the tree's directory, for messages. Raises UsageError for a repository that is
    damaged or incomplete.
    """
    where = place / os.fsdecode(repository)
    repomd = _Repomd()
    at = repository + b"/" + REPOMD if repository else REPOMD
    file = regular_at(root, at)
    assert file is not None
    _parse(file, "", _MAX_REPOMD, repomd, where)
    primary: tuple[str, File] | None = None
    for kind, href, checksum, digest in repomd.found:
        if kind not in _LOADED:
            continue
        found = _metadata(root, repository, where, href)
        _verify(found, checksum, digest, where)
        if kind == "primary":
            primary = href, found
    if primary is None:
        raise refusal(f"'{host_path(file)}' names no 'primary'", _again(where))
    href, found = primary
    suffix = Path(href).suffix.replace(".xml", "")
    if suffix not in SUFFIXES:
        raise refusal(
            f"'{host_path(found)}' is compressed in a way that diskgen cannot read",
            f"make the index again: createrepo_c {where}",
        )
    packages = _Primary()
    _parse(found, suffix, _MAX_PRIMARY, packages, where)
    files = {name: regular_at(root, _join(repository, name)) for name in packages.hrefs}
    missing = [name for name, node in files.items() if node is None]
    if missing:
        raise refusal(
            f"'{where}' lacks '{missing[0]}', which its repodata names: {len(missing)} of "
            f"{len(files)} packages are not there",
            _again(where),
        )
    return Repository(
        packages=len(packages.hrefs),
        architectures=frozenset(packages.architectures),
        files=frozenset(host_path(node) for node in files.values() if node is not None),
    )


def orphans(
    root: Directory, where: Iterable[bytes], found: Iterable[Repository]
) -> Iterator[bytes]:
    """Yield the directory of each .rpm file that no repository names, nor has below it.

    What is below a repository and not named there is old, or was left out on purpose.
    """
    prefixes = tuple(repository + b"/" if repository else b"" for repository in where)
    named = frozenset[Path]().union(*(repository.files for repository in found))
    for path, node in root.walk():
        if not path.endswith(b".rpm") or path.startswith(prefixes):
            continue
        if isinstance(node, File) and node.is_regular and host_path(node) not in named:
            yield path.rpartition(b"/")[0]


class _Reader:
    """Takes what the XML parser finds. Nothing declares entities here, so no DOCTYPE may come."""

    def __init__(self) -> None:
        self.text: str | None = None  # None: of no interest

    def doctype(self, _name: str, _public: str | None, _system: str | None) -> None:
        raise Damaged("it has a DOCTYPE, which no repodata has")

    def data(self, text: str) -> None:
        if self.text is not None:
            self.text += text
            if len(self.text) > _MAX_WORD:
                raise Damaged(f"it has '{self.text[:40]}...' for a word")

    def close(self) -> None:
        pass

    def taken(self) -> str:
        text, self.text = (self.text or "").strip(), None
        return text


class _Repomd(_Reader):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str, str]] = []  # kind, href, checksum's type, checksum
        self._kind = self._href = self._type = self._digest = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == _REPO + "data":
            self._kind = attributes.get("type", "")
            self._href = self._type = self._digest = ""
        elif tag == _REPO + "location":
            self._href = attributes.get("href", "")
            if _BASE in attributes and self._kind in _LOADED:
                raise Damaged(f"'{self._href}' is at '{attributes[_BASE]}', not in the directory")
        elif tag == _REPO + "checksum":
            self._type = attributes.get("type", "")
            self.text = ""

    def end(self, tag: str) -> None:
        if tag == _REPO + "checksum":
            self._digest = self.taken()
        elif tag == _REPO + "data":
            self.found.append((self._kind, self._href, self._type, self._digest))


class _Primary(_Reader):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.architectures: set[str] = set()
        self._href = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == _COMMON + "location":
            self._href = attributes.get("href", "")
            if _BASE in attributes:
                raise Damaged(f"'{self._href}' is at '{attributes[_BASE]}', not in the directory")
        elif tag == _COMMON + "arch":
            self.text = ""

    def end(self, tag: str) -> None:
        if tag == _COMMON + "arch":
            self.architectures.add(self.taken())
        elif tag == _COMMON + "package":
            if not self._href:
                raise Damaged("it names a package without a location")
            self.hrefs.append(self._href)
            self._href = ""


def _parse(file: File, suffix: str, limit: int, reader: _Reader, where: Path) -> None:
    parser = ET.XMLParser(target=reader)  # noqa: S314 - the reader refuses a DOCTYPE
    path = host_path(file)
    try:
        with path.open("rb") as source:
            for piece in inflate(source, suffix, limit):
                parser.feed(piece)
        parser.close()
    except Damaged as error:
        raise refusal(f"'{path}' cannot be used: {error}", _again(where)) from error
    except (ET.ParseError, ValueError, LookupError) as error:
        raise refusal(f"'{path}' is no XML that can be read: {error}", _again(where)) from error


def _metadata(root: Directory, repository: bytes, where: Path, href: str) -> File:
    found = regular_at(root, _join(repository, href))
    if found is None:
        raise refusal(f"'{where}' lacks '{href}', which its repomd.xml names", _again(where))
    return found


def _verify(file: File, checksum: str, digest: str, where: Path) -> None:
    path = host_path(file)
    if checksum not in _CHECKSUMS:
        raise refusal(
            f"'{path}' has a checksum of the type '{checksum}', which proves nothing today",
            f"make the index again: createrepo_c {where}",
        )
    assert file.content is not None
    calculated = hashlib.new(checksum)
    for piece in pieces(file.content):
        calculated.update(piece)
    if calculated.hexdigest() != digest.lower():
        raise refusal(
            f"'{path}' has the {checksum} '{calculated.hexdigest()}', its repomd.xml says "
            f"'{digest}'",
            _again(where),
        )


def _join(repository: bytes, href: str) -> bytes:
    name = href.encode()
    return b"/".join((repository, name)) if repository and not name.startswith(b"/") else name


def _again(where: Path) -> str:
    return f"copy the whole repository again, or make its index again: createrepo_c {where}"
