"""The tables of accounts: passwd(5), shadow(5), group(5), gshadow(5), subuid(5) as text.

Lines that are not touched stay as they are, whatever they hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

FIELDS: Final = {"passwd": 7, "shadow": 9, "group": 4, "gshadow": 4, "subuid": 3, "subgid": 3}


class Table:
    """One file's lines by the name that they begin with; the first one counts."""

    def __init__(self, name: str, text: str | None) -> None:
        self.name = name
        self.exists = text is not None
        self.changed = False
        self._lines = (text or "").split("\n")
        if self._lines[-1:] == [""]:
            self._lines.pop()
        self._index: dict[str, int] = {}
        for number, line in enumerate(self._lines):
            if line and line[0] not in "#+-":
                self._index.setdefault(line.partition(":")[0], number)

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def __iter__(self) -> Iterator[list[str]]:
        for number in self._index.values():
            yield self._fields(number)

    def get(self, name: str) -> list[str] | None:
        """Return the fields of a line, as many as the format has; None where there is none."""
        number = self._index.get(name)
        return self._fields(number) if number is not None else None

    def put(self, *fields: str) -> None:
        """Replace the line of a name, or add it at the end."""
        line = ":".join(fields)
        number = self._index.get(fields[0])
        if number is None:
            self._index[fields[0]] = len(self._lines)
            self._lines.append(line)
        elif self._lines[number] == line:
            return
        else:
            self._lines[number] = line
        self.changed = True

    @property
    def text(self) -> str:
        """The whole file."""
        return "".join(f"{line}\n" for line in self._lines)

    def _fields(self, number: int) -> list[str]:
        fields = self._lines[number].split(":")
        least = FIELDS[self.name]
        return fields + [""] * (least - len(fields))


def number_of(text: str) -> int | None:
    """Return the number that a field holds; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None
