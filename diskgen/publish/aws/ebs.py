"""EBS direct: a snapshot is written block by block, without a bucket and without a role.

API reference "EBS direct APIs", version 2019-11-02: StartSnapshot, PutSnapshotBlock,
CompleteSnapshot. Blocks that are not written read as zeros. A block is protected by its checksum,
which is signed as a header; the body is not signed once more.
"""

from __future__ import annotations

import base64
import hashlib
import http
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...errors import PublishError
from ...events import notice
from ...interrupt import whole
from ...units import GIB
from ..answers import values_of
from ..extents import Piece, Sparse
from ..http import Connection
from ..journal import Journal
from ..leftovers import Leftovers
from ..publication import DiskFile, Means
from ..retry import Transient
from ..transfer import Sent, send
from .access import Access, RefusedError, call, refusal
from .wanted import Wanted

BLOCK: Final = 512 * 1024
_TIMEOUT_MINUTES: Final = 60  # without a block, after which AWS gives a snapshot up
_UNKNOWN_SECONDS: Final = 30.0  # in which a new snapshot may be unknown to those who take blocks
_PENDING, _COMPLETED = "pending", "completed"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that was begun; ``complete`` where an earlier run came to its end."""

    id: str
    complete: bool
    kms_key: str | None


def volume_size(size: int) -> int:
    """Return the GiB of a volume that has room for a disk."""
    return -(-size // GIB)


def start_parameters(wanted: Wanted, size: int, token: str) -> dict[str, Any]:
    """Return what StartSnapshot is told."""
    return {
        "VolumeSize": volume_size(size),
        "Description": wanted.about,
        "Tags": wanted.tag_list,
        "ClientToken": token,
        "Timeout": _TIMEOUT_MINUTES,
        **wanted.encryption("KmsKeyArn"),
    }


def upload(
    access: Access,
    wanted: Wanted,
    disk: DiskFile,
    journal: Journal,
    means: Means,
    made: Leftovers,
) -> tuple[Snapshot, Sent]:
    """Make a snapshot of a disk, or go on with the journal's. Raises PublishError."""
    snapshot = _begun(access, wanted, disk, journal, made)
    if snapshot.complete:
        digests = {number: bytes.fromhex(text) for number, text in journal.pieces.items()}
        before = len(digests) * BLOCK
        return snapshot, Sent(digests=digests, sent=0, before=before)
    if journal.pieces:
        notice(means.emit, f"going on with the snapshot '{snapshot.id}' of an earlier run")
    begun = time.monotonic()
    with Sparse(disk.path) as source:
        sent = send(
            source, BLOCK, lambda: _Line(access, snapshot.id, begun), journal, means, pad=True
        )
    _complete(access, snapshot.id, sent.digests, means)
    return snapshot, sent


@whole
def _begun(
    access: Access, wanted: Wanted, disk: DiskFile, journal: Journal, made: Leftovers
) -> Snapshot:
    """Begin a snapshot, and note that it is there: no signal comes between."""
    answer = _started(access, wanted, disk, journal)
    snapshot = str(answer["SnapshotId"])
    note(access, snapshot, made)
    journal.note("snapshot", snapshot)
    if answer.get("BlockSize") != BLOCK:
        raise PublishError(
            f"EBS wants blocks of {answer.get('BlockSize')} bytes, and this is made for {BLOCK}"
        )
    return Snapshot(snapshot, answer["Status"] == _COMPLETED, answer.get("KmsKeyArn"))


def note(access: Access, snapshot: str, made: Leftovers) -> None:
    """Note a snapshot, with what removes it."""
    region = access.where()
    made.add(
        f"the snapshot '{snapshot}' in {region}",
        f"aws ec2 delete-snapshot --region {region} --snapshot-id {snapshot}",
        lambda: delete_snapshot(access, snapshot),
    )


