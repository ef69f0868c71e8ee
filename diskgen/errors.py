"""Every failure a user can meet, and the exit status it has.

A domain error carries facts and the *setting* that would change the outcome (``disk-size``,
``authfile``); only the command line knows that this is ``--disk-size`` and writes the hint's flag.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EXIT_BUG = 70
EXIT_INTERRUPT = 130


class DiskgenError(Exception):
    """Something the user can act on: never shown as a traceback.

    ``message`` says what is wrong, with the value in quotes; ``hint`` says what to do; ``setting``
    names the option that matters (without dashes), from which the CLI makes the flag. ``said``
    are a program's own words, of any number of lines: the message ends in them.
    """

    exit_status = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        setting: str | None = None,
        said: str = "",
    ) -> None:
        self.message = f"{message}: {said}" if said else message
        super().__init__(self.message)
        self.hint = hint
        self.setting = setting
        self.said = said

    @property
    def lines(self) -> list[str]:
        """The message line by line: only a program's own words have more than one."""
        first, *rest = self.said.split("\n")
        return [self.message.removesuffix(self.said) + first, *rest]


class UsageError(DiskgenError):
    """Arguments contradict each other or cannot be understood."""

    exit_status = 2

    @classmethod
    def of(cls, problem: Problem) -> UsageError:
        """Return one reason as the only one."""
        return cls(problem.message, hint=problem.hint, setting=problem.setting)


class SourceError(DiskgenError):
    """The image: missing, unreadable, not bootable, wrong architecture, bad digest."""

    exit_status = 3


class HostError(DiskgenError):
    """This machine: a missing tool, no rights, no space."""

    exit_status = 4


def end_of(status: int) -> str:
    """Say how a child ended: by its exit status, or by a signal's number where it is negative."""
    return f"was killed by signal {-status}" if status < 0 else f"failed with status {status}"


class ToolError(DiskgenError):
    """A program we started failed in a way we have no better words for."""

    exit_status = 5

    def __init__(
        self,
        argv: Sequence[str],
        status: int,
        stderr: str,
        *,
        message: str | None = None,
        hint: str | None = None,
    ) -> None:
        name = argv[0].rsplit("/", 1)[-1]
        tail = stderr.strip()[-1024:]
        super().__init__(message or f"'{name}' {end_of(status)}", hint=hint, said=tail)
        self.argv = tuple(argv)
        self.status = status
        self.stderr = stderr


class VerifyError(DiskgenError):
    """What was written does not read back as planned. The output is not kept."""

    exit_status = 6


class GuestError(DiskgenError):
    """A machine that was started: it ended, or nobody could log in to it."""

    exit_status = 7


class PublishError(DiskgenError):
    """A place to which something is published: it refused, or it cannot be reached."""

    exit_status = 9


class FarmError(DiskgenError):
    """A farm that builds: not reached, refusing, or failing at what it was given."""

    exit_status = 8


class Interrupted(BaseException):
    """The user (Ctrl-C) or the system (SIGTERM) asked us to stop.

    No DiskgenError: whoever notes damage and goes on must not take it for that. ``left`` names
    what could not be removed at the places that something was sent to.
    """

    exit_status = EXIT_INTERRUPT

    def __init__(self, message: str) -> None:
        self.message = message
        self.left = ""  # what goes on or stays elsewhere, and how to come back to it
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason why the work cannot start; preflight collects them all before it raises."""

    code: str
    message: str
    setting: str | None = None
    hint: str | None = None

    @classmethod
    def of(cls, code: str, error: DiskgenError) -> Problem:
        """Return what an error says as one reason among others."""
        return cls(code=code, message=error.message, hint=error.hint, setting=error.setting)


class PreflightError(HostError):
    """All problems found before anything was touched, at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(p.message for p in self.problems))
