"""Descriptions of machines: every key of the table, and what is wrong with those that are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from diskgen.blueprint.errors import BlueprintError
from diskgen.blueprint.keys import KEYS, TOP, Key, Kind, Use
from diskgen.blueprint.manual import section
from diskgen.blueprint.model import Customizations, User
from diskgen.blueprint.read import read
from diskgen.units import GIB

from ..fixtures.descriptions import HASH, KEY, document, value_of

WRONG: dict[Kind, Any] = {
    Kind.TEXT: 1, Kind.TEXTS: "word", Kind.NUMBER: "1", Kind.BOOLEAN: "yes", Kind.SIZE: "20 KB",
    Kind.MODE: "0999", Kind.OWNER: True, Kind.SWITCH: 1,
}  # fmt: skip


def load(value: Any, *, medium: bool = False) -> Customizations:
    return read(json.dumps(value), "json", "config.json", medium=medium)


def messages(value: Any) -> list[str]:
    with pytest.raises(BlueprintError) as caught:
        load(value)
    assert caught.value.exit_status == 2
    assert {problem.setting for problem in caught.value.problems} == {"config"}
    return [f"{problem.message} [{problem.hint}]" for problem in caught.value.problems]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
@pytest.mark.parametrize("medium", [False, True])
def test_every_key_is_taken_or_refused(key: Key, medium: bool) -> None:
    use = key.medium if medium else key.disk
    value = document(key, value_of(key))
    if use is Use.REFUSED:
        with pytest.raises(BlueprintError, match="cannot be done") as caught:
            load(value, medium=medium)
        assert caught.value.problems[0].hint
        return
    found = load(value, medium=medium)
    plain = {path.replace("[0]", "[]") for path in found.given}
    assert key.path in plain
    if key.disk is Use.DONE and not medium:
        empty = Customizations(given=found.given, source=found.source)
        assert found != empty, "the key is taken, and nothing came of it"


@pytest.mark.parametrize("key", [k for k in KEYS if k.kind in WRONG], ids=lambda key: key.path)
def test_every_key_has_one_kind_of_value(key: Key) -> None:
    (message,) = messages(document(key, WRONG[key.kind]))
    path = key.path.replace("[]", "[0]")
    assert f"'{path}' is '" in message
    assert "it has to be" in message


@pytest.mark.parametrize("key", [k for k in KEYS if k.required], ids=lambda key: key.path)
def test_every_row_is_whole(key: Key) -> None:
    value = document(key, value_of(key))
    table = value
    *parents, last = key.path.split(".")
    for part in parents:
        table = table[part.removesuffix("[]")]
        table = table[0] if isinstance(table, list) else table
    del table[last]
    assert any(f"has no '{last}'" in message for message in messages(value))


TOML = f"""
name = "x"
[[customizations.sshkey]]
user = "ann"
key = "{KEY} old"
[[customizations.user]]
name = "ann"
password = "secret words"
key = "{KEY}"
groups = ["wheel"]
[[customizations.user]]
name = "root"
password = "{HASH}"
home = "/var/roothome"
[[customizations.filesystem]]
mountpoint = "/"
size = "20 GiB"
[customizations.kernel]
append = "quiet a=1"
"""


def test_a_document_of_toml() -> None:
    found = read(TOML, "toml", "config.toml")
    assert found.people == (
        User(name="ann", plain="secret words", keys=(f"{KEY} old", KEY), groups=("wheel",)),
    )
    assert found.root == User(name="root", password=HASH, home="/var/roothome")
    assert found.sizes == {"/": 20 * GIB}
    assert found.kargs == ("quiet a=1",)
    assert "secret" not in repr(found)


def test_the_old_form_of_json() -> None:
    assert load({"blueprint": {TOP: {"hostname": "a"}}}).hostname == "a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20 GiB", 20 * GIB), ("20GiB", 20 * GIB), ("1.5 kB", 1500), (4096, 4096),
     ("1.0001 kB", 1000), ("2 TiB", 2048 * GIB)],
)  # fmt: skip
def test_sizes(text: object, expected: int) -> None:
    rows = [{"mountpoint": "/boot", "minsize": text}]
    assert load({TOP: {"filesystem": rows}}).sizes == {"/boot": expected}


@pytest.mark.parametrize("text", [0, -1, True, "20", "20 KB", "20 gib", "1 PB", "x", "9" * 50 +
                                  " GiB", "0 GiB", 1.5])  # fmt: skip
def test_what_is_no_size(text: object) -> None:
    assert messages({TOP: {"filesystem": [{"mountpoint": "/", "minsize": text}]}})


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [("a = 1\n", "toml", "line 1: 'a' is not known"),
     ("\n[customizations]\nhostnam = 'x'\n", "toml", "line 3: 'customizations.hostnam' is not"),
     ("\n[customizations.services]\nenabled = ['a']\nmaskd = []\n", "toml", "did you mean 'masked"),
     ("[[customizations.user]]\nname='a'\n\n[[customizations.user]]\nname='b'\nuide=1\n", "toml",
      "line 6: 'customizations.user[1].uide'"),
     ('{\n"customizations":\n {"hostnam": "x"}}', "json", "line 3: 'customizations.hostnam'"),
     ("hostname = 'x'\n", "toml", "it belongs into [customizations]"),
     ("[customizations\n", "toml", "line 1"),
     ('{"a": 1,}', "json", "cannot be read"),
     ("[1]", "json", "it is no table"),
     ("[customizations]\nuser = 1\n", "toml", "is a list of tables"),
     ("[customizations]\nservices = 1\n", "toml", "is a table of keys")],
)  # fmt: skip
def test_unknown_keys_and_broken_documents(text: str, form: str, expected: str) -> None:
    with pytest.raises(BlueprintError) as caught:
        read(text, form, "config.x")
    problems = caught.value.problems
    assert any(expected in f"{problem.message} {problem.hint}" for problem in problems), problems
    assert "'config.x'" in problems[0].message


@pytest.mark.parametrize(
    ("customizations", "expected"),
    [({"user": [{"name": "a:b"}]}, "(customizations.user[0].name)"),
     ({"user": [{"name": "a\nb"}]}, "no account can be called"),
     ({"user": [{"name": "a\0b"}]}, "NUL"),
     ({"user": [{"name": "a"}, {"name": "a"}]}, "'a' is there twice"),
     ({"user": [{"name": "a", "uid": 7}, {"name": "b", "uid": 7}]}, "the number '7'"),
     ({"user": [{"name": "a", "uid": 0}]}, "'0' is no number"),
     ({"user": [{"name": "a", "uid": 2**32}]}, "is no number"),
     ({"user": [{"name": "a", "home": "/home/../etc"}]}, "cannot be a home"),
     ({"user": [{"name": "root", "home": "/home/r"}]}, "root's is"),
     ({"user": [{"name": "root", "groups": ["a"]}]}, "root keeps"),
     ({"user": [{"name": "a", "shell": "sh"}]}, "is no shell"),
     ({"user": [{"name": "a", "description": "a:b"}]}, "written into passwd"),
     ({"user": [{"name": "a", "password": "$6$a:b"}]}, "is not crypted"),
     ({"user": [{"name": "a", "key": "x"}]}, "is no public key"),
     ({"user": [{"name": "a", "groups": ["a,b"]}]}, "no group can be called"),
     ({"group": [{"name": "a"}, {"name": "a"}]}, "created twice"),
     ({"hostname": "a b"}, "no machine can be called"),
     ({"timezone": {"timezone": "../x"}}, "no time zone"),
     ({"timezone": {"ntpservers": ["a b"]}}, "no time server"),
     ({"locale": {"languages": ["x\ny"]}}, "no language"),
     ({"services": {"enabled": ["a/b"]}}, "no unit"),
     ({"services": {"enabled": ["a"], "masked": ["a.service"]}}, "enabled and masked"),
     ({"firewall": {"ports": ["80"]}}, "port '80'"),
     ({"firewall": {"ports": ["9:tcp", "70000:tcp"]}}, "port '70000:tcp'"),
     ({"firewall": {"zones": [{"name": "../x"}]}}, "is no zone"),
     ({"sshd": {"permit_root_login": "maybe"}}, "no such setting"),
     ({"sshd": {"client_alive_interval": 2**31}}, "no number of seconds"),
     ({"cacerts": {"pem_certs": ["x"]}}, "a certificate is none"),
     ({"files": [{"path": "/etc/passwd"}]}, "cannot be written"),
     ({"files": [{"path": "/etc/../usr/x"}]}, "cannot be written"),
     ({"files": [{"path": "etc/x"}]}, "cannot be written"),
     ({"files": [{"path": "/etc/x", "uri": "file:///x"}]}, "write the text as 'data'"),
     ({"files": [{"path": "/etc/x", "user": "a b"}]}, "no user that could own"),
     ({"files": [{"path": "/etc/x"}, {"path": "/etc/x"}]}, "written twice"),
     ({"filesystem": [{"mountpoint": "/var/log", "minsize": 1}]}, "'/' and '/boot' alone"),
     ({"filesystem": [{"mountpoint": "/", "minsize": 1, "size": 1}]}, "both"),
     ({"filesystem": [{"mountpoint": "/"}]}, "has no 'minsize'"),
     ({"disk": {"type": "gpt"}}, "--disk-size and customizations.filesystem"),
     ({"ignition": {"firstboot": {"url": "https://a/b", "empty": True}}}, "both 'url' and"),
     ({"ignition": {"firstboot": {"url": "https://a/'$x"}}}, "is no URL"),
     ({"kernel": {"append": "a\nb"}}, "cannot be a kernel argument"),
     ({"group": [{"name": f"g{n}"} for n in range(10_001)]}, "give it up to 10000")],
)  # fmt: skip
def test_values_that_cannot_be(customizations: dict[str, Any], expected: str) -> None:
    found = messages({TOP: customizations})
    assert any(expected in message for message in found), found


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(messages({TOP: {"hostname": "a b", "user": [{"name": "a:b", "uid": 0}]}})) == 3


def test_a_password_is_in_no_message() -> None:
    (message,) = messages({TOP: {"user": [{"name": "a", "password": ["secret"]}]}})
    assert "secret" not in message


def test_the_man_page_has_the_table_of_keys() -> None:
    page = (Path(__file__).parents[2] / "docs/diskgen.1").read_text()
    assert section() in page
