"""``diskgen publish gcp`` and ``diskgen gce --gcp-image`` as their users type them."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..fixtures.aws_stand_in import aws
from ..fixtures.gcp_stand_in import BUCKET, PROJECT, Gcp, gcp, key_pair
from ..fixtures.installers import bios, machine
from ..fixtures.oci import TarBuilder, bootable
from ..fixtures.program import Program, placed
from ..oracles.schemas import check

TARGET = ("--target-imgref", "quay.io/tiny/os:1")
WORDS = ("publish", "gcp", "tiny.tar.gz", "--bucket", BUCKET)
ID = f"projects/{PROJECT}/global/images"


@pytest.fixture(scope="module")
def program(program_path: Path) -> Iterator[Program]:
    with placed(program_path, "diskgen-publish-") as made:
        both = TarBuilder()  # GRUB for BIOS beside the one for UEFI
        bios(both)
        machine(made.place / "os", both.finish())
        bootable(made.place / "arm", arch="aarch64")
        made("gce", f"oci:{made.place}/os", *TARGET, "-o", "tiny.tar.gz")
        made("gce", f"oci:{made.place}/arm", *TARGET, "--arch", "aarch64", "-o", "arm.tar.gz")
        yield made


@pytest.fixture
def account() -> Iterator[Gcp]:
    with gcp() as service:
        yield service


def secrets(account: Gcp) -> list[str]:
    return [key_pair()[0].splitlines()[1], *account.tokens, *account.sessions]


def test_a_disk_is_published_and_its_image_is_all_that_is_printed(
    program: Program, account: Gcp
) -> None:
    requests = program(*WORDS, "--dry-run", "--json", **account.environment())
    check("requests", json.loads(requests))
    assert account.sessions == {}
    shown = program(*WORDS, "--dry-run", **account.environment())
    done = program.run(*WORDS, env=account.environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ID}/tiny\n"
    (found,) = account.images.values()
    assert found["architecture"] == "X86_64"
    assert {"type": "UEFI_COMPATIBLE"} in found["guestOsFeatures"]
    assert account.objects == {}
    told = shown + done.stderr
    told += "".join(
        log.read_text() for log in (program.home / ".local/state/diskgen/log").iterdir()
    )
    assert not [one for one in secrets(account) if one in told]
    again = program.run(*WORDS, env=account.environment())
    assert again.returncode == 4
    assert f"an image 'tiny' exists in the project '{PROJECT}'" in again.stderr
    assert "(see --gcp-image)" in again.stderr


def test_what_a_disk_is_for_is_read_from_the_archive(program: Program, account: Gcp) -> None:
    words = ("publish", "gcp", "arm.tar.gz", "--bucket", BUCKET, "--json", "--keep-object")
    result = json.loads(program(*words, **account.environment()))
    check("published", result)
    (found,) = account.images.values()
    (key,) = account.objects
    assert result["object"] == f"gs://{BUCKET}/{key}"
    assert found["architecture"] == "ARM64"
    assert account.objects[key].data == (program.place / "arm.tar.gz").read_bytes()


def test_an_image_becomes_one_of_google_by_one_command(program: Program, account: Gcp) -> None:
    words = ("gce", f"oci:{program.place}/os", *TARGET, "-o", "new.tar.gz", "--bucket", BUCKET)
    taken = program(*words, "--gcp-image", "os-1", "--family", "os", "--label", "a=b", "--json",
                    "--guest-os-feature", "SEV_CAPABLE", **account.environment())  # fmt: skip
    result = json.loads(taken)
    check("published", result)
    assert result["id"] == f"{ID}/os-1"
    found = account.images["os-1"]
    assert (found["family"], found["labels"]) == ("os", {"a": "b"})
    assert {"type": "SEV_CAPABLE"} in found["guestOsFeatures"]
    assert (program.place / "new.tar.gz").exists()
    refused = program.run(*words, "--force", "--gcp-image", "os-1", env=account.environment())
    assert refused.returncode == 4
    assert "Fetching" not in refused.stderr, "it is refused before the build"
    alone = program.run(*words, "--force", env=account.environment())
    assert alone.returncode == 2
    assert "--bucket is about publishing, and nothing is to be published" in alone.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("nothing", "--bucket", "b"), 2, "'nothing' is no file"),
        (("tiny.tar.gz",), 2, "no bucket is named"),
        (("tiny.tar.gz", "--bucket", "gs://images"), 2, "'gs://images' is no name of a bucket"),
        (("tiny.tar.gz", "--bucket", BUCKET, "--gcp-image", "X"), 2, "'X' is no name of an image"),
        (("tiny.tar.gz", "--bucket", BUCKET, "--guest-os-feature", "X"), 2, "invalid choice"),
        (("tiny.tar.gz", "--bucket", BUCKET, "--arch", "s390x"), 2, "no machines of s390x"),
        (("tiny.tar.gz", "--bucket", "others"), 4, "bucket 'others' cannot be used"),
        (("arm.tar.gz", "--bucket", BUCKET, "--guest-os-feature", "SEV_CAPABLE"), 2, "of x86_64"),
        (("os/oci-layout", "--bucket", BUCKET), 3, "is no disk"),
    ],
)
def test_what_is_wrong_is_told(
    program: Program, account: Gcp, words: tuple[str, ...], status: int, said: str
) -> None:
    done = program.run("publish", "gcp", *words, env=account.environment())
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert account.sessions == {}


def _until(account: Gcp, operation: str, count: int) -> None:
    end = time.monotonic() + 120
    while account.operations().count(operation) < count:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("operation", ["chunk", "operation"])
def test_an_interrupt_leaves_nothing_at_the_place(
    program: Program, account: Gcp, operation: str
) -> None:
    account.looks = 2
    rate = ("--limit-rate", "256K") if operation == "chunk" else ()
    running = program.start(*WORDS, *rate, env=account.environment())
    _until(account, operation, 1)
    running.send_signal(signal.SIGINT)
    _out, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert said.splitlines()[-1] == "interrupted: nothing was left behind"
    assert account.images == {}
    assert account.objects == {}
    assert "open" not in {one.state for one in account.sessions.values()}
    assert list(program.place.glob(".*.journal")) == []


@pytest.mark.parametrize("operation", ["chunk", "operation"])
def test_a_killed_run_is_gone_on_with(program: Program, account: Gcp, operation: str) -> None:
    account.looks = 3
    rate = ("--limit-rate", "256K") if operation == "chunk" else ()
    running = program.start(*WORDS, *rate, env=account.environment())
    _until(account, operation, 2)
    running.kill()
    running.communicate(timeout=60)
    result = json.loads(program(*WORDS, "--json", **account.environment()))
    size = (program.place / "tiny.tar.gz").stat().st_size
    assert result["bytes_sent"] + result["bytes_there"] == size
    assert result["bytes_there"] >= 256 * 1024
    assert len(account.sessions) == 1
    assert list(account.images) == ["tiny"]
    assert account.objects == {}
    assert list(program.place.glob(".*.journal")) == []


def test_without_the_library_it_is_told_what_brings_it(program: Program, account: Gcp) -> None:
    blocked = program.place / "blocked/google"
    blocked.mkdir(parents=True, exist_ok=True)
    (blocked / "__init__.py").write_text("raise ImportError('it is not here')")
    env = {**account.environment(), "PYTHONPATH": str(blocked.parent)}
    done = program.run(*WORDS, env=env)
    assert done.returncode == 4
    assert "pip install 'diskgen[gcp]'" in done.stderr


def test_a_disk_that_exists_starts_by_what_is_on_it(program: Program) -> None:
    """By UEFI too, where a boot loader for BIOS is there: EC2 is told so."""
    program("ami", f"oci:{program.place}/os", *TARGET, "-o", "both.ami.raw")
    with aws() as account:
        program("publish", "aws", "both.ami.raw", "--region", "eu-central-1", "--ami-name", "both",
                **account.environment())  # fmt: skip
        (found,) = account.images.values()
        assert found["said"]["BootMode"] == "uefi-preferred"
