"""Seals of contents: the sums by which fs-verity guards them, worked out once for each pack."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from ..fsverity import BLOCK, Seal, leaves_of, leaves_of_zeros, leaves_size, seal
from ..tree import File, Packed
from ..units import MIB
from . import tables

_TITLE: Final = "diskgen seals 1"
_ROW: Final = struct.Struct("<QQ")  # place in the pack, bytes; the sums of the blocks follow

_PIECE: Final = MIB  # that is read at once

_Place = tuple[int, int]
_Known = dict[_Place, bytes]


def add_seals(files: Iterable[File], advance: Callable[[int], None]) -> None:
    """Seal all regular files; ``advance`` gets bytes as they are hashed.

    Sums of blocks are read from tables beside the packs, new ones are added to these. Raises
    OSError, and DamagedEntry for a pack that is not as it was written.
    """
    todo = (file for file in files if file.is_regular and file.seal is None)
    tables.by_pack(todo, partial(_of_pack, advance), _of_data)


def _of_data(file: File, data: bytes) -> None:
    file.seal = seal(data)


def _of_pack(
    advance: Callable[[int], None], pack: Path, files: Sequence[File], pool: ThreadPoolExecutor
) -> None:
    path = pack.with_suffix(".seals")
    known = _load(path)
    places = [_place(file) for file in files]
    todo = {place: file for place, file in zip(places, files, strict=True) if place not in known}
    if todo:
        made: _Known = {}

        def work(_view: memoryview, fd: int, batch: Sequence[tuple[_Place, File]]) -> int:
            for place, file in batch:
                made[place] = _leaves(fd, file)
            return sum(file.size for _place, file in batch)

        tables.work_through(pack, list(todo.items()), work, pool, advance)
        known |= {place: made[place] for place in todo}
        rows = (_ROW.pack(*place) + leaves for place, leaves in known.items())
        tables.save(path, _TITLE, b"".join(rows))
    for place, file in zip(places, files, strict=True):
        file.seal = Seal(file.size, known[place])
        if place not in todo:
            advance(file.size)


def _leaves(fd: int, file: File) -> bytes:
    """Return the sums of a packed content's blocks."""
    assert isinstance(file.content, Packed)
    parts: list[bytes] = []
    reached = 0
    for start, length, offset in file.content.extents:
        if file.content.sums is not None:
            file.content.sums.check(fd, offset, length)
        parts.append(leaves_of_zeros((start - reached) // BLOCK))
        for at in range(0, length, _PIECE):
            size = min(_PIECE, length - at)
            data = os.pread(fd, size, offset + at)
            if len(data) != size:
                raise OSError(errno.EIO, "it is shorter than it was", str(file.content.pack))
            parts.append(leaves_of(memoryview(data)))
        reached = start + -(-length // BLOCK) * BLOCK
    parts.append(leaves_of_zeros(-((reached - file.size) // BLOCK)))
    return b"".join(parts)


def _place(file: File) -> _Place:
    assert isinstance(file.content, Packed)
    return tables.place_of(file.content), file.size


def _load(path: Path) -> _Known:
    """Return a table, empty where it is missing, damaged or of another format."""
    body = tables.load(path, _TITLE)
    known: _Known = {}
    at = 0
    while at < len(body):
        place, size = _ROW.unpack_from(body, at)
        at += _ROW.size
        end = at + leaves_size(size)
        known[place, size] = body[at:end]
        at = end
    return known
