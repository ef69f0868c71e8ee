"""Entry point: turns every way a run can end into an exit status and words for a person."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import traceback

from . import __version__
from .errors import EXIT_BUG, EXIT_INTERRUPT, DiskgenError, HostError, Interrupted
from .ui import describe, error_json, wants_color


def main() -> int:
    """Run the command line of this process; return its exit status."""
    # Trees of files hold no cycles: looking for some takes a tenth of a build, and finds none.
    gc.disable()
    try:
        # Imported late: --help and completion must not wait for everything else.
        from .cli import build_parser

        args = build_parser().parse_args()

        from .commands import HANDLERS

        status = HANDLERS[args.command](args)
    except (KeyboardInterrupt, Interrupted):
        _say("interrupted: nothing was left behind")
        return EXIT_INTERRUPT
    except DiskgenError as error:
        return _failed(error)
    except BrokenPipeError:
        # Whoever read our progress went away, and the work with it: no one is left to tell.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return HostError.exit_status
    except Exception as error:  # noqa: BLE001 - the last stop
        if isinstance(error, OSError) and error.filename is not None:
            # A file that this user may not see, a name that is too long: nobody's bug.
            return _failed(HostError(f"'{os.fsdecode(error.filename)}': {error.strerror}"))
        traceback.print_exc()
        _say(f"diskgen {__version__} has a bug: please report the lines above")
        return EXIT_BUG
    return status


def _failed(error: DiskgenError) -> int:
    """Say what went wrong in the way that was asked for; return the exit status."""
    if _wants_json(sys.argv):
        _say(json.dumps(error_json(error)))
    else:
        _say(describe(error, color=wants_color(sys.stderr)))
    return error.exit_status


def _wants_json(argv: list[str]) -> bool:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--progress", default="auto")
    try:
        known, _rest = parser.parse_known_args(argv[1:])
    except SystemExit:
        return False
    return bool(known.progress == "json")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
