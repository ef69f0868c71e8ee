"""What a program needs to run: its loader and its shared libraries, found in a tree.

Format: System V ABI, "Object Files" and "Program Loading and Dynamic Linking" (ELF, 32 and 64 bits,
both byte orders).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ...errors import SourceError
from ...ostree.lookup import find, find_dir
from ...tree import Directory, File, read

_LOAD: Final = 1
_DYNAMIC: Final = 2
_INTERPRETER: Final = 3
_NEEDED: Final = 1
_STRINGS: Final = 5
_RUNPATHS: Final = (15, 29)
_MAX_FILE: Final = 64 * 1024 * 1024
_MAX_FILES: Final = 500
_MAX_SEGMENTS: Final = 200
_PLACES: Final = ("usr/lib64", "usr/lib", "lib64", "lib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Of one object: the interpreter's path, the names of libraries, where else to look."""

    interpreter: str | None
    libraries: tuple[str, ...]
    places: tuple[str, ...]


def needs(data: bytes) -> Needs | None:
    """Return what an object asks for, None for what is no ELF file. Raises ValueError."""
    if data[:4] != b"\x7fELF":
        return None
    wide, order = data[4:5] == b"\2", "<" if data[5:6] == b"\1" else ">"
    try:
        if wide:
            (table,) = struct.unpack_from(f"{order}Q", data, 32)
            size, count = struct.unpack_from(f"{order}HH", data, 54)
        else:
            (table,) = struct.unpack_from(f"{order}I", data, 28)
            size, count = struct.unpack_from(f"{order}HH", data, 42)
        segments = [
            _segment(data, table + number * size, wide=wide, order=order)
            for number in range(min(count, _MAX_SEGMENTS))
        ]
        interpreter = None
        tags: list[tuple[int, int]] = []
        for kind, offset, _address, length in segments:
            if kind == _INTERPRETER:
                interpreter = _string(data, offset)
            elif kind == _DYNAMIC:
                form = struct.Struct(f"{order}QQ" if wide else f"{order}II")
                piece = data[offset : offset + length - length % form.size]
                tags = list(form.iter_unpack(piece))
        strings = next((value for tag, value in tags if tag == _STRINGS), None)
        if strings is None:
            return Needs(interpreter=interpreter, libraries=(), places=())
        base = _file_offset(segments, strings)
        names = [_string(data, base + value) for tag, value in tags if tag == _NEEDED]
        paths = [_string(data, base + value) for tag, value in tags if tag in _RUNPATHS]
    except (struct.error, OverflowError) as error:
        raise ValueError("the ELF file is cut short") from error
    places = tuple(place for path in paths for place in path.split(":") if place)
    return Needs(interpreter=interpreter, libraries=tuple(names), places=places)


def closure(root: Directory, programs: Iterator[str] | tuple[str, ...]) -> dict[str, File]:
    """Return programs of a tree, their loaders and libraries, by the paths that they are found by.

    Raises SourceError for a library that the tree does not have.
    """
    triplets = [
        f"usr/lib/{name.decode()}"
        for name, node in sorted((find_dir(root, "usr/lib") or Directory()).entries.items())
        if isinstance(node, Directory) and name.endswith(b"-linux-gnu")
    ]
    found: dict[str, File] = {}
    pending = list(programs)
    while pending:
        path = pending.pop()
        if path in found:
            continue
        node = find(root, path)
        if not isinstance(node, File) or node.content is None or node.size > _MAX_FILE:
            raise SourceError(f"the image has no '/{path}'")
        if len(found) > _MAX_FILES:
            raise SourceError(f"'/{path}' of the image needs too many libraries")
        found[path] = node
        try:
            wanted = needs(read(node.content))
        except ValueError as error:
            raise SourceError(f"'/{path}' of the image cannot be read: {error}") from error
        if wanted is None:
            continue
        if wanted.interpreter is not None:
            pending.append(wanted.interpreter.lstrip("/"))
        origin = path.rpartition("/")[0]
        own = [place.replace("$ORIGIN", f"/{origin}").strip("/") for place in wanted.places]
        for name in wanted.libraries:
            for place in (*own, *triplets, *_PLACES):
                if isinstance(find(root, f"{place}/{name}"), File):
                    pending.append(f"{place}/{name}")
                    break
            else:
                raise SourceError(f"'/{path}' of the image needs '{name}', which is not in it")
    return found


def _segment(data: bytes, at: int, *, wide: bool, order: str) -> tuple[int, int, int, int]:
    """Return type, offset, address and size in the file of a program header."""
    if wide:
        kind, _flags, offset, address, _physical, size = struct.unpack_from(
            f"{order}IIQQQQ", data, at
        )
    else:
        kind, offset, address, _physical, size = struct.unpack_from(f"{order}IIIII", data, at)
    return kind, offset, address, size


def _file_offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    for kind, offset, start, size in segments:
        if kind == _LOAD and start <= address < start + size:
            return offset + address - start
    raise ValueError("the ELF file's strings lie in no segment")


def _string(data: bytes, at: int) -> str:
    end = data.index(b"\0", at) if 0 <= at < len(data) and b"\0" in data[at:] else -1
    if end < 0:
        raise ValueError("a string of the ELF file has no end")
    return data[at:end].decode("utf-8", "surrogateescape")
