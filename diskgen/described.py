"""Reads the description of a machine that a user names: a file, or standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from .blueprint import read
from .blueprint.document import FORMS
from .blueprint.errors import SETTING
from .blueprint.model import Customizations
from .budgets import DOCUMENT_BYTES
from .errors import UsageError

STDIN: Final = "-"


def load(name: str, *, medium: bool = False) -> Customizations:
    """Return what a file says: TOML or JSON by its suffix, ``-`` is JSON on standard input.

    Raises UsageError, BlueprintError with all that is wrong with it.
    """
    if name == STDIN:
        form, shown = "json", "standard input"
        data = sys.stdin.buffer.read(DOCUMENT_BYTES.limit + 1)
    else:
        form, shown = Path(name).suffix.removeprefix("."), name
        if form not in FORMS:
            raise UsageError(
                f"'{name}' is neither TOML nor JSON by its suffix",
                hint="call it .toml or .json, or give JSON on standard input with '-'",
                setting=SETTING,
            )
        try:
            with Path(name).open("rb") as file:
                data = file.read(DOCUMENT_BYTES.limit + 1)
        except OSError as error:
            raise UsageError(
                f"'{name}' cannot be read: {error.strerror}", setting=SETTING
            ) from error
    if len(data) > DOCUMENT_BYTES.limit:
        raise UsageError(f"'{shown}' has {DOCUMENT_BYTES.exceeded}", setting=SETTING)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"'{shown}' is no UTF-8 text", setting=SETTING) from error
    return read.read(text, form, shown, medium=medium)
