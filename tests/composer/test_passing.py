"""Files and logs of a farm: cut anywhere, taken up again, and held against what was promised."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from diskgen.composer import AnswerLost, Client, Farm, Patience, parse_address
from diskgen.composer.passing import download, logs
from diskgen.errors import FarmError, VerifyError
from diskgen.events import Event, StepFinished, StepProgress, discard

from ..fixtures.farm import StandIn, by_socket

QUICK = Patience(deadline=30.0, first=0.0, settle=0.0, sleep=lambda _seconds: None)
DISK = b"QFI\xfb" + random.Random(1).randbytes(3_000_000)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[tuple[StandIn, Client, str]]:
    with by_socket(tmp_path / "s") as server:
        made = server.state.start({"image_request": {"image_type": "guest-image"}})
        server.state.finish(made, DISK)
        with Client(Farm(address=parse_address(f"unix:{tmp_path}/s")), QUICK) as client:
            yield server, client, made.id


def test_a_download_that_is_cut_goes_on_where_it_was(
    farm: tuple[StandIn, Client, str], tmp_path: Path
) -> None:
    server, client, name = farm
    server.cut_at = [0, 1, 1, 700_000, 700_000, 2_999_999]
    events: list[Event] = []
    done = download(client, name, tmp_path / "disk", "qcow2", events.append)
    assert (tmp_path / "disk").read_bytes() == DISK
    assert done == hashlib.sha256(DISK).hexdigest()
    assert server.ranges[:2] == ["", ""]  # nothing had come
    assert all(each.startswith("bytes=") for each in server.ranges[2:])
    *_, last = [event for event in events if isinstance(event, StepProgress)]
    assert (last.done, last.total) == (len(DISK), len(DISK))
    assert isinstance(events[-1], StepFinished)
    assert events[-1].ok


def test_a_file_that_became_another_is_fetched_from_its_beginning(
    farm: tuple[StandIn, Client, str], tmp_path: Path
) -> None:
    server, client, name = farm
    other = DISK[:-1] + bytes([DISK[-1] ^ 1])

    def change(_method: str, path: str) -> None:
        if path.endswith("/download") and len(server.ranges) == 1:
            server.state.composes[name].artifact = other

    server.cut_at = [2_000_000]
    server.fault = change
    download(client, name, tmp_path / "disk", "qcow2", discard)
    assert (tmp_path / "disk").read_bytes() == other


def test_what_is_not_as_promised_is_no_disk(
    farm: tuple[StandIn, Client, str], tmp_path: Path
) -> None:
    server, client, name = farm
    right = base64.b64encode(hashlib.sha256(DISK).digest()).decode()
    server.headers = {"Repr-Digest": f"sha-256=:{right}:"}
    download(client, name, tmp_path / "disk", "qcow2", discard)
    for headers, kind, words in (
        ({"Repr-Digest": f"sha-256=:{right[::-1][2:]}==:"}, "qcow2", "sha256"),
        ({"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "qcow2", "md5"),
        ({}, "vmdk", "no 'vmdk'"),
        ({}, "gce", "no 'gce'"),
        ({}, "ami", "no 'ami'"),
    ):
        server.headers = headers
        with pytest.raises(VerifyError, match=words):
            download(client, name, tmp_path / "disk", kind, discard)
    server.state.composes[name].artifact = b""
    with pytest.raises(VerifyError):
        download(client, name, tmp_path / "disk", "vhd", discard)
    server.state.composes[name].artifact = None
    with pytest.raises(FarmError, match="refuses download"):
        download(client, name, tmp_path / "disk", "vhd", discard)


def test_a_farm_that_cuts_at_the_same_byte_for_ever_is_given_up(
    farm: tuple[StandIn, Client, str], tmp_path: Path
) -> None:
    server, client, name = farm
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    client.patience = Patience(deadline=60.0, clock=lambda: now[0], sleep=sleep)
    server.cut_at = [1000] * 100
    with pytest.raises(AnswerLost):
        download(client, name, tmp_path / "disk", "qcow2", discard)
    assert now[0] < 200


def test_logs_come_once_however_often_they_are_cut(farm: tuple[StandIn, Client, str]) -> None:
    server, client, name = farm
    server.state.composes[name].log = ["x" * 100_000 for _ in range(30)]
    server.log_cuts = [0, 1, 5, 1_000_000, 2_500_000]
    said = bytearray()
    logs(client, name, said.extend)
    assert bytes(said).endswith(b'"]}')
    assert said.count(b"x" * 100_000) == 30
    assert len(server.ranges) == 6


def test_logs_that_became_others_are_not_mixed(farm: tuple[StandIn, Client, str]) -> None:
    server, client, name = farm
    server.state.composes[name].log = ["x" * 1000]

    def change(_method: str, path: str) -> None:
        if path.endswith("/logs") and len(server.ranges) == 1:
            server.state.composes[name].log = ["y" * 1000]

    server.log_cuts = [800]
    server.fault = change
    with pytest.raises(FarmError, match="became others"):
        logs(client, name, bytearray().extend)
