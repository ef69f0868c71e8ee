"""A raw disk becomes an AMI: against a stand-in that checks what EBS direct and EC2 check."""

from __future__ import annotations

import base64
import functools
import hashlib
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from botocore.session import Session
from botocore.validate import ParamValidator

from diskgen.errors import DiskgenError, Interrupted, PreflightError, PublishError, UsageError
from diskgen.events import Event, Notice, StepProgress, discard
from diskgen.publish.aws import ebs, image
from diskgen.publish.aws.access import Access
from diskgen.publish.aws.destination import Aws
from diskgen.publish.aws.wanted import Wanted, check_disk, name_of
from diskgen.publish.publication import Call, DiskFile, Means, Published
from diskgen.publish.retry import Patience
from diskgen.units import GIB

from ...fixtures import aws_stand_in
from ...fixtures.aws_stand_in import BLOCK, SECRET, TOKEN, aws
from ...fixtures.stand_in import Fault, cut, killed

QUICK = Patience(attempts=6, first=0.001, most=0.01)
READ = functools.cache(JSONFileLoader.load_file)  # models of services are large
WANTED = Wanted(name="os-1", region="eu-central-1")
DATA = (0, 1, 2, 700, 4095, 6143)  # blocks of the disk that hold data


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[aws_stand_in.Aws]:
    monkeypatch.setattr(image, "_FIRST", 0.01)
    monkeypatch.setattr(JSONFileLoader, "load_file", READ)
    with aws() as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def disk(tmp_path: Path) -> DiskFile:
    path = tmp_path / "os.ami.raw"
    with path.open("wb") as file:
        file.truncate(3 * GIB)
        for number in DATA:
            file.seek(number * BLOCK + number % 7 * 1000)
            file.write(random.Random(number).randbytes(5000))
        file.seek(2000 * BLOCK)
        file.write(bytes(BLOCK))  # written, and zeros nevertheless
    return DiskFile(path=path, format="ami", size=3 * GIB, arch="x86_64", sector_size=512,
                    firmware=frozenset({"uefi", "bios"}))  # fmt: skip


def published(disk: DiskFile, wanted: Wanted = WANTED, **how: Any) -> Published:
    means = Means(emit=how.pop("emit", discard), patience=QUICK, **how)
    return Aws(wanted).publish(disk, means)


def same(volume: aws_stand_in.Volume, path: Path) -> bool:
    """Say whether a snapshot reads as a file does, block by block."""
    with path.open("rb") as file:
        for number in range(volume.size * 2048):
            file.seek(number * BLOCK)
            told = volume.blocks.get(number)
            if told is None and number not in DATA:
                continue
            if file.read(BLOCK) != (told or bytes(BLOCK)):
                return False
    return True


def journals(disk: DiskFile) -> list[Path]:
    return list(disk.path.parent.glob(".*.journal"))


def test_a_disk_becomes_an_ami(account: aws_stand_in.Aws, disk: DiskFile) -> None:
    made = published(disk)
    (volume,) = account.volumes.values()
    assert same(volume, disk.path)
    assert sorted(volume.blocks) == list(DATA), "only data is sent"
    assert (volume.state, volume.size) == ("completed", 3)
    (ami,) = account.images.values()
    assert made.id == ami["id"]
    said = ami["said"]
    assert said["BootMode"] == "uefi-preferred"
    assert said["Architecture"] == "x86_64"
    assert said["ImdsSupport"] == "v2.0"
    assert said["EnaSupport"] == "true"
    (mapping,) = said["BlockDeviceMapping"]
    assert mapping["Ebs"] == {"SnapshotId": volume.id, "VolumeSize": "3", "VolumeType": "gp3",
                              "DeleteOnTermination": "true"}  # fmt: skip
    assert made.facts["snapshot"] == volume.id
    assert made.facts["bytes_sent"] == len(DATA) * BLOCK
    assert journals(disk) == []


