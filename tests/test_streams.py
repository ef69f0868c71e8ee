"""Standard streams that are full or closed: a documented status, and never words of Python's."""

from __future__ import annotations

import pytest

from .fixtures.oci import bootable
from .fixtures.program import Program

FULL_OUT, FULL_ERR, NO_OUT, NO_ERR = ">/dev/full", "2>/dev/full", ">&-", "2>&-"


def run(diskgen: Program, words: str, redirection: str) -> tuple[int, str]:
    shell = ["/bin/sh", "-c", f'exec "$0" "$@" {redirection}']
    done = diskgen.run(*words.split(), wrap=shell)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("words", "redirection", "status"),
    [
        ("--version", FULL_OUT, 4), ("cache ls", FULL_OUT, 4), ("cache ls", NO_OUT, 0),
        ("cache ls", NO_ERR, 0), ("inspect none", NO_ERR, 3), ("inspect none", FULL_ERR, 3),
        ("plan raw none --progress json", FULL_ERR, 4), ("raw none", "<&- >&- 2>&-", 3),
    ],
)  # fmt: skip
def test_status(words: str, redirection: str, status: int, diskgen: Program) -> None:
    found, said = run(diskgen, words, redirection)
    assert found == status, said
    if redirection == FULL_OUT:
        assert "No space left on device" in said


def test_a_build_whose_path_cannot_be_printed(diskgen: Program) -> None:
    """No file of ours takes the place of a stream that is closed."""
    layout = bootable(diskgen.own_directory("in") / "os")
    words = f"raw oci:{layout} --progress plain -o"
    assert run(diskgen, f"{words} full.raw", FULL_OUT)[0] == 4
    assert run(diskgen, f"{words} closed.raw", "<&- >&- 2>&-")[0] == 0
    assert run(diskgen, f"{words} good.raw", ">/dev/null")[0] == 0
    disks = [(diskgen.place / f"{name}.raw").stat() for name in ("full", "closed", "good")]
    assert len({(disk.st_size, disk.st_mode) for disk in disks}) == 1
