"""An archive becomes an image: against a stand-in that checks what Google's services check."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diskgen.errors import DiskgenError, Interrupted, PreflightError, PublishError
from diskgen.events import Event, Notice, StepProgress, discard
from diskgen.publish.gcp import image, upload
from diskgen.publish.gcp.access import Access
from diskgen.publish.gcp.destination import Gcp
from diskgen.publish.gcp.wanted import Wanted
from diskgen.publish.pace import Pace
from diskgen.publish.publication import DiskFile, Means, Published
from diskgen.publish.retry import Patience
from diskgen.units import GIB, MIB

from ...fixtures import gcp_stand_in
from ...fixtures.gcp_stand_in import BUCKET, GRAIN, PROJECT, failing, gcp, key_pair, refusing
from ...fixtures.stand_in import Answer, Asked, Cut, Fault, cut, killed

QUICK = Patience(attempts=6, first=0.001, most=0.01)
WANTED = Wanted(name="os-1", bucket=BUCKET)
SIZE = 20 * MIB + 12345  # three chunks
NAME = f"projects/{PROJECT}/global/images/os-1"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[gcp_stand_in.Gcp]:
    monkeypatch.setattr(image, "_FIRST", 0.01)
    monkeypatch.setattr(image, "_UNDO_SECONDS", 3.0)
    with gcp() as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
            monkeypatch.delenv(name, raising=False)
        yield service


@pytest.fixture
def disk(tmp_path: Path) -> DiskFile:
    path = tmp_path / "os.tar.gz"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return DiskFile(path=path, format="gce", size=10 * GIB, arch="x86_64", sector_size=512,
                    firmware=frozenset({"uefi", "bios"}))  # fmt: skip


def published(disk: DiskFile, wanted: Wanted = WANTED, **how: Any) -> Published:
    means = Means(emit=how.pop("emit", discard), patience=QUICK, **how)
    return Gcp(wanted, disk.path).publish(disk, means)


def journals(disk: DiskFile) -> list[Path]:
    return list(disk.path.parent.glob(".*.journal"))


def chunks(account: gcp_stand_in.Gcp) -> list[str]:
    return [one.headers["content-range"] for one in account.asked if one.operation == "chunk"]


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, account: gcp_stand_in.Gcp) -> list[bytes]:
    """What every image was made of."""
    made: list[bytes] = []
    end = account._end

    def look(operation: dict[str, Any]) -> None:
        if operation["operationType"] == "insert" and operation["_key"] in account.objects:
            made.append(account.objects[operation["_key"]].data)
        end(operation)

    monkeypatch.setattr(account, "_end", look)
    return made


def test_an_archive_becomes_an_image(
    account: gcp_stand_in.Gcp, disk: DiskFile, stored: list[bytes]
) -> None:
    made = published(disk)
    assert stored == [disk.path.read_bytes()]
    assert made.id == NAME
    (found,) = account.images.values()
    assert found["status"] == "READY"
    assert found["architecture"] == "X86_64"
    types = [one["type"] for one in found["guestOsFeatures"]]
    assert types == ["GVNIC", "UEFI_COMPATIBLE", "VIRTIO_SCSI_MULTIQUEUE"]
    assert made.facts == {
        "image": NAME, "project": PROJECT, "self_link": found["selfLink"], "image_id": found["id"],
        "object": None, "bytes_sent": SIZE, "bytes_there": 0,
    }  # fmt: skip
    assert account.objects == {}, "the object is removed"
    assert journals(disk) == []
    assert chunks(account) == [
        f"bytes 0-8388607/{SIZE}", f"bytes 8388608-16777215/{SIZE}",
        f"bytes 16777216-{SIZE - 1}/{SIZE}",
    ]  # fmt: skip
    begun = next(one for one in account.asked if one.operation == "begin")
    assert json.loads(begun.body)["md5Hash"] == gcp_stand_in.md5(stored[0])


def test_everything_that_can_be_asked_for(account: gcp_stand_in.Gcp, disk: DiskFile) -> None:
    wanted = replace(
        WANTED, project=PROJECT, description="d", family="os", labels=(("team", "os"), ("a", "")),
        location="eu", features=("SEV_CAPABLE", "GVNIC"), keep_object=True,
    )  # fmt: skip
    made = published(disk, wanted)
    (found,) = account.images.values()
    (key,) = account.objects
    assert made.facts["object"] == f"gs://{BUCKET}/{key}"
    assert found["description"] == "d"
    assert found["family"] == "os"
    assert found["labels"] == {"team": "os", "a": ""}
    assert found["storageLocations"] == ["eu"]
    assert found["rawDisk"] == {"source": f"https://storage.googleapis.com/{BUCKET}/{key}"}
    types = [one["type"] for one in found["guestOsFeatures"]]
    assert types == ["GVNIC", "SEV_CAPABLE", "UEFI_COMPATIBLE", "VIRTIO_SCSI_MULTIQUEUE"]


FAULTS = {
    "token fails": [Fault("token", lambda _asked: Answer(503, b"{}"), times=2)],
    "token cut": [Fault("token", cut, times=2)],
    "rights throttled": [Fault("bucket_rights", refusing(429, "rateLimitExceeded"), times=2)],
    "begin fails": [Fault("begin", failing, times=2)],
    "begin is obeyed, and its answer lost": [Fault("begin", cut, late=True)],
    "throttled": [Fault("chunk", refusing(429, "rateLimitExceeded"), times=5)],
    "failing": [Fault("chunk", failing, times=3, after=1)],
    "cut": [Fault("chunk", cut, times=4)],
    "cut after it was obeyed": [Fault("chunk", cut, times=2, after=1, late=True)],
    "the last answer lost": [Fault("chunk", cut, times=2, after=2, late=True)],
    "query cut": [Fault("chunk", failing), Fault("query", cut, times=3)],
    "asked again in vain": [Fault("chunk", failing), Fault("query", failing, times=3)],
    "compute throttled by quota of rate": [
        Fault("insert", refusing(403, "rateLimitExceeded"), times=2)
    ],
    "insert fails": [Fault("insert", failing, times=2)],
    "insert is obeyed, and its answer lost": [Fault("insert", cut, times=2, late=True)],
    "operation cut": [Fault("operation", cut, times=3)],
    "image cut": [Fault("get", failing, times=2, after=1)],
    "image is not known at once": [Fault("get", refusing(404, "notFound"), times=3, after=2)],
    "removal fails": [Fault("delete", failing, times=2)],
    "removal is obeyed, and its answer lost": [Fault("delete", cut, times=1, late=True)],
    "expired": [Fault("insert", refusing(401, "authError"))],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_what_passes_is_outlasted(
    account: gcp_stand_in.Gcp, disk: DiskFile, faults: list[Fault], stored: list[bytes]
) -> None:
    account.faults += [replace(fault) for fault in faults]
    destination = Gcp(WANTED, disk.path)
    destination.check(discard)
    assert published(disk).id == NAME
    assert stored == [disk.path.read_bytes()]
    assert account.objects == {}
    assert len(account.images) == 1
    assert all(fault.times == 0 for fault in account.faults)


@pytest.mark.parametrize("keeps", [GRAIN, 3 * MIB + 5])
def test_what_was_not_kept_is_sent_again(
    account: gcp_stand_in.Gcp, disk: DiskFile, stored: list[bytes], keeps: int
) -> None:
    account.keeps = keeps
    made = published(disk)
    assert stored == [disk.path.read_bytes()]
    assert int(str(made.facts["bytes_sent"])) > SIZE
    firsts = [int(text.split()[1].partition("-")[0]) for text in chunks(account)]
    assert firsts == list(range(0, SIZE, keeps // GRAIN * GRAIN))


def test_a_slow_line_gets_small_chunks(account: gcp_stand_in.Gcp, disk: DiskFile) -> None:
    disk.path.write_bytes(bytes(2 * MIB))
    published(disk, pace=Pace(GRAIN * 5 + 7))
    assert chunks(account) == [
        f"bytes 0-{5 * GRAIN - 1}/{2 * MIB}", f"bytes {5 * GRAIN}-{2 * MIB - 1}/{2 * MIB}"
    ]  # fmt: skip


def test_chunks_shrink_where_they_do_not_arrive_and_grow_again(
    account: gcp_stand_in.Gcp, disk: DiskFile, stored: list[bytes]
) -> None:
    """As on a line on which eight mebibytes take longer than anybody waits."""
    obey = account.obey

    def slow(asked: Asked) -> Answer:
        if asked.operation == "chunk" and len(asked.body) > 2 * MIB:
            raise Cut
        return obey(asked)

    account.obey = slow  # type: ignore[method-assign]
    published(disk)
    assert stored == [disk.path.read_bytes()]
    # Each once: what is cut on a connection that was open is sent again on a new one.
    tried = {one.headers["content-range"]: len(one.body) for one in account.asked
             if one.operation == "chunk"}  # fmt: skip
    sizes = list(tried.values())
    assert sizes[:5] == [8 * MIB, 4 * MIB, 2 * MIB, 2 * MIB + GRAIN, MIB]


def held(size: int) -> Any:
    return lambda _asked: Answer(308, b"", {"Range": f"bytes=0-{size - 1}"} if size else {})


WRONG_ANSWERS = {
    "more than was sent": ([held(9 * MIB)], "has 9437184 bytes, and got 8388608"),
    "more than there is": ([held(SIZE + 1)], f"of {SIZE} bytes"),
    "no range": ([lambda _asked: Answer(308, b"", {"Range": "bytes=5-6"})], "'bytes=5-6'"),
    "nothing, ever": ([held(0)] * 99, "failed 6 times, .*nothing of it was kept"),
    "less and less": ([held(8 * MIB), held(MIB)] * 99, "loses again and again"),
}


@pytest.mark.parametrize(("answers", "words"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_answers_that_cannot_be_are_no_endless_work(
    account: gcp_stand_in.Gcp, disk: DiskFile, answers: list[Any], words: str
) -> None:
    """The stand-in says so, and has what it has."""
    account.faults += [Fault("chunk", answer) for answer in answers]
    account.faults += [Fault("query", held(0), times=99)] if "nothing" in words else []
    with pytest.raises(PublishError, match=words):
        published(disk)
    assert account.objects == {}
    assert {one.state for one in account.sessions.values()} == {"cancelled"}
    assert journals(disk) == []


def test_a_session_that_ended_begins_anew(
    account: gcp_stand_in.Gcp, disk: DiskFile, stored: list[bytes]
) -> None:
    account.faults += [Fault("chunk", refusing(410, "uploadBrokenConnection"), after=1)]
    published(disk)
    assert stored == [disk.path.read_bytes()]
    assert len(account.sessions) == 2
    account.faults += [Fault("chunk", refusing(410, "gone"), times=9)]
    with pytest.raises(PublishError, match="Google ended 3 uploads one after another"):
        published(disk, replace(WANTED, name="os-2"))
    assert [one.state for one in account.sessions.values()].count("cancelled") == 4


NO = refusing(403, "forbidden", "Required permission")
ENDS = {
    "quota of storage": (Fault("begin", refusing(403, "quotaExceeded", "full")), "full"),
    "revoked": (Fault("insert", refusing(401, "authError"), times=2), "have expired"),
    "gone": (Fault("chunk", failing, times=99), "failed 6 times"),
    "refused chunk": (Fault("chunk", refusing(403, "forbidden", "frozen"), after=1), "frozen"),
    "no image": (Fault("insert", refusing(403, "IAM_PERMISSION_DENIED", "not you")), "not you"),
    "taken meanwhile": (Fault("insert", refusing(409, "alreadyExists")), "this name exists"),
    "operation refused": (Fault("operation", NO, times=1), "Required permission"),
    "image refused": (Fault("get", NO, after=1), "Required permission"),
}


@pytest.mark.parametrize(("fault", "words"), ENDS.values(), ids=ENDS)
def test_what_fails_leaves_nothing(
    account: gcp_stand_in.Gcp, disk: DiskFile, fault: Fault, words: str
) -> None:
    account.faults.append(replace(fault))
    with pytest.raises(PublishError, match=words) as caught:
        published(disk)
    assert account.objects == {}
    assert account.images == {}
    assert "open" not in {one.state for one in account.sessions.values()}
    assert journals(disk) == []
    assert not shown_secrets(account, str(caught.value))


@pytest.mark.parametrize(
    ("code", "hint"), [("QUOTA_EXCEEDED", "larger quota"), ("IMAGE_IMPORT_FAILED", None)]
)
def test_an_operation_that_fails_leaves_nothing(
    account: gcp_stand_in.Gcp, disk: DiskFile, code: str, hint: str | None
) -> None:
    account.broken = code
    with pytest.raises(PublishError, match=f"it is {code}") as caught:
        published(disk)
    assert (hint or "") in (caught.value.hint or "")
    assert account.objects == {}
    assert account.images == {}
    assert journals(disk) == []


def test_bytes_that_changed_on_the_way_are_refused(
    account: gcp_stand_in.Gcp, disk: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Google, which knows the checksum; and by us, where it has another one."""
    put = account._put
    with monkeypatch.context() as patch:
        patch.setattr(account, "_put", lambda s, f, e, body: put(s, f, e, b"x" + body[1:]))
        with pytest.raises(PublishError, match="doesn't match calculated MD5"):
            published(disk)
    account.wrong_md5 = True
    with pytest.raises(PublishError, match="Google has other bytes than were sent"):
        published(disk)
    assert account.objects == {}
    assert account.images == {}