def _started(access: Access, wanted: Wanted, disk: DiskFile, journal: Journal) -> Mapping[str, Any]:
    """Begin a snapshot; by the same token it is the same one again. Raises PublishError."""
    while True:
        token = journal.get("token")
        known = token is not None
        if token is None:
            token = uuid.uuid4().hex
            journal.note("token", token)
        answer: Mapping[str, Any] = {}
        try:
            answer = call(
                access.client("ebs"),
                "StartSnapshot",
                **start_parameters(wanted, disk.size, token),
            )
        except RefusedError as error:
            if not known or error.code not in ("ConflictException", "ResourceNotFoundException"):
                raise
        if answer and answer.get("Status") in (_PENDING, _COMPLETED):
            return answer
        if not known:
            raise PublishError(f"the snapshot '{answer.get('SnapshotId')}' failed as it began")
        journal.forget()  # AWS gave it up meanwhile


def checksum(digests: Mapping[int, bytes]) -> str:
    """Return the checksum of a snapshot, aggregation LINEAR: of its blocks' digests in order."""
    together = b"".join(digest for _number, digest in sorted(digests.items()))
    return base64.b64encode(hashlib.sha256(together).digest()).decode()


def _complete(access: Access, snapshot: str, digests: Mapping[int, bytes], means: Means) -> None:
    if not digests:
        raise PublishError("the disk holds nothing but zeros")
    client = access.client("ebs")

    def complete() -> None:
        answer = call(
            client,
            "CompleteSnapshot",
            SnapshotId=snapshot,
            ChangedBlocksCount=len(digests),
            Checksum=checksum(digests),
            ChecksumAlgorithm="SHA256",
            ChecksumAggregationMethod="LINEAR",
        )
        if answer.get("Status") == "error":
            raise PublishError(f"EBS could not complete the snapshot '{snapshot}'")

    means.patience.of(f"completing the snapshot '{snapshot}'", complete)


def delete_snapshot(access: Access, snapshot: str, region: str | None = None) -> None:
    """Delete a snapshot, also one that was not completed. Raises PublishError."""
    try:
        call(access.client("ec2", region), "DeleteSnapshot", SnapshotId=snapshot)
    except RefusedError as error:
        if error.code != "InvalidSnapshot.NotFound":
            raise


@dataclass(slots=True)
class _Line:
    """What one worker puts blocks by: its own connection, each request signed."""

    access: Access
    snapshot: str
    begun: float
    _url: str = ""
    _connection: Connection = field(init=False)
    _signer: Any = field(default=None)

    def __post_init__(self) -> None:
        self._url = self.access.client("ebs").meta.endpoint_url.rstrip("/")
        self._connection = Connection(self._url, self.access.authorities())

    def put(self, piece: Piece, data: bytes, digest: bytes) -> None:
        """Put a block. Raises Transient, PublishError."""
        told = base64.b64encode(digest).decode()
        target = f"/snapshots/{self.snapshot}/blocks/{piece.number}"
        headers = self._signed(
            target,
            {
                "Content-Type": "application/octet-stream",
                "x-amz-Data-Length": str(BLOCK),
                "x-amz-Checksum": told,
                "x-amz-Checksum-Algorithm": "SHA256",
                "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD",
            },
        )
        reply = self._connection.request("PUT", target, headers, data)
        if reply.status == http.HTTPStatus.CREATED:
            if reply.headers.get("x-amz-checksum", told) != told:
                raise Transient("EBS got other bytes than were sent")
            return
        code, said = _error(reply.body, reply.headers.get("x-amzn-errortype", ""))
        new = time.monotonic() - self.begun < _UNKNOWN_SECONDS
        if code == "ResourceNotFoundException" and new:
            raise Transient(said or code)
        raise refusal("EBS refused a block", reply, code, said)

    def _signed(self, target: str, headers: dict[str, str]) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method="PUT", url=self._url + target, headers=headers)
        SigV4Auth(self.access.credentials(), "ebs", self.access.where()).add_auth(request)
        return dict(request.headers.items())

    def cut(self) -> None:
        """End what is being sent."""
        self._connection.cut()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def _error(body: bytes, kind: str) -> tuple[str, str]:
    """Return the code and the words of an error of a service that speaks JSON."""
    said = values_of(body)
    code = (kind or str(said.get("__type", ""))).partition(":")[0].rpartition("#")[2]
    words = str(said.get("Message") or said.get("message") or "")
    reason = said.get("Reason")
    return code, f"{words} [{reason}]" if reason else words
