"""A snapshot becomes an AMI: registered, shared, copied to further regions.

API reference of EC2, version 2016-11-15: RegisterImage, ModifyImageAttribute,
ModifySnapshotAttribute, CopyImage.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from ...errors import PublishError
from ...events import step
from ...interrupt import whole
from ..answers import count_of
from ..leftovers import Leftovers
from ..publication import DiskFile, Means
from .access import Access, RefusedError, call
from .ebs import delete_snapshot, volume_size
from .models import ARCHITECTURES
from .wanted import Wanted

ROOT: Final = "/dev/xvda"
_FIRST, _MOST = 1.0, 15.0  # seconds between looks
_SNAPSHOT_SECONDS: Final = 3600
_COPY_SECONDS: Final = 4 * 3600


def register_parameters(wanted: Wanted, disk: DiskFile, snapshot: str) -> dict[str, Any]:
    """Return what RegisterImage is told. All that has a default of old times is said."""
    assert disk.arch is not None
    mode = wanted.boots_by(disk)
    said: dict[str, Any] = {
        "Name": wanted.name,
        "Description": wanted.about,
        "Architecture": ARCHITECTURES[disk.arch],
        "VirtualizationType": "hvm",
        "BootMode": mode,
        "EnaSupport": True,
        "RootDeviceName": ROOT,
        "BlockDeviceMappings": [
            {
                "DeviceName": ROOT,
                "Ebs": {
                    "SnapshotId": snapshot,
                    "VolumeSize": volume_size(disk.size),
                    "VolumeType": "gp3",
                    "DeleteOnTermination": True,
                },
            }
        ],
        "TagSpecifications": [
            {
                "ResourceType": "image",
                "Tags": wanted.tag_list,
            }
        ],
    }
    if disk.arch == "x86_64":
        said["SriovNetSupport"] = "simple"
    if not wanted.imds_v1:
        said["ImdsSupport"] = "v2.0"
    if wanted.tpm:
        said["TpmSupport"] = "v2.0"
    return said


def wait_for_snapshot(access: Access, snapshot: str, means: Means) -> None:
    """Wait until a snapshot can be registered. Raises PublishError."""
    client = access.client("ec2")

    def look(update: Callable[[int], None]) -> bool:
        found = call(client, "DescribeSnapshots", SnapshotIds=[snapshot])["Snapshots"]
        state = found[0]["State"] if found else "gone"
        if state in ("error", "gone", "recoverable"):
            said = found[0].get("StateMessage", "") if found else ""
            raise PublishError(f"the snapshot '{snapshot}' is {state}", said=said)
        percent = str(found[0].get("Progress", "")).rstrip("%")
        update(count_of(percent) or 0)
        return bool(state == "completed")

    with step(means.emit, "snapshot", "Waiting for the snapshot", total=100) as phase:
        _poll(look, phase.update, _SNAPSHOT_SECONDS, f"the snapshot '{snapshot}'")
        phase.detail = snapshot


def register(
    access: Access, wanted: Wanted, disk: DiskFile, snapshot: str, means: Means, made: Leftovers
) -> str:
    """Register an AMI and return its identifier. Raises PublishError."""
    with step(means.emit, "register", "Registering the AMI") as phase:
        image = _registered(access, register_parameters(wanted, disk, snapshot), made)
        _share(access, wanted, image, snapshot, access.where())
        phase.detail = image
    return image


def called(access: Access, name: str, region: str) -> list[dict[str, Any]]:
    """Return the account's AMIs of a name, as EC2 describes them. Raises PublishError."""
    # In a filter * and ? stand for others, and \\ for none.
    literal = "".join(f"\\{char}" if char in "*?\\" else char for char in name)
    found = call(
        access.client("ec2", region),
        "DescribeImages",
        Owners=["self"],
        Filters=[{"Name": "name", "Values": [literal]}],
    )["Images"]
    return [dict(one) for one in found]


@whole
def _registered(access: Access, says: dict[str, Any], made: Leftovers) -> str:
    region = access.where()
    try:
        image = str(call(access.client("ec2"), "RegisterImage", **says)["ImageId"])
    except PublishError as error:
        # Where an answer was lost, whoever asks again finds the name taken: by itself.
        if isinstance(error, RefusedError) and error.code != "InvalidAMIName.Duplicate":
            raise
        ours = _ours(access, says, region)
        if ours is None:
            raise
        image = ours
    made.add(
        f"the AMI '{image}' in {region}",
        f"aws ec2 deregister-image --region {region} --image-id {image}",
        lambda: _deregister(access, image, region),
    )
    return image