def shown_secrets(account: gcp_stand_in.Gcp, text: str) -> list[str]:
    """Return what of a text nobody is to read."""
    private = key_pair()[0].splitlines()[1]
    secrets = [private, *account.tokens, *account.sessions]
    return [one for one in secrets if one in text]


def test_what_a_session_says_is_shown_without_its_address(
    account: gcp_stand_in.Gcp, disk: DiskFile
) -> None:
    def tells(asked: Asked) -> Answer:
        return Answer(400, f"No: {account.url}{asked.target} {asked.query['upload_id']}".encode())

    account.faults.append(Fault("chunk", tells))
    seen: list[Event] = []
    with pytest.raises(PublishError, match="storing the object: No: ") as caught:
        published(disk, emit=seen.append)
    assert not shown_secrets(account, f"{caught.value}{caught.value.hint}{seen}")


# Where a run is killed, and how many bytes the next one has to send.
KILLS = [
    pytest.param(upload, "_forward", 0, SIZE, id="begun"),
    pytest.param(upload, "_forward", 2, SIZE - 16 * MIB, id="two chunks"),
    pytest.param(upload, "_check", 0, 0, id="all sent, nothing noted"),
    pytest.param(image, "_asked", 0, 0, id="object noted"),
    pytest.param(image, "_note", 0, 0, id="image asked for"),
    pytest.param(time, "sleep", 0, 0, id="image waited for"),
    pytest.param(image, "_check", 0, 0, id="image made"),
]


