"""Lists the files of an initramfs as a stream, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..budgets import INITRAMFS_BYTES, INITRAMFS_ENTRIES, PATH_BYTES
from ..compression import Damaged
from ..units import align_up
from . import cpio
from .source import Source

_ALIGN: Final = 4


@dataclass(frozen=True, slots=True)
class Member:
    """One file, directory or link: ``name`` without a slash before it, ``mode`` as st_mode has it.

    ``size`` in bytes; ``data`` only of what was wanted.
    """

    name: bytes
    mode: int
    size: int
    data: bytes | None = None


def _nothing(_name: bytes, _size: int) -> bool:
    return False


def members(
    pieces: Iterator[bytes], wanted: Callable[[bytes, int], bool] = _nothing
) -> Iterator[Member]:
    """Yield what the pieces of an initramfs hold, archive by archive.

    ``wanted`` says of a name and a size whether the content is to come along. Raises Damaged, also
    for what is above a budget; that the rest cannot be read is told after what could.
    """
    source = Source(pieces, INITRAMFS_BYTES.limit, INITRAMFS_BYTES.exceeded)
    count = 0
    while not source.at_end():
        for member in _archive(source, wanted):
            count += 1
            if count > INITRAMFS_ENTRIES.limit:
                raise Damaged(f"it holds {INITRAMFS_ENTRIES.exceeded}")
            yield member


def _archive(source: Source, wanted: Callable[[bytes, int], bool]) -> Iterator[Member]:
    while True:
        try:
            entry = cpio.entry(source.read(cpio.HEAD))
        except ValueError as error:
            raise Damaged("a head in it is damaged") from error
        if entry.name_size > PATH_BYTES.limit:
            raise Damaged(f"a name in it has {PATH_BYTES.exceeded}")
        padded = align_up(cpio.HEAD + entry.name_size, _ALIGN) - cpio.HEAD
        name = source.read(padded)[: entry.name_size].rstrip(b"\0")
        if name == cpio.TRAILER:
            return
        name = b"/".join(part for part in name.split(b"/") if part not in (b"", b"."))
        data = None
        if wanted(name, entry.size):
            data = source.read(entry.size)
        else:
            source.skip(entry.size)
        source.skip(align_up(entry.size, _ALIGN) - entry.size)
        yield Member(name, entry.mode, entry.size, data)
