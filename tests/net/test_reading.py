"""Answers from a socket: whole, cut, without end, too slow, and none of HTTP."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from diskgen.net.reading import NotHTTPError, TooMuchError, TooSlowError, answer_of, chunks, within
from diskgen.net.saying import in_words

MOST = 100_000


@contextmanager
def answering(said: bytes, ever: bytes = b"") -> Iterator[http.client.HTTPConnection]:
    """Say something to a request, then the same again and again, or end."""
    ours, theirs = socket.socketpair()
    over = threading.Event()

    def serve() -> None:
        with theirs:
            theirs.recv(65536)
            theirs.sendall(said)
            while ever and not over.wait(0.005):
                theirs.sendall(ever)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    connection = http.client.HTTPConnection("nobody")
    connection.sock = ours
    ours.settimeout(30)
    try:
        connection.request("GET", "/")
        yield connection
    finally:
        over.set()
        thread.join()
        connection.close()


def read(connection: http.client.HTTPConnection, timeout: float = 30.0) -> bytes:
    return within(chunks(answer_of(connection)), MOST, timeout)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 3", b"abc"),
        (b"Content-Length: 0", b""),
        (b"Transfer-Encoding: chunked", b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        (b"Connection: close", b"abc"),
        (b"Content-Length: 100000", b"x" * MOST),
    ],
)
def test_a_whole_answer(head: bytes, body: bytes) -> None:
    with answering(b"HTTP/1.1 200 Yes\r\n" + head + b"\r\n\r\n" + body) as connection:
        found = read(connection)
    assert found == (b"abc" if b"chunked" in head else body)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 Yes\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 Yes\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
        b"HTTP/1.1 200 Yes\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 Yes\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\nabc",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 one Yes\r\n\r\n",
        b"HTTP/1.1 200 Yes\r\n" + b"a: b\r\n" * 5000,
        b"HTTP/1.1 200 " + b"y" * 100_000,
    ],
)
def test_what_is_cut_or_none_is_an_error(said: bytes) -> None:
    with answering(said) as connection, pytest.raises((OSError, http.client.HTTPException)) as no:
        read(connection)
    assert not isinstance(no.value, TimeoutError)
    assert in_words(no.value)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 Yes\r\nContent-Length: 999999999\r\n\r\n",
        b"HTTP/1.1 200 Yes\r\n\r\n",
        b"HTTP/1.1 200 Yes\r\nContent-Length: 100001\r\n\r\n",
    ],
)
def test_an_answer_without_end_ends(said: bytes) -> None:
    with answering(said, b"x" * 1000) as connection, pytest.raises(TooMuchError):
        read(connection)


def test_an_answer_that_comes_byte_by_byte_ends() -> None:
    """It is never silent for as long as would end it."""
    said = b"HTTP/1.1 200 Yes\r\nContent-Length: 99999\r\n\r\n"
    with answering(said, b"x") as connection, pytest.raises(TooSlowError) as caught:
        read(connection, timeout=0.02)
    assert in_words(caught.value) == "it answers too slowly"


def test_words_have_nothing_of_what_was_sent() -> None:
    assert "hush" not in in_words(http.client.InvalidURL("/?signature=hush"))
    assert "hush" not in in_words(NotHTTPError("hush"))
