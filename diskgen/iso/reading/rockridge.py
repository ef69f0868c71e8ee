"""POSIX names and attributes in the directory records of an ISO 9660 image.

IEEE P1281, System Use Sharing Protocol 1.12 (SP, CE, ST); IEEE P1282, Rock Ridge Interchange
Protocol 1.12, 4.1 (PX, PN, SL, NM, CL, RE). Times and what is unknown are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .bounded import Bounded

SECTOR: Final = 2048
_MAX_AREAS: Final = 32  # continuations of one record, as the kernel has it
_MAX_AREA: Final = 64 * 1024
_MAX_NAME: Final = 255
_MAX_TARGET: Final = 4095
_HEAD: Final = 4  # signature, length, version
_CONTINUE: Final = 1  # flag of NM, of SL and of its components
_CURRENT: Final = 2
_PARENT: Final = 4
_ROOT: Final = 8
_SPECIAL: Final = {_CURRENT: b".", _PARENT: b".."}
# Contents that are not what the record's extent holds: zisofs, and sparse files (4.1.7).
_ENCODED: Final = frozenset({b"ZF", b"SF"})


@dataclass(slots=True, kw_only=True)
class Attributes:
    """What the entries of one record say; None where they say nothing."""

    name: bytes | None = None
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    rdev: tuple[int, int] = (0, 0)
    target: bytes | None = None
    child: int | None = None  # byte offset of the directory that belongs here (CL)
    moved: bool = False  # the directory belongs elsewhere (RE)


def skipped(system_use: bytes) -> int | None:
    """Return what SP, in the root's own record, says to skip in others; None without SP."""
    if len(system_use) >= 7 and system_use[:6] == b"SP\x07\x01\xbe\xef":
        return system_use[6]
    return None


def attributes(source: Bounded, system_use: bytes) -> Attributes:
    """Return what a record's system use field says. Raises SourceError for a damaged one."""
    found = Attributes()
    target = _Target()
    for kind, data in _entries(source, system_use):
        try:
            if kind == b"NM":
                found.name = (found.name or b"") + _name_part(data)
            elif kind == b"PX":
                found.mode, found.uid, found.gid = (
                    _number(data, at) for at in (_HEAD, _HEAD + 16, _HEAD + 24)
                )
            elif kind == b"PN":
                high, low = _number(data, _HEAD), _number(data, _HEAD + 8)
                found.rdev = (high, low) if high else (low >> 8, low & 0xFF)
            elif kind == b"SL":
                target.add(data[_HEAD + 1 :])
            elif kind == b"CL":
                found.child = _number(data, _HEAD) * SECTOR
            elif kind == b"RE":
                found.moved = True
            elif kind in _ENCODED:
                raise source.damaged(f"a file is encoded in a way ('{kind.decode()}') unknown here")
        except (struct.error, IndexError):
            raise source.damaged("an attribute of Rock Ridge is too short") from None
        if len(found.name or b"") > _MAX_NAME or len(target.path) > _MAX_TARGET:
            raise source.damaged("a name of Rock Ridge is too long")
    if target.seen:
        found.target = target.path
    return found


def _entries(source: Bounded, area: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (signature, whole entry) of an area and of its continuations."""
    for _ in range(_MAX_AREAS):
        following: bytes | None = None
        at = 0
        while at + _HEAD <= len(area) and area[at : at + 2] not in (b"\0\0", b"ST"):
            kind, length = area[at : at + 2], area[at + 2]
            entry = area[at : at + length]
            if length < _HEAD or len(entry) != length:
                raise source.damaged("an attribute does not fit its directory record")
            if kind == b"CE":
                following = _continuation(source, entry)
            else:
                yield kind, entry
            at += length
        if following is None:
            return
        area = following
    raise source.damaged("the attributes of a file have no end")


def _continuation(source: Bounded, entry: bytes) -> bytes:
    if len(entry) < _HEAD + 20:
        raise source.damaged("an attribute's continuation has no place")
    block, offset, length = (_number(entry, at) for at in (_HEAD, _HEAD + 8, _HEAD + 16))
    if length > _MAX_AREA:
        raise source.damaged("an attribute's continuation is too long")
    return source.at(block * SECTOR + offset, length, "an attribute's continuation")


def _name_part(entry: bytes) -> bytes:
    return _SPECIAL.get(entry[_HEAD] & (_CURRENT | _PARENT), entry[_HEAD + 1 :])


class _Target:
    """A symlink's target, component by component (4.1.3.1), over any number of SL entries."""

    def __init__(self) -> None:
        self.path = b""
        self.seen = False
        self._open = False  # the last component goes on

    def add(self, components: bytes) -> None:
        self.seen = True
        while components:
            flags, length = components[0], components[1]
            text, rest = components[2 : 2 + length], components[2 + length :]
            if len(text) != length:
                raise IndexError
            components = rest
            if flags & _ROOT:
                self.path, self._open = b"/", False
                continue
            if self.path and not self.path.endswith(b"/") and not self._open:
                self.path += b"/"
            self.path += _SPECIAL.get(flags & (_CURRENT | _PARENT), text)
            self._open = bool(flags & _CONTINUE)


def _number(entry: bytes, at: int) -> int:
    """Return the little-endian half of a number in both orders (ECMA-119, 7.3.3)."""
    value: int = struct.unpack_from("<I", entry, at)[0]
    return value
