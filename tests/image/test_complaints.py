"""What registries, proxies and local sources say when they fail, told apart by real servers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from diskgen.errors import DiskgenError, ToolError
from diskgen.image.complaints import ROWS, NotFound, Unreachable, explain, reason

from ..fixtures.failing import Answer, Rule, closed_port, other_digest, says, serving, silent
from ..fixtures.oci import Layout, bootable
from ..fixtures.program import Program

PLAIN = "--tls-verify=false"
BASIC = 'Basic realm="x"'


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bootable(tmp_path_factory.mktemp("complaints") / "os")


def manifests(answer: Answer) -> Rule:
    return lambda _method, path: answer if "/manifests/" in path else None


def circle(part: str) -> Rule:
    return lambda _method, path: (307, {"Location": path}, b"") if part in path else None


NO_LET = "the registry does not let us read '{ref}': "
# What the registry does with a request for the manifest -> exit status is 3, and these words.
ANSWERS: dict[str, tuple[Rule, str]] = {
    "not found": (
        manifests(says(404, "MANIFEST_UNKNOWN", "manifest unknown")),
        "'{ref}' does not exist in its registry: manifest unknown",
    ),
    "no such repository": (
        manifests(says(404, "NAME_UNKNOWN", "repository name not known to registry")),
        "'{ref}' does not exist in its registry: name unknown",
    ),
    "a page of 404": (
        manifests((404, {}, b"not here")), "does not exist in its registry: 404 not here"
    ),
    "denied": (manifests(says(403, "DENIED", "go away")), NO_LET + "denied"),
    "forbidden": (manifests((403, {}, b"a wall")), NO_LET + "403 a wall"),
    "forbidden at the door": (
        lambda _method, _path: (403, {}, b"<html>"), NO_LET + "403 Forbidden"
    ),
    "unauthorized": (
        manifests(says(401, "UNAUTHORIZED", "who?", WWW_Authenticate=BASIC)),
        NO_LET + "unauthorized",
    ),
    "internal error": (manifests((500, {}, b"")), "has an internal error: 500 Internal Server"),
    "maintenance": (manifests((503, {}, b"")), "has an internal error: 503 Service Unavailable"),
    "no content": (manifests((204, {}, b"")), "gave no image: 204 No Content"),
    "a login page": (
        manifests((200, {"Content-Type": "text/html"}, b"<html>hi</html>")),
        "the manifest of '{ref}' cannot be used",
    ),
    "nothing at all": (
        manifests((200, {"Content-Type": "application/json"}, b"")),
        "the manifest of '{ref}' cannot be used",
    ),
    "a circle": (circle("/manifests/"), "sends us in a circle: 10 redirects"),
    "a circle at the door": (circle("/v2/"), "sends us in a circle: 10 redirects"),
}  # fmt: skip
BLOBS: dict[str, tuple[Answer | None, str]] = {
    "not there": (says(404, "BLOB_UNKNOWN", "blob unknown"), "lacks a part of it, '{blob}': 404"),
    "denied": (says(403, "DENIED", "no"), NO_LET + "403 Forbidden"),
    "no content": ((204, {}, b""), "gave no image: 204 No Content"),
    "error": ((500, {}, b""), "has an internal error: 500"),
    "cut": (
        (200, {"Content-Length": "99999"}, b"abc"), "the connection broke while '{ref}' was fetched"
    ),
    "another": ((200, {}, b"abcdef"), "content for '{ref}' that does not match its digest"),
    "circle": (None, "sends us in a circle"),
}  # fmt: skip


def refused(program: Program, ref: str, *words: str, **env: str) -> str:
    done = program.run("plan", "raw", ref, *words, env=env)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "  hint: " in done.stderr or "cannot be used" in done.stderr
    return done.stderr


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_registry_answers(diskgen: Program, layout: Path, name: str) -> None:
    rule, words = ANSWERS[name]
    with serving(layout, rule) as host:
        assert words.format(ref=f"{host}/os:1") in refused(diskgen, f"{host}/os:1", PLAIN)


@pytest.mark.parametrize("name", BLOBS)
def test_what_a_registry_answers_about_a_layer(diskgen: Program, layout: Path, name: str) -> None:
    answer, words = BLOBS[name]
    blob = Layout.manifest_of(layout)["layers"][0]["digest"]

    def rule(_method: str, path: str) -> Answer | None:
        return (answer or (307, {"Location": path}, b"")) if blob in path else None

    with serving(layout, rule) as host:
        ref = f"{host}/os:1"
        assert words.format(ref=ref, blob=blob) in refused(diskgen, ref, PLAIN)
    config = Layout.manifest_of(layout)["config"]["digest"]
    if name == "not there":
        with serving(layout, lambda _m, path: says(404) if config in path else None) as host:
            assert "lacks a part of it: 404" in refused(diskgen, f"{host}/os:1", PLAIN)


def test_a_server_that_fails_in_no_way(diskgen: Program, layout: Path) -> None:
    """What the tests above change is the reason why they fail."""
    with serving(layout, lambda _method, _path: None) as host:
        diskgen("plan", "raw", f"{host}/os:1", PLAIN)


def test_the_way_to_a_registry(diskgen: Program) -> None:
    port = closed_port()
    text = refused(diskgen, f"{port}/os:1", PLAIN)
    assert f"the registry of '{port}/os:1' cannot be reached: '{port}' refuses conn" in text
    text = refused(diskgen, "no-such-host.invalid/os:1")
    assert "cannot be reached: the name 'no-such-host.invalid' does not resolve: " in text
    proxy = f"http://{closed_port()}"
    text = refused(diskgen, "registry.example/os:1", HTTPS_PROXY=proxy)
    assert "the proxy by which 'registry.example/os:1' is fetched cannot be reached: " in text
    assert "https_proxy" in text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (407, "the proxy wants a name and a password before it fetches 'registry.example/os:1': "),
        (403, "the proxy does not connect to the registry of 'registry.example/os:1': Forbidden"),
    ],
)
def test_a_proxy_that_refuses(diskgen: Program, layout: Path, status: int, words: str) -> None:
    with serving(layout, lambda _method, _path: (status, {}, b"")) as host:
        proxy = f"http://{host}"
        assert words in refused(diskgen, "registry.example/os:1", HTTPS_PROXY=proxy)
        if status == 407:
            text = refused(diskgen, "registry.example/os:1", PLAIN, HTTP_PROXY=proxy)
            assert "the proxy wants a name and a password" in text


@pytest.fixture
def certificates(images: Path) -> Path:
    place = images
    for name, extra in (
        ("good", ["-days", "30", "-addext", "subjectAltName=IP:127.0.0.1"]),
        ("other", ["-days", "30", "-addext", "subjectAltName=DNS:elsewhere.example"]),
    ):
        (place / name).mkdir()
        key, crt = place / f"{name}.key", place / name / "ca.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", crt, *extra],
            check=True, capture_output=True,
        )  # fmt: skip
    return place


TLS = {
    ("good", ""): ("a certificate that this machine does not trust: ", "--cert-dir"),
    ("other", "other"): ("is for another name: ", "use the name that it is for"),
}


def test_tls(diskgen: Program, layout: Path, certificates: Path) -> None:
    for (name, trusted), words in TLS.items():
        pair = (certificates / name / "ca.crt", certificates / f"{name}.key")
        with serving(layout, lambda _method, _path: None, certificate=pair) as host:
            options = ["--cert-dir", str(certificates / trusted)] if trusted else []
            text = refused(diskgen, f"{host}/os:1", *options)
            assert all(word in text for word in words), text
    with serving(layout, lambda _method, _path: None) as host:
        assert "speaks plain HTTP" in refused(diskgen, f"{host}/os:1")


@pytest.mark.extended
def test_a_registry_that_is_silent(diskgen: Program) -> None:
    """skopeo waits for ten seconds, three times."""
    with silent() as host:
        text = refused(diskgen, f"{host}/os:1")
    assert f"the registry of '{host}/os:1' does not answer in time: TLS handshake timeout" in text


def test_local_sources(diskgen: Program, images: Path, layout: Path) -> None:
    archive = images / "os.tar"
    subprocess.run(
        ["skopeo", "copy", "--insecure-policy", f"oci:{layout}:latest", f"oci-archive:{archive}:1"],
        check=True, capture_output=True,
    )  # fmt: skip
    (images / "no.tar").write_bytes(b"x" * 4096)
    for source, words in {
        f"oci-archive:{images}/none.tar": "does not exist: ",
        f"docker-archive:{images}/none.tar": "does not exist: ",
        f"dir:{images}/none": "does not exist: ",
        f"oci-archive:{archive}:2": "names no image of the layout",
    }.items():
        assert words in refused(diskgen, source)


# Texts of skopeo: of this machine's (1.9) where no server above gives them, and of newer ones.
SAID = {
    'pinging container registry r.example: Get "https://r.example/v2/": dial tcp 192.0.2.1:443: '
    "i/o timeout": (Unreachable, "does not answer in time: i/o timeout"),
    'Get "https://r.example/v2/": net/http: TLS handshake timeout': (
        Unreachable, "does not answer in time: TLS handshake timeout"),
    'Get "https://r.example/v2/": context deadline exceeded': (
        Unreachable, "does not answer in time"),
    'Get "https://r.example/v2/": dial tcp: lookup r.example on 192.0.2.53:53: server misbehaving':
        (Unreachable, "the name 'r.example' does not resolve: server misbehaving"),
    'Get "https://r.example/v2/": dial tcp: lookup r.example: Temporary failure in name resolution':
        (Unreachable, "does not resolve: Temporary failure in name resolution"),
    'Get "https://r.example/v2/": dial tcp 192.0.2.1:443: connect: network is unreachable': (
        Unreachable, "cannot be reached: network is unreachable"),
    'Get "https://r.example/v2/": remote error: tls: certificate required': (
        DiskgenError, "wants a certificate of ours: certificate required"),
    'Get "https://r.example/v2/": x509: certificate has expired or is not yet valid: current time '
    "2026-11-26T16:00:00Z is after 2025-01-01T00:00:00Z": (
        DiskgenError, "has expired or is not yet valid: current time 2026"),
    "reading manifest 1 in r.example/os: toomanyrequests: slow down": (
        DiskgenError, "refuses more requests for now: toomanyrequests: slow down"),
    "reading manifest 1 in r.example/os: manifest unknown: not here": (
        NotFound, "does not exist in its registry: manifest unknown"),
    "reading manifest 1 in r.example/os: requested access to the resource is denied": (
        DiskgenError, "does not let us read"),
    "writing blob: storing blob to file /x/y: write /x/y: no space left on device": (
        DiskgenError, "no space left"),
    # Names are no reasons.
    "reading manifest denied in r.example/unauthorized: manifest unknown": (
        NotFound, "does not exist in its registry"),
    'pinging container registry x509.example: Get "https://x509.example/v2/": dial tcp: lookup '
    "x509.example: no such host": (Unreachable, "'x509.example' does not resolve: no such host"),
    'creating "/certificate/no such host/denied": interrupted system call': (ToolError, "'skopeo'"),
}  # fmt: skip


@pytest.mark.parametrize("said", SAID)
def test_what_skopeo_says(said: str) -> None:
    kind, words = SAID[said]
    quoted = json.dumps(said)[1:-1]
    retries = 'time="x" level=warning msg="Failed, retrying in 1s: connection refused"\n'
    found = explain(
        ToolError(["skopeo"], 1, f'{retries}time="x" level=fatal msg="{quoted}"'), "r.example/os:1"
    )
    assert isinstance(found, kind)
    assert words in found.message
    assert "{" not in found.message.replace("level", "")


def test_every_row_can_be_shown() -> None:
    for row in ROWS:
        groups = dict.fromkeys(re.compile(row.pattern).groupindex, "x")
        assert row.message.format(ref="r", **groups)


def test_a_reason_has_no_names() -> None:
    text = 'time="x" level=fatal msg="Error parsing image name \\"docker://a/denied\\": x: y"'
    assert reason(text) == "x: y"


def test_a_program_that_was_ended_for_doing_nothing() -> None:
    error = ToolError(["skopeo"], -9, "no progress for 120 s (budget 'tool-seconds')")
    assert isinstance(explain(error, "r"), Unreachable)
    assert shutil.which("skopeo")
    assert other_digest(b"") != other_digest(b"1")
