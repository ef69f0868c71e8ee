"""A description as a file that travels to our installer: nothing of it is lost, nothing gets in."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from diskgen.blueprint import portable
from diskgen.blueprint.model import (
    AddedDirectory,
    AddedFile,
    Customizations,
    Firewall,
    Group,
    Installer,
    Services,
    Sshd,
    User,
    Volume,
    Zone,
)
from diskgen.documents import DocumentError, load_object
from diskgen.errors import UsageError
from diskgen.link import parse as parse_link
from diskgen.units import MIB

FULL = Customizations(
    users=(
        User(
            name="ann", password="$6$salt$hash", keys=("ssh-ed25519 AAAA ann",), groups=("wheel",),
            comment="Ann, of 'us'", home="/home/ann", shell="/bin/sh", uid=1500, gid=1500,
            expires=20000, reset=True,
        ),
        User(name="root", keys=("ssh-ed25519 BBBB",)),
    ),
    groups=(Group(name="staff", gid=900), Group(name="others")),
    hostname="kiosk",
    timezone="Europe/Berlin",
    ntp_servers=("ntp.example.org",),
    languages=("de_DE.UTF-8", "en_US.UTF-8"),
    keyboard="de",
    links=(parse_link("device=enp1s0"),),
    services=Services(enabled=("a.service",), disabled=("b",), masked=("c.timer",)),
    firewall=Firewall(
        ports=("80:tcp",), enabled=("http",), disabled=("ssh",),
        zones=(Zone(name="work", sources=("192.0.2.0/24",)),),
    ),
    sshd=Sshd(password_authentication=False, client_alive_interval=0, permit_root_login="no"),
    files=(AddedFile(path="/etc/a", data=bytes(range(256)), user="ann", group=5, mode=0o600),),
    directories=(AddedDirectory(path="/etc/d", user=7, parents=True, mode=0o750),),
    kargs=("quiet",),
    fips=True,
    selinux="permissive",
    ignition=True,
    ignition_url="https://example.org/a.ign",
    sudo_nopasswd=("ann", "%wheel"),
    ntp=False,
    installer=Installer(unattended=True),
    volume=Volume(publisher="us"),
    sizes={"/": 1},
    given=("customizations.hostname",),
    source="config.toml",
)  # fmt: skip
ELSEWHERE = {"links", "kargs", "installer", "volume", "sizes", "given", "overridden"}


def travelled(wanted: Customizations) -> Customizations:
    return portable.of_json(load_object(json.dumps(portable.to_json(wanted)).encode()))


def test_all_that_is_described_arrives_but_what_kickstarts_say() -> None:
    empty = Customizations()
    bare: dict[str, Any] = {name: getattr(empty, name) for name in ELSEWHERE}
    assert travelled(FULL) == replace(FULL, **bare)
    changed = {each.name for each in fields(Customizations)
               if getattr(FULL, each.name) == getattr(Customizations(), each.name)}  # fmt: skip
    assert changed <= {"certificates", "overridden"}  # a new field belongs into FULL


def test_nothing_is_no_file() -> None:
    assert not portable.is_needed(Customizations(kargs=("quiet",)))
    assert travelled(Customizations()) == Customizations()
    assert portable.is_needed(Customizations(source="a.toml"))  # the image's own does not count


def test_a_password_in_plain_text_never_travels() -> None:
    with pytest.raises(ValueError, match="not crypted"):
        portable.to_json(Customizations(users=(User(name="ann", plain="secret"),)))


@pytest.mark.parametrize(
    ("customizations", "reason"),
    [
        (None, "no table"),
        ([], "no table"),
        ({"hostnam": "a"}, "'hostnam', which is not known"),
        ({"links": []}, "'links', which is not known"),
        ({"hostname": 5}, "'customizations.hostname'"),
        ({"hostname": "a b"}, "no machine can be called 'a b'"),
        ({"users": {}}, "'customizations.users'"),
        ({"users": [{}]}, "has no 'name'"),
        ({"users": [{"name": "ann:x"}]}, "no account can be called"),
        ({"users": [{"name": "ann", "expires": True}]}, "expires"),
        ({"users": [{"name": "ann", "password": "plain"}]}, "not crypted"),
        ({"files": [{"path": "/etc/a", "data": "é"}]}, "data"),
        ({"files": [{"path": "/etc/../a"}]}, "cannot be written"),
        ({"sshd": {"client_alive_interval": "5"}}, "client_alive_interval"),
        ({"fips": 1}, "fips"),
    ],
)
def test_a_file_that_someone_changed_is_refused_by_name(customizations: Any, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason.replace("(", r"\(").replace("[", r"\[")):
        portable.of_json({"version": 1, "customizations": customizations})


@pytest.mark.parametrize("value", [None, [], {}, {"version": 2, "customizations": {}}])
def test_another_version_is_refused(value: Any) -> None:
    with pytest.raises(DocumentError, match="version 1"):
        portable.of_json(value)


def test_a_file_that_no_installer_would_read_is_refused() -> None:
    wanted = Customizations(files=(AddedFile(path="/etc/a", data=bytes(7 * MIB)),))
    with pytest.raises(UsageError, match="config-bytes"):
        portable.to_file(wanted)
    assert load_object(portable.to_file(Customizations())) == {"version": 1, "customizations": {}}
