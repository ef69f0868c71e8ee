"""Loose .deb files as a repository: the index by which apt installs them from a directory.

Formats: deb(5) and deb-control(5) of dpkg; "DebianRepository/Format" of the Debian wiki, "Flat
Repository Format".
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from ...compression import SUFFIXES, Damaged, inflate
from ...errors import SourceError, UsageError
from ...image.tarstream import Stream, entries
from .folder import refusal, show

_MAGIC: Final = b"!<arch>\n"
_HEADER: Final = 60
_END: Final = b"`\n"  # of a member's header
_MAX_CONTROL: Final = 8 * 1024 * 1024  # of the control archive, compressed or not
_MAX_STANZA: Final = 1024 * 1024
_FIELD: Final = re.compile(rb'([!"$-,.-9;-~][!-9;-~]*):(.*)')
_CONTROL_BYTE: Final = re.compile(rb"[\0-\x1f\x7f]")
_NEEDED: Final = {
    b"package": re.compile(rb"[A-Za-z0-9][A-Za-z0-9+._-]*"),
    b"version": re.compile(rb"[A-Za-z0-9][A-Za-z0-9.+:~_-]*"),
    b"architecture": re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*"),
}
# What an index says about the file, and a package therefore cannot say about itself.
_OURS: Final = frozenset({b"filename", b"size", b"md5sum", b"sha1", b"sha256", b"sha512"})
# Never read from the clock; apt warns where there is none.
_DATE: Final = b"Thu, 01 Jan 1970 00:00:00 UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """``Packages`` and ``Release`` for some files, and what they are."""

    packages: bytes
    release: bytes
    architectures: frozenset[str]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deb:
    key: tuple[bytes, ...]  # package, version, architecture
    filename: bytes
    digest: str
    stanza: bytes


class _Malformed(Exception):  # noqa: N818 - becomes a UsageError that names the file
    pass


def index(files: Iterable[tuple[bytes, Path]]) -> Index:
    """Return the index for .deb files, given by their names in the repository.

    Raises UsageError for what is no .deb, and for different files of one package and version.
    """
    found: list[_Deb] = []
    seen: dict[tuple[bytes, ...], _Deb] = {}
    for name, path in sorted(files):
        deb = _examine(name, path)
        other = seen.setdefault(deb.key, deb)
        if other.digest != deb.digest:
            package, version, architecture = map(show, deb.key)
            raise refusal(
                f"'{show(other.filename)}' and '{show(deb.filename)}' differ, and both are "
                f"'{package}' {version} for {architecture}",
                "remove one of them",
            )
        found.append(deb)
    found.sort(key=lambda deb: (deb.key, deb.filename))
    packages = b"\n".join(deb.stanza for deb in found)
    digest = hashlib.sha256(packages).hexdigest().encode()
    release = b"Date: %s\nSHA256:\n %s %d Packages\n" % (_DATE, digest, len(packages))
    return Index(
        packages=packages,
        release=release,
        architectures=frozenset(deb.key[2].decode() for deb in found),
        count=len(found),
    )


def _examine(name: bytes, path: Path) -> _Deb:
    if _CONTROL_BYTE.search(name):
        raise refusal(f"'{path}' has a control character in its name", "rename it")
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            lines, key = _stanza(_control(file, size))
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (_Malformed, Damaged) as error:
        raise _unusable(path, str(error)) from error
    except SourceError as error:  # of the archive inside
        raise _unusable(path, f"its control archive: {error.message}") from error
    lines += [
        b"Filename: ./" + name,
        b"Size: %d" % size,
        b"SHA256: " + digest.encode(),
    ]
    return _Deb(key=key, filename=name, digest=digest, stanza=b"\n".join(lines) + b"\n")


def _unusable(path: Path, reason: str) -> UsageError:
    return refusal(
        f"'{path}' is no package that can be used: {reason}",
        "fetch it again or remove it; 'dpkg-deb --info FILE' shows what dpkg makes of it",
    )


def _control(file: IO[bytes], size: int) -> bytes:
    """Return the control file inside of a .deb."""
    members = (
        member for member in _members(file, size) if not member[0].startswith(b"_")
    )  # those are for later versions of the format
    name, at, length = next(members, (b"", 0, 0))
    if name != b"debian-binary" or length > _MAX_STANZA:
        raise _Malformed("its first member is not 'debian-binary'")
    file.seek(at)
    version = file.read(length).partition(b"\n")[0]
    if not version.startswith(b"2."):
        raise _Malformed(f"its format has version '{show(version[:20])}', known is 2.0")
    name, at, length = next(members, (b"", 0, 0))
    suffix = name.removeprefix(b"control.tar").decode(errors="replace")
    if not name.startswith(b"control.tar") or suffix not in SUFFIXES:
        raise _Malformed(
            f"after 'debian-binary' it has '{show(name)}', not 'control.tar' with one of .gz, "
            ".xz and .zst or nothing behind it"
        )
    if length > _MAX_CONTROL:
        raise _Malformed(f"its control archive has {length} bytes")
    if not next(members, (b"", 0, 0))[0].startswith(b"data.tar"):
        raise _Malformed("it has no 'data.tar' after its control archive")
    file.seek(at)
    return _unpacked(io.BytesIO(file.read(length)), suffix)


def _members(file: IO[bytes], size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, offset, size) of each member of an ar archive in the format that dpkg writes."""
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise _Malformed("it is no ar archive")
    at = len(_MAGIC)
    while at < size:
        file.seek(at)
        header = file.read(_HEADER)
        at += _HEADER
        if len(header) < _HEADER:
            raise _Malformed("it ends in the middle of a member's header")
        digits = header[48:58].rstrip(b" ")
        if header[58:] != _END or not digits.isdigit():
            raise _Malformed("a member of it has a malformed header")
        name = header[:16].rstrip(b" ").removesuffix(b"/")
        length = int(digits)
        if at + length > size:
            raise _Malformed(f"it ends in the middle of its member '{show(name)}'")
        yield name, at, length
        at += length + length % 2


