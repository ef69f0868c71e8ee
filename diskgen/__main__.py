"""Entry point: turns every way a run can end into an exit status and words for a person."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Final

from . import __version__
from .errors import EXIT_BUG, EXIT_INTERRUPT, DiskgenError, HostError, Interrupted, ToolError

if TYPE_CHECKING:
    import argparse

_STOPPED: Final = "interrupted: nothing was left behind"


def main() -> int:
    """Run the command line of this process; return its exit status."""
    _stop_at_once()
    # Imported late, here and below: a signal is heard from the start, and --help and completion
    # do not wait for everything else.
    import gc

    # Trees of files hold no cycles: looking for some takes a tenth of a build, and finds none.
    gc.disable()
    try:
        from .cli import build_parser

        return _run(build_parser().parse_args())
    except (KeyboardInterrupt, Interrupted):
        _say(_STOPPED)
        _ended(EXIT_INTERRUPT)
        return EXIT_INTERRUPT
    except DiskgenError as error:
        return _failed(error)
    except BrokenPipeError:
        # Whoever read our progress went away, and the work with it: no one is left to tell.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return HostError.exit_status
    except Exception as error:  # noqa: BLE001 - the last stop
        return _unexpected(error)


def _run(args: argparse.Namespace) -> int:
    """Carry out a command; whatever asks us to stop meanwhile becomes Interrupted."""
    from .commands import HANDLERS
    from .interrupt import interruptible

    if args.command != "completion":  # which a shell may ask for whenever it starts
        _begin_log(args)
    with interruptible():
        status = HANDLERS[args.command](args)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it is done, and that is what the status says
    _ended(status)
    return status


def _ended(status: int, words: str = "") -> None:
    from . import runlog

    runlog.finish(status, words)


def _begin_log(args: argparse.Namespace) -> None:
    """Begin the log of this run, and show what it gets where that is wanted."""
    from . import runlog

    verbose = getattr(args, "verbose", False)
    mode = getattr(args, "progress", None)
    if verbose and mode in ("auto", "terminal"):
        args.progress = "plain"  # a live display and lines from elsewhere disturb each other

    def show(line: str) -> None:
        if mode == "json":
            import json

            sys.stderr.write(json.dumps({"event": "program", "message": line}) + "\n")
            sys.stderr.flush()
        else:
            _say(f"  {line}")

    runlog.begin(sys.argv[1:], __version__, show if verbose else None)


def _stop_at_once() -> None:
    """End by signals with our own status while nothing has been begun that could be left behind."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        os.write(2, f"{_STOPPED}\n".encode())
        os._exit(EXIT_INTERRUPT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # such as nohup's
            signal.signal(number, stop)


def _unexpected(error: Exception) -> int:
    """Say what went wrong that nobody foresaw; return the exit status."""
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
        # A file that this user may not see, a name that is too long: nobody's bug.
        return _failed(HostError(f"'{os.fsdecode(error.filename)}': {error.strerror}"))
    if isinstance(error, OSError):
        # A disk that is full or broken, found where there is a descriptor and no name.
        return _failed(HostError(f"a file cannot be read or written: {error.strerror or error}"))
    if isinstance(error, MemoryError):
        return _failed(HostError("this machine has too little memory free"))
    import traceback

    from . import runlog

    text = traceback.format_exc()
    for line in text.splitlines():
        _say(f"  {line}")
    log = runlog.path()
    also = f" and the log '{log}'" if log is not None else ""
    _say(f"diskgen {__version__} has a bug: please report the lines above{also}")
    _ended(EXIT_BUG, text)
    return EXIT_BUG


def _failed(error: DiskgenError) -> int:
    """Say what went wrong in the way that was asked for; return the exit status."""
    from . import runlog
    from .ui import describe, error_json, wants_color

    text = describe(error, color=False)
    _ended(error.exit_status, text)
    log = runlog.path()
    if _wants_json(sys.argv):
        import json

        sys.stderr.write(json.dumps({**error_json(error), "log": str(log) if log else None}) + "\n")
        sys.stderr.flush()
    else:
        sys.stderr.write(describe(error, color=wants_color(sys.stderr)) + "\n")
        sys.stderr.flush()
        if isinstance(error, ToolError) and log is not None:
            _say(f"  log: '{log}' has what was run; --verbose shows it")
    return error.exit_status


def _wants_json(argv: list[str]) -> bool:
    import argparse

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--progress", default="auto")
    try:
        known, _rest = parser.parse_known_args(argv[1:])
    except SystemExit:
        return False
    return bool(known.progress == "json")


def _say(text: str) -> None:
    from .terminal import put

    put(sys.stderr, text + "\n")


if __name__ == "__main__":
    sys.exit(main())
