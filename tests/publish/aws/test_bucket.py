"""The way of bootc-image-builder to an AMI: a bucket, and an import by a role."""

from __future__ import annotations

import functools
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from botocore.session import Session
from botocore.validate import ParamValidator

from diskgen.errors import Interrupted, PreflightError, PublishError
from diskgen.events import Event, StepStarted, discard
from diskgen.publish.aws import bucket, image
from diskgen.publish.aws.destination import Aws
from diskgen.publish.aws.wanted import Wanted
from diskgen.publish.publication import DiskFile, Means
from diskgen.publish.retry import Patience
from diskgen.units import GIB, MIB

from ...fixtures.aws_stand_in import ec2_refusing
from ...fixtures.bucket_stand_in import WithBucket, with_bucket
from ...fixtures.stand_in import Fault, cut, killed

WANTED = Wanted(name="os-1", region="eu-central-1", bucket="images", tags=(("a", "b"),))
READ = functools.cache(JSONFileLoader.load_file)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[WithBucket]:
    monkeypatch.setattr(image, "_FIRST", 0.01)
    monkeypatch.setattr(bucket, "_FIRST", 0.01)
    monkeypatch.setattr(JSONFileLoader, "load_file", READ)
    with with_bucket() as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def disk(tmp_path: Path) -> DiskFile:
    path = tmp_path / "os.ami.raw"
    with path.open("wb") as file:
        file.write(random.Random(1).randbytes(36 * MIB))  # of three parts
        file.truncate(GIB)
    return DiskFile(path=path, format="ami", size=GIB, arch="x86_64", sector_size=512,
                    firmware=frozenset({"uefi"}))  # fmt: skip


def publish(disk: DiskFile, wanted: Wanted = WANTED, emit: Any = discard) -> Any:
    means = Means(emit=emit, patience=Patience(attempts=3, first=0.01, most=0.01))
    return Aws(wanted).publish(disk, means)


def test_what_is_imported_is_the_disk(account: WithBucket, disk: DiskFile, tmp_path: Path) -> None:
    """qemu-img says so."""
    Aws(WANTED).check(discard)
    made = publish(disk)
    (task,) = account.tasks.values()
    got = tmp_path / "got.vmdk"
    got.write_bytes(task["bytes"])
    subprocess.run(["qemu-img", "compare", "-f", "vmdk", "-F", "raw", got, disk.path], check=True,
                   capture_output=True)  # fmt: skip
    assert account.objects == {}, "the object is removed"
    assert account.uploads == {}
    assert made.id in account.images
    assert account.images[made.id]["snapshot"] == task["snapshot"] == made.facts["snapshot"]
    tags = [{"Key": "Name", "Value": "os-1"}, {"Key": "a", "Value": "b"}]
    assert account.volumes[task["snapshot"]].asked["Tags"] == tags
    assert account.operations().count("UploadPart") == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["got.vmdk", "os.ami.raw"]


def test_beforehand_the_bucket_is_asked_for(account: WithBucket, disk: DiskFile) -> None:
    with pytest.raises(PreflightError, match="s3 HeadBucket"):
        Aws(replace(WANTED, bucket="others")).check(discard)
    assert [call.name for call in Aws(WANTED).calls(disk)] == [
        "s3 UploadPart", "ec2 ImportSnapshot", "ec2 RegisterImage",
    ]  # fmt: skip
    assert "UploadPart" not in account.operations()


def test_what_fails_leaves_nothing_in_the_bucket(account: WithBucket, disk: DiskFile) -> None:
    account.role = "other"
    with pytest.raises(PublishError, match="The service role vmimport does not exist"):
        publish(disk)
    account.role, account.broken = "vmimport", "ClientError: Disk validation failed"
    with pytest.raises(PublishError, match="Disk validation failed"):
        publish(disk)
    account.broken = ""
    account.faults.append(Fault("RegisterImage", ec2_refusing("AMIQuotaExceeded", "full")))
    with pytest.raises(PublishError, match="full"):
        publish(disk)
    for things in (account.objects, account.uploads, account.volumes, account.images):
        assert things == {}


def test_an_interrupt_cancels_the_import(account: WithBucket, disk: DiskFile) -> None:
    account.looks = 10**6

    def stop(event: Event) -> None:
        if not isinstance(event, StepStarted) and event.step == "import":  # type: ignore[union-attr]
            raise Interrupted("stopped by SIGINT")

    with pytest.raises(Interrupted) as caught:
        publish(disk, emit=stop)
    assert caught.value.left == ""
    (task,) = account.tasks.values()
    assert task["state"] == "cancelled"
    assert account.objects == {}


@pytest.mark.parametrize("changed", [False, True], ids=["same file", "file that changed"])
@pytest.mark.parametrize(
    ("module", "where"), [(bucket, "_end"), (time, "sleep"), (image, "wait_for_snapshot")],
    ids=["upload", "import", "snapshot"],
)  # fmt: skip
def test_what_a_killed_run_left_is_removed(
    account: WithBucket, disk: DiskFile, monkeypatch: pytest.MonkeyPatch, module: Any, where: str,
    changed: bool,
) -> None:  # fmt: skip
    account.looks = 4
    killed(lambda: publish(disk), monkeypatch, module, where)
    assert account.uploads or account.objects
    if changed:
        with disk.path.open("r+b") as file:
            file.write(b"other")
    made = publish(disk)
    assert account.uploads == {}
    assert account.objects == {}
    assert list(account.volumes) == [made.facts["snapshot"]]
    assert [task["state"] for task in account.tasks.values()][:-1] == (
        ["cancelled"] if where == "sleep" else ["active"] if where == "wait_for_snapshot" else []
    )


@pytest.mark.parametrize("operation", ["CompleteMultipartUpload", "ImportSnapshot", "UploadPart"])
def test_an_answer_that_is_lost_leaves_nothing(
    account: WithBucket, disk: DiskFile, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount",
                        lambda *_: 0.01)  # fmt: skip
    account.faults.append(Fault(operation, cut, late=True))
    try:
        snapshots = [publish(disk).facts["snapshot"]]
    except PublishError:
        snapshots = []
    assert (operation == "CompleteMultipartUpload") == (not snapshots)
    assert account.uploads == {}
    assert account.objects == {}
    assert list(account.volumes) == snapshots
    assert len(account.tasks) == len(snapshots)


def test_the_request_satisfies_the_published_model() -> None:
    wanted = replace(WANTED, encrypted=True, kms_key="k")
    model = Session().get_service_model("ec2").operation_model("ImportSnapshot").input_shape
    report = ParamValidator().validate(bucket.import_parameters(wanted, "key"), model)
    assert not report.has_errors(), report.generate_report()
