"""A tree as a tar stream: how a filesystem that we do not write ourselves gets it.

Format: POSIX.1-2017, pax(1) "pax Interchange Format"; extended attributes as ``SCHILY.xattr.``
keywords (star(5)), long targets and holes as GNU tar has them (its manual, appendix D).
"""

from __future__ import annotations

import itertools
import stat
import tarfile
from collections.abc import Callable, Iterator
from typing import Final

from ..errors import HostError, SourceError
from ..tree import Content, Data, Directory, File, Node, pieces

_BLOCK: Final = 512
_MOST_OCTAL: Final = 8**11 - 1  # of the size field
_LINK_ROOM: Final = 100  # bytes of a target in a header
_END: Final = bytes(2 * _BLOCK)
_TYPES: Final = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def stream(
    root: Directory,
    advance: Callable[[int], None],
    *,
    top: bool = True,
    sparse: bool = True,
    attributes: tuple[bytes, ...] = (b"",),
) -> Iterator[bytes]:
    """Yield the bytes of an archive of ``root``, with ``top`` itself included as ``./``.

    Holes are kept as such, or without ``sparse`` written as zeros. Extended attributes are those
    whose names begin like one of ``attributes``.

    Later names of an inode are hard links to its first one. ``advance`` gets bytes of contents as
    they are yielded. Raises SourceError for what tar cannot hold, HostError when a pack cannot be
    read.
    """
    first_names: dict[File, bytes] = {}
    if top:
        yield _header(b"./", root, attributes)
    for path, node in root.walk():
        if isinstance(node, File) and node in first_names:
            yield _header(path, node, attributes, link=first_names[node])
            continue
        if isinstance(node, File):
            first_names[node] = path
        if isinstance(node, File) and node.content is not None:
            yield from _file(path, node, node.content, attributes, advance, sparse=sparse)
        else:
            yield _header(path, node, attributes)
    yield _END


def _file(
    path: bytes,
    node: File,
    content: Content,
    attributes: tuple[bytes, ...],
    advance: Callable[[int], None],
    *,
    sparse: bool,
) -> Iterator[bytes]:
    if isinstance(content, Data):
        runs = [(0, content.size)]
    else:
        runs = [(at, length) for at, length, _ in content.extents]
    stored = sum(length for _, length in runs)
    if stored == content.size or not sparse:
        stored = content.size
        yield _header(path, node, attributes, size=stored)
    else:
        lines = [len(runs) + 1, *(number for run in runs for number in run), content.size, 0]
        table = b"".join(b"%d\n" % line for line in lines)
        table += bytes(-len(table) % _BLOCK)
        size = len(table) + stored
        yield _header(path, node, attributes, size=size, whole=content.size)
        yield table
        stored += len(table)
    try:
        for chunk in pieces(content, holes=not sparse):
            yield chunk
            advance(len(chunk))
    except OSError as error:
        name = error.filename or path.decode(errors="backslashreplace")
        raise HostError(f"'{name}' cannot be read: {error.strerror or error}") from error
    yield bytes(-stored % _BLOCK)


def _header(
    path: bytes,
    node: Node,
    attributes: tuple[bytes, ...],
    *,
    link: bytes = b"",
    size: int = 0,
    whole: int | None = None,
) -> bytes:
    """Return the header of one entry, extended headers first; ``whole`` marks a sparse file."""
    kind = _TYPES.get(stat.S_IFMT(node.mode))
    if kind is None:
        text = path.decode(errors="backslashreplace")
        raise SourceError(f"'{text}' of the image is no file that tar can hold")
    seconds, fraction = divmod(abs(node.mtime_ns), 10**9)
    records = {
        **({b"path": path} if whole is None else {}),  # a sparse file has its own record
        b"uid": b"%d" % node.uid,
        b"gid": b"%d" % node.gid,
        b"mtime": b"%s%d.%09d" % (b"-" * (node.mtime_ns < 0), seconds, fraction),
        **{
            b"SCHILY.xattr." + name: value
            for name, value in node.xattrs
            if name.startswith(attributes)
        },
    }
    info = tarfile.TarInfo("entry")
    target = b""
    info.type = tarfile.LNKTYPE if link else kind
    info.mode = stat.S_IMODE(node.mode)
    info.size = size
    if size > _MOST_OCTAL:
        info.size = 0
        records[b"size"] = b"%d" % size
    if isinstance(node, File):
        info.devmajor, info.devminor = node.rdev
        target = link or node.target
    if whole is not None:
        records |= {
            b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0",
            b"GNU.sparse.name": path, b"GNU.sparse.realsize": b"%d" % whole,
        }  # fmt: skip
    before_all = b""
    if len(target) <= _LINK_ROOM:
        info.linkname = target.decode("utf-8", "surrogateescape")
    else:  # mksquashfs 4.5.1 takes a leading slash off what a keyword "linkpath" says
        before_all = _long_link(target)
    extended = b"".join(itertools.starmap(_record, records.items()))
    before = tarfile.TarInfo("extended")
    before.type = tarfile.XHDTYPE
    before.size = len(extended)
    extended += bytes(-len(extended) % _BLOCK)
    heads = (before.tobuf(tarfile.USTAR_FORMAT), extended, info.tobuf(tarfile.USTAR_FORMAT))
    return before_all + b"".join(heads)


def _long_link(target: bytes) -> bytes:
    """Return the entry that gives the next one its target (GNU tar manual, "Basic Tar Format")."""
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGLINK
    data = target + b"\0"
    info.size = len(data)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % _BLOCK)


def _record(keyword: bytes, value: bytes) -> bytes:
    """Return ``<length> <keyword>=<value>``; the length counts itself."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, keyword, value)