def test_everything_that_can_be_asked_for(account: aws_stand_in.Aws, disk: DiskFile) -> None:
    wanted = replace(WANTED, description="d", tags=(("team", "os"),), tpm=True, imds_v1=True,
                     encrypted=True, kms_key="arn:aws:kms:eu-central-1:1:key/k",
                     share_with=("123456789012",), copy_to=("us-east-1", "ap-south-1"))  # fmt: skip
    made = published(replace(disk, arch="aarch64"), wanted)
    images = {one["region"]: one for one in account.images.values()}
    assert made.facts["images"] == {region: one["id"] for region, one in images.items()}
    assert set(images) == {"eu-central-1", "us-east-1", "ap-south-1"}
    said = images["eu-central-1"]["said"]
    assert said["Architecture"] == "arm64"
    assert (said["BootMode"], said["TpmSupport"]) == ("uefi", "v2.0")
    assert "ImdsSupport" not in said
    assert said["TagSpecification"] == [
        {"ResourceType": "image", "Tag": [{"Key": "Name", "Value": "os-1"},
                                          {"Key": "team", "Value": "os"}]}
    ]  # fmt: skip
    for one in images.values():
        assert one["shared"] == ["123456789012"]
        assert account.volumes[one["snapshot"]].shared == ["123456789012"]
    first = account.volumes[images["eu-central-1"]["snapshot"]]
    assert first.asked["KmsKeyArn"] == wanted.kms_key
    assert first.asked["Tags"] == [{"Key": "Name", "Value": "os-1"}, {"Key": "team", "Value": "os"}]
    assert images["us-east-1"]["said"]["copied"]["Encrypted"] == "true"
    assert "KmsKeyId" not in images["us-east-1"]["said"]["copied"]


def test_an_account_that_encrypts_everything_is_told_by_which_key(
    account: aws_stand_in.Aws, disk: DiskFile
) -> None:
    account.encrypts = True
    assert published(disk).facts["kms_key"] == aws_stand_in.KMS


