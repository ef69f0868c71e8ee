"""Ways to a server by a proxy on loopback; whose proxies count is compared with curl."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator

import pytest

from diskgen.net.connecting import Proxy, ProxyError, TunnelError, Way, proxy_to, trusting
from diskgen.net.reading import answer_of, chunks, within

from ..fixtures import proxy as proxies
from ..fixtures.farm_people import Certificates

NAMES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[proxies.Proxy]:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    with proxies.proxying() as made:
        yield made


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(certificates: Certificates) -> Iterator[int]:
    """Run a server with TLS on loopback; give its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"there")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.socket = certificates.server(clients=False).wrap_socket(made.socket, server_side=True)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made.server_address[1]
    made.shutdown()
    made.server_close()
    thread.join()


def got(way: Way) -> bytes:
    connection = way.connected()
    try:
        connection.request("GET", "/")
        return within(chunks(answer_of(connection)), 1000, 30.0)
    finally:
        connection.close()


@pytest.mark.parametrize("secret", [None, "hush/:@%"])
def test_tls_goes_through_a_proxy(
    proxy: proxies.Proxy, certificates: Certificates, server: int,
    monkeypatch: pytest.MonkeyPatch, secret: str | None,
) -> None:  # fmt: skip
    """The server's own certificate counts; a password is in no words."""
    proxy.hosts["composer.example"] = server
    proxy.password = secret
    user = "" if secret is None else "me:hush%2F%3A%40%25@"
    monkeypatch.setenv("https_proxy", f"http://{user}{proxy.address}")
    found = proxy_to("composer.example", 443, tls=True)
    assert str(found) == proxy.address
    assert "aHVzaA" not in repr(found)
    assert "hush" not in repr(found)
    trusted = trusting(certificates.place / "ca.crt")
    way = Way(host="composer.example", port=443, timeout=30, context=trusted, proxy=found)
    assert got(way) == b"there"
    assert proxy.asked == ["CONNECT composer.example:443"]


@pytest.mark.parametrize(
    ("status", "final", "words"),
    [(403, True, "says no, status 403"), (407, True, "wants a name and password"),
     (502, False, "says no, status 502"), (429, False, "status 429")],
)  # fmt: skip
def test_a_proxy_that_does_not_connect(
    proxy: proxies.Proxy, status: int, final: bool, words: str
) -> None:
    proxy.refuses = status
    way = Way(host="composer.example", port=443, timeout=30, context=trusting(None),
              proxy=Proxy("127.0.0.1", proxy.port))  # fmt: skip
    with pytest.raises(TunnelError, match=words) as caught:
        way.connected()
    assert caught.value.final == final
    assert proxy.address in str(caught.value)


# The environment with PROXY for its address, and whether composer.example is reached by it.
WHOSE = {
    "none": ({}, False),
    "small letters": ({"https_proxy": "http://PROXY"}, True),
    "large letters": ({"HTTPS_PROXY": "http://PROXY"}, True),
    "no scheme": ({"https_proxy": "PROXY"}, True),
    "empty": ({"https_proxy": ""}, False),
    "of HTTP": ({"http_proxy": "http://PROXY"}, False),
    "the host": ({"https_proxy": "http://PROXY", "no_proxy": "composer.example"}, False),
    "its domain": ({"https_proxy": "http://PROXY", "no_proxy": "a, .example"}, False),
    "its domain's name": ({"https_proxy": "http://PROXY", "no_proxy": "example"}, False),
    "in large letters": ({"https_proxy": "http://PROXY", "NO_PROXY": "Composer.EXAMPLE"}, False),
    "everything": ({"https_proxy": "http://PROXY", "no_proxy": "*"}, False),
    "another": ({"https_proxy": "http://PROXY", "no_proxy": "poser.example,composer"}, True),
}


@pytest.mark.parametrize("name", WHOSE)
def test_proxies_are_those_that_curl_takes(
    proxy: proxies.Proxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given, expected = WHOSE[name]
    environment = {key: value.replace("PROXY", proxy.address) for key, value in given.items()}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    found = proxy_to("composer.example", 443, tls=True)
    assert (found is not None) == expected
    assert found is None or str(found) == proxy.address
    proxy.refuses = 403
    argv = ["curl", "--silent", "--resolve", "composer.example:443:127.0.0.1",
            "https://composer.example/"]  # fmt: skip
    subprocess.run(argv, env={"PATH": "/usr/bin:/bin", **environment}, check=False)
    assert bool(proxy.asked) == expected


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_reached_without_one(
    proxy: proxies.Proxy, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    assert proxy_to(host, 80, tls=False) is None
    assert proxy_to(host, 443, tls=True) is None
    assert proxy_to("127.0.0.1.example", 443, tls=True) is not None


def test_a_port_may_be_without_one(proxy: proxies.Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
    monkeypatch.setenv("no_proxy", "composer.example:8443")
    assert proxy_to("composer.example", 8443, tls=True) is None
    assert proxy_to("composer.example", 443, tls=True) is not None


@pytest.mark.parametrize(
    "address",
    ["http://me:hush@host:port", "http://me:hush@[::", "http://me:hush@", "://hush",
     "socks5://me:hush@host:1080", "https://me:hush@host:1"],
)  # fmt: skip
def test_a_proxy_that_is_none_is_told(
    proxy: proxies.Proxy, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("https_proxy", address)
    with pytest.raises(ProxyError, match="https_proxy") as caught:
        proxy_to("composer.example", 443, tls=True)
    assert "hush" not in f"{caught.value}{caught.value.hint}{caught.value.__context__}"
    assert proxy.asked == []
