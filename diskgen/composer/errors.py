"""How an exchange with a farm goes wrong: what may have reached it decides what may be repeated."""

from __future__ import annotations

from ..errors import FarmError
from ..net.waiting import PASSING


class NotSent(FarmError):  # noqa: N818 - it says what became of it
    """The farm cannot have acted: it was not reached, or not all of the request was sent.

    A ``final`` failure is the same each time, such as a certificate that is not trusted.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        setting: str | None = None,
        final: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, setting=setting)
        self.final = final


class AnswerLost(FarmError):  # noqa: N818 - it says what became of it
    """The farm may have acted: the request was sent, and no whole answer came."""


class Refused(FarmError):  # noqa: N818 - it says what became of it
    """The farm answered, and said no.

    ``status`` is HTTP's; ``code`` the number of composer's own error, None where it sent none;
    ``after`` are the seconds it wants us to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: int | None = None,
        hint: str | None = None,
        setting: str | None = None,
        after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, setting=setting)
        self.status = status
        self.code = code
        self.after = after

    @property
    def passing(self) -> bool:
        """Whether another try may end otherwise."""
        return self.status in PASSING


class Unclear(FarmError):  # noqa: N818 - it says what became of it
    """Nobody can say whether a compose was started: it is not started a second time."""
