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
from diskgen.publish.http import Connection, is_private
from diskgen.publish.retry import Transient

from ..fixtures.farm_people import Certificates


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


@pytest.mark.parametrize("proxy", ["http://me:hush@host:port", "http://me:hush@[::"])
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
