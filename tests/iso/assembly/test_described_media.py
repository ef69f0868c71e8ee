"""What a machine is given, on media: each key comes of something, by either installer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from diskgen import build_iso, medium_writer
from diskgen.blueprint import portable
from diskgen.blueprint.errors import BlueprintError
from diskgen.blueprint.model import (
    AddedFile,
    Customizations,
    Firewall,
    Group,
    Services,
    Sshd,
    User,
)
from diskgen.config import IsoRequest
from diskgen.errors import UsageError
from diskgen.events import discard
from diskgen.image.store import Store
from diskgen.reference import parse
from diskgen.tree import read as content_of

from ...fixtures import installers
from ...fixtures.oci import TarBuilder

REQUEST = IsoRequest(source=parse("quay.io/example/os:1"), arch="x86_64", unattended="vda")


@pytest.mark.parametrize("append", ["quiet ostree=/x", 'ostree="/x y"', '"ostree=/x"', "ostree"])
def test_no_kernel_argument_chooses_a_deployment(append: str) -> None:
    with pytest.raises(UsageError, match="selects the deployment"):
        replace(REQUEST, customizations=Customizations(kargs=(append,)))
    replace(REQUEST, customizations=Customizations(kargs=('a="b ostree=/x" noostree=1',)))


def given() -> bytes:
    tar = TarBuilder()
    tar.file("etc/ssh/sshd_config", b"Include /etc/ssh/sshd_config.d/*.conf\n")
    tar.file("etc/chrony.conf", b"pool example.org\n")
    tar.file("usr/lib/systemd/system/a.service", b"[Install]\nWantedBy=multi-user.target\n")
    tar.file("usr/lib/firewalld/zones/public.xml", b"<zone>\n</zone>\n")
    tar.file("usr/lib/firewalld/services/http.xml", b"<service/>\n")
    tar.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\ncore:x:1500:100::/var/home/core:/bin/sh\n")
    tar.file("etc/group", b"root:x:0:\n")
    tar.symlink("home", "var/home")
    for name in ("firewall-offline-cmd", "useradd", "groupadd", "chpasswd"):
        tar.file(f"usr/bin/{name}", b"#!/bin/sh\n", mode=0o755)
    return tar.finish()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("described")
    installers.machine(place / "os", installers.bootupd(), given())
    installers.machine(place / "own", installers.own_runtime())
    installers.installer(place / "anaconda", installers.anaconda())
    return place


WANTED = Customizations(
    users=(User(name="ann", plain="secret words", groups=("wheel",), expires=20000),),
    groups=(Group(name="staff", gid=900),),
    services=Services(enabled=("a",), masked=("b.service",)),
    firewall=Firewall(enabled=("http",)),
    sshd=Sshd(permit_root_login="no"),
    ntp_servers=("192.0.2.1",),
    files=(AddedFile(path="/etc/secret", data=b"\xff", mode=0o600),),
    fips=True,
    kargs=("quiet",),
)


def prepared(place: Path, kind: str, wanted: Customizations, **more: Any) -> Any:
    request = IsoRequest(
        source=parse(f"oci:{place / 'os'}"), target=parse("registry.example/os:1"), arch="x86_64",
        installer=parse(f"oci:{place / kind}"), modes=("image",), cache=place / "cache",
        customizations=wanted, **more,
    )  # fmt: skip
    with Store(request.cache).session() as store:
        return build_iso.prepare(request, store, discard)


def text_of(medium: medium_writer.Prepared, name: str) -> str:
    file = medium.ours.get_file(name)
    assert file is not None
    assert file.content is not None
    return content_of(file.content).decode()


def test_our_installer_is_given_a_file(place: Path) -> None:
    medium = prepared(place, "own", WANTED)
    found = portable.of_json(json.loads(text_of(medium, portable.NAME)))
    (user,) = found.users
    assert user.password is not None
    assert user.password.startswith("$6$")
    assert replace(user, password=None, plain="secret words") == WANTED.users[0]
    assert replace(found, users=(), kargs=("quiet",)) == replace(WANTED, users=())
    file = medium.ours.get_file(portable.NAME)
    assert file.mode & 0o777 == 0o600
    text = text_of(medium, "image-offline.ks")
    assert "quiet fips=1" in text
    assert "described.log" not in text
    for name in ("secret words", "/etc/secret"):
        assert name not in text
    assert any("password hashes and files that not everybody" in w for w in medium.plan.warnings)


def test_anaconda_is_told_by_kickstarts(place: Path) -> None:
    medium = prepared(place, "anaconda", WANTED, unattended="vda")
    assert medium.ours.get_file(portable.NAME) is None
    for name in ("image-offline.ks", "unattended-image.ks"):
        text = text_of(medium, name)
        assert "secret words" not in text
        for line in (
            "group --name=staff --gid=900", "services --enabled=a", "timesource --ntp-server=",
            "firewall --enabled --service=http", "systemctl mask -- b.service", "chage -E 20000",
            "quiet fips=1", "put /etc/secret 0600",
        ):  # fmt: skip
            assert line in text, line


def test_an_account_of_the_image_is_changed(place: Path) -> None:
    """Anaconda's own 'user' makes accounts, and passes over one that is there."""
    user = User(name="core", plain="secret words", groups=("wheel",))
    medium = prepared(place, "anaconda", replace(WANTED, users=(*WANTED.users, user)))
    text = text_of(medium, "image-offline.ks")
    assert re.search(
        r"^chpasswd -e <<'---'\ncore:\$6\$.*\n---\njoin core wheel$", text, re.MULTILINE
    )
    assert "ann:" not in text


@pytest.mark.parametrize("kind", ["own", "anaconda"])
def test_what_the_image_cannot_take_is_said_before_anything_is_written(
    place: Path, kind: str
) -> None:
    wanted = Customizations(
        firewall=Firewall(enabled=("gopher",)), services=Services(enabled=("nothing",))
    )
    with pytest.raises(BlueprintError) as caught:
        prepared(place, kind, wanted)
    messages = " ".join(problem.message for problem in caught.value.problems)
    assert "'gopher'" in messages
    assert "'nothing" in messages


@pytest.mark.parametrize("kind", ["own", "anaconda"])
def test_what_is_lacking_is_said_once_or_an_error(place: Path, kind: str) -> None:
    wanted = Customizations(fips=True, keyboard="de")
    warnings = [w for w in prepared(place, kind, wanted).plan.warnings if "FIPS" in w]
    assert len(warnings) == 1
    with pytest.raises(BlueprintError, match="FIPS"):
        prepared(place, kind, wanted, strict=True)
