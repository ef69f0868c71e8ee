"""Results on standard output: lines for people, JSON for programs, the path of an output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..terminal import put, visible


def print_text(text: str) -> None:
    """Print lines for people."""
    with _reader_may_leave():
        put(sys.stdout, text if text.endswith("\n") else text + "\n")


def print_json(value: Any, *, indent: int | None = None) -> None:  # noqa: ANN401
    """Print a result for programs: exact, in ASCII."""
    with _reader_may_leave():
        sys.stdout.write(json.dumps(value, indent=indent) + "\n")
        sys.stdout.flush()


def print_path(path: Path) -> None:
    """Print where an output is: for people on a terminal, exact for whoever else reads it."""
    if sys.stdout.isatty():
        print_text(visible(str(path)))
        return
    with _reader_may_leave():
        sys.stdout.buffer.write(os.fsencode(path) + b"\n")
        sys.stdout.flush()


@contextmanager
def _reader_may_leave() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        # The reader had enough (`diskgen plan ... | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
