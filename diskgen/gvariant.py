"""The part of GVariant that ostree objects use, and the identity of a content object.

Format: GLib's "GVariant Specification", 2.3 (serialisation of arrays, tuples, variants, framing
offsets). Integers are passed as bytes already, because ostree stores them big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

from .tree import Xattrs

_OFFSET_WIDTHS = ((1, 0xFF), (2, 0xFFFF), (4, 0xFFFFFFFF), (8, 0xFFFFFFFFFFFFFFFF))
_OFFSET_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def _framed(body: bytes, ends: Sequence[int]) -> bytes:
    """Append framing offsets of the smallest width that can address the whole container."""
    if not ends:
        return body
    for width, limit in _OFFSET_WIDTHS:
        if len(body) + width * len(ends) <= limit:
            return body + struct.pack(f"<{len(ends)}{_OFFSET_CODES[width]}", *ends)
    raise OverflowError("container exceeds 2**64 bytes")


def array(elements: Iterable[bytes], *, alignment: int = 1) -> bytes:
    """Serialise an array of variable-size elements, each aligned to ``alignment``."""
    body = bytearray()
    ends: list[int] = []
    for element in elements:
        body += bytes(-len(body) % alignment)
        body += element
        ends.append(len(body))
    return _framed(bytes(body), ends)


def pack(*members: tuple[bytes, int, bool]) -> bytes:
    """Serialise a tuple of (bytes, alignment, is fixed size) members.

    Framing offsets are stored for every variable-size member but the last, in reverse order.
    """
    body = bytearray()
    ends: list[int] = []
    for index, (data, alignment, fixed) in enumerate(members):
        body += bytes(-len(body) % alignment)
        body += data
        if not fixed and index != len(members) - 1:
            ends.append(len(body))
    return _framed(bytes(body), ends[::-1])


def unpack_array(data: bytes) -> list[bytes]:
    """Return the elements of an array of variable-size elements that need no alignment.

    Raises ValueError for framing offsets that make no sense.
    """
    if not data:
        return []
    width = _width(len(data))
    first = int.from_bytes(data[-width:], "little")  # where the offsets begin
    if first > len(data) - width or (len(data) - first) % width:
        raise ValueError("an array's framing offsets are broken")
    elements: list[bytes] = []
    start = 0
    for at in range(first, len(data), width):
        end = int.from_bytes(data[at : at + width], "little")
        if not start <= end <= first:
            raise ValueError("an array's framing offsets are broken")
        elements.append(data[start:end])
        start = end
    return elements


def unpack(data: bytes, *members: tuple[int, int] | None) -> list[bytes]:
    """Return the members of a tuple: None for one of variable size, (size, alignment) for others.

    Variable members must need no alignment. Raises ValueError for broken framing offsets.
    """
    width = _width(len(data))
    variable = [number for number, member in enumerate(members) if member is None]
    counted = [number for number in variable if number != len(members) - 1]
    limit = len(data) - width * len(counted)
    offsets = len(data)
    found: list[bytes] = []
    at = 0
    for number, member in enumerate(members):
        if member is not None:
            size, alignment = member
            at += -at % alignment
            end = at + size
        elif number in counted:
            offsets -= width
            end = int.from_bytes(data[max(offsets, 0) : offsets + width], "little")
        else:
            end = limit
        if not at <= end <= limit:
            raise ValueError("a tuple's framing offsets are broken")
        found.append(data[at:end])
        at = end
    return found


def unpack_vardict(data: bytes) -> dict[str, bytes]:
    """Return an ``a{sv}``: variants, still serialised, by key. Raises ValueError."""
    if not data:
        return {}
    width = _width(len(data))
    first = int.from_bytes(data[-width:], "little")
    if first > len(data) - width or (len(data) - first) % width:
        raise ValueError("a dictionary's framing offsets are broken")
    found: dict[str, bytes] = {}
    start = 0
    for at in range(first, len(data), width):
        start += -start % 8
        end = int.from_bytes(data[at : at + width], "little")
        if not start < end <= first:
            raise ValueError("a dictionary's framing offsets are broken")
        element = data[start:end]
        inner = _width(len(element))
        key_end = int.from_bytes(element[-inner:], "little")
        if not 0 < key_end <= len(element) - inner:
            raise ValueError("a dictionary's framing offsets are broken")
        key = element[: key_end - 1].decode(errors="replace")
        found[key] = element[key_end + -key_end % 8 : len(element) - inner]
        start = end
    return found


def unpack_string(variant: bytes) -> str | None:
    """Return the string in a variant, None for a variant of another type."""
    value, _nul, kind = variant.rpartition(b"\0")
    return value[:-1].decode(errors="replace") if kind == b"s" and value[-1:] == b"\0" else None


def _width(size: int) -> int:
    return next(width for width, limit in _OFFSET_WIDTHS if size <= limit)


def unpack_xattrs(data: bytes) -> Xattrs:
    """Return the extended attributes of an ``a(ayay)``. Raises ValueError."""
    found: list[tuple[bytes, bytes]] = []
    for element in unpack_array(data):
        name, value = unpack(element, None, None)
        if not name.endswith(b"\0") or len(name) < 2 or b"\0" in name[:-1]:
            raise ValueError("an extended attribute has no name")
        found.append((name[:-1], value))
    return tuple(found)


def variant_string(text: str) -> bytes:
    """Serialise a variant that holds a string."""
    return text.encode() + b"\0\0s"


def vardict(entries: dict[str, bytes]) -> bytes:
    """Serialise ``a{sv}`` from already serialised variants, keys sorted bytewise."""
    return array(
        (
            pack((key.encode() + b"\0", 1, False), (entries[key], 8, False))
            for key in sorted(entries, key=str.encode)
        ),
        alignment=8,
    )


@lru_cache(maxsize=4096)
def xattr_array(xattrs: Xattrs) -> bytes:
    """Serialise extended attributes as ``a(ayay)``, sorted by name."""
    return array(
        pack((name + b"\0", 1, False), (value, 1, False)) for name, value in sorted(xattrs)
    )


def file_header(mode: int, uid: int, gid: int, target: bytes, xattrs: Xattrs) -> bytes:
    """Return what precedes a file's content in the input of its ostree content checksum.

    ``mode`` is the full st_mode; ``target`` is empty unless the file is a symlink. Format: ostree's
    ``_ostree_file_header_new``, ``(uuuusa(ayay))`` big-endian, behind its own length (u32
    big-endian) and four zero bytes.
    """
    header = pack(
        (struct.pack(">4I", uid, gid, mode, 0), 4, True),
        (target + b"\0", 1, False),
        (xattr_array(xattrs), 1, False),
    )
    return struct.pack(">I4x", len(header)) + header
