"""Starts coverage in each Python process of a measured run: copied beside the libraries for it."""

import os
from pathlib import Path

UNMEASURED = "unmeasured"  # what a test calls itself whose program cannot write what was measured


def _test() -> str:
    """Return the test that started this process or one above it, or nothing.

    Programs give their children an environment of their own, so it is sought upwards.
    """
    process, name = os.getpid(), os.environ.get("DISKGEN_TEST", "")
    while not name and process > 1:
        place = Path("/proc") / str(process)
        try:
            words = (place / "environ").read_bytes().split(b"\0")
            # Fields after the name in parentheses: state, parent. proc(5)
            process = int((place / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except OSError:  # another user's
            return ""
        for word in words:
            if word.startswith(b"DISKGEN_TEST="):
                name = word.partition(b"=")[2].decode()
    return name


def begin(config: str, place: str) -> None:
    if (name := _test()) not in ("", UNMEASURED):
        import coverage

        os.environ |= {"DISKGEN_TEST": name, "DISKGEN_COVERAGE": place}
        os.environ["COVERAGE_PROCESS_START"] = config
        coverage.process_startup()
