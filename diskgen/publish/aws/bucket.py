"""The other way to a snapshot: an object in a bucket, which EC2 imports by a role of the account.

API references of Amazon S3 (multipart uploads) and of EC2 (ImportSnapshot, version 2016-11-15). The
object is a streamOptimized VMDK, so that what is empty is not sent here either.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ... import scratch
from ...errors import PublishError
from ...events import step
from ...formats import vmdk
from ...formats.pieces import bytes_read
from ...formats.vmdk_extent import GRAIN
from ...interrupt import whole
from ...units import MIB, format_size
from ..answers import count_of
from ..extents import Piece, Sparse
from ..journal import Journal
from ..leftovers import Leftovers
from ..publication import DiskFile, Means
from ..transfer import Sent, send
from .access import Access, RefusedError, call
from .ebs import Snapshot, delete_snapshot, note
from .wanted import Wanted

_PART: Final = 16 * MIB  # at least; of 5 MiB to 5 GiB
_PARTS: Final = 10_000  # at most
_FIRST: Final = 2.0  # seconds between looks
_MOST: Final = 15.0
_SECONDS: Final = 24 * 3600
_ENDED: Final = ("deleted", "deleting", "error", "cancelled")
_NAMESPACE: Final = uuid.UUID("4d0b5f3c-7a0e-5c7e-9d0e-6f6a3b1d2c55")


def import_parameters(wanted: Wanted, key: str) -> dict[str, Any]:
    """Return what ImportSnapshot is told of the object ``key``."""
    return {
        "Description": wanted.about,
        "DiskContainer": {
            "Description": wanted.name,
            "Format": "VMDK",
            "UserBucket": {"S3Bucket": wanted.bucket, "S3Key": key},
        },
        "RoleName": wanted.role,
        "ClientToken": key,  # an answer that was lost is asked for again
        "TagSpecifications": [
            {
                "ResourceType": "import-snapshot-task",
                "Tags": [{"Key": "Name", "Value": wanted.name}],
            }
        ],
        **wanted.encryption("KmsKeyId"),
    }


def check(access: Access, wanted: Wanted) -> None:
    """Ask whether there is a bucket. Raises RefusedError."""
    call(access.client("s3"), "HeadBucket", Bucket=wanted.bucket)


def upload(
    access: Access,
    wanted: Wanted,
    disk: DiskFile,
    journal: Journal,
    means: Means,
    made: Leftovers,
) -> tuple[Snapshot, Sent]:
    """Make a snapshot of a disk by way of a bucket. Raises PublishError."""
    if journal.facts:
        earlier = Leftovers(means.emit)
        note_earlier(access, wanted, journal.facts, earlier)
        earlier.drop()
    journal.forget()
    key = f"diskgen-{uuid.uuid4()}.vmdk"
    with Leftovers(means.emit) as object_:
        sent = _sent(access, wanted, disk, key, journal, means, object_)
        snapshot = _imported(access, wanted, key, journal, means, made)
        object_.drop()
        made.left += object_.left
    call(access.client("ec2"), "CreateTags", Resources=[snapshot], Tags=wanted.tag_list)
    return Snapshot(snapshot, complete=True, kms_key=wanted.kms_key), sent


def _sent(
    access: Access,
    wanted: Wanted,
    disk: DiskFile,
    key: str,
    journal: Journal,
    means: Means,
    made: Leftovers,
) -> Sent:
    """Put a VMDK of the disk into the bucket."""
    with scratch.directory(disk.path.absolute().parent) as place:
        packed = place / "disk.vmdk"
        total = bytes_read(disk.path, GRAIN)
        with (
            step(means.emit, "convert", "Packing the disk", total=total, unit="bytes") as phase,
            packed.open("wb") as sink,
        ):
            identity = uuid.uuid5(_NAMESPACE, key)
            size = vmdk.stream(disk.path, sink, "disk.vmdk", identity, phase.advance)
            phase.detail = format_size(size)
        upload_id = _begun(access, wanted, key, journal, made)
        parts: dict[int, dict[str, Any]] = {}
        grain = max(_PART, -(-size // _PARTS))
        with Sparse(packed) as source:
            sent = send(
                source, grain, lambda: _Line(access, wanted, key, upload_id, parts), journal, means,
                every=True,
            )  # fmt: skip
    _end(access, wanted, key, upload_id, parts, made)
    return sent


@whole
def _begun(access: Access, wanted: Wanted, key: str, journal: Journal, made: Leftovers) -> str:
    client = access.client("s3")
    answer = call(
        client, "CreateMultipartUpload", Bucket=wanted.bucket, Key=key, ChecksumAlgorithm="SHA256"
    )
    upload_id = str(answer["UploadId"])
    journal.note("upload", {"key": key, "id": upload_id})
    _note_upload(access, wanted, key, upload_id, made)
    return upload_id


def _note_upload(access: Access, wanted: Wanted, key: str, upload_id: str, made: Leftovers) -> None:
    """Note an upload, which has become an object where it was completed and the answer lost."""

    def remove() -> None:
        _abort(access, wanted, key, upload_id)
        _delete(access, wanted, key)

    made.add(
        f"the unfinished upload of '{key}' in the bucket '{wanted.bucket}'",
        f"aws s3api abort-multipart-upload --bucket {wanted.bucket} --key {key} "
        f"--upload-id {upload_id}",
        remove,
    )


@whole
def _end(
    access: Access,
    wanted: Wanted,
    key: str,
    upload_id: str,
    parts: Mapping[int, dict[str, Any]],
    made: Leftovers,
) -> None:
    """Make the parts an object, which is removed at the end, whatever that is."""
    call(
        access.client("s3"), "CompleteMultipartUpload", Bucket=wanted.bucket, Key=key,
        UploadId=upload_id, MultipartUpload={"Parts": [parts[number] for number in sorted(parts)]},
    )  # fmt: skip
    made.keep()
    made.add(
        f"the object '{key}' in the bucket '{wanted.bucket}'",
        f"aws s3api delete-object --bucket {wanted.bucket} --key {key}",
        lambda: _delete(access, wanted, key),
    )


def _abort(access: Access, wanted: Wanted, key: str, upload_id: str) -> None:
    try:
        call(
            access.client("s3"), "AbortMultipartUpload", Bucket=wanted.bucket, Key=key,
            UploadId=upload_id,
        )  # fmt: skip
    except RefusedError as error:
        if error.code != "NoSuchUpload":
            raise


def _delete(access: Access, wanted: Wanted, key: str) -> None:
    call(access.client("s3"), "DeleteObject", Bucket=wanted.bucket, Key=key)


def note_earlier(access: Access, wanted: Wanted, facts: Mapping[str, Any], left: Leftovers) -> None:
    """Note what a killed run left, by the facts of its journal: it cannot be gone on with."""
    match facts.get("upload"):
        case {"key": str() as key, "id": str() as upload_id}:
            _note_upload(access, wanted, key, upload_id, left)
        case _:
            pass
    match facts.get("task"):
        case str() as task:
            _note_task(access, task, left)
        case _:
            pass


def _imported(
    access: Access, wanted: Wanted, key: str, journal: Journal, means: Means, made: Leftovers
) -> str:
    """Have EC2 import an object; return the snapshot. Raises PublishError."""
    with step(means.emit, "import", "Waiting for the import", total=100) as phase:
        task = _task(access, wanted, key, journal, made)
        end = time.monotonic() + _SECONDS
        wait = _FIRST
        while True:
            detail = _detail(access, task)
            state = detail.get("Status", "active")
            if state == "completed":
                break
            if state in _ENDED:
                raise PublishError(
                    f"EC2 could not import the disk, task '{task}'",
                    said=str(detail.get("StatusMessage", state)),
                )
            if time.monotonic() > end:
                raise PublishError(f"the import '{task}' is not done after a day")
            percent = str(detail.get("Progress", "0"))
            phase.update(count_of(percent) or 0)
            time.sleep(wait)
            wait = min(_MOST, wait * 1.5)
        made.keep()
        snapshot = str(detail["SnapshotId"])
        note(access, snapshot, made)
        phase.detail = snapshot
    return snapshot


@whole
def _task(access: Access, wanted: Wanted, key: str, journal: Journal, made: Leftovers) -> str:
    answer = call(access.client("ec2"), "ImportSnapshot", **import_parameters(wanted, key))
    task = str(answer["ImportTaskId"])
    journal.note("task", task)
    _note_task(access, task, made)
    return task


def _note_task(access: Access, task: str, made: Leftovers) -> None:
    region = access.where()
    made.add(
        f"the import '{task}' in {region}",
        f"aws ec2 cancel-import-task --region {region} --import-task-id {task}",
        lambda: _undo(access, task),
    )


def _undo(access: Access, task: str) -> None:
    """End an import, or delete the snapshot that it has made."""
    detail = _detail(access, task)
    state = detail.get("Status", "active")
    if state == "completed":
        delete_snapshot(access, str(detail["SnapshotId"]))
    elif state not in _ENDED:
        call(access.client("ec2"), "CancelImportTask", ImportTaskId=task)


def _detail(access: Access, task: str) -> dict[str, Any]:
    """Return how far an import is."""
    answer = call(access.client("ec2"), "DescribeImportSnapshotTasks", ImportTaskIds=[task])
    tasks: list[dict[str, Any]] = answer["ImportSnapshotTasks"]
    return dict(tasks[0]["SnapshotTaskDetail"]) if tasks else {}


@dataclass(slots=True)
class _Line:
    """What one worker puts parts by."""

    access: Access
    wanted: Wanted
    key: str
    upload_id: str
    parts: dict[int, dict[str, Any]]  # that have arrived, by number from 1

    def put(self, piece: Piece, data: bytes, digest: bytes) -> None:
        """Put a part. Raises PublishError: botocore has tried again where that helps."""
        number, checksum = piece.number + 1, base64.b64encode(digest).decode()
        answer = call(
            self.access.client("s3"),
            "UploadPart",
            Bucket=self.wanted.bucket,
            Key=self.key,
            UploadId=self.upload_id,
            PartNumber=number,
            Body=data,
            ChecksumSHA256=checksum,
        )
        self.parts[number] = {
            "PartNumber": number,
            "ETag": answer["ETag"],
            "ChecksumSHA256": checksum,
        }

    def cut(self) -> None:
        """Nothing: a part is short."""

    def close(self) -> None:
        """Nothing: the connections are botocore's."""
