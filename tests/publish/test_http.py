"""HTTP to the places: whom it trusts, and what is on the way."""

from __future__ import annotations

import http.server
import socket
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diskgen.errors import PublishError
from diskgen.publish.aws.access import refusal
from diskgen.publish.http import Connection, is_private
from diskgen.publish.retry import Transient
from diskgen.units import MIB

from ..fixtures.farm_people import Certificates
from ..fixtures.proxy import Proxy, proxying
from ..fixtures.stand_in import Answer, Asked, StandIn, served


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def url(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = certificates.server(clients=False).wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who does not trust it
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_authorities_are_the_systems_or_named(
    url: str, certificates: Certificates, tmp_path: Path
) -> None:
    connection = Connection(url, str(certificates.place / "ca.crt"))
    assert connection.request("GET", "/", {}).status == 204
    connection.close()
    empty = tmp_path / "empty"
    empty.write_text("nothing")
    for authorities, words, hint in (
        (None, "is not trusted", "SSL_CERT_FILE"),
        (certificates.place / "client.crt", "is not trusted", "client.crt"),
        (empty, "has no certificates", ""),
        (tmp_path / "nowhere", "has no certificates", ""),
    ):
        refused = Connection(url, None if authorities is None else str(authorities))
        with pytest.raises(PublishError, match=words) as caught:
            refused.request("GET", "/", {})
        assert hint in (caught.value.hint or "")
        refused.close()


def test_what_is_cut_may_be_let_go_of_meanwhile() -> None:
    class Going:
        """A connection whose socket is there once."""

        def __init__(self) -> None:
            self.socks = [socket.socket()]

        @property
        def sock(self) -> socket.socket | None:
            return self.socks.pop() if self.socks else None

    connection = Connection("https://192.0.2.1")
    going: Any = Going()
    (kept,) = going.socks
    connection._open = going
    connection.cut()
    kept.close()
    with pytest.raises(Transient, match="was ended"):
        connection.request("GET", "/", {})


@pytest.mark.parametrize(
    ("target", "headers"),
    [("/?sig=hush hush", {}), ("/?sig=hushé", {}), ("/", {"Authorization": "hush\n"})],
)
def test_what_none_may_send_is_not_shown(target: str, headers: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection(f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(PublishError, match="characters that none may have") as caught:
            connection.request("GET", target, headers)
        connection.close()
    told = "".join(traceback.format_exception(caught.value))
    assert "hush" not in told.partition("PublishError:")[2]
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("proxy", ["http://me:hush@host:port", "socks5://me:hush@host"])
def test_a_proxy_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(PublishError, match="https_proxy") as caught:
        Connection("https://192.0.2.1").request("GET", "/", {})
    assert "hush" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://host.example", True), ("https://host.example:8443/x?y", True),
        ("http://127.0.0.1:5000", True), ("http://[::1]:5000/", True), ("http://localhost", True),
        ("http://host.example", False), ("http://127.0.0.1.example", False),
        ("http://localhost@host.example", False), ("ftp://localhost", False), ("https://", False),
        ("http://[::", False), ("host.example", False), ("", False),
    ],
)  # fmt: skip
def test_credentials_go_where_nobody_reads_them(url: str, private: bool) -> None:
    assert is_private(url) is private


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with proxying() as made:
        made.password = "hush"
        for name in ("https_proxy", "http_proxy"):
            monkeypatch.setenv(name, f"http://me:hush@{made.address}")
        yield made


def test_places_are_reached_by_a_proxy(
    url: str, certificates: Certificates, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS it sees a name, without it the request."""
    monkeypatch.delenv("no_proxy", raising=False)
    proxy.hosts["composer.example"] = int(url.rpartition(":")[2])
    by_tls = Connection("https://composer.example", str(certificates.place / "ca.crt"))
    assert by_tls.request("GET", "/secret", {}).status == 204
    by_tls.close()
    with served(Echo()) as behind:
        proxy.hosts["plain.example"] = int(behind.url.rpartition(":")[2])
        plain = Connection("http://plain.example")
        assert plain.request("PUT", "/a?b=c", {}).body == b"PUT /a?b=c of plain.example"
        plain.close()
    assert proxy.asked == ["CONNECT composer.example:443", "PUT http://plain.example/a?b=c"]


@pytest.mark.parametrize(
    ("password", "refuses", "error", "words"),
    [("other", None, PublishError, "wants another name and password"),
     ("hush", 403, PublishError, "says no, status 403"), ("hush", 502, Transient, "status 502")],
)  # fmt: skip
def test_a_proxy_in_the_way_is_named(
    proxy: Proxy, password: str, refuses: int | None, error: type[Exception], words: str
) -> None:
    proxy.password, proxy.refuses = password, refuses
    with pytest.raises(error, match=words) as caught:
        Connection("https://composer.example").request("GET", "/", {})
    assert proxy.address in str(caught.value)
    assert "hush" not in f"{caught.value}{getattr(caught.value, 'hint', '')}"


class Echo(StandIn):
    """A service that says what it was asked, or what it is told to."""

    def __init__(self, answer: Answer | None = None) -> None:
        super().__init__()
        self._answer = answer

    def name(self, asked: Asked) -> str:
        return asked.method

    def obey(self, asked: Asked) -> Answer:
        said = f"{asked.method} {asked.target} of {asked.headers['host']}"
        return self._answer or Answer(200, said.encode())


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_an_answer_that_is_cut_is_none(body: bytes) -> None:
    cut = Answer(200, body, {"Content-Length": "4", "Connection": "close"})
    with (
        served(Echo(cut)) as service,
        pytest.raises(Transient, match="cut within an answer"),
    ):
        Connection(service.url).request("GET", "/", {})


def test_an_answer_that_is_too_much_is_an_error() -> None:
    with (
        served(Echo(Answer(200, bytes(5 * MIB)))) as service,
        pytest.raises(PublishError, match="more than 4194304 bytes"),
    ):
        Connection(service.url).request("GET", "/", {})


def test_an_answer_that_never_ends_is_given_up() -> None:
    """Each byte comes in time, all of them would not."""
    over = threading.Event()

    class Slow(Handler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not over.wait(0.01):
                self.wfile.write(b"x")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    connection = Connection(f"http://127.0.0.1:{server.server_address[1]}", seconds=0.1)
    try:
        # A busy machine may be silent for longer, which ends it as well.
        with pytest.raises(Transient, match=r"answers too slowly|no answer in time"):
            connection.request("GET", "/", {})
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [(503, {"Retry-After": "7"}, 7.0), (429, {"retry-after": "0"}, 0.0), (500, {}, None)],
)
def test_a_place_says_how_long_to_wait(
    status: int, headers: dict[str, str], wait: float | None
) -> None:
    with served(Echo(Answer(status, b"", headers))) as service:
        connection = Connection(service.url)
        reply = connection.request("GET", "/", {})
        connection.close()
    found = refusal("EBS refused a block", reply, "", "not now")
    assert isinstance(found, Transient)
    assert found.wait == wait
