"""Renderers of events: a terminal, plain lines, JSON lines. They write to standard error only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

from .errors import DiskgenError, PreflightError
from .events import Emit, Event, Notice, StepFinished, StepProgress, StepStarted
from .terminal import page, put, visible
from .units import format_size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

JSON_VERSION: Final = 1
_KINDS: Final = DiskgenError.__module__  # whose classes programs know


@contextmanager
def renderer(mode: str, stream: TextIO | None = None) -> Generator[Emit]:
    """Give the function that shows events in the wanted way while the block runs.

    ``auto`` is a live display on a terminal and plain lines everywhere else (``TERM=dumb`` and
    ``NO_COLOR`` count as no terminal).
    """
    out = stream or sys.stderr
    if mode == "auto":
        mode = "terminal" if _is_terminal(out) else "plain"
    if mode == "none":
        yield lambda _event: None
    elif mode == "json":
        _write_json(out, {"event": "hello", "version": JSON_VERSION})
        yield lambda event: _write_json(out, as_json(event))
    elif mode == "plain":
        yield lambda event: _plain(out, event)
    else:
        yield from _terminal(out)


def as_json(event: Event) -> dict[str, Any]:
    """Return an event as the JSON object of ``--progress json``."""
    match event:
        case StepStarted():
            return {
                "event": "start", "step": event.step, "title": event.title,
                "total": event.total, "unit": event.unit,
            }  # fmt: skip
        case StepProgress():
            return {
                "event": "progress", "step": event.step, "done": event.done, "total": event.total,
            }  # fmt: skip
        case StepFinished():
            return {
                "event": "finish", "step": event.step, "ok": event.ok,
                "seconds": round(event.seconds, 3), "detail": event.detail,
            }  # fmt: skip
        case Notice():
            return {"event": "notice", "level": event.level, "message": event.message}


def describe(
    error: DiskgenError,
    *,
    color: bool = False,
    flag_of: Callable[[str], str | None] = "--{}".format,
) -> str:
    """Return an error as lines for a person: what is wrong, then what to do.

    ``flag_of`` gives what is typed for a setting, None for one that cannot be given.
    """
    red, bold, reset = ("\033[31m", "\033[1m", "\033[0m") if color else ("", "", "")
    lines: list[str] = []
    reasons: list[tuple[list[str], str | None, str | None]]
    if isinstance(error, PreflightError):
        reasons = [([problem.message], problem.hint, problem.setting) for problem in error.problems]
    else:
        reasons = [(error.lines, error.hint, error.setting)]
    for (message, *more), hint, setting in reasons:
        lines.append(f"{bold}{red}error:{reset} {visible(message)}")
        lines += [f"    {visible(line)}" for line in more]
        flag = flag_of(setting) if setting else None
        if hint and flag and flag not in hint:
            lines.append(f"  hint: {visible(hint)} (see {flag})")
        elif hint:
            lines.append(f"  hint: {visible(hint)}")
        elif flag:
            lines.append(f"  hint: see {flag}")
    return "\n".join(lines)


def error_json(error: DiskgenError) -> dict[str, Any]:
    """Return an error as the JSON object that ends ``--progress json``."""
    problems = error.problems if isinstance(error, PreflightError) else ()
    return {
        "event": "error",
        "kind": next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == _KINDS),
        "exit_status": error.exit_status,
        "message": error.message,
        "hint": error.hint,
        "setting": error.setting,
        "problems": [
            {"code": p.code, "message": p.message, "hint": p.hint, "setting": p.setting}
            for p in problems
        ],
    }


def wants_color(stream: TextIO) -> bool:
    """Say whether escape codes are welcome there."""
    return _is_terminal(stream)


def _is_terminal(stream: TextIO) -> bool:
    return (
        stream.isatty()
        and os.environ.get("TERM", "dumb") != "dumb"
        and "NO_COLOR" not in os.environ
    )


def _write_json(out: TextIO, value: dict[str, Any]) -> None:
    out.write(json.dumps(value) + "\n")
    out.flush()


def _plain(out: TextIO, event: Event) -> None:
    match event:
        case StepFinished(ok=True):
            detail = f": {event.detail}" if event.detail else ""
            line = f"{event.title}{detail} ({event.seconds:.1f} s)"
        case StepFinished():
            line = f"{event.title}: failed"
        case Notice(level="warning"):
            line = f"warning: {event.message}"
        case Notice():
            line = event.message
        case _:
            return
    put(out, page([line]))


def _terminal(out: TextIO) -> Iterator[Emit]:
    # rich costs 50 ms to import: only paid for where it is seen.
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    console = Console(file=out, highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=console, transient=True) as progress:
        display = _Display(progress)
        yield display.show


class _Display:
    """One line per running phase; a finished one stays as a line above."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._bytes: set[str] = set()

    def show(self, event: Event) -> None:
        from rich.markup import escape

        console = self._progress.console
        match event:
            case StepStarted():
                if event.unit == "bytes":
                    self._bytes.add(event.step)
                self._tasks[event.step] = self._progress.add_task(
                    visible(event.title), total=event.total, amount=""
                )
            case StepProgress():
                self._progress.update(
                    self._tasks[event.step],
                    completed=event.done,
                    total=event.total,
                    amount=self._amount(event),
                )
            case StepFinished():
                self._progress.remove_task(self._tasks.pop(event.step))
                mark = "[green]✓[/]" if event.ok else "[red]✗[/]"
                detail = f"[dim]{escape(visible(event.detail))}[/] " if event.detail else ""
                title = escape(visible(event.title))
                console.print(f"{mark} {title} {detail}[dim]{event.seconds:.1f} s[/]")
            case Notice(level="warning"):
                console.print(f"[yellow]warning:[/] {escape(visible(event.message))}")
            case Notice():
                console.print(visible(event.message), markup=False)

    def _amount(self, event: StepProgress) -> str:
        if event.total is None:
            return format_size(event.done) if event.step in self._bytes else ""
        if event.step in self._bytes:
            return f"{format_size(event.done)} of {format_size(event.total)}"
        return f"{event.done} of {event.total}"
