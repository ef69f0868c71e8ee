"""Tables beside packs: what was worked out of their contents, so that no build does it again."""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from ..tree import Data, File, Packed
from . import private

_Item = TypeVar("_Item")
_BATCH: Final = 256  # files
NOWHERE: Final = 2**64 - 1  # the place of a content that is one hole

Work = Callable[[memoryview, int, Sequence[_Item]], int]


def by_pack(
    files: Iterable[File],
    of_pack: Callable[[Path, Sequence[File], ThreadPoolExecutor], None],
    of_data: Callable[[File, bytes], None],
) -> None:
    """See to files by their packs, with a thread for each core, and to those held in memory."""
    packs: dict[Path, list[File]] = {}
    for file in files:
        if isinstance(file.content, Packed):
            packs.setdefault(file.content.pack, []).append(file)
        else:
            of_data(file, file.content.data if isinstance(file.content, Data) else b"")
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for pack, found in packs.items():
                of_pack(pack, found, pool)
        finally:
            pool.shutdown(cancel_futures=True)


def place_of(content: Packed) -> int:
    """Return where a content begins in its pack."""
    return content.extents[0][2] if content.extents else NOWHERE


def work_through(
    pack: Path,
    items: Sequence[_Item],
    work: Work[_Item],
    pool: ThreadPoolExecutor,
    advance: Callable[[int], None],
) -> None:
    """Have ``work`` see to all items, side by side.

    It gets the pack's bytes, its descriptor and some of the items, and returns bytes for
    ``advance``, which is called in the caller's thread.
    """
    with _mapped(pack) as (mapped, fd):
        batches = [items[at : at + _BATCH] for at in range(0, len(items), _BATCH)]
        running = [pool.submit(_viewing, work, mapped, fd, batch) for batch in batches]
        try:
            for done in as_completed(running):
                advance(done.result())
        finally:
            for future in running:  # none may use the mapping when it is closed
                future.cancel()
            for future in running:
                if not future.cancelled():
                    future.exception()


def _viewing(work: Work[_Item], mapped: mmap.mmap | bytes, fd: int, batch: Sequence[_Item]) -> int:
    with memoryview(mapped) as view:
        return work(view, fd, batch)


@contextmanager
def _mapped(pack: Path) -> Generator[tuple[mmap.mmap | bytes, int]]:
    """Give a pack's bytes, and its descriptor."""
    with pack.open("rb") as opened:
        if not os.fstat(opened.fileno()).st_size:  # nothing but holes
            yield b"", opened.fileno()
            return
        with mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            yield mapped, opened.fileno()


def load(path: Path, title: str) -> bytes:
    """Return a table, empty where it is missing, damaged or of another format."""
    try:
        head, _newline, body = (private.read(path) or b"").partition(b"\n")
    except FileNotFoundError:
        return b""
    return body if head == _head(path, title, body) else b""


def save(path: Path, title: str, body: bytes) -> None:
    """Write a table; whoever reads it meanwhile has the old one."""
    partial = path.with_name(f".tmp-{path.stem}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        partial.write_bytes(_head(path, title, body) + b"\n" + body)
        private.make_room(path)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _head(path: Path, title: str, body: bytes) -> bytes:
    """Return a table's first line, which says whose it is."""
    digest = hashlib.sha256(path.stem.encode() + body).hexdigest()
    return f"{title} {digest}".encode()
