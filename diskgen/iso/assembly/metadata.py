"""What a medium says about itself: ``.discinfo`` and ``.treeinfo``, in productmd's formats."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

from ...arch import Machine
from ...tree import Content, Directory, File, pieces, read, regular
from ..runtimes.runtime import STAGE2

_TREEINFO: Final = ".treeinfo"
_CORE: Final = "images/eltorito.img"
_SUMS: Final = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})


def add(
    root: Directory,
    machine: Machine,
    product: str,
    version: str,
    timestamp: int,
    paths: tuple[str, str],
    *,
    tree: bool = True,
) -> None:
    """Describe a new medium; ``paths`` are those of kernel and initramfs.

    Without ``tree`` there is no ``.treeinfo``: where no kickstart names a source of packages,
    Anaconda would take a medium that has one for it, and not the mirrors that it knows.
    """
    info = f"{timestamp}.000000\n{product}\n{machine.name}\n"
    root.add(".discinfo", regular(info.encode()))
    if not tree:
        return
    text = _treeinfo(root, machine.name, product, version, timestamp, paths)
    root.add(_TREEINFO, regular(text.encode()))


def listed(root: Directory) -> dict[str, Content]:
    """Return the files whose checksums ``.treeinfo`` has, as they are now."""
    found: dict[str, Content] = {}
    for line in _text(root).splitlines():
        path, kind = _summed(line)
        if kind and (file := root.get_file(path)) and file.content is not None:
            found[path] = file.content
    return found


def update(root: Directory, before: Mapping[str, Content], *, unknown: frozenset[str]) -> None:
    """Sum up again what changed since :func:`listed`; the sums of ``unknown`` paths go away.

    A medium without ``.treeinfo`` gets none: Anaconda would take it for a source of packages.
    """
    if not before:
        return
    lines: list[str] = []
    for line in _text(root).splitlines():
        path, kind = _summed(line)
        file = root.get_file(path)
        if kind and path in unknown:
            continue
        if kind and file is not None and file.content != before.get(path):
            lines.append(f"{path} = {kind}:{_sum(root, path, kind)}")
        else:
            lines.append(line)
    root.add(_TREEINFO, regular(("\n".join(lines) + "\n").encode(errors="surrogateescape")))


def _summed(line: str) -> tuple[str, str]:
    """Return path and kind of a line ``path = sha256:...``; two empty words for any other."""
    path, _equals, value = line.partition("=")
    kind, _colon, digits = value.strip().lower().partition(":")
    known = kind in _SUMS and digits.isalnum()
    return (path.strip(), kind) if known else ("", "")


def _text(root: Directory) -> str:
    file = root.get_file(_TREEINFO)
    if file is None or file.content is None:
        return ""
    return read(file.content).decode(errors="surrogateescape")


def _treeinfo(
    root: Directory, arch: str, product: str, version: str, timestamp: int, paths: tuple[str, str]
) -> str:
    kernel, initrd = paths
    named = {"kernel": kernel, "initrd": initrd, "eltorito.img": _CORE,
             "efiboot.img": "images/efiboot.img", "product.img": "images/product.img",
             "generic.ins": "generic.ins",
             "initrd.addrsize": "images/initrd.addrsize"}  # fmt: skip
    images = {name: path for name, path in named.items() if root.get(path) is not None}
    stage2 = STAGE2 if root.get(STAGE2) is not None else "LiveOS/squashfs.img"
    # GRUB's image is changed when the medium is mastered.
    summed = sorted({*images.values(), stage2} - {_CORE})
    sections: dict[str, dict[str, str]] = {
        "header": {"type": "productmd.treeinfo", "version": "1.2"},
        "general": {
            "arch": arch, "family": product, "name": f"{product} {version}",
            "platforms": arch, "timestamp": str(timestamp), "version": version,
            "variant": "", "packagedir": "", "repository": "", "variants": "",
        },
        "release": {"name": product, "short": "".join(product.split()),
                    "version": version},
        "tree": {"arch": arch, "build_timestamp": str(timestamp), "platforms": arch,
                 "variants": ""},
        "stage2": {"mainimage": stage2},
        f"images-{arch}": images,
        "checksums": {path: f"sha256:{_sum(root, path, 'sha256')}" for path in summed},
    }  # fmt: skip
    lines: list[str] = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {value}".rstrip() for key, value in sorted(values.items())]
        lines.append("")
    return "\n".join(lines)


def _sum(root: Directory, path: str, kind: str) -> str:
    node = root.get_file(path)
    digest = hashlib.new(kind, usedforsecurity=False)
    for piece in _contents(node):
        digest.update(piece)
    return digest.hexdigest()


def _contents(node: File | None) -> Iterator[bytes]:
    if node is not None and node.content is not None:
        yield from pieces(node.content)