@pytest.mark.parametrize(("module", "where", "after", "missing"), KILLS)
def test_a_killed_run_is_gone_on_with(
    account: gcp_stand_in.Gcp, disk: DiskFile, monkeypatch: pytest.MonkeyPatch,
    stored: list[bytes], module: Any, where: str, after: int, missing: int,
) -> None:  # fmt: skip
    killed(lambda: published(disk), monkeypatch, module, where, after)
    (journal,) = journals(disk)
    assert journal.stat().st_mode & 0o777 == 0o600, "the address of the upload is in it"
    account.asked.clear()
    Gcp(WANTED, disk.path).check(discard)
    made = published(disk)
    assert (made.facts["bytes_sent"], made.facts["bytes_there"]) == (missing, SIZE - missing)
    assert stored == [disk.path.read_bytes()]
    assert len(account.sessions) == 1
    assert len(account.images) == 1
    assert account.objects == {}
    assert journals(disk) == []


@pytest.mark.parametrize(("module", "where", "after", "_missing"), KILLS)
def test_what_was_made_of_a_file_that_changed_is_removed(
    account: gcp_stand_in.Gcp, disk: DiskFile, monkeypatch: pytest.MonkeyPatch,
    stored: list[bytes], module: Any, where: str, after: int, _missing: int,
) -> None:  # fmt: skip
    killed(lambda: published(disk), monkeypatch, module, where, after)
    with disk.path.open("r+b") as file:
        file.write(b"other")
    Gcp(WANTED, disk.path).check(discard)
    published(disk)
    assert stored[-1] == disk.path.read_bytes()
    assert len(account.images) == 1
    assert account.objects == {}
    assert "open" not in {one.state for one in account.sessions.values()}


