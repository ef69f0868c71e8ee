"""A farm is a stranger's program: whatever it answers is a value or an error in words."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diskgen.composer import Client, Farm, Patience, parse_address, reading
from diskgen.composer.errors import AnswerLost
from diskgen.composer.examining import bootc_keys, examine
from diskgen.composer.passing import download
from diskgen.errors import FarmError, VerifyError
from diskgen.events import discard

NAME = "123e4567-e89b-12d3-a456-426655440000"
OK = b"HTTP/1.1 200 OK\r\n"
# What a server says to everything -> what is said of it.
ANSWERS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "lost"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9\r\n", "lost"),
    "a status that is none": (b"HTTP/1.1 abc OK\r\n\r\n", "lost"),
    "a status of its own": (b"HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n", "HTTP status 799"),
    "elsewhere": (b"HTTP/1.1 302 X\r\nLocation: https://\x1b[31mevil\r\nContent-Length: 0\r\n\r\n",
                  "sends us elsewhere"),
    "no content": (b"HTTP/1.1 204 X\r\n\r\n", "HTTP status 204"),
    "headers without end": (OK + b"X: y\r\n" * 200 + b"\r\n", "lost"),
    "a header of a megabyte": (OK + b"X: " + b"y" * 2**20 + b"\r\n\r\n", "lost"),
    "a length that is none": (OK + b"Content-Length: -5\r\n\r\n[]", ""),
    "a length too long": (OK + b"Content-Length: 100\r\n\r\n[]", "lost"),
    "a length too short": (OK + b"Content-Length: 1\r\n\r\n[]", "not understood"),
    "chunks that are cut": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[", "lost"),
    "chunks of nonsense": (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n", "lost"),
    "no UTF-8": (OK + b"Content-Length: 2\r\n\r\n\xff\xfe", "not understood"),
    "a text": (OK + b'Content-Length: 3\r\n\r\n"a"', "list of composes is none"),
    "ids that are paths": (OK + b'Content-Length: 36\r\n\r\n[{"id":"../../openapi","status":""}]',
                           "no id"),
    "depth": (OK + b"Content-Length: 2000\r\n\r\n" + b"[" * 2000, "levels"),
    "more than fits": (OK + b"Content-Length: 99999999\r\n\r\n" + b" " * (65 * 2**20),
                       "budget 'farm-bytes'"),
}  # fmt: skip


@contextmanager
def saying(path: Path, answer: bytes, ever: bytes = b"") -> Generator[threading.Event]:
    """Run a server that says one thing to everybody, and goes on with ``ever`` for ever.

    Yields what is set when somebody did not want more of that.
    """
    ended = threading.Event()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                peer, _address = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                peer.recv(65536)
                peer.sendall(answer)
                while ever:
                    peer.sendall(ever)
            ended.set()
            peer.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield ended
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def client(path: Path) -> Client:
    farm = Farm(address=parse_address(f"unix:{path}"), timeout=10.0)
    return Client(farm, Patience(deadline=1.0, sleep=lambda _seconds: None, clock=Clock()))


class Clock:
    """Each look at it costs a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_answer_is_an_error_in_words(tmp_path: Path, name: str) -> None:
    answer, words = ANSWERS[name]
    with saying(tmp_path / "s", answer), client(tmp_path / "s") as made:
        if not words:
            assert made.composes() == []
            return
        with pytest.raises(FarmError, match=words) as caught:
            made.composes()
        assert len(caught.value.message) < 2000
        assert [*examine(made)][-1].good is False


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (OK + b"\r\nQFI\xfb", FarmError),  # to the end of the connection: a cut is not seen
        (OK + b"Content-Length: 0\r\n\r\n", VerifyError),
        (b"HTTP/1.1 206 X\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nabcde",
         AnswerLost),
        (b"HTTP/1.1 416 X\r\nContent-Length: 0\r\n\r\n", AnswerLost),
        (OK + b"Content-Length: 4\r\nDigest: sha-256=!!\r\n\r\nQFI\xfb", None),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nQFI\xfb\r\n0\r\n\r\n", None),
    ],
)  # fmt: skip
def test_files_of_strangers(tmp_path: Path, head: bytes, error: type[Exception] | None) -> None:
    with saying(tmp_path / "s", head), client(tmp_path / "s") as made:
        if error is None:
            download(made, NAME, tmp_path / "disk", "qcow2", discard)
            assert (tmp_path / "disk").read_bytes() == b"QFI\xfb"
            return
        with pytest.raises(error):
            download(made, NAME, tmp_path / "disk", "qcow2", discard)


KEYS = (
    "id status image_status image_statuses progress subprogress done total error reason details "
    "upload_status upload_statuses type options items request packages components schemas Bootc "
    "properties"
).split()
LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just(NAME) | st.floats()
VALUES = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)
READERS: tuple[Callable[[Any], Any], ...] = (
    reading.status, reading.statuses, reading.upload, reading.compose_id, bootc_keys,
    lambda value: reading.metadata(NAME, value).name,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(value=VALUES)
def test_any_json_is_a_value_or_not_understood(value: Any) -> None:
    for read in READERS:
        if read is bootc_keys and not isinstance(value, dict):
            continue
        try:
            made = read(value)
        except reading.NotUnderstood:
            continue
        else:
            for row in made if isinstance(made, list) else [made]:
                assert repr(row)
                for line in getattr(row, "reasons", ()):
                    assert json.dumps(line)


@pytest.mark.parametrize("part", ["/logs", "/download"])
def test_a_refusal_without_end_ends(tmp_path: Path, part: str) -> None:
    head = b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with saying(tmp_path / "s", head, piece) as ended, client(tmp_path / "s") as made:
        with pytest.raises(FarmError, match="HTTP status 500"):
            made.open(NAME, part)
        assert ended.wait(10)
