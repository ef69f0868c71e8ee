"""The client against a stand-in: every call, every way in, and what is said where that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.composer import (
    AnswerLost,
    Bootc,
    Client,
    ComposeRequest,
    Farm,
    ImageRequest,
    NotSent,
    Patience,
    Refused,
    Unclear,
    UploadTarget,
    parse_address,
)
from diskgen.composer import login as logins
from diskgen.composer.starting import find, named, start
from diskgen.errors import FarmError, UsageError

from ..fixtures.farm import DONE, LATE, SAID, UNDONE, StandIn, by_socket, by_tls
from ..fixtures.farm_people import Certificates, Provider, Worker, provider

QUICK = Patience(deadline=30.0, first=0.0, settle=0.0, sleep=lambda _seconds: None)
NOBODY = "00000000-0000-4000-8000-000000000000"


def request(**image: object) -> ComposeRequest:
    how: dict[str, object] = {
        "architecture": "x86_64", "image_type": "guest-image", "targets": (UploadTarget("local"),),
        **image,
    }  # fmt: skip
    made = ComposeRequest(
        bootc=Bootc(reference="quay.io/a/b:1"),
        image=ImageRequest(**how),  # type: ignore[arg-type]
        blueprint={"name": "x"},
    )
    return named(made)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[tuple[StandIn, Client]]:
    with by_socket(tmp_path / "api.socket") as made:
        address = parse_address(f"unix:{tmp_path}/api.socket")
        with Client(Farm(address=address), QUICK) as client:
            yield made, client
        assert made.failures == []


def test_a_compose_from_its_request_to_its_end(
    farm: tuple[StandIn, Client], tmp_path: Path
) -> None:
    server, client = farm
    assert client.composes() == []  # the server says null
    name = start(client, request(size=20 * 2**30))
    worker = Worker(tmp_path / "api.socket")
    assert [row.id for row in client.composes()] == [name]
    assert (client.status(name).stage, client.status(name).finished) == ("pending", False)
    assert worker.take() == "bootc-info-resolve"
    worker.done()
    assert worker.take() == "osbuild"
    assert client.status(name).stage == "building"
    half = {"done": 2, "total": 4, "subprogress": {"done": 1, "total": 9}}
    worker.say(stage="uploading", progress=half, log=["said"])
    status = client.status(name)
    assert status.stage == "uploading"
    assert status.images[0].progress is not None
    assert status.images[0].progress.inner is not None
    assert (status.images[0].progress.done, status.images[0].progress.inner.total) == (2, 9)
    worker.say(stage="registering")
    assert client.status(name).stage == "registering"
    worker.upload(b"QFI\xfb")
    worker.done()
    status = client.status(name)
    assert (status.finished, status.good, status.status) == (True, True, "success")
    assert str(status.uploads[0].where).startswith("/var/lib/osbuild-composer/")
    told = client.metadata(name)
    assert told.request["image_request"]["size"] == 20 * 2**30
    assert told.name is not None
    assert find(client, told.name) == name
    assert client.manifests(name)["manifests"] == []
    assert client.sboms(name)["items"] == []
    assert client.clone_status(client.clone(name, "us-east-1")).options["region"] == "us-east-1"
    client.delete(name)
    with pytest.raises(Refused, match=r"not found.*error 15.*operation [0-9a-f]{32}") as caught:
        client.status(name)
    assert (caught.value.status, caught.value.code) == (404, 15)
    assert server.state.unknown == []


def test_a_failure_tells_the_whole_chain(farm: tuple[StandIn, Client], tmp_path: Path) -> None:
    _server, client = farm
    name = start(client, request())
    worker = Worker(tmp_path / "api.socket")
    worker.take()
    worker.done(job_error={"id": 42, "reason": "no such image", "details": {"ref": "b:1"}})
    status = client.status(name)
    assert (status.finished, status.good) == (True, False)
    assert [*status.reasons] == ["manifest dependency failed", '  no such image: {"ref": "b:1"}']


def test_a_newer_server_has_words_that_nobody_knows(farm: tuple[StandIn, Client]) -> None:
    server, client = farm
    name = start(client, request())
    made = server.state.composes[name]
    made.stage, made.progress = "martian", {"done": "many"}
    made.error = {"id": "x", "reason": ["odd"], "details": [[1]]}
    status = client.status(name)
    assert (status.stage, status.finished) == ("martian", False)
    assert status.images[0].progress is None


@pytest.mark.parametrize("shape", ["bare", "paged"])
def test_lists_of_both_kinds_are_read_to_their_end(
    farm: tuple[StandIn, Client], shape: str
) -> None:
    server, client = farm
    server.state.shape = shape
    ids = {server.state.start(request().to_json()).id for _ in range(2345)}
    assert {row.id for row in client.composes()} == ids


def test_what_the_server_refuses_is_said_with_its_words(farm: tuple[StandIn, Client]) -> None:
    server, client = farm
    for image, code, words in (
        ({"image_type": "minimal-raw"}, 6, 'unsupported image type "minimal-raw"'),
        ({"architecture": "s390x"}, 5, "unsupported architecture"),
        ({"image_type": "aws", "targets": (UploadTarget("gcp", {"region": "eu"}),)}, 38, "target"),
        ({"targets": (UploadTarget("container"),)}, 38, "target"),
        ({"size": "big"}, 30, "could not be validated"),
    ):
        with pytest.raises(Refused, match=words) as caught:
            start(client, request(**image))
        assert caught.value.code == code
    server.state.local = False
    with pytest.raises(Refused) as caught:
        start(client, request())
    assert (caught.value.code, caught.value.setting) == (36, "farm-target")
    assert server.state.composes == {}


def test_a_key_that_real_servers_pass_over_is_seen(farm: tuple[StandIn, Client]) -> None:
    server, client = farm
    body = {**request().to_json(), "bootc": {"reference": "a", "payload": "b"}}
    server.state.validate(body)
    assert len(server.state.unknown) == 1
    assert "payload" in server.state.unknown[0]
    client.post(request())
    assert len(server.state.unknown) == 1


@pytest.mark.parametrize("kind", [*UNDONE, *DONE, *SAID, *LATE])
def test_a_post_whose_answer_is_lost_starts_one_compose(
    farm: tuple[StandIn, Client], kind: str
) -> None:
    server, client = farm
    for _ in range(3):
        server.state.start(request().to_json())  # of others
    breaks = [kind]
    server.fault = lambda _method, path: breaks.pop() if path == "/compose" and breaks else None
    wanted = request()
    name = start(client, wanted)
    assert server.state.composes[name].request == wanted.to_json()
    assert len(server.state.composes) == 4
    assert server.posts() == (1 if kind in (*DONE, *LATE) else 2)


def test_a_server_that_tells_no_names_gets_no_second_request(farm: tuple[StandIn, Client]) -> None:
    server, client = farm
    server.state.tells_requests = False
    breaks = ["after-work"]
    server.fault = lambda _method, path: breaks.pop() if path == "/compose" and breaks else None
    with pytest.raises(Unclear, match="does not say which it is") as caught:
        start(client, request())
    assert next(iter(server.state.composes)) in caught.value.message
    assert server.posts() == 1
    breaks = ["before-work"]  # nothing is new, so nothing was started
    assert start(client, request()) in server.state.composes
    assert server.posts() == 3


def test_a_clone_whose_answer_is_lost_is_not_asked_for_again(farm: tuple[StandIn, Client]) -> None:
    server, client = farm
    name = start(client, request())
    server.fault = lambda _method, path: "after-work" if path.endswith("/clone") else None
    with pytest.raises(Unclear):
        client.clone(name, "us-east-1")
    assert len(server.state.clones) == 1


def test_a_delete_whose_answer_is_lost_is_done(farm: tuple[StandIn, Client]) -> None:
    server, client = farm
    name = start(client, request())
    breaks = ["after-work"]
    server.fault = lambda method, _path: breaks.pop() if method == "DELETE" and breaks else None
    client.delete(name)
    assert server.state.composes == {}
    with pytest.raises(Refused):
        client.delete(name)


def test_a_farm_that_stays_away_is_an_error_in_time(tmp_path: Path) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    patience = Patience(deadline=60.0, clock=lambda: now[0], sleep=sleep)
    address = parse_address(f"unix:{tmp_path}/none")
    with Client(Farm(address=address), patience) as client, pytest.raises(NotSent) as caught:
        client.composes()
    assert "there is no such socket" in caught.value.message
    assert 20 < now[0] <= 60


def test_a_connection_that_was_closed_while_idle_is_made_anew(farm: tuple[StandIn, Client]) -> None:
    server, client = farm
    client.patience = Patience(deadline=0.0)  # no failure is borne
    for _ in range(3):
        assert client.composes() == []
        server.drop_idle()
    assert client.composes() == []


def test_silence_ends(farm: tuple[StandIn, Client]) -> None:
    server, client = farm
    quiet = Client(replace(client.farm, timeout=0.1), Patience(deadline=0.0))
    with server.state.lock, pytest.raises(AnswerLost, match="no answer in time"):
        quiet.composes()
    quiet.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_tls_with_a_client_certificate(certificates: Certificates) -> None:
    place = certificates.place
    with by_tls(certificates.server(clients=True)) as (_server, port):
        mine = Farm(
            address=parse_address(f"https://localhost:{port}"),
            certificate=place / "client.crt",
            key=place / "client.key",
            authority=place / "ca.crt",
        )
        for _again in range(2):
            with Client(mine, QUICK) as client:
                assert start(client, request()) in [row.id for row in client.composes()]
        for farm, words, setting in (
            (replace(mine, certificate=None, key=None), "wants a client certificate", "farm-cert"),
            (replace(mine, authority=None), "is not trusted", "farm-ca"),
        ):
            with Client(farm, QUICK) as client, pytest.raises(NotSent, match=words) as caught:
                client.composes()
            assert caught.value.setting == setting
    for wrong, setting in (
        (replace(mine, key=place / "server.key"), "farm-cert"),
        (replace(mine, certificate=place / "none"), "farm-cert"),
        (replace(mine, authority=place / "ca.key"), "farm-ca"),
    ):
        with pytest.raises(UsageError) as usage:
            Client(wrong)
        assert usage.value.setting == setting


@pytest.fixture
def who() -> Iterator[Provider]:
    with provider() as made:
        yield made


def login_file(place: Path, who: Provider, **more: str) -> Path:
    path = place / "login.json"
    path.write_text(json.dumps({"token_url": f"http://127.0.0.1:{who.port}/token", **more}))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "more",
    [{"client_id": "me", "client_secret": "hush-hush"}, {"refresh_token": "offline-hush"}],
    ids=["client", "offline"],
)
def test_tokens_are_fetched_before_they_end_and_once_after_a_refusal(
    tmp_path: Path, who: Provider, more: dict[str, str]
) -> None:
    now = [0.0]
    patience = replace(QUICK, clock=lambda: now[0])
    login = logins.load(login_file(tmp_path, who, **more))
    with by_socket(tmp_path / "s") as server:
        server.allowed = who.allowed
        server.date = "Thu, 01 Jan 1970 00:00:00 GMT"  # no clock of others counts
        farm = Farm(address=parse_address(f"unix:{tmp_path}/s"), login=login)
        with Client(farm, patience) as client:
            for seconds, fetched in ((0, 1), (200, 1), (239, 1), (241, 2), (300, 2)):
                now[0] = float(seconds)
                assert client.composes() == []
                assert len(who.forms) == fetched
            who.good = set()  # revoked: the farm says 401
            assert client.composes() == []
            assert len(who.forms) == 3
            server.allowed = lambda _header: False
            with pytest.raises(Refused) as caught:
                client.composes()
            assert (caught.value.status, caught.value.setting) == (401, "farm-login")
            assert len(who.forms) == 4
    assert {form["grant_type"] for form in who.forms} <= {"client_credentials", "refresh_token"}


@pytest.mark.parametrize("lasts", [None, "soon", -1, 0, True])
def test_a_token_that_does_not_say_how_long_it_lasts(
    tmp_path: Path, who: Provider, lasts: object
) -> None:
    who.lasts = lasts
    login = logins.load(login_file(tmp_path, who, client_id="me", client_secret="hush-hush"))
    with by_socket(tmp_path / "s") as server:
        server.allowed = who.allowed
        with Client(
            Farm(address=parse_address(f"unix:{tmp_path}/s"), login=login), QUICK
        ) as client:
            assert client.composes() == []


def test_a_login_that_is_refused_says_no_secret(tmp_path: Path, who: Provider) -> None:
    who.refuses = True
    login = logins.load(login_file(tmp_path, who, client_id="me", client_secret="hush-hush"))
    client = Client(Farm(address=parse_address("unix:/x"), login=login), QUICK)
    with pytest.raises(FarmError) as caught:
        client.composes()
    assert "invalid_client no client with ***" in caught.value.message
    assert "hush" not in f"{caught.value}{caught.value.hint}{login!r}{client.farm!r}"


def test_login_files_that_are_none(tmp_path: Path, who: Provider) -> None:
    right = login_file(tmp_path, who, client_id="me", client_secret="hush-hush")
    right.chmod(0o640)
    with pytest.raises(UsageError, match="can be read by others"):
        logins.load(right)
    for text in (
        "", "[]", "{", '{"a": 1}', '{"token_url": "https://x"}', '{"client_secret": "hush"}',
        '{"token_url": "https://x", "client_secret": "hush"}',
        '{"token_url": "http://x.example", "refresh_token": "hush"}',
        '{"token_url": "https://x", "refresh_token": "hush\\r\\nX: y"}',
        '{"token_url": "https://x", "client_id": "a", "client_secret": "hush", '
        '"refresh_token": "hush"}',
    ):  # fmt: skip
        right.write_text(text)
        right.chmod(0o600)
        with pytest.raises(UsageError) as caught:
            logins.load(right)
        assert "hush" not in f"{caught.value}{caught.value.hint}"
    with pytest.raises(UsageError):
        logins.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unix:/run/x", "unix:/run/x"), ("/run/x", "unix:/run/x"),
        ("unix:///run/x", "unix:/run/x"), ("https://a.example", "https://a.example"),
        ("https://a.example:8443/", "https://a.example:8443"),
        ("https://a.example/b/v2/", "https://a.example/b/v2"),
        ("http://127.0.0.1:80", "http://127.0.0.1"), ("https://[::1]:9", "https://[::1]:9"),
    ],
)  # fmt: skip
def test_addresses(text: str, shown: str) -> None:
    assert str(parse_address(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "unix:", "unix:x", "unix:/" + "x" * 200, "http://a.example", "ftp://a", "https://",
        "https://a:0", "https://a:99999", "https://a:b", "https://a/?q", "https://a/#f",
        "https://a/\r\nX", "https://u:hush@a", "https://[::1", "unix:/a\0b", "https://a b",
        "https://a/..%2f", "https://\u202ea",
    ],
)  # fmt: skip
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert "hush" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    "name", ["", "x", "../openapi", f"{NOBODY}/logs", NOBODY.replace("0", "\uff10")]
)
def test_ids_that_are_none_are_not_asked_for(farm: tuple[StandIn, Client], name: str) -> None:
    server, client = farm
    with pytest.raises(UsageError):
        client.status(name)
    assert server.requests == []
