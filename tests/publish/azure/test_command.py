"""``diskgen publish azure`` and ``diskgen vhd --azure-image`` as their users type them."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...fixtures.azure_runs import SECRETS
from ...fixtures.azure_stand_in import ACCOUNT, GROUP, Azure, azure
from ...fixtures.oci import bootable
from ...fixtures.page_blobs import KEY
from ...fixtures.program import Program, placed
from ...oracles.schemas import check

TARGET = ("--target-imgref", "quay.io/tiny/os:1")
HERE = ("--resource-group", GROUP)


@pytest.fixture(scope="module")
def program(program_path: Path) -> Iterator[Program]:
    with placed(program_path, "diskgen-publish-") as made:
        bootable(made.place / "os")
        made("vhd", f"oci:{made.place}/os", *TARGET, "-o", "tiny.vhd")
        made("raw", f"oci:{made.place}/os", *TARGET, "-o", "tiny.raw")
        yield made


@pytest.fixture
def account() -> Iterator[Azure]:
    with azure() as service:
        yield service


def assert_nothing_told(program: Program, *texts: str) -> None:
    logs = [log.read_text() for log in (program.home / ".local/state/diskgen/log").iterdir()]
    for secret in SECRETS:
        assert not any(secret in text for text in [*texts, *logs])


def test_a_disk_is_published_and_its_identifier_is_all_that_is_printed(
    program: Program, account: Azure
) -> None:
    words = ("publish", "azure", "tiny.vhd", *HERE)
    requests = program(*words, "--dry-run", "--json", **account.environment())
    check("requests", json.loads(requests))
    assert account.left() == []
    done = program.run(*words, env=account.environment())
    assert done.returncode == 0, done.stderr
    assert account.left() == [account.path("images/tiny")]
    assert done.stdout == f"{account.path('images/tiny')}\n"
    (blob,) = account.used
    with (program.place / "tiny.vhd").open("rb") as disk:
        for number, page in blob.pages.items():
            disk.seek(number * 512)
            assert disk.read(512) == page
    assert_nothing_told(program, done.stderr, requests)
    again = program.run(*words, env=account.environment())
    assert again.returncode == 4
    assert f"an image 'tiny' exists in '{GROUP}'" in again.stderr
    assert "(see --azure-image)" in again.stderr


def test_an_image_becomes_an_image_of_azure_by_one_command(
    program: Program, account: Azure
) -> None:
    account.add_gallery()
    words = ("vhd", f"oci:{program.place}/os", *TARGET, *HERE, "-o", "new.vhd", "--gallery", "ours",
             "--image-version", "1.0.0", "--storage-account", ACCOUNT)  # fmt: skip
    env = {**account.environment(), "AZURE_STORAGE_ACCOUNT": ACCOUNT, "AZURE_STORAGE_KEY": KEY}
    result = json.loads(program(*words, "--azure-image", "os", "--json", **env))
    check("published", result)
    assert result["id"] == account.path("galleries/ours/images/os/versions/1.0.0")
    assert result["id"] in account.resources
    assert (program.place / "new.vhd").exists()
    refused = program.run(*words, "--force", "--azure-image", "os", env=env)
    assert refused.returncode == 4
    assert "Fetching" not in refused.stderr, "it is refused before the build"
    assert_nothing_told(program, refused.stderr)
    alone = program.run(*words, "--force", env=env)
    assert alone.returncode == 2
    assert "is about publishing, and nothing is to be published" in alone.stderr


def test_an_account_in_the_environment_is_used_unless_told_otherwise(
    program: Program, account: Azure
) -> None:
    env = {**account.environment(), "AZURE_STORAGE_ACCOUNT": ACCOUNT, "AZURE_STORAGE_KEY": KEY}
    words = ("publish", "azure", "tiny.vhd", *HERE, "--dry-run")
    assert f"blob PUT  {ACCOUNT}/vhds/<blob>" in program(*words, **env)
    assert "compute PUT disks" in program(*words, "--direct", **env)
    both = program.run(*words, "--direct", "--storage-account", ACCOUNT, env=env)
    assert both.returncode == 2


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("nothing", *HERE), 2, "'nothing' is no file"),
        (("tiny.vhd",), 2, "no resource group is named"),
        (("tiny.vhd", *HERE, "--azure-image", "-"), 2, "'-' is no name of an image"),
        (("tiny.vhd", *HERE, "--subscription", "x"), 2, "no identifier of a subscription"),
        (("tiny.vhd", *HERE, "--tag", "x"), 2, "'x' is not KEY=VALUE"),
        (("tiny.vhd", *HERE, "--replicas", "none"), 2, "'none' is no number above 0"),
        (("tiny.vhd", *HERE, "--arch", "s390x"), 2, "Azure has no machines of s390x"),
        (("tiny.vhd", *HERE, "--arch", "aarch64"), 2, "a managed image is of x86_64 alone"),
        (("tiny.raw", *HERE), 2, "make it by diskgen vhd"),
        (("tiny.vhd", *HERE, "--location", "mars"), 4, "no region 'mars'"),
        (("os/oci-layout", *HERE), 3, "is no disk"),
    ],
)
def test_what_is_wrong_is_told(
    program: Program, account: Azure, words: tuple[str, ...], status: int, said: str
) -> None:
    done = program.run("publish", "azure", *words, env=account.environment())
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert account.left() == []


def test_who_names_no_subscription_is_told(program: Program, account: Azure) -> None:
    env = {**account.environment(), "AZURE_SUBSCRIPTION_ID": ""}
    done = program.run("publish", "azure", "tiny.vhd", *HERE, env=env)
    assert (done.returncode, "no subscription is named" in done.stderr) == (2, True)


def test_an_interrupt_leaves_nothing_at_the_place(program: Program, account: Azure) -> None:
    account.slow = 0.1
    words = ("publish", "azure", "tiny.vhd", *HERE, "--limit-rate", "1M")
    running = program.start(*words, env=account.environment())
    _until(account, "PUT page", 3)
    account.slow = 0.0
    running.send_signal(signal.SIGINT)
    _out, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.splitlines()[-1] == "interrupted: nothing was left behind"
    assert account.left() == []
    assert list(program.place.glob(".*.journal")) == []
    assert_nothing_told(program, said)


@pytest.mark.parametrize("way", [(), ("--storage-account", ACCOUNT)])
def test_a_killed_run_is_gone_on_with(
    program: Program, account: Azure, way: tuple[str, ...]
) -> None:
    words = ("publish", "azure", "tiny.vhd", *HERE, *way)
    running = program.start(*words, "--limit-rate", "2M", env=account.environment())
    _until(account, "PUT page", 5)
    running.kill()
    running.communicate(timeout=60)
    assert_nothing_told(program, *(one.read_text() for one in program.place.glob(".*.journal")))
    there = account.operations().count("PUT page")
    account.asked.clear()
    result = json.loads(program(*words, "--json", **account.environment()))
    assert not {"PUT disks", "PUT blob"} & set(account.operations())
    assert result["bytes_there"] >= (there - 3) * 1024 * 1024
    assert account.left() == [result["id"]]
    assert list(program.place.glob(".*.journal")) == []


def _until(account: Azure, operation: str, count: int) -> None:
    end = time.monotonic() + 120
    while account.operations().count(operation) < count:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_without_the_library_it_is_told_what_brings_it(program: Program, account: Azure) -> None:
    blocked = program.place / "blocked/azure"
    blocked.mkdir(parents=True, exist_ok=True)
    (blocked / "identity.py").write_text("raise ImportError('it is not here')")
    env = {**account.environment(), "PYTHONPATH": str(blocked.parent)}
    done = program.run("publish", "azure", "tiny.vhd", *HERE, env=env)
    assert done.returncode == 4
    assert "pip install 'diskgen[azure]'" in done.stderr