FAULTS = {
    "throttled": [Fault("PutSnapshotBlock", aws_stand_in.throttled, times=5)],
    "failing": [Fault("PutSnapshotBlock", aws_stand_in.failing, times=3, after=1)],
    "cut": [Fault("PutSnapshotBlock", cut, times=4)],
    "cut after it was obeyed": [Fault("PutSnapshotBlock", cut, times=4, late=True)],
    "unknown at first": [Fault("PutSnapshotBlock", aws_stand_in.unknown, times=4)],
    "start fails": [Fault("StartSnapshot", aws_stand_in.failing, times=2)],
    "start is obeyed, and its answer lost": [Fault("StartSnapshot", cut, late=True)],
    "completion throttled": [Fault("CompleteSnapshot", aws_stand_in.throttled, times=2)],
    "completion fails": [Fault("CompleteSnapshot", aws_stand_in.failing, times=2)],
    "description cut": [Fault("DescribeSnapshots", cut, times=2)],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_what_passes_is_outlasted(
    account: aws_stand_in.Aws, disk: DiskFile, faults: list[Fault], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount",
                        lambda *_: 0.01)  # fmt: skip
    account.faults += [replace(fault) for fault in faults]
    published(disk)
    (volume,) = account.volumes.values()
    assert same(volume, disk.path)
    assert len(account.images) == 1
    assert all(fault.times == 0 for fault in account.faults)


EXPIRED = aws_stand_in.refusing(403, "ExpiredTokenException")
OTHER = aws_stand_in.refusing(400, "ValidationException", "other bytes")
ENDS = {
    "quota": (Fault("StartSnapshot", aws_stand_in.full), "too many snapshots.*Quota"),
    "expired": (Fault("PutSnapshotBlock", EXPIRED, after=2), "have expired"),
    "gone": (Fault("PutSnapshotBlock", aws_stand_in.throttled, times=99), "failed 6 times"),
    "checksum": (Fault("CompleteSnapshot", OTHER), "other bytes"),
    **{
        name: (Fault(operation, aws_stand_in.ec2_refusing(code, f"no {name}"), after=after),
               f"no {name}")
        for name, operation, code, after in (
            ("quota of AMIs", "RegisterImage", "AMIQuotaExceeded", 0),
            ("sharing", "ModifySnapshotAttribute", "InvalidParameterValue", 0),
            ("second copy", "CopyImage", "ResourceLimitExceeded", 1),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize(("fault", "words"), ENDS.values(), ids=ENDS)
def test_what_fails_leaves_nothing(
    account: aws_stand_in.Aws, disk: DiskFile, fault: Fault, words: str
) -> None:
    account.faults.append(replace(fault))
    wanted = replace(WANTED, share_with=("123456789012",), copy_to=("us-east-1", "ap-south-1"))
    with pytest.raises(PublishError, match=words) as caught:
        published(disk, wanted)
    assert account.volumes == {}
    assert account.images == {}
    assert journals(disk) == []
    assert SECRET not in str(caught.value)


def test_what_cannot_be_removed_is_named(account: aws_stand_in.Aws, disk: DiskFile) -> None:
    """As where credentials expire: a later run goes on with what is there."""
    seen: list[Event] = []
    account.faults.append(Fault("PutSnapshotBlock", EXPIRED, times=99, after=3))
    account.may_not.add("DeleteSnapshot")
    with pytest.raises(PublishError, match="have expired"):
        published(disk, emit=seen.append, workers=1)
    (left,) = [one.message for one in seen if isinstance(one, Notice) and one.level == "warning"]
    (volume,) = account.volumes.values()
    assert f"left behind is the snapshot '{volume.id}' in eu-central-1" in left
    assert f"aws ec2 delete-snapshot --region eu-central-1 --snapshot-id {volume.id}" in left
    assert "c2VjcmV0" not in left, "the message that only the account's owner can decode"
    assert len(journals(disk)) == 1
    account.faults.clear()
    account.may_not.clear()
    account.asked.clear()
    made = published(disk, emit=seen.append)
    assert made.facts["snapshot"] == volume.id
    assert account.operations().count("PutSnapshotBlock") == len(DATA) - 3
    assert (made.facts["bytes_sent"], made.facts["bytes_there"]) == (3 * BLOCK, 3 * BLOCK)
    assert same(volume, disk.path)


@pytest.mark.parametrize("where", ["_complete", "register"])
def test_a_killed_run_is_gone_on_with(
    account: aws_stand_in.Aws, disk: DiskFile, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    killed(lambda: published(disk), monkeypatch, ebs if where == "_complete" else image, where)
    assert len(journals(disk)) == 1
    (volume,) = account.volumes.values()
    account.asked.clear()
    made = published(disk)
    assert "PutSnapshotBlock" not in account.operations()
    assert made.facts["snapshot"] == volume.id
    assert len(account.volumes) == 1
    assert same(volume, disk.path)
    assert journals(disk) == []


def test_a_snapshot_that_aws_gave_up_is_begun_anew(
    account: aws_stand_in.Aws, disk: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(lambda: published(disk), monkeypatch, ebs, "_complete")
    (volume,) = account.volumes.values()
    volume.state = "error"
    made = published(disk)
    assert made.facts["snapshot"] != volume.id
    assert made.facts["bytes_sent"] == len(DATA) * BLOCK


def test_what_was_sent_of_a_file_that_changed_is_deleted(
    account: aws_stand_in.Aws, disk: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(lambda: published(disk), monkeypatch, ebs, "_complete")
    with disk.path.open("r+b") as file:
        file.seek(700 * BLOCK)
        file.write(b"other")
    published(disk)
    (volume,) = account.volumes.values()
    assert same(volume, disk.path)


def test_an_interrupt_removes_the_snapshot(account: aws_stand_in.Aws, disk: DiskFile) -> None:
    account.slow = 0.05

    def stop(event: Event) -> None:
        if isinstance(event, StepProgress) and event.step == "upload" and event.done:
            raise Interrupted("stopped by SIGINT")

    with pytest.raises(Interrupted) as caught:
        published(disk, emit=stop, workers=1)
    assert caught.value.left == ""
    assert account.volumes == {}
    assert threading.active_count() < 10


def test_another_size_of_blocks_is_refused(account: aws_stand_in.Aws, disk: DiskFile) -> None:
    account.block_size = 512
    with pytest.raises(PublishError, match="blocks of 512 bytes"):
        published(disk)
    assert account.volumes == {}


@pytest.mark.parametrize("times", [1, 6])
def test_an_ami_whose_answer_was_lost_is_found(
    account: aws_stand_in.Aws, disk: DiskFile, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount",
                        lambda *_: 0.01)  # fmt: skip
    account.faults.append(Fault("RegisterImage", cut, times=times, late=True))
    made = published(disk)
    assert list(account.images) == [made.id]


def test_an_ami_of_others_is_not_taken_for_ours(account: aws_stand_in.Aws, disk: DiskFile) -> None:
    made = published(disk)
    with pytest.raises(PublishError, match="an AMI of this name exists"):
        published(disk)
    assert list(account.images) == [made.id]
    assert list(account.volumes) == [made.facts["snapshot"]]


def test_connections_are_kept(account: aws_stand_in.Aws, disk: DiskFile) -> None:
    published(disk, workers=2)
    assert 1 <= account.most_at_once <= 2


def test_beforehand_ec2_is_asked(account: aws_stand_in.Aws, disk: DiskFile) -> None:
    Aws(replace(WANTED, copy_to=("us-east-1",))).check(discard)
    assert set(account.operations()) == {"DescribeRegions", "DescribeImages", "RegisterImage"}
    published(disk)
    with pytest.raises(PreflightError, match=r"an AMI 'os-1' exists in eu-central-1: 'ami-"):
        Aws(WANTED).check(discard)
    with pytest.raises(PreflightError, match="no region 'eu-north-9'"):
        Aws(replace(WANTED, copy_to=("eu-north-9",))).check(discard)
    account.may_not.add("RegisterImage")
    with pytest.raises(PreflightError, match="not authorized"):
        Aws(replace(WANTED, name="free")).check(discard)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong/secret+key"}, "does not take the credentials"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials for AWS"),
        ({"AWS_PROFILE": "nowhere"}, "nowhere"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect"),
        ({"AWS_ENDPOINT_URL": "nowhere"}, "configuration of ec2: Invalid endpoint: nowhere"),
        ({"AWS_ENDPOINT_URL": "http://[::"}, "configuration of ec2: Invalid IPv6 URL"),
    ],
)
def test_credentials_that_do_not_work_are_told_and_not_shown(
    account: aws_stand_in.Aws, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], words: str
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount",
                        lambda *_: 0.01)  # fmt: skip
    assert account.url
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    with pytest.raises(DiskgenError, match=words) as caught:
        Aws(WANTED).check(discard)
    said = str(caught.value) + str(caught.value.hint)
    assert not any(secret in said for secret in (SECRET, TOKEN, "wrong/secret+key"))


@pytest.mark.parametrize(
    ("process", "words"), [("/nowhere", "'/nowhere'"), (f"/bin/echo {{{SECRET}", "Expecting")]
)
def test_a_program_for_credentials_that_has_none_is_told(
    account: aws_stand_in.Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, process: str,
    words: str,
) -> None:  # fmt: skip
    assert account.url
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {process}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(PublishError, match=f"looking for credentials: .*{words}") as caught:
        Aws(WANTED).check(discard)
    assert SECRET not in str(caught.value)


def test_blocks_trust_whom_botocore_is_told_to_trust(
    account: aws_stand_in.Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert account.url
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    assert Access(None, None).authorities() is None
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/a")
    assert Access(None, None).authorities() == "/a"
    monkeypatch.setenv("AWS_CA_BUNDLE", "/b")
    assert Access(None, None).authorities() == "/b"


def test_without_a_region_it_is_asked_for(
    account: aws_stand_in.Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PublishError, match="no region is named"):
        Aws(replace(WANTED, region=None)).check(discard)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    Aws(replace(WANTED, region=None)).check(discard)
    assert account.asked


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "ab"}, "no name of an AMI"), ({"name": "a" * 129}, "no name"),
    ({"name": "os:1"}, "no name"), ({"name": "ös1"}, "no name"), ({"name": "os\n1"}, "no name"),
    ({"region": "eu-central-1.evil.example/"}, "no name of a region"),
    ({"copy_to": ("x",)}, "no name of a region"), ({"copy_to": ("eu-central-1",)}, "itself"),
    ({"share_with": ("12345",)}, "no account"), ({"description": "x" * 256}, "256 characters"),
    ({"tags": (("aws:x", "y"),)}, "no tag"), ({"tags": (("a", "x" * 257),)}, "no tag"),
    ({"tags": (("a", "1"), ("a", "2"))}, "twice"),
    ({"tags": tuple((f"k{n}", "") for n in range(50))}, "50 tags"),
    ({"bucket": "No/Bucket"}, "no name of a bucket"),
    ({"kms_key": "k"}, "encrypt nothing"), ({"tpm": True, "boot_mode": "legacy-bios"}, "TPM"),
    ({"encrypted": True, "share_with": ("123456789012",)}, "cannot be shared"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "words"), WRONG)
def test_what_ec2_would_not_take_is_refused_before(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(WANTED, **changed)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"arch": "s390x"}, "no machines of s390x"), ({"arch": None}, "does not say"),
        ({"sector_size": 4096}, "sectors of 4096"), ({"format": "qcow2"}, "format qcow2"),
        ({"size": 65537 * GIB}, "64 TiB"),
    ],
)  # fmt: skip
def test_disks_that_ec2_does_not_take_are_refused(
    disk: DiskFile, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check_disk(replace(disk, **changed))


@pytest.mark.parametrize(
    ("arch", "firmware", "asked", "mode"),
    [
        ("x86_64", {"uefi", "bios"}, {}, "uefi-preferred"), ("x86_64", {"bios"}, {}, "legacy-bios"),
        ("x86_64", {"uefi"}, {}, "uefi"), ("aarch64", {"uefi"}, {}, "uefi"),
        ("x86_64", set(), {}, "uefi-preferred"),
        ("x86_64", {"uefi", "bios"}, {"tpm": True}, "uefi"),
        ("x86_64", {"uefi", "bios"}, {"boot_mode": "legacy-bios"}, "legacy-bios"),
    ],
)  # fmt: skip
def test_the_boot_mode_is_what_can_start_the_disk(
    disk: DiskFile, arch: str, firmware: set[str], asked: dict[str, Any], mode: str
) -> None:
    wanted = replace(WANTED, **asked)
    assert wanted.boots_by(replace(disk, arch=arch, firmware=frozenset(firmware))) == mode


def test_requests_are_shown_before(account: aws_stand_in.Aws, disk: DiskFile) -> None:
    wanted = replace(WANTED, share_with=("123456789012",), copy_to=("us-east-1",))
    calls = Aws(wanted).calls(disk)
    assert [call.name for call in calls] == [
        "ebs StartSnapshot", "ebs PutSnapshotBlock", "ebs CompleteSnapshot", "ec2 RegisterImage",
        "ec2 ModifyImageAttribute", "ec2 ModifySnapshotAttribute", "ec2 CopyImage",
    ]  # fmt: skip
    assert all(isinstance(call, Call) for call in calls)
    assert account.asked == []


def test_requests_satisfy_the_published_model(disk: DiskFile) -> None:
    """And its enums and maxima, which botocore itself does not check."""
    wanted = replace(WANTED, tpm=True, encrypted=True, kms_key="k", tags=(("a", "b"),))
    session = Session()
    tried = [
        ("ebs", "StartSnapshot", ebs.start_parameters(wanted, disk.size, "t")),
        ("ec2", "RegisterImage", image.register_parameters(wanted, disk, "snap-1")),
        ("ec2", "CopyImage", image.copy_parameters(wanted, "ami-1", "eu-central-1")),
    ]  # fmt: skip
    for service, operation, says in tried:
        shape = session.get_service_model(service).operation_model(operation).input_shape
        report = ParamValidator().validate(says, shape)
        assert not report.has_errors(), report.generate_report()
        assert list(beyond(shape, says)) == []
    shape = session.get_service_model("ec2").operation_model("RegisterImage").input_shape
    assert list(beyond(shape, {"Architecture": "s390x"})) == ["s390x"]


def beyond(shape: Any, value: Any) -> Iterator[Any]:
    """Yield what is none of an enum, or above a maximum, of botocore's model."""
    if shape.type_name == "structure":
        for key, one in value.items():
            yield from beyond(shape.members[key], one)
    elif shape.type_name == "list":
        for one in value:
            yield from beyond(shape.member, one)
    elif getattr(shape, "enum", None) and value not in shape.enum:
        yield value
    elif "max" in shape.metadata:
        size = len(value) if isinstance(value, str) else value
        if size > shape.metadata["max"]:
            yield value


def test_names_are_made_of_files() -> None:
    assert name_of("os:1 (x)") == "os-1 (x)"
    assert len(name_of("x" * 200)) == 128


def test_botocores_own_client_agrees_with_the_stand_in(account: aws_stand_in.Aws) -> None:
    """What is right for the vendor's client is right for the stand-in, and what is wrong is not."""
    session = Session()
    client = session.create_client("ebs", region_name="eu-central-1")
    data = random.Random(1).randbytes(BLOCK)
    digest = hashlib.sha256(data).digest()
    told = base64.b64encode(digest).decode()
    started = client.start_snapshot(VolumeSize=1, ClientToken="t")
    put = {"SnapshotId": started["SnapshotId"], "BlockIndex": 3, "BlockData": data,
           "DataLength": BLOCK, "Checksum": told, "ChecksumAlgorithm": "SHA256"}  # fmt: skip
    client.put_snapshot_block(**put)
    for wrong in ({"Checksum": "AAAA"}, {"BlockIndex": 2048}, {"BlockData": data[:-1]}):
        with pytest.raises(client.exceptions.ValidationException):
            client.put_snapshot_block(**{**put, **wrong})
    with pytest.raises(client.exceptions.ConflictException):
        client.start_snapshot(VolumeSize=2, ClientToken="t")
    total = ebs.checksum({3: digest})
    with pytest.raises(client.exceptions.ValidationException):
        client.complete_snapshot(SnapshotId=started["SnapshotId"], ChangedBlocksCount=2)
    client.complete_snapshot(
        SnapshotId=started["SnapshotId"], ChangedBlocksCount=1, Checksum=total,
        ChecksumAlgorithm="SHA256", ChecksumAggregationMethod="LINEAR",
    )  # fmt: skip
    ec2 = session.create_client("ec2", region_name="eu-central-1")
    state = ec2.describe_snapshots(SnapshotIds=[started["SnapshotId"]])["Snapshots"][0]["State"]
    assert state == "completed"
    assert account.volumes[started["SnapshotId"]].blocks == {3: data}
    client.close()
    ec2.close()
