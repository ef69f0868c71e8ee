"""Numbers of accounts and groups: which are taken, and which subordinate ones are free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .tables import Table, number_of


@dataclass(slots=True)
class Numbers:
    """Which numbers of a kind are taken, and by whom; ``highest`` is that of a person's."""

    people: range
    owners: dict[int, str] = field(default_factory=dict)
    highest: int = -1

    def reserve(self, number: int | None, name: str) -> None:
        """Note a number that boot gives away."""
        if number is not None:
            self.owners.setdefault(number, name)

    def add(self, number: int | None, name: str) -> None:
        """Note a number of the tables."""
        self.reserve(number, name)
        if number is not None and number in self.people:
            self.highest = max(self.highest, number)


def ranges(table: Table) -> list[tuple[int, int]]:
    """Return where ranges of numbers begin and end, in order."""
    return sorted(
        (start, start + length)
        for line in table
        if (start := number_of(line[1])) is not None and (length := number_of(line[2])) is not None
    )


def free(ranges: Sequence[tuple[int, int]], lowest: int, count: int) -> int:
    """Return from where on so many numbers are free."""
    for start, end in ranges:
        if start >= lowest + count:
            break
        lowest = max(lowest, end)
    return lowest
