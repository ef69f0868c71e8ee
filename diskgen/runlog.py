"""The log of a run: which programs were started, how long each took, how each ended.

One file a run, readable by its user alone, for reports of bugs. It holds no secret: passwords in
URLs, password hashes and values of options that carry any are masked before they are written, and
what programs read from us is not in it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .terminal import PASSWORD, visible

_KEPT: Final = 20  # files
_NAME: Final = re.compile(r"\d{8}T\d{6}Z-\d+\.log", re.ASCII)  # of ours: others stay
_SHOWN: Final = 8192  # characters of what a program says
# Options of ours and of the programs that we start, and words of their messages.
_SECRET_OPTION: Final = re.compile(
    r"--(?:[a-z-]*(?:pass|cred|token|secret)[a-z-]*|user-p[a-z-]*|root(?:-p[a-z-]*)?|cr?e?)",
    re.IGNORECASE,  # options may be abbreviated
)
_SECRETS: Final = (
    (PASSWORD, r"\1***@"),
    (re.compile(r"\$(?:y|gy|7|2[abxy]?|[156])\$[^\s'\",]+"), "***"),  # crypt(5)
    (
        re.compile(
            r"((?:password|passwd|pw|secret|token|signature|credential|api_?key|x-amz-[a-z-]+)=)"
            r"[^\s&'\",]+",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (
        re.compile(r"((?:authorization|bearer|basic)[: ]+)[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE),
        r"\1***",
    ),
)


@dataclass(slots=True)
class _Log:
    file: int | None = None
    path: Path | None = None
    show: Callable[[str], None] | None = None  # of --verbose
    begun: float = field(default_factory=time.monotonic)


_log = _Log()


def masked(text: str) -> str:
    """Return text without the secrets that may be in it."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def command_line(argv: Sequence[str]) -> str:
    """Return a command line for people, without its secrets."""
    import shlex

    words: list[str] = []
    hide = False
    for word in argv:
        option, equals, _value = word.partition("=")
        secret = _SECRET_OPTION.fullmatch(option) is not None
        if hide:
            words.append("***")
        elif secret and equals:
            words.append(f"{option}=***")
        else:
            words.append(shlex.quote(masked(word)))
        hide = secret and not equals and not hide
    return " ".join(words)


def place() -> Path:
    """Return where logs lie: the XDG state directory of this user."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local/state") / "diskgen/log"


def begin(argv: Sequence[str], version: str, show: Callable[[str], None] | None) -> None:
    """Begin this run's log; where none can be written, there is none.

    ``show`` gets each line that --verbose shows.
    """
    _log.show = show
    try:
        directory = place()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        logs = sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
        for old in logs[: -(_KEPT - 1)]:
            old.unlink(missing_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        path = directory / f"{stamp}-{os.getpid()}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        _log.file = os.open(path, flags, 0o600)
        _log.path = path
    except (OSError, RuntimeError):  # RuntimeError: this user has no home
        return
    system = os.uname()
    python = ".".join(map(str, sys.version_info[:3]))
    _write(f"diskgen {version}, Python {python}, {system.sysname} {system.release} "
           f"{system.machine}, {_distribution()}")  # fmt: skip
    _write(command_line(["diskgen", *argv]))


def path() -> Path | None:
    """Return this run's log file, or None."""
    return _log.path


def started(argv: Sequence[str], pid: int) -> None:
    """Note that a program was started."""
    line = f"[{pid}] {command_line(argv)}"
    _write(line)
    if _log.show is not None:
        _log.show(line)


def ended(name: str, pid: int, status: int | None, seconds: float) -> None:
    """Note that a program has ended."""
    _write(f"[{pid}] {name.rsplit('/', 1)[-1]}: status {status}, {seconds:.3f} s")


def said(name: str, text: str) -> None:
    """Note what a program wrote to its standard error."""
    for line in masked(text[-_SHOWN:]).splitlines():
        shown = f"{name.rsplit('/', 1)[-1]}: {line}"
        _write(shown)
        if _log.show is not None:
            _log.show(shown)


def finish(status: int, words: str = "") -> None:
    """Note how the run ended."""
    for line in masked(words).splitlines():
        _write(line)
    _write(f"exit status {status}")


def _write(line: str) -> None:
    if _log.file is not None:
        stamp = f"{time.monotonic() - _log.begun:9.3f}  "
        try:
            os.write(_log.file, (stamp + visible(line) + "\n").encode(errors="backslashreplace"))
        except OSError:  # a full disk: the run has more to say about that
            os.close(_log.file)
            _log.file = None


def _distribution() -> str:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "no os-release"
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', text, re.MULTILINE)
    return found[1] if found else "no name"
