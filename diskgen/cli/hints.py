"""The option that an error's ``setting`` names, as it is typed."""

from __future__ import annotations

from .table import OPTIONS


def flag_of(setting: str) -> str | None:
    """Return the flag that a setting of an error stands for; None where there is no such option."""
    named = (row.flags[-1] for row in OPTIONS if row.name == setting and not row.positional)
    return next(named, None)
