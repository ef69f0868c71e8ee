"""ostree objects: trees and commits as bytes and their checksums.

Format: ostree's ``ostree-core.h`` (OSTREE_DIRMETA_GVARIANT_FORMAT, OSTREE_TREE_GVARIANT_FORMAT,
OSTREE_COMMIT_GVARIANT_FORMAT); all integers big-endian; a checksum is the sha256 of the bytes.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

from ..gvariant import array, pack, vardict, variant_string, xattr_array
from ..tree import Directory, File, Xattrs


@dataclass(slots=True)
class ObjectSet:
    """All objects of a repository: metadata as bytes, content as the inode that holds it."""

    dirtrees: dict[bytes, bytes] = field(default_factory=dict)
    dirmetas: dict[bytes, bytes] = field(default_factory=dict)
    commits: dict[bytes, bytes] = field(default_factory=dict)
    files: dict[bytes, File] = field(default_factory=dict)
    _known_metas: dict[tuple[int, int, int, Xattrs], bytes] = field(default_factory=dict)

    def add_tree(self, root: Directory) -> tuple[bytes, bytes]:
        """Add a tree; return the checksums of its root's dirtree and dirmeta.

        Every file must carry its checksum. Equal files of several trees become one object: the
        first inode stands for all.
        """
        files = []
        folders = []
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
                if end + 33 <= 255:  # the framing offset is one byte
                    files.append(name + b"\0" + checksum + bytes((end,)))
                else:
                    files.append(pack((name + b"\0", 1, False), (checksum, 1, False)))
        data = pack((array(files), 1, False), (array(folders), 1, False))
        tree_sum = hashlib.sha256(data).digest()
        self.dirtrees[tree_sum] = data
        return tree_sum, self._dirmeta(root)

    def add_commit(self, root: Directory, *, timestamp: int, metadata: dict[str, str]) -> bytes:
        """Add a tree and a commit of it without parent, subject and body; return its checksum."""
        tree, meta = self.add_tree(root)
        data = commit(tree, meta, timestamp=timestamp, metadata=metadata)
        checksum = hashlib.sha256(data).digest()
        self.commits[checksum] = data
        return checksum

    def canonical(self, file: File) -> File:
        """Return the inode that stands for a file's object."""
        assert file.checksum is not None
        return self.files[file.checksum]

    def _dirmeta(self, directory: Directory) -> bytes:
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
    dirtree: bytes, dirmeta_sum: bytes, *, timestamp: int, metadata: dict[str, str]
) -> bytes:
    """Serialise ``(a{sv}aya(say)sstayay)``; ``timestamp`` in seconds since 1970."""
    return pack(
        (vardict({key: variant_string(text) for key, text in metadata.items()}), 8, False),
        (b"", 1, False),  # parent
        (b"", 1, False),  # related objects
        (b"\0", 1, False),  # subject
        (b"\0", 1, False),  # body
        (struct.pack(">Q", timestamp), 8, True),
        (dirtree, 1, False),
        (dirmeta_sum, 1, False),
    )
