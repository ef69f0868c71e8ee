"""Random trees for the corners of the composefs format, and mkcomposefs(1)'s text of them."""

from __future__ import annotations

import hashlib
import random
import stat
from dataclasses import dataclass

from diskgen.tree import Directory, File, Node, Xattrs

MOUNTED = (b"usr", b"etc", b"boot", b"var", b"sysroot")
_NAMES = (
    b"security.selinux", b"user.a", b"user.bb", b"trusted.x", b"trusted.overlay.opaque",
    b"system.posix_acl_access", b"system.posix_acl_default", b"security.capability",
    b"strange.name",
)  # fmt: skip
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABC._-+0123456789"
_SIZES = (0, 1, 100, 4096, 5000, 1 << 20, 1 << 33, (1 << 32) - 1, 1 << 32)


@dataclass(frozen=True)
class Sized:
    """A content nobody reads."""

    size: int


def tree(seed: int) -> Directory:
    """Return a tree of up to 4000 nodes."""
    rand = random.Random(seed)
    budget = rand.choice([5, 50, 500, 4000])

    def xattrs() -> Xattrs:
        found: dict[bytes, bytes] = {}
        for _ in range(rand.choice([0, 0, 0, 1, 2, 5])):
            name = rand.choice([*_NAMES, b"user.u%d" % rand.randrange(200)])
            found[name] = rand.choice(
                [
                    b"v", b"x" * rand.randrange(1, 100), b"big" * rand.randrange(1, 300),
                    b"system_u:object_r:usr_t:s0\0", rand.randbytes(5),
                ]
            )  # fmt: skip
        if rand.random() < 0.01:
            found |= {b"user.many%03d" % number: b"z" for number in range(150)}
        return tuple(sorted(found.items()))

    def name() -> bytes:
        length = rand.choice([rand.randrange(1, 12)] * 6 + [rand.randrange(1, 256)])
        return bytes(rand.choice(_LETTERS) for _ in range(length))

    def node(depth: int) -> Node:
        what = rand.random()
        if what < 0.3 and depth < 6:
            return directory(depth + 1)
        if what < 0.5:
            target = b"t" * rand.choice([1, 5, 40, 200, 2000, 4000, 4095])
            owner = rand.choice([0, 66000])
            return File(stat.S_IFLNK | 0o777, 0, owner, xattrs(), target=target)
        return File(
            stat.S_IFREG | 0o644, rand.choice([0, 5, 65535, 65536]), 0, xattrs(),
            content=Sized(rand.choice(_SIZES)),  # type: ignore[arg-type]
            checksum=hashlib.sha256(bytes([rand.randrange(256)])).digest(),
        )  # fmt: skip

    def directory(depth: int) -> Directory:
        nonlocal budget
        mode = stat.S_IFDIR | rand.choice([0o755, 0o700, 0o1777])
        made = Directory(mode, rand.choice([0, 0, 1000, 70000]), 0, xattrs())
        for _ in range(rand.choice([0, 1, 3, 10, 50, 300])):
            if budget <= 0:
                break
            budget -= 1
            child = name()
            if child not in (b".", b".."):
                made.entries[child] = node(depth)
        return made

    return directory(0)


def dump(root: Directory) -> str:
    """Return the text that ``mkcomposefs --from-file`` reads (composefs-dump(5))."""
    whole = Directory(root.mode, root.uid, root.gid, root.xattrs, entries=dict(root.entries))
    for name in MOUNTED:
        whole.entries.setdefault(name, Directory())
    lines = [_line(b"/", whole)]
    lines += [_line(b"/" + path, node) for path, node in whole.walk()]
    return "".join(f"{line}\n" for line in lines)


def _line(path: bytes, node: Node) -> str:
    size, links, payload = 0, 1, "-"
    if isinstance(node, Directory):
        links = 2 + sum(isinstance(child, Directory) for child in node.entries.values())
    elif node.is_symlink:
        size, payload = len(node.target), _escape(node.target)
    elif node.size:
        assert node.checksum is not None
        digits = node.checksum.hex()
        size, payload = node.size, f"{digits[:2]}/{digits[2:]}.file"
    words: list[object] = [
        _escape(path), size, f"{node.mode:o}", links, node.uid, node.gid, 0, "0.0", payload, "-",
        "-",
    ]  # fmt: skip
    words += [f"{_escape(key)}={_escape(value)}" for key, value in node.xattrs]
    return " ".join(map(str, words))


def _escape(raw: bytes) -> str:
    if raw == b"-":
        return "\\x2d"
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"\\=" else f"\\x{byte:02x}"
        for byte in raw
    )