def test_a_session_that_expired_meanwhile_begins_anew(
    account: gcp_stand_in.Gcp, disk: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(lambda: published(disk), monkeypatch, upload, "_forward", 1)
    account.sessions.clear()
    made = published(disk)
    assert (made.facts["bytes_sent"], made.facts["bytes_there"]) == (SIZE, 0)


def test_an_object_that_was_removed_meanwhile_is_sent_again(
    account: gcp_stand_in.Gcp, disk: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(lambda: published(disk), monkeypatch, image, "_asked")
    account.objects.clear()
    assert published(disk).facts["bytes_sent"] == SIZE


def test_a_journal_that_others_read_has_no_address(
    account: gcp_stand_in.Gcp, disk: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on filesystems that know no modes: nothing is gone on with there."""
    assert account.url
    monkeypatch.setattr("diskgen.publish.journal.Journal.is_private", False)
    killed(lambda: published(disk), monkeypatch, upload, "_forward", 1)
    (journal,) = journals(disk)
    assert "upload_id" not in journal.read_text()
    assert published(disk).facts["bytes_sent"] == SIZE


BEFORE = (Fault("get", refusing(403, "forbidden")), Fault("look", refusing(403, "forbidden")),
          Fault("get", failing, times=QUICK.attempts))  # fmt: skip


@pytest.mark.parametrize("fault", BEFORE)
@pytest.mark.parametrize(("module", "where", "after", "_missing"), KILLS)
def test_what_fails_before_it_is_gone_on_with_leaves_nothing(
    account: gcp_stand_in.Gcp, disk: DiskFile, monkeypatch: pytest.MonkeyPatch,
    module: Any, where: str, after: int, _missing: int, fault: Fault,
) -> None:  # fmt: skip
    """Of the run that was killed, either."""
    killed(lambda: published(disk), monkeypatch, module, where, after)
    account.faults.append(replace(fault))
    with suppress(DiskgenError):
        published(disk)
    assert len(account.images) == (account.faults[-1].times > 0), "unless it went well"
    assert account.objects == {}
    assert "open" not in {one.state for one in account.sessions.values()}
    assert journals(disk) == []


def interrupt_at(step: str) -> Any:
    def stop(event: Event) -> None:
        if isinstance(event, StepProgress) and event.step == step and event.done:
            raise Interrupted("stopped by SIGINT")

    return stop


@pytest.mark.parametrize("step", ["upload", "image"])
def test_an_interrupt_leaves_nothing(account: gcp_stand_in.Gcp, disk: DiskFile, step: str) -> None:
    account.looks = 4
    with pytest.raises(Interrupted) as caught:
        published(disk, emit=interrupt_at(step))
    assert caught.value.left == ""
    assert account.images == {}
    assert account.objects == {}
    assert "open" not in {one.state for one in account.sessions.values()}
    assert journals(disk) == []
    assert threading.active_count() < 10


def test_what_cannot_be_removed_is_named(account: gcp_stand_in.Gcp, disk: DiskFile) -> None:
    seen: list[Event] = []
    account.looks = 2
    account.rights -= {"storage.objects.delete", "compute.images.delete"}
    account.faults.append(Fault("get", NO, after=1))
    with pytest.raises(PublishError, match="Required permission"):
        published(disk, emit=seen.append)
    (key,) = account.objects
    left = [one.message for one in seen if isinstance(one, Notice) and one.level == "warning"]
    assert f"gcloud storage rm gs://{BUCKET}/{key}" in left[0]
    assert f"gcloud compute images delete os-1 --project {PROJECT}" in left[1]
    assert len(journals(disk)) == 1
    account.rights = set(gcp_stand_in.RIGHTS)
    made = published(disk, emit=seen.append)
    assert made.facts["bytes_sent"] == 0
    assert account.objects == {}
    assert len(account.images) == 1
    assert not shown_secrets(account, str(seen))


def test_an_object_that_stays_is_named(account: gcp_stand_in.Gcp, disk: DiskFile) -> None:
    seen: list[Event] = []
    account.faults.append(Fault("delete", NO))
    made = published(disk, emit=seen.append)
    (key,) = account.objects
    assert made.facts["object"] == f"gs://{BUCKET}/{key}"
    assert [key in one.message for one in seen if isinstance(one, Notice)] == [True]


def test_an_image_whose_answers_are_all_lost_is_named(
    account: gcp_stand_in.Gcp, disk: DiskFile
) -> None:
    seen: list[Event] = []
    account.faults.append(Fault("insert", cut, times=6, late=True))
    with pytest.raises(PublishError, match=r"compute images\.insert failed 6 times"):
        published(disk, emit=seen.append)
    words = [one.message for one in seen if isinstance(one, Notice)]
    assert any("the image 'os-1' may be made nevertheless" in one for one in words)


def test_another_image_of_the_name_is_not_removed(
    account: gcp_stand_in.Gcp, disk: DiskFile
) -> None:
    """Ours was removed by others, who made one of their own."""
    account.looks = 3

    def stop(event: Event) -> None:
        if isinstance(event, StepProgress) and event.step == "image" and event.done:
            account.images["os-1"]["id"] = "77"
            raise Interrupted("stopped by SIGINT")

    with pytest.raises(Interrupted):
        published(disk, emit=stop)
    assert account.images["os-1"]["id"] == "77"


def test_beforehand_google_is_asked(account: gcp_stand_in.Gcp, disk: DiskFile) -> None:
    Gcp(WANTED).check(discard)
    assert set(account.operations()) == {
        "token",
        "bucket_rights",
        "project_rights",
        "quotas",
        "get",
    }
    published(disk)
    for wanted, words in (
        (WANTED, f"an image 'os-1' exists in the project '{PROJECT}'"),
        (replace(WANTED, bucket="others"), "the bucket 'others' cannot be used: .*does not exist"),
    ):
        with pytest.raises(PreflightError, match=words):
            Gcp(wanted).check(discard)
    account.limit = 1
    with pytest.raises(PreflightError, match="has 1 images of 1"):
        Gcp(replace(WANTED, name="free")).check(discard)
    account.limit = 2
    account.rights -= {"compute.projects.get"}
    Gcp(replace(WANTED, name="free")).check(discard)
    account.rights -= {"compute.images.create", "storage.objects.delete"}
    with pytest.raises(PreflightError) as caught:
        Gcp(replace(WANTED, name="free")).check(discard)
    assert [one.message for one in caught.value.problems] == [
        "these rights to the bucket 'images' are missing: storage.objects.delete",
        f"these rights to the project '{PROJECT}' are missing: compute.images.create",
    ]
    account.rights |= {"compute.images.create"}
    Gcp(replace(WANTED, name="free", keep_object=True)).check(discard)


def test_services_that_are_not_enabled_are_told(account: gcp_stand_in.Gcp) -> None:
    seen: list[Event] = []
    account.disabled = {"cloudresourcemanager"}
    Gcp(WANTED).check(seen.append)
    assert any(isinstance(one, Notice) and "not known before" in one.message for one in seen)
    account.disabled = {"compute"}
    with pytest.raises(PreflightError, match="has not been used") as caught:
        Gcp(WANTED).check(discard)
    assert "gcloud services enable" in (caught.value.problems[0].hint or "")


def changed_account(account: gcp_stand_in.Gcp, **changed: str) -> None:
    file = account.directory / "account.json"
    file.write_text(json.dumps({**account.account(), **changed}))


CREDENTIALS: list[tuple[dict[str, str], dict[str, str], str]] = [
    ({"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}, {}, "no credentials .*/nowhere"),
    ({"GOOGLE_APPLICATION_CREDENTIALS": "", "HOME": "/nowhere"}, {}, "no credentials"),
    ({}, {"type": "other"}, "no credentials .*type"),
    ({}, {"private_key": "hush-hush"}, "credentials"),
    ({}, {"client_email": "x@y"}, "renewing the credentials: invalid_grant: Account gone"),
    ({}, {"token_uri": "http://127.0.0.1:9"}, "renewing the credentials: .*refused"),
    ({"CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": "http://192.0.2.1"}, {}, "no address"),
    ({"CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": "http://[::"}, {}, "no address"),
    ({"CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": "http://127.0.0.1:9"}, {}, "nobody listens there"),
]


@pytest.mark.parametrize(("environment", "changed", "words"), CREDENTIALS)
def test_credentials_that_do_not_work_are_told_and_not_shown(
    account: gcp_stand_in.Gcp, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str],
    changed: dict[str, str], words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("diskgen.publish.gcp.destination.Access", lambda p: Access(p, QUICK))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    changed_account(account, **changed)
    with pytest.raises(DiskgenError, match=words) as caught:
        Gcp(WANTED).check(discard)
    said = f"{caught.value}{caught.value.hint}"
    assert "hush-hush" not in said
    assert not shown_secrets(account, said)


def test_without_a_project_it_is_asked_for(
    account: gcp_stand_in.Gcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = account.account()
    del said["project_id"]
    (account.directory / "account.json").write_text(json.dumps(said))
    with pytest.raises(PublishError, match="no project is named"):
        Gcp(WANTED).check(discard)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    Gcp(WANTED).check(discard)


def test_credentials_that_expire_are_renewed(account: gcp_stand_in.Gcp, disk: DiskFile) -> None:
    account.lifetime = 1  # before anything is asked
    published(disk)
    assert len(account.tokens) > 2
    assert all("authorization" not in one.headers for one in account.asked
               if one.operation in ("chunk", "query"))  # fmt: skip
