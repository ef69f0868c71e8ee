"""What accounts, homes, groups and keys may look like: one rule for options and both installers.

Names are those that shadow-utils takes today (``lib/chkname.c``: letters, digits, ``_``, ``.`` and
``-``, a last ``$``, not digits alone). Hashes: crypt(5). Keys: "AUTHORIZED_KEYS FILE FORMAT" of
sshd(8).
"""

from __future__ import annotations

import posixpath
import re
from typing import Final

MAX_NAME: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*\$?", re.ASCII)
_HOMES: Final = ("/home/", "/var/home/", "/var/lib/", "/srv/", "/var/srv/")  # machines keep these
_HASH: Final = re.compile(r"\$[A-Za-z0-9./$,=_-]+")  # crypt(5), with a method
_KEY: Final = re.compile(
    r"(?:^|[ \t])(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+[ \t]+[A-Za-z0-9+/]+=*(?:[ \t]|$)",
    re.ASCII,
)


def name_fault(name: str) -> str | None:
    """Return why an account or a group cannot have a name; None: it can."""
    if len(name) > MAX_NAME:
        return f"it has {len(name)} characters, not up to {MAX_NAME}"
    if not _NAME.fullmatch(name):
        return "use letters, digits, '_', '-' and '.', and no '-' at the beginning"
    if name.isdigit() or name in (".", ".."):
        return "it would be taken for a number or a directory"
    return None


def home_fault(path: str) -> str | None:
    """Return why an account cannot live in a directory; None: it can."""
    inside = posixpath.normpath(path)
    if not inside.startswith(_HOMES) or inside != path.rstrip("/"):
        return "use a directory below " + ", ".join(home.rstrip("/") for home in _HOMES)
    if any(not char.isprintable() or char == ":" for char in path):
        return "use characters that can be shown, and no ':'"
    return None


def is_crypted(text: str) -> bool:
    """Say whether a text can be a password's hash."""
    return _HASH.fullmatch(text) is not None


def key_fault(line: str) -> str | None:
    """Return why a line is no public key for ssh, options included; None: it is one."""
    if any(not char.isprintable() and char != "\t" for char in line):
        return "it is not one line of text"
    if not _KEY.search(line):
        return "it has no kind and key, such as 'ssh-ed25519 AAAA…'"
    return None
