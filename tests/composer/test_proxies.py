"""A farm behind a proxy of the environment, and what is said where the proxy is in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from diskgen.composer import (
    Bootc,
    Client,
    ComposeRequest,
    Farm,
    ImageRequest,
    NotSent,
    Patience,
    Refused,
    UploadTarget,
    examining,
    parse_address,
    reading,
)
from diskgen.composer import login as logins
from diskgen.composer.starting import named, start
from diskgen.composer.wire import Answer

from ..fixtures.farm import StandIn, by_socket, by_tls
from ..fixtures.farm_people import Certificates, provider
from ..fixtures.proxy import Proxy, proxying

ONCE = Patience(deadline=0.0)
REQUEST = ComposeRequest(
    bootc=Bootc(reference="quay.io/a/b:1"),
    image=ImageRequest(
        architecture="x86_64", image_type="guest-image", targets=(UploadTarget("local"),)
    ),
    blueprint={"name": "x"},
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with proxying() as made:
        made.password = "hush"
        monkeypatch.setenv("https_proxy", f"http://me:hush@{made.address}")
        yield made


@pytest.fixture
def farm(proxy: Proxy, certificates: Certificates) -> Iterator[tuple[StandIn, Farm]]:
    with by_tls(certificates.server(clients=True)) as (server, port):
        proxy.hosts["composer.example"] = port
        place = certificates.place
        yield server, Farm(
            address=parse_address("https://composer.example"), certificate=place / "client.crt",
            key=place / "client.key", authority=place / "ca.crt",
        )  # fmt: skip


def test_a_farm_is_reached_by_it(farm: tuple[StandIn, Farm], proxy: Proxy) -> None:
    with Client(farm[1], ONCE) as client:
        name = start(client, named(REQUEST))
        assert [row.id for row in client.composes()] == [name]
        (address, *_rest) = examining.examine(client)
    assert set(proxy.asked) == {"CONNECT composer.example:443"}
    assert f"by the proxy {proxy.address}" in address.says
    assert "hush" not in address.says


@pytest.mark.parametrize(
    ("address", "words", "final"),
    [
        ("http://PROXY", "wants a name and password", True),
        ("http://me:wrong-hush@PROXY", "wants another name and password", True),
        ("http://me:hush@host:port", "is no address: https_proxy", True),
        ("http://me:hush@127.0.0.1:1", "by the proxy '127.0.0.1:1': nobody listens", False),
    ],
)
def test_a_proxy_in_the_way_is_named(
    farm: tuple[StandIn, Farm], proxy: Proxy, monkeypatch: pytest.MonkeyPatch, address: str,
    words: str, final: bool,
) -> None:  # fmt: skip
    monkeypatch.setenv("https_proxy", address.replace("PROXY", proxy.address))
    with Client(farm[1], ONCE) as client, pytest.raises(NotSent, match=words) as caught:
        client.composes()
    assert caught.value.final == final
    assert "hush" not in f"{caught.value}{caught.value.hint}"


def test_who_gives_tokens_is_reached_by_it(
    proxy: Proxy, certificates: Certificates, tmp_path: Path
) -> None:
    """And a socket of this machine is not."""
    (tmp_path / "login.json").write_text(
        '{"token_url": "https://composer.example/token", "client_id": "me", '
        '"client_secret": "hush-hush"}'
    )
    (tmp_path / "login.json").chmod(0o600)
    with provider(certificates.server(clients=False)) as who, by_socket(tmp_path / "s") as server:
        server.allowed = who.allowed
        proxy.hosts["composer.example"] = who.port
        mine = Farm(
            address=parse_address(f"unix:{tmp_path}/s"), login=logins.load(tmp_path / "login.json"),
            authority=certificates.place / "ca.crt",
        )  # fmt: skip
        with Client(mine, ONCE) as client:
            assert client.composes() == []
        assert len(who.forms) == 1
    assert proxy.asked == ["CONNECT composer.example:443"]


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), ("soon", None)])
def test_what_a_farm_asks_for_is_waited(text: str, seconds: float | None) -> None:
    """Up to half of all our patience."""
    error = reading.refusal(Answer(503, {"retry-after": text}), "this")
    assert isinstance(error, Refused)
    assert error.after == seconds
    patience = Patience(deadline=8.0, first=1.0, chance=lambda: 1.0)
    assert patience.pause(0, error) == (1.0 if seconds is None else 5.0)
    assert patience.pause(0, NotSent("no")) == 1.0
