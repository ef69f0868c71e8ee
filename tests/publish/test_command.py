"""``diskgen publish`` and ``diskgen ami --ami-name`` as their users type them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..fixtures.aws_stand_in import SECRET, TOKEN, Aws, aws
from ..fixtures.oci import bootable
from ..fixtures.program import Program, placed
from ..oracles.schemas import check

TARGET = ("--target-imgref", "quay.io/tiny/os:1")
HOME = ("--region", "eu-central-1")


@pytest.fixture(scope="module")
def program(program_path: Path) -> Iterator[Program]:
    with placed(program_path, "diskgen-publish-") as made:
        bootable(made.place / "os")
        bootable(made.place / "mainframe", arch="s390x")
        made("ami", f"oci:{made.place}/os", *TARGET, "-o", "tiny.ami.raw")
        yield made


@pytest.fixture
def account() -> Iterator[Aws]:
    with aws() as service:
        yield service


def test_a_disk_is_published_and_its_ami_is_all_that_is_printed(
    program: Program, account: Aws
) -> None:
    words = ("publish", "aws", "tiny.ami.raw", *HOME)
    requests = program(*words, "--dry-run", "--json", **account.environment())
    check("requests", json.loads(requests))
    assert account.volumes == {}
    done = program.run(*words, env=account.environment())
    assert done.returncode == 0, done.stderr
    (ami,) = account.images
    assert done.stdout == f"{ami}\n"
    assert account.images[ami]["said"]["Name"] == "tiny"
    assert account.images[ami]["said"]["BootMode"] == "uefi"
    (volume,) = account.volumes.values()
    with (program.place / "tiny.ami.raw").open("rb") as disk:
        for number, block in volume.blocks.items():
            disk.seek(number * len(block))
            assert disk.read(len(block)) == block
    assert SECRET not in done.stderr
    assert TOKEN not in done.stderr
    for log in (program.home / ".local/state/diskgen/log").iterdir():
        assert SECRET not in log.read_text()
    again = program.run(*words, env=account.environment())
    assert again.returncode == 4
    assert f"an AMI 'tiny' exists in eu-central-1: '{ami}'" in again.stderr
    assert "(see --ami-name)" in again.stderr


def test_an_image_becomes_an_ami_by_one_command(program: Program, account: Aws) -> None:
    words = ("ami", f"oci:{program.place}/os", *TARGET, *HOME, "-o", "new.ami.raw")
    taken = program(*words, "--ami-name", "os-1", "--json", **account.environment())
    result = json.loads(taken)
    check("published", result)
    assert result["id"] in account.images
    assert (program.place / "new.ami.raw").exists()
    refused = program.run(*words, "--force", "--ami-name", "os-1", env=account.environment())
    assert refused.returncode == 4
    assert "Fetching" not in refused.stderr, "it is refused before the build"
    alone = program.run(*words, "--force", env=account.environment())
    assert alone.returncode == 2
    assert "--region is about publishing, and nothing is to be published" in alone.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("nothing",), 2, "'nothing' is no file"),
        (("tiny.ami.raw", *HOME, "--ami-name", "x"), 2, "'x' is no name of an AMI"),
        (("tiny.ami.raw", *HOME, "--tag", "x"), 2, "'x' is not KEY=VALUE"),
        (("tiny.ami.raw", *HOME, "--limit-rate", "fast"), 2, "fast"),
        (("tiny.ami.raw", *HOME, "--arch", "s390x"), 2, "EC2 has no machines of s390x"),
        (("tiny.ami.raw",), 9, "no region is named"),
        (("os/oci-layout", *HOME), 3, "is no disk"),
    ],
)
def test_what_is_wrong_is_told(
    program: Program, account: Aws, words: tuple[str, ...], status: int, said: str
) -> None:
    done = program.run("publish", "aws", *words, env=account.environment())
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert account.volumes == {}


def test_an_interrupt_leaves_nothing_at_the_place(program: Program, account: Aws) -> None:
    account.slow = 0.1
    words = ("publish", "aws", "tiny.ami.raw", *HOME, "--limit-rate", "1M")
    running = program.start(*words, env=account.environment())
    _until(account, "PutSnapshotBlock", 3)
    running.send_signal(signal.SIGINT)
    _out, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.splitlines()[-1] == "interrupted: nothing was left behind"
    assert account.volumes == {}
    assert list(program.place.glob(".*.journal")) == []


def test_a_killed_run_is_gone_on_with(program: Program, account: Aws) -> None:
    words = ("publish", "aws", "tiny.ami.raw", *HOME)
    running = program.start(*words, "--limit-rate", "1M", env=account.environment())
    _until(account, "PutSnapshotBlock", 5)
    running.kill()
    running.communicate(timeout=60)
    (volume,) = account.volumes.values()
    there = len(volume.blocks)
    account.asked.clear()
    result = json.loads(program(*words, "--json", **account.environment()))
    assert result["snapshot"] == volume.id
    assert result["bytes_there"] >= (there - 1) * 512 * 1024
    assert account.operations().count("PutSnapshotBlock") <= len(volume.blocks) - there + 1
    assert list(program.place.glob(".*.journal")) == []


def _until(account: Aws, operation: str, count: int) -> None:
    end = time.monotonic() + 120
    while account.operations().count(operation) < count:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("words", ["['--version']", "['qcow2', '--help']", "['publish', '--help']"])
def test_libraries_of_vendors_are_imported_when_something_is_published(words: str) -> None:
    code = (
        f"import sys; sys.argv = ['diskgen', *{words}]\n"
        "from diskgen.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'botocore', 'azure', 'google', 'http.client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n[]\n")


def test_without_the_library_it_is_told_what_brings_it(program: Program, account: Aws) -> None:
    blocked = program.place / "blocked"
    blocked.mkdir(exist_ok=True)
    (blocked / "botocore.py").write_text("raise ImportError('it is not here')")
    done = program.run("publish", "aws", "tiny.ami.raw", *HOME,
                       env={**account.environment(), "PYTHONPATH": str(blocked)})  # fmt: skip
    assert done.returncode == 4
    assert "pip install 'diskgen[aws]'" in done.stderr
