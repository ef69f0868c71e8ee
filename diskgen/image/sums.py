"""Checksums of contents behind headers that were not known when their layer was read.

An SELinux label, or the attributes an encapsulated object has in another entry, change a file's
checksum, and so its whole content is hashed again: once, then the cache has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from ..gvariant import file_header
from ..tree import File, Packed
from . import tables

_TITLE: Final = "diskgen checksums 3"
_KEY: Final = 24  # 16 bytes of the header's sha256, 8 of the content's place in the pack
_ROW: Final = _KEY + 32
_KEEP: Final = 4  # times the rows in use: a table of more is begun anew
_ZEROS: Final = bytes(1024 * 1024)


def add_checksums(files: Iterable[File], advance: Callable[[int], None]) -> None:
    """Set the ostree checksum of files that have none; ``advance`` gets bytes as they are hashed.

    Known sums are read from tables beside the packs, new ones are added to these.
    """
    todo = (file for file in files if file.checksum is None)
    tables.by_pack(todo, partial(_of_pack, advance), _of_data)


def _of_data(file: File, data: bytes) -> None:
    file.checksum = hashlib.sha256(_header(file) + data).digest()


def _of_pack(
    advance: Callable[[int], None], pack: Path, files: Sequence[File], pool: ThreadPoolExecutor
) -> None:
    path = pack.with_suffix(".sums")
    known = _load(path)
    used: dict[bytes, bytes] = {}
    todo: list[tuple[bytes, bytes, File]] = []
    for file in files:
        header = _header(file)
        key = _key(header, file)
        found = known.get(key)
        if found is None:
            todo.append((key, header, file))
        else:
            file.checksum = used[key] = found
            advance(file.size)
    if not todo:
        return
    tables.work_through(pack, todo, _hash, pool, advance)
    for key, _header_bytes, file in todo:
        assert file.checksum is not None
        used[key] = file.checksum
    if len(known) <= _KEEP * len(used):
        used = known | used
    tables.save(path, _TITLE, b"".join(key + checksum for key, checksum in used.items()))


def _hash(view: memoryview, fd: int, batch: Sequence[tuple[bytes, bytes, File]]) -> int:
    total = 0
    for _key_bytes, header, file in batch:
        digest = hashlib.sha256(header)
        assert isinstance(file.content, Packed)
        at = 0
        for start, length, offset in file.content.extents:
            _zeros(digest.update, start - at)
            if file.content.sums is not None:
                file.content.sums.check(fd, offset, length)
            digest.update(view[offset : offset + length])
            at = start + length
        _zeros(digest.update, file.size - at)
        file.checksum = digest.digest()
        total += file.size
    return total


def _zeros(update: Callable[[bytes], object], count: int) -> None:
    while count > 0:
        update(_ZEROS[:count])
        count -= len(_ZEROS)


def _header(file: File) -> bytes:
    return file_header(file.mode, file.uid, file.gid, file.target, file.xattrs)


def _key(header: bytes, file: File) -> bytes:
    assert isinstance(file.content, Packed)
    whole = hashlib.sha256(header + b"%d" % file.size).digest()
    return whole[:16] + tables.place_of(file.content).to_bytes(8, "little")


def _load(path: Path) -> dict[bytes, bytes]:
    """Return a table, empty where it is missing, damaged or of another format."""
    body = tables.load(path, _TITLE)
    if len(body) % _ROW:
        return {}
    return {body[at : at + _KEY]: body[at + _KEY : at + _ROW] for at in range(0, len(body), _ROW)}
