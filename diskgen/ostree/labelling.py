"""SELinux labels of what lies outside the commit: /etc, /var, /boot and the physical root.

As bootc leaves them: ``ostree`` and all below it like /usr where nothing else is known, the
deployment's /etc and the stateroot's /var by the paths they have when they are mounted. What lies
below a link to homes is labelled by the link's name, as useradd(8) does: not each policy knows of
/var/home.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..tree import Directory, File, Node
from . import composefs
from .deploy import Sysroot
from .selinux import XATTR, Policy, Question, ask, with_label

_LIKE_USR: Final = (b"/usr", stat.S_IFDIR)
HOMES: Final = ("home", "root")  # links into /var
_LOST_FOUND: Final = b"lost+found"


@dataclass(frozen=True, slots=True)
class _Wanted:
    node: Node
    question: Question
    replace: bool  # a label that is there already


def label_sysroot(sysroot: Sysroot, stateroot: str, policy: Policy, scratch: Path) -> None:
    """Label both trees of a sysroot, in place, but for the commit's own files.

    Raises SourceError for a policy that libselinux cannot read.
    """
    for tree in (sysroot.root, sysroot.boot):
        if tree.entries:
            tree.entries.setdefault(_LOST_FOUND, Directory(mode=stat.S_IFDIR | 0o700))
    wanted = [*_root(sysroot, stateroot.encode())]
    if sysroot.boot.entries:
        wanted += _below(sysroot.boot, b"/boot")
    answers = ask(policy, (item.question for item in wanted), scratch)
    for item in wanted:
        present = any(name == XATTR for name, _value in item.node.xattrs)
        if item.replace or not present:
            path, mode = item.question
            label = answers[path, stat.S_IFMT(mode)]
            item.node.xattrs = with_label(item.node.xattrs, label)


def _root(sysroot: Sysroot, stateroot: bytes) -> Iterator[_Wanted]:
    root = sysroot.root
    place = b"ostree/deploy/" + stateroot
    deployments = place + b"/deploy"
    deployment = deployments + f"/{sysroot.commit}.0".encode()
    homes = _homes(root.get_dir(deployment))
    upper = place + f"/backing/{sysroot.commit}.0/root-transient/upper".encode()
    yield _Wanted(root, (b"/", root.mode), replace=False)
    for path, node in root.walk():
        if _within(path, deployment + b"/etc"):
            question, replace = (path[len(deployment) :], node.mode), True
        elif path == deployment + b"/" + composefs.NAME.encode() or path == deployments:
            question, replace = _LIKE_USR, False
        elif _within(path, deployment) or (isinstance(node, File) and node.checksum is not None):
            continue  # the commit's own, and objects: their labels are part of their names
        elif _within(path, place + b"/var"):
            question, replace = (_named(path[len(place) :], homes), node.mode), True
        elif path == upper:
            question, replace = (b"/", node.mode), False
        elif _within(path, b"ostree"):
            question, replace = _LIKE_USR, False
        else:
            question, replace = (b"/" + path, node.mode), False
        yield _Wanted(node, question, replace=replace)


def _homes(deployment: Directory | None) -> dict[bytes, bytes]:
    """Return where in /var homes lie, with a slash at the end, and the names that lead there."""
    found: dict[bytes, bytes] = {}
    for name in map(str.encode, HOMES if deployment is not None else ()):
        assert deployment is not None
        node = deployment.entries.get(name)
        if isinstance(node, File) and node.is_symlink:
            target = b"/" + node.target.strip(b"/") + b"/"
            if target.startswith(b"/var/"):
                found[target] = b"/" + name + b"/"
    return found


def _named(path: bytes, homes: dict[bytes, bytes]) -> bytes:
    """Return a path of /var as it is called; what is below a home by the home's name."""
    for place, name in homes.items():
        if path.startswith(place):
            return name + path.removeprefix(place)
    return path


def _below(tree: Directory, prefix: bytes) -> Iterator[_Wanted]:
    yield _Wanted(tree, (prefix, tree.mode), replace=False)
    for path, node in tree.walk():
        yield _Wanted(node, (prefix + b"/" + path, node.mode), replace=False)


def _within(path: bytes, place: bytes) -> bool:
    return path == place or path.startswith(place + b"/")
