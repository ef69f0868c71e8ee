"""EC2 as a place to publish to: what is asked of it beforehand, which requests, and the AMI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from ...errors import PreflightError, Problem
from ...events import Emit, step
from ..extents import Sparse
from ..journal import Journal
from ..leftovers import Leftovers, drop_stale, give_up
from ..publication import Call, DiskFile, Json, Means, Published
from . import bucket, ebs, image
from .access import Access, RefusedError, call
from .wanted import Wanted, check_disk

_WOULD_WORK: Final = "DryRunOperation"
_MAY_NOT: Final = ("UnauthorizedOperation", "AccessDenied", "AuthFailure")
_SOME: Final = "snap-00000000000000000"  # a snapshot's identifier, where none is made yet


@dataclass(frozen=True, slots=True)
class Aws:
    """EC2, for one AMI."""

    wanted: Wanted

    @property
    def name(self) -> str:
        """The place."""
        return "aws"

    def check(self, emit: Emit) -> None:
        """Ask EC2 whether the AMI can be made and its names are free."""
        with self._access() as access, step(emit, "check", "Asking EC2") as phase:
            access.credentials()
            home = access.where()
            problems = self._regions(access, home)
            if not problems:
                for region in (home, *self.wanted.copy_to):
                    problems += self._names(access, region)
                problems += self._rights(access)
                problems += self._bucket(access)
            if problems:
                raise PreflightError(problems)
            phase.detail = home

    def calls(self, disk: DiskFile) -> list[Call]:
        """Return the requests."""
        check_disk(disk)
        home = self._access().where()
        found = [*self._upload_calls(disk, home)]
        found.append(self._call("RegisterImage", home, image.register_parameters(
            self.wanted, disk, "<snapshot>")))  # fmt: skip
        if self.wanted.share_with:
            accounts = list(self.wanted.share_with)
            found.append(self._call("ModifyImageAttribute", home, {
                "ImageId": "<image>", "LaunchPermission": {"Add": accounts}}))  # fmt: skip
            found.append(self._call("ModifySnapshotAttribute", home, {
                "SnapshotId": "<snapshot>", "Add": accounts}))  # fmt: skip
        found += [
            self._call("CopyImage", region, image.copy_parameters(self.wanted, "<image>", home))
            for region in self.wanted.copy_to
        ]
        return found

    def publish(self, disk: DiskFile, means: Means) -> Published:
        """Make the AMI."""
        check_disk(disk)
        region = self._access().where()
        asked = {**asdict(self.wanted), "region": region, "profile": None}
        with (
            self._access() as access,
            Journal.beside(disk.path, self.name, asked) as journal,
            Leftovers(means.emit) as made,
        ):
            drop_stale(journal, means.emit, partial(self._note, access))
            try:
                facts = self._make(access, disk, journal, means, made)
            except BaseException:
                give_up(journal, made)
                raise
            made.keep()
        return Published(place=self.name, id=str(facts["image"]), facts=facts)

    def _make(
        self, access: Access, disk: DiskFile, journal: Journal, means: Means, made: Leftovers
    ) -> dict[str, Json]:
        way = ebs if self.wanted.bucket is None else bucket
        snapshot, sent = way.upload(access, self.wanted, disk, journal, means, made)
        image.wait_for_snapshot(access, snapshot.id, means)
        found = image.register(access, self.wanted, disk, snapshot.id, means, made)
        journal.remove()  # an AMI is nothing to go on with
        copies = image.copy(access, self.wanted, found, means, made)
        region = access.where()
        return {
            "image": found,
            "snapshot": snapshot.id,
            "region": region,
            "images": {region: found, **copies},
            "kms_key": snapshot.kms_key,
            "bytes_sent": sent.sent,
            "bytes_there": sent.before,
        }

    def _access(self) -> Access:
        return Access(self.wanted.profile, self.wanted.region)

    def _note(self, access: Access, facts: Mapping[str, Any], left: Leftovers) -> None:
        """Note what the journal of an earlier run names."""
        bucket.note_earlier(access, self.wanted, facts, left)
        snapshot = facts.get("snapshot")
        if isinstance(snapshot, str):
            ebs.note(access, snapshot, left)

    def _upload_calls(self, disk: DiskFile, region: str) -> list[Call]:
        with Sparse(disk.path) as source:
            number = sum(1 for _piece in source.pieces(ebs.BLOCK))
        if self.wanted.bucket is not None:
            return self._import_calls(region)
        start = ebs.start_parameters(self.wanted, disk.size, "<token>")
        return [
            Call(name="ebs StartSnapshot", where=region, says=start),
            Call(
                name="ebs PutSnapshotBlock",
                where=region,
                says={"SnapshotId": "<snapshot>", "DataLength": ebs.BLOCK},
                times=number,
            ),
            Call(
                name="ebs CompleteSnapshot",
                where=region,
                says={
                    "SnapshotId": "<snapshot>",
                    "ChangedBlocksCount": f"at most {number}",
                    "Checksum": "<checksum>",
                },
            ),
        ]

    def _import_calls(self, region: str) -> list[Call]:
        key = "<object>"
        return [
            Call(
                name="s3 UploadPart",
                where=region,
                says={"Bucket": self.wanted.bucket, "Key": key, "Body": "<parts of a VMDK>"},
            ),
            self._call("ImportSnapshot", region, bucket.import_parameters(self.wanted, key)),
        ]

    def _bucket(self, access: Access) -> list[Problem]:
        """Return why the bucket cannot be used, where there is one."""
        if self.wanted.bucket is None:
            return []
        try:
            bucket.check(access, self.wanted)
        except RefusedError as error:
            return [
                Problem(
                    code="no-bucket",
                    message=f"the bucket '{self.wanted.bucket}' cannot be used: {error.message}",
                    setting="bucket",
                    hint="name one of the region in which the AMI is made",
                )
            ]
        return []

    def _call(self, operation: str, region: str, says: dict[str, Any]) -> Call:
        return Call(name=f"ec2 {operation}", where=region, says=says)

    def _regions(self, access: Access, home: str) -> list[Problem]:
        """Return which regions this account cannot use."""
        try:
            found = call(access.client("ec2"), "DescribeRegions")["Regions"]
        except RefusedError as error:
            return [Problem.of("no-access", error)]
        known = {region["RegionName"] for region in found}
        return [
            Problem(
                code="no-region",
                message=f"the account has no region '{region}'",
                setting="region" if region == home else "copy-to",
                hint="it has " + ", ".join(sorted(known)),
            )
            for region in (home, *self.wanted.copy_to)
            if region not in known
        ]

    def _names(self, access: Access, region: str) -> list[Problem]:
        try:
            found = image.called(access, self.wanted.name, region)
        except RefusedError as error:
            return [Problem.of("no-access", error)]
        return [
            Problem(
                code="name-taken",
                message=f"an AMI '{self.wanted.name}' exists in {region}: '{taken['ImageId']}'",
                setting="ami-name",
                hint="choose another name, or deregister that one",
            )
            for taken in found[:1]
        ]

    def _rights(self, access: Access) -> list[Problem]:
        """Return what DryRun says that this user may not do."""
        disk = {"DeviceName": image.ROOT, "Ebs": {"SnapshotId": _SOME}}
        tried: list[tuple[str, str, dict[str, Any]]] = [
            (
                access.where(),
                "RegisterImage",
                {
                    "Name": self.wanted.name,
                    "RootDeviceName": image.ROOT,
                    "BlockDeviceMappings": [disk],
                    "VirtualizationType": "hvm",
                },
            )
        ]
        problems: list[Problem] = []
        for region, operation, says in tried:
            try:
                call(access.client("ec2", region), operation, DryRun=True, **says)
            except RefusedError as error:
                # Other complaints are of a snapshot that is not there yet.
                if error.code in _MAY_NOT:
                    problems.append(Problem.of("no-right", error))
        return problems
