r"""A medium gets another label: all texts on it that name the old one.

Kernel arguments have labels as udev writes them (``\x20``), GRUB's ``search`` in plain.
"""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path
from typing import Final

from ...errors import Problem
from ...ostree.facts import UnfitError
from ...tree import Directory, File, read, regular
from ...units import KIB
from ..menus.menu import escape_device

_MAX_TEXT: Final = 64 * KIB
_CONFIGURATION: Final = (".cfg", ".conf", ".prm", ".ins", ".ks", ".parm", ".lst", ".treeinfo")
_NOT_TEXT: Final = (".rpm", ".mod", ".efi", ".img", ".gz", ".xz", ".c32")


def change(path: Path, root: Directory, old: str, new: str, replaced: Container[str]) -> None:
    """Give texts below ``root`` the new label; ``path`` is the medium's, for messages.

    What is in ``replaced`` is written anew anyway. Raises UnfitError for a configuration that
    names the old label in a way that is not known.
    """
    if not old:
        return
    left = re.compile(rf"(?<![A-Za-z0-9_.+-])(?:{_names(old)})(?![A-Za-z0-9_.+-])")
    problems: list[Problem] = []
    for raw, node in root.walk():
        place = raw.decode(errors="replace")
        text = None if place in replaced or place.endswith(_NOT_TEXT) else _text(node)
        if text is None:
            continue
        made = renamed(text, old, new)
        if made != text:
            assert isinstance(node, File)
            node.content = regular(made.encode()).content
        if place.lower().endswith(_CONFIGURATION) and left.search(made):
            problems.append(
                Problem(
                    code="label",
                    message=f"'{place}' of '{path}' names the label '{old}' in a way that diskgen "
                    "does not know",
                    hint=f"keep that label: leave it out, or give '{old}'",
                    setting="label",
                )
            )
    if problems:
        raise UnfitError(problems)


def renamed(text: str, old: str, new: str) -> str:
    """Return a text with the new label where it names the old one in a known way."""
    if not old:
        return text
    return re.sub(
        rf"((?:LABEL=|\bsearch\b[^\n]*\s)[\"']?)(?:{_names(old)})(?![A-Za-z0-9_.+-])",
        lambda match: match[1] + new,
        text,
        flags=re.IGNORECASE,
    )


def _names(label: str) -> str:
    return "|".join(re.escape(name) for name in sorted({label, escape_device(label)}))


def _text(node: object) -> str | None:
    """Return a small text file's content, None for anything else."""
    if not isinstance(node, File) or node.content is None or node.size > _MAX_TEXT:
        return None
    data = read(node.content)
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
