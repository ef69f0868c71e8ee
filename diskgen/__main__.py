"""Entry point: turns every way a run can end into an exit status and words for a person."""

from __future__ import annotations

# Imported late, here and below: all but what a handler of signals needs. Until there is one, a
# signal ends us without a word, and Ctrl-C with a traceback.
import os
import signal
import sys

TYPE_CHECKING = False  # typing's own takes longer to import than all of this
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import FrameType
    from typing import Final, TextIO

    from .errors import DiskgenError

_STOPPED: Final = "interrupted: nothing was left behind"
_EXIT_INTERRUPT: Final = 130  # errors.EXIT_INTERRUPT
_BIB_FAILED: Final = 1  # what bootc-image-builder ends with, whatever went wrong
_as_bib = False  # whether this is the command line of bootc-image-builder


def main() -> int:
    """Run the command line of this process; return its exit status."""
    if sys.argv[1:2] == ["bib"]:
        return _process(lambda: _bib(sys.argv[2:]))
    return _process(_diskgen)


def bootc_image_builder() -> int:
    """Run this process's command line as bootc-image-builder does; return its exit status."""
    return _process(lambda: _bib(sys.argv[1:]))


def _process(run: Callable[[], int]) -> int:
    _stop_at_once()
    _open_streams()
    try:
        return _drained(_main(run))
    except SystemExit as error:  # of argparse, which has said why
        sys.exit(_drained(error.code if isinstance(error.code, int) else 1))


def _open_streams() -> None:
    """Have all three standard streams: in place of one that is closed a file would be opened."""
    for number, mode in enumerate("rww"):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            name = ("stdin", "stdout", "stderr")[number]
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _drained(status: int) -> int:
    """Write what is left for standard output; return the status, which says whether that failed."""
    from .errors import HostError

    try:
        sys.stdout.flush()
    except OSError as error:
        _lost(sys.stdout)
        if status == 0:
            gone = isinstance(error, BrokenPipeError)
            return HostError.exit_status if gone else _unexpected(error)
    return status


def _main(run: Callable[[], int]) -> int:
    import gc

    from .errors import EXIT_INTERRUPT, DiskgenError, HostError, Interrupted

    # Trees of files hold no cycles: looking for some takes a tenth of a build, and finds none.
    gc.disable()
    try:
        return run()
    except (KeyboardInterrupt, Interrupted) as stop:
        left = getattr(stop, "left", "")
        _say(f"interrupted: {left}" if left else _STOPPED)
        _ended(EXIT_INTERRUPT)
        return EXIT_INTERRUPT
    except DiskgenError as error:
        return _failed(error)
    except BrokenPipeError as error:
        if not (_unread(sys.stdout) or _unread(sys.stderr)):
            return _unexpected(error)  # a pipe of another kind broke
        # Whoever read our progress went away, and the work with it: no one is left to tell.
        _lost(sys.stdout)
        _lost(sys.stderr)
        return HostError.exit_status
    except Exception as error:  # noqa: BLE001 - the last stop
        return _unexpected(error)


def _diskgen() -> int:
    from .cli.parser import build_parser

    args = build_parser(sys.argv[1:]).parse_args()
    from .cli.handlers import HANDLERS  # all that commands do, which --help does not wait for

    if args.command != "completion":  # which a shell may ask for whenever it starts
        _begin_log(args)
    return _carry_out(lambda: HANDLERS[args.command](args))


def _bib(words: list[str]) -> int:
    global _as_bib
    _as_bib = True
    from .bib import arguments, program
    from .bib.request import progress_of

    given = arguments.parse(words)
    _begin_log(progress_of(given))
    return _carry_out(lambda: program.run(given))


def _carry_out(command: Callable[[], int]) -> int:
    """Carry out a command; whatever asks us to stop meanwhile becomes Interrupted."""
    from .interrupt import interruptible

    with interruptible():
        status = command()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it is done, and that is what the status says
    _ended(status)
    return status


def _ended(status: int, words: str = "") -> None:
    from . import runlog

    runlog.finish(status, words)


def _begin_log(args: argparse.Namespace) -> None:
    """Begin the log of this run, and show what it gets where that is wanted."""
    from . import __version__, runlog

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
        os._exit(_EXIT_INTERRUPT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # such as nohup's
            signal.signal(number, stop)


def _unexpected(error: Exception) -> int:
    """Say what went wrong that nobody foresaw; return the exit status."""
    from .errors import EXIT_BUG, HostError

    if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
        # A file that this user may not see, a name that is too long: nobody's bug.
        return _failed(HostError(f"'{os.fsdecode(error.filename)}': {error.strerror}"))
    if isinstance(error, OSError):
        # A disk that is full or broken, found where there is a descriptor and no name.
        return _failed(HostError(f"a file cannot be read or written: {error.strerror or error}"))
    if isinstance(error, MemoryError):
        return _failed(HostError("this machine has too little memory free"))
    import traceback

    from . import __version__, runlog

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
    from .errors import ToolError
    from .ui import describe, error_json, wants_color

    if _as_bib:
        from .bib.flags import flag_of
    else:
        from .cli.hints import flag_of
    status = _BIB_FAILED if _as_bib else error.exit_status
    text = describe(error, color=False, flag_of=flag_of)
    _ended(status, text)
    log = runlog.path()
    if not _as_bib and _wants_json(sys.argv):
        import json

        _tell(json.dumps({**error_json(error), "log": str(log) if log else None}))
    else:
        _tell(describe(error, color=wants_color(sys.stderr), flag_of=flag_of))
        if isinstance(error, ToolError) and log is not None:
            _say(f"  log: '{log}' has what was run; --verbose shows it")
    return status


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
    from .terminal import checked

    _tell(checked(text))


def _tell(text: str) -> None:
    """Write lines to standard error, if that can be; the status says enough where it cannot."""
    data = (text + "\n").encode(sys.stderr.encoding, "backslashreplace")
    try:
        sys.stderr.flush()
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()
    except OSError:
        _lost(sys.stderr)


def _unread(stream: TextIO) -> bool:
    """Say whether a stream is a pipe that nobody reads any more."""
    import select

    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _number, events in poll.poll(0))


def _lost(stream: TextIO) -> None:
    """Drop what a stream still has: Python would try again, and complain, as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