def _unpacked(data: IO[bytes], suffix: str) -> bytes:
    stream = Stream(inflate(data, suffix, _MAX_CONTROL))
    for header in entries(stream, SourceError):
        try:
            if header.path != b"control":
                stream.read(header.size + -header.size % 512)
                continue
            if not stat.S_ISREG(header.mode) or header.size > _MAX_STANZA:
                raise _Malformed("its 'control' is no regular file, or too large for one")
            return stream.read(header.size)
        except EOFError:
            raise _Malformed("its control archive ends too early") from None
    raise _Malformed("its control archive has no 'control'")


def _stanza(control: bytes) -> tuple[list[bytes], tuple[bytes, ...]]:
    """Return the lines of a control file that go into an index, and the package's identity."""
    lines: list[bytes] = []
    values: dict[bytes, bytes] = {}
    name = b""
    for line in control.strip(b"\n").split(b"\n"):
        match = _FIELD.fullmatch(line)
        if match is not None:
            name = match[1].lower()
            if name in values and name not in _OURS:
                raise _Malformed(f"its control file has '{show(match[1])}' twice")
            values[name] = match[2].strip(b" \t")
        elif not name or line[:1] not in (b" ", b"\t") or not line.strip():
            raise _Malformed(f"its control file has the line '{show(line[:80])}'")
        elif name in _NEEDED:
            raise _Malformed(f"its control file has '{show(name)}' on more than one line")
        if name not in _OURS:
            lines.append(line)
    if b"\0" in control:
        raise _Malformed("its control file has bytes that are no text")
    for field, pattern in _NEEDED.items():
        shown = show(field).capitalize()
        if field not in values:
            raise _Malformed(f"its control file has no field '{shown}'")
        if not pattern.fullmatch(values[field]):
            raise _Malformed(f"its control file has the {shown} '{show(values[field][:80])}'")
    return lines, tuple(values[field] for field in _NEEDED)
