"""What a run made at a place, and nobody is to pay for if the run does not come to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from ..errors import DiskgenError, Interrupted
from ..events import Emit, notice
from ..interrupt import whole
from .journal import Journal
from .retry import Transient

_LEFT: Final = "left behind is "


class Leftovers:
    """Things that are removed, the last one first, when the block fails. Use as a context manager.

    What cannot be removed is named, with how to remove it.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._made: list[tuple[str, str, Callable[[], None]]] = []
        self.left: list[str] = []

    def add(self, name: str, by_hand: str, remove: Callable[[], None]) -> None:
        """Note what was made: its name, what removes it where ``remove`` fails, and that.

        ``remove`` may raise DiskgenError or Transient.
        """
        self._made.append((name, by_hand, remove))

    def keep(self) -> None:
        """Let everything stay: it is what was asked for."""
        self._made.clear()

    def drop(self) -> None:
        """Remove everything now."""
        while self._made:
            name, by_hand, remove = self._made.pop()
            try:
                remove()
            except (DiskgenError, Transient, OSError) as error:
                self.left.append(name)
                notice(
                    self._emit,
                    f"left behind is {name}, which could not be removed ({error}): {by_hand}",
                    warning=True,
                )
            except BaseException:  # a second signal
                self.left.append(name)
                raise

    def __enter__(self) -> Self:
        return self

    @whole
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if kind is None:
            return
        self.drop()
        if isinstance(error, Interrupted) and self.left:
            before = error.left.removeprefix(_LEFT)  # of a block within this one
            error.left = _LEFT + ", ".join(filter(None, (before, *self.left)))


@whole
def give_up(journal: Journal, *made: Leftovers) -> None:
    """Remove what is not to stay, and then what would be gone on with, unless something stays."""
    for each in made:
        each.drop()
    if not any(each.left for each in made):
        journal.remove()


@whole
def drop_stale(
    journal: Journal, emit: Emit, note: Callable[[Mapping[str, Any], Leftovers], None]
) -> None:
    """Remove what a killed run made of the file as it was before it changed.

    ``note`` adds what the facts of that run name.
    """
    if not journal.stale:
        return
    notice(emit, "the file has changed: what an earlier run made of it is removed")
    left = Leftovers(emit)
    note(journal.stale, left)
    left.drop()
    journal.settle()