def _ours(access: Access, says: dict[str, Any], region: str) -> str | None:
    """Return the AMI that was registered of a snapshot, if there is one."""
    snapshot = says["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    with suppress(PublishError):
        for one in called(access, says["Name"], region):
            if _snapshot_of(one) == snapshot:
                return str(one["ImageId"])
    return None


def _share(access: Access, wanted: Wanted, image: str, snapshot: str, region: str) -> None:
    """Let other accounts start an AMI, and read the snapshot below it."""
    if not wanted.share_with:
        return
    client = access.client("ec2", region)
    call(
        client,
        "ModifyImageAttribute",
        ImageId=image,
        Attribute="launchPermission",
        LaunchPermission={"Add": [{"UserId": account} for account in wanted.share_with]},
    )
    call(
        client,
        "ModifySnapshotAttribute",
        SnapshotId=snapshot,
        Attribute="createVolumePermission",
        OperationType="add",
        UserIds=list(wanted.share_with),
    )


def copy_parameters(wanted: Wanted, image: str, region: str) -> dict[str, Any]:
    """Return what CopyImage is told; ``region`` is the one that has the AMI."""
    said: dict[str, Any] = {
        "Name": wanted.name,
        "Description": wanted.about,
        "SourceImageId": image,
        "SourceRegion": region,
        "CopyImageTags": True,
        "ClientToken": image,
    }
    if wanted.encrypted:
        said["Encrypted"] = True  # with that region's default key: keys are of one region
    return said


def copy(
    access: Access, wanted: Wanted, image: str, means: Means, made: Leftovers
) -> dict[str, str]:
    """Copy an AMI to the further regions, all at once; return them with the copies' identifiers.

    Raises PublishError.
    """
    if not wanted.copy_to:
        return {}
    source = access.where()
    copies: dict[str, str] = {}
    with step(means.emit, "copy-image", "Copying the AMI", total=len(wanted.copy_to)) as phase:
        for region in wanted.copy_to:
            said = copy_parameters(wanted, image, source)
            copies[region] = _copied(access, region, said, made)
        for number, (region, copied) in enumerate(copies.items(), 1):
            snapshot = _available(access, copied, region)
            _share(access, wanted, copied, snapshot, region)
            phase.update(number)
        phase.detail = ", ".join(f"{copied} in {region}" for region, copied in copies.items())
    return copies


@whole
def _copied(access: Access, region: str, says: dict[str, Any], made: Leftovers) -> str:
    copied = str(call(access.client("ec2", region), "CopyImage", **says)["ImageId"])
    made.add(
        f"the AMI '{copied}' in {region}, and its snapshot",
        f"aws ec2 deregister-image --region {region} --image-id {copied}",
        lambda: _remove_copy(access, copied, region),
    )
    return copied


def _available(access: Access, image: str, region: str) -> str:
    """Wait for a copy; return the snapshot below it."""
    snapshot = ""

    def look(_update: Callable[[int], None]) -> bool:
        nonlocal snapshot
        found = _described(access, image, region)
        state = found.get("State", "pending")
        if state in ("failed", "error", "invalid", "deregistered"):
            said = str(found.get("StateReason", {}).get("Message", ""))
            raise PublishError(f"the copy '{image}' in {region} is {state}", said=said)
        snapshot = _snapshot_of(found)
        return bool(state == "available")

    _poll(look, lambda _done: None, _COPY_SECONDS, f"the copy '{image}' in {region}")
    return snapshot


def _described(access: Access, image: str, region: str) -> dict[str, Any]:
    try:
        found = call(access.client("ec2", region), "DescribeImages", ImageIds=[image])["Images"]
    except RefusedError as error:
        if error.code != "InvalidAMIID.NotFound":  # of one that was made a moment ago
            raise
        return {}
    return dict(found[0]) if found else {}


def _snapshot_of(image: dict[str, Any]) -> str:
    mappings = image.get("BlockDeviceMappings", [])
    return next(
        (str(m["Ebs"]["SnapshotId"]) for m in mappings if m.get("Ebs", {}).get("SnapshotId")), ""
    )


def _deregister(access: Access, image: str, region: str) -> None:
    try:
        call(access.client("ec2", region), "DeregisterImage", ImageId=image)
    except RefusedError as error:
        if not error.code.startswith("InvalidAMIID"):
            raise


def _remove_copy(access: Access, image: str, region: str) -> None:
    snapshot = _snapshot_of(_described(access, image, region))
    _deregister(access, image, region)
    if snapshot:
        delete_snapshot(access, snapshot, region)


def _poll(
    look: Callable[[Callable[[int], None]], bool],
    update: Callable[[int], None],
    seconds: float,
    what: str,
) -> None:
    """Look again and again until it is there. Raises PublishError."""
    end = time.monotonic() + seconds
    wait = _FIRST
    while not look(update):
        if time.monotonic() > end:
            raise PublishError(f"{what} is not there after {seconds / 60:.0f} minutes")
        time.sleep(wait)
        wait = min(_MOST, wait * 1.5)
