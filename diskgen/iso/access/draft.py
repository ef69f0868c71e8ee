"""What a machine that installs is given, while that is being decided part by part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...budgets import CONFIG_BYTES
from ...config import IsoRequest
from ...errors import Problem, UsageError
from ...image.policy import registry
from ...reference import ImageRef
from ...tree import Directory, regular

CONTAINERS: Final = "etc/containers"


@dataclass(slots=True, kw_only=True)
class Draft:
    """What was decided so far; parts add to it."""

    request: IsoRequest
    rule: str
    roots: Sequence[Directory | None]
    proxy: str | None
    tree: Directory = field(default_factory=Directory)
    verified: bool = False
    remote: tuple[str, bytes] | None = None
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def ref(self) -> ImageRef:
        """What the machine installs from a registry, and updates from."""
        return self.request.tracked

    @property
    def fetches(self) -> bool:
        """Whether an installation fetches, with nobody having said so."""
        return self.request.payload != "embedded"

    @property
    def concerns(self) -> bool:
        """Whether what was said of the source's registry is said of the one that is installed from.

        A source that is in none says nothing of its own.
        """
        source = self.request.source
        return not source.is_registry or registry(source) == registry(self.ref)

    def problem(self, message: str, hint: str | None, setting: str | None) -> None:
        self.problems.append(Problem(code="access", message=message, hint=hint, setting=setting))

    def add(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        self.tree.add(path, regular(data, mode=mode))


def small(path: Path, setting: str) -> bytes:
    """Return a small file's content. Raises UsageError."""
    try:
        if not path.is_file():
            raise UsageError(f"'{path}' is no file", setting=setting)
        if path.stat().st_size > CONFIG_BYTES.limit:
            raise UsageError(f"'{path}' is too large for what it is to be", setting=setting)
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read: {error.strerror}", setting=setting) from error


def document(value: object) -> bytes:
    """Return a value as the same JSON each time."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
