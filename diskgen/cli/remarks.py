"""What the table knows of an option beside its text, as sentences: default, repeats, commands."""

from __future__ import annotations

from .option import Option


def manual_of(option: Option) -> str:
    """Return an option's manual, with what it does not say itself but its row does."""
    said = [option.manual]
    if "Default:" not in option.manual:
        if option.otherwise:
            said.append(f"Default: {option.otherwise}.")
        elif option.has_default and not callable(option.default):
            said.append(f"Default: `{option.default}`.")
    if option.repeatable:
        said.append("May be given several times.")
    return " ".join(said)
