"""ostree objects: trees and commits as bytes and their checksums.

Format: ostree's ``ostree-core.h`` (OSTREE_DIRMETA_GVARIANT_FORMAT, OSTREE_TREE_GVARIANT_FORMAT,
OSTREE_COMMIT_GVARIANT_FORMAT); all integers big-endian; a checksum is the sha256 of the bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..gvariant import array, pack, vardict, variant_string, xattr_array
from ..tree import Directory, File, Xattrs, regular


@dataclass(slots=True)
class ObjectSet:
    """All objects of a repository by checksum (32 bytes): metadata as bytes, content as inode."""

    dirtrees: dict[bytes, bytes] = field(default_factory=dict)
    dirmetas: dict[bytes, bytes] = field(default_factory=dict)
    commits: dict[bytes, bytes] = field(default_factory=dict)
    commitmetas: dict[bytes, bytes] = field(default_factory=dict)  # detached, by commit
    files: dict[bytes, File] = field(default_factory=dict)
    _known_metas: dict[tuple[int, int, int, Xattrs], bytes] = field(default_factory=dict)

    def add_tree(self, root: Directory) -> tuple[bytes, bytes]:
        """Add a tree; return the checksums of its root's dirtree and dirmeta.

        Every file must carry its checksum. Equal files of several trees become one object: the
        first inode stands for all.
        """
        files: list[bytes] = []
        folders: list[bytes] = []
        for name in sorted(root.entries):
            node = root.entries[name]
            if isinstance(node, Directory):
                tree, meta = self.add_tree(node)
                folders.append(pack((name + b"\0", 1, False), (tree, 1, False), (meta, 1, False)))
            else:
                checksum = node.checksum
                assert checksum is not None
                self.files.setdefault(checksum, node)
                end = len(name) + 1
                if end + 33 <= 0xFF:  # pack() by hand: the framing offset is one byte
                    files.append(name + b"\0" + checksum + bytes((end,)))
                else:
                    files.append(pack((name + b"\0", 1, False), (checksum, 1, False)))
        data = pack((array(files), 1, False), (array(folders), 1, False))
        tree_sum = hashlib.sha256(data).digest()
        self.dirtrees[tree_sum] = data
        return tree_sum, self._add_dirmeta(root)

    def add_commit(
        self,
        root: Directory,
        *,
        timestamp: int,
        metadata: Mapping[str, str],
        parent: bytes = b"",
    ) -> bytes:
        """Add a tree and a commit of it without subject and body; return its checksum.

        ``timestamp`` in seconds since 1970; ``parent`` is a commit's checksum.
        """
        tree, meta = self.add_tree(root)
        data = commit(tree, meta, timestamp=timestamp, metadata=metadata, parent=parent)
        checksum = hashlib.sha256(data).digest()
        self.commits[checksum] = data
        return checksum

    def canonical(self, file: File) -> File:
        """Return the inode that stands for a file's object."""
        assert file.checksum is not None
        return self.files[file.checksum]

    @property
    def content_bytes(self) -> int:
        """Size of all distinct regular files."""
        return sum(file.content.size for file in self.files.values() if file.content is not None)

    def stored(self) -> Iterator[tuple[bytes, str, File]]:
        """Yield (checksum, file name extension, inode) of each object as ``bare`` keeps them."""
        for kind, found in (
            ("dirtree", self.dirtrees),
            ("dirmeta", self.dirmetas),
            ("commit", self.commits),
            ("commitmeta", self.commitmetas),
        ):
            for checksum, data in found.items():
                yield checksum, kind, regular(data)
        for checksum, file in self.files.items():
            yield checksum, "file", file

    def _add_dirmeta(self, directory: Directory) -> bytes:
        key = (directory.uid, directory.gid, directory.mode, directory.xattrs)
        checksum = self._known_metas.get(key)
        if checksum is None:
            data = dirmeta(*key)
            checksum = self._known_metas[key] = hashlib.sha256(data).digest()
            self.dirmetas[checksum] = data
        return checksum


def dirmeta(uid: int, gid: int, mode: int, xattrs: Xattrs) -> bytes:
    """Serialise ``(uuua(ayay))``; ``mode`` is the full st_mode."""
    return pack((struct.pack(">3I", uid, gid, mode), 4, True), (xattr_array(xattrs), 1, False))


def commit(
    dirtree_sum: bytes,
    dirmeta_sum: bytes,
    *,
    timestamp: int,
    metadata: Mapping[str, str],
    parent: bytes = b"",
) -> bytes:
    """Serialise ``(a{sv}aya(say)sstayay)``; ``timestamp`` in seconds since 1970."""
    return pack(
        (vardict({key: variant_string(text) for key, text in metadata.items()}), 8, False),
        (parent, 1, False),
        (b"", 1, False),  # related objects
        (b"\0", 1, False),  # subject
        (b"\0", 1, False),  # body
        (struct.pack(">Q", timestamp), 8, True),
        (dirtree_sum, 1, False),
        (dirmeta_sum, 1, False),
    )
