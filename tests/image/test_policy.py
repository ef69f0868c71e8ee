"""What a signature policy demands of an image: which of its scopes counts, and whose keys."""

from __future__ import annotations

import json

import pytest

from diskgen.errors import UsageError
from diskgen.image import policy
from diskgen.reference import parse

SIGNED = [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}]
ANY = [policy.ACCEPT]
REJECT = [{"type": "reject"}]
NAME = "quay.io/team/os:1"


def of(default: object, **docker: object) -> policy.Policy:
    scopes = {name.replace("__", "/"): value for name, value in docker.items()}
    document = {"default": default, "transports": {"docker": scopes}}
    return policy.parse(json.dumps(document).encode(), "x")


@pytest.mark.parametrize(
    ("scopes", "demands", "refuses"),
    [
        ({}, False, True),
        ({"": SIGNED}, True, False),
        ({"quay.io": SIGNED}, True, False),
        ({"quay.io/team": SIGNED}, True, False),
        ({"quay.io/team/os": SIGNED}, True, False),
        ({NAME: SIGNED}, True, False),
        ({NAME: ANY, "quay.io/team/os": SIGNED}, False, False),
        ({"quay.io/team/os": SIGNED, "quay.io": REJECT}, True, False),
        ({"quay.io": ANY, "quay.io/team": REJECT}, False, True),
        ({"*.io": SIGNED}, True, False),
        ({"*.io": SIGNED, "quay.io": ANY}, False, False),
        ({"io": SIGNED, "quay.io/te": SIGNED, "quay.io/team/os:2": SIGNED}, False, True),
    ],
)
def test_the_most_special_scope_counts(
    scopes: dict[str, object], demands: bool, refuses: bool
) -> None:
    found = of(REJECT, **scopes)
    ref = parse(NAME)
    assert (found.demands(ref), found.refuses(ref)) == (demands, refuses)
    assert not found.accepts_by_default
    assert of(ANY).accepts_by_default


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("os:1", "docker.io/library/os:1"), ("team/os", "docker.io/team/os"),
        ("localhost/os", "localhost/os"), ("x:5000/os:1", "x:5000/os:1"),
    ],
)  # fmt: skip
def test_names_have_their_registry(name: str, normal: str) -> None:
    ref = parse(name)
    assert policy.normal(ref) == normal
    assert policy.registry(ref) == normal.partition("/")[0]
    assert not policy.repository(ref).endswith(":1")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"default": {}}', '{"default": [], '
                                  '"transports": []}', "{" * 5000])  # fmt: skip
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(UsageError, match="is no signature policy"):
        policy.parse(text.encode(), "x")


def test_keys_are_moved_with_all_that_names_them() -> None:
    """Whatever kind of rule it is: containers-policy.json(5) has files in six members."""
    rule = {
        "type": "sigstoreSigned", "keyPath": "/a", "keyPaths": ["/a", "/b"],
        "rekorPublicKeyPath": "/c", "rekorPublicKeyPaths": ["/d"],
        "fulcio": {"caPath": "/e", "oidcIssuer": "https://x"},
        "pki": {"caRootsPath": "/f", "caIntermediatesPath": "/g"},
        "signedIdentity": {"type": "matchRepository"},
    }  # fmt: skip
    made, files = policy.moved(
        of(REJECT, x=[rule]), lambda name: name.encode(), lambda data: f"keys{data.decode()}"
    )
    assert {path: data.decode() for path, data in files.items()} == {
        f"keys/{name}": f"/{name}" for name in "abcdefg"
    }
    (moved,) = made.document["transports"]["docker"]["x"]
    assert moved["fulcio"] == {"caPath": "/keys/e", "oidcIssuer": "https://x"}
    assert moved["keyPaths"] == ["/keys/a", "/keys/b"]
    assert moved["signedIdentity"] == rule["signedIdentity"]


@pytest.mark.parametrize(
    ("data", "words"),
    [(None, "cannot be read"), (b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----", "is a private")],
)
def test_keys_that_cannot_be_taken(data: bytes | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        policy.moved(of(SIGNED), lambda _name: data, lambda _data: "x")
