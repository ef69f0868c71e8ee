"""Whatever the kernel refuses is told in words, also where it names no file."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest

from diskgen.errors import HostError
from diskgen.workspace import writing

from .fixtures.faults import Library
from .fixtures.oci import bootable
from .fixtures.program import Program, as_nobody
from .worth.startup import UNMEASURED


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENOSPC, errno.ESTALE])
def test_a_failure_without_a_name(number: int, tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught, writing(tmp_path):
        raise OSError(number, "words of the kernel")
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint


def test_a_pipe_that_nobody_reads_is_no_failure_of_a_disk(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), writing(tmp_path):
        raise BrokenPipeError(errno.EPIPE, "x")


def test_files_of_limited_size(diskgen: Program, images: Path) -> None:
    """The first write, a truncation, or a later write fails: each size another one."""
    layout = bootable(images / "os")
    for blocks in (0, 1, 8, 200, 4000):
        limit = ["/bin/sh", "-c", f'ulimit -f {blocks}; exec "$@"', "-"]
        done = diskgen.run(
            "raw", f"oci:{layout}", "-o", "x.raw", "--progress", "none", wrap=limit,
            env={"DISKGEN_TEST": UNMEASURED},  # which could not be written either
        )  # fmt: skip
        assert done.returncode in (4, 5), (blocks, done.stderr)
        assert done.stderr.startswith("error: "), (blocks, done.stderr)
        assert "Traceback" not in done.stderr
    assert "x.raw" not in diskgen.left_behind()


def test_no_usable_tmpdir(diskgen: Program, images: Path) -> None:
    layout = bootable(images / "os")
    code = (
        "import sys, tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc/none'];"
        "from diskgen.__main__ import main; sys.exit(main())"
    )
    python = diskgen.path.with_name("python3")
    done = subprocess.run(
        as_nobody([python, "-c", code, "raw", f"oci:{layout}", "-o", "x.raw"]),
        env=diskgen.environment(TMPDIR="/nonexistent"), cwd=diskgen.place,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "TMPDIR" in done.stderr


def test_a_partition_table_that_cannot_be_written(diskgen: Program, images: Path) -> None:
    """Writes of libparted fail, which has exceptions of its own: none of them is a bug of ours."""
    library = Library.compiled(images / "injected.so")
    disk = diskgen.place / "disk"
    code = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as Any\n"
        "from diskgen.disk import table; from diskgen.errors import HostError\n"
        "try: table.write(Path(sys.argv[1]), Any(sector_size=512, partitions=()))\n"
        "except HostError as error: print(error.message)\n"
    )
    with disk.open("wb") as file:
        file.truncate(16 << 20)
    diskgen.own(disk)
    done = subprocess.run(
        as_nobody([diskgen.path.with_name("python3"), "-c", code, disk]), cwd="/",
        env={"LD_PRELOAD": str(library),
             "DISKGEN_TEST_FAULT": f"write:0:{errno.EIO}:1:{diskgen.place}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "cannot be written" in done.stdout
