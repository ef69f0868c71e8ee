"""The accounts of a machine, from its own files: passwd(5), shadow(5), authorized_keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..disk.reading import Node, Reader
from ..units import MIB

_MAX_FILE: Final = 4 * MIB
_MOST: Final = 1000
_PEOPLE: Final = range(1000, 60_001)  # as login.defs has it: the others are the system's own
_FIELDS: Final = 7
# Where a machine keeps what these are links to, below /var.
_IN_VAR: Final = {"home": "home", "root": "roothome", "var": ""}
_KEYS: Final = (".ssh/authorized_keys", ".ssh/authorized_keys.d")


def accounts(root: Reader, deployment: Node, var: Node | None) -> list[dict[str, Any]]:
    """Return root and the people of a deployment; passwords themselves are not shown.

    Raises VerifyError where its files cannot be read.
    """
    passwords = {
        words[0]: _password(words[1]) for words in _lines(root, deployment, "etc/shadow", 2)
    }
    found: list[dict[str, object]] = []
    for words in _lines(root, deployment, "etc/passwd", _FIELDS):
        name, uid, home, shell = words[0], words[2], words[5], words[6]
        if not (uid.isdecimal() and len(uid) < 10 and (int(uid) == 0 or int(uid) in _PEOPLE)):
            continue
        found.append(
            {
                "name": name,
                "uid": int(uid),
                "home": home,
                "shell": shell,
                "password": passwords.get(name, "locked"),
                "keys": _keys(root, deployment, var, home),
            }
        )
    return found[:_MOST]


def _password(field: str) -> str:
    """Return what a field of shadow(5) means for who logs in."""
    if not field:
        return "none"
    return "locked" if field[0] in "!*" else "set"


def _keys(root: Reader, deployment: Node, var: Node | None, home: str) -> int:
    """Return how many keys open an account; ``var`` is what is mounted at /var."""
    place = home.strip("/")
    top = deployment
    first, _slash, rest = place.partition("/")
    if first in _IN_VAR and var is not None:
        top, place = var, f"{_IN_VAR[first]}/{rest}"
    count = 0
    folder = root.find(place, top)
    for path in _KEYS if folder is not None and folder.is_dir else ():
        node = root.find(path, folder)
        files = [node] if node is not None else []
        if node is not None and node.is_dir:
            files = [root.node(number) for number in list(root.entries(node).values())[:_MOST]]
        for file in files:
            text = root.read(file, _MAX_FILE) if file.is_file else b""
            count += sum(
                1 for line in text.splitlines() if line.strip() and not line.startswith(b"#")
            )
    return count


def _lines(root: Reader, deployment: Node, path: str, least: int) -> Iterator[list[str]]:
    """Yield the fields of a file's lines that have so many at least."""
    node = root.find(path, deployment)
    if node is None or not node.is_file:
        return
    for line in root.read(node, _MAX_FILE).decode(errors="replace").splitlines():
        words = line.split(":")
        if words[0] and len(words) >= least:
            yield words
