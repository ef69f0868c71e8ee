"""What is wrong with a description of a machine: all of it at once."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import PreflightError, Problem, UsageError

SETTING = "config"


class BlueprintError(UsageError, PreflightError):
    """A description that no machine can be made by, with all reasons."""

    exit_status = UsageError.exit_status

    def __init__(self, problems: Sequence[Problem]) -> None:
        PreflightError.__init__(self, problems)
