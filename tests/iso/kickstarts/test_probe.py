"""Whether a registry answers is asked by the network that was described, by both installers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.install import medium
from diskgen.install.medium import Medium
from diskgen.iso.assembly.plan import default_label, language_of
from diskgen.iso.kickstarts import probe
from diskgen.iso.kickstarts.kickstart import Settings, fragments
from diskgen.iso.vendors.vendor import family
from diskgen.kickstart.language import VERSIONS
from diskgen.link import parse

STATIC = parse(
    "device=enp1s0,ip=192.0.2.5/24,gateway=192.0.2.1,dns=192.0.2.53,dns=2001:db8::53,ipv6=off,"
    "search=example.org"
)
SETTINGS = Settings(reference="quay.io/a/os:1", digest="sha256:" + "0" * 64, payload="both")


def tools(place: Path, *, answers: bool) -> Path:
    """Return a directory of programs that write down how they were called."""
    (place / "bin").mkdir()
    for name in ("nmcli", "skopeo"):
        status = 0 if answers or name == "nmcli" else 1
        program = place / "bin" / name
        program.write_text(
            f'#!/bin/sh\nfor word in {name} "$@"; do printf "%s|" "$word"; done >>{place}/log\n'
            f"echo >>{place}/log\nexit {status}\n"
        )
        program.chmod(0o755)
    return place / "bin"


def log(place: Path) -> list[list[str]]:
    path = place / "log"
    return [line.split("|")[:-1] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("answers", [True, False])
def test_anaconda_asks_when_the_network_is_up(answers: bool, tmp_path: Path) -> None:
    made = fragments(replace(SETTINGS, links=(STATIC,)), "F44")
    script = "".join(
        re.findall(r"^%pre.*?\n(.*?)^%end", made["chooser.ks"], re.MULTILINE | re.DOTALL)
    )
    (tmp_path / "container").mkdir()
    for name in ("container/index.json", "container/oci-layout", "image-offline.ks", "remote"):
        (tmp_path / name).write_text(name)
    (tmp_path / "cmdline").write_text("diskgen.mode=image\n")
    for before, after in (
        ("/proc/cmdline", f"{tmp_path}/cmdline"), ("/run/install/repo/diskgen", str(tmp_path)),
        ("/usr/share/diskgen/image-remote.ks", f"{tmp_path}/remote"),
        ("/tmp/diskgen-payload.ks", f"{tmp_path}/answer"), ("/etc/", f"{tmp_path}/"),
    ):  # fmt: skip
        script = script.replace(before, after)
    env = {**os.environ, "PATH": f"{tools(tmp_path, answers=answers)}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", script], check=True, capture_output=True, env=env)
    add, up, ask, delete = log(tmp_path)
    assert add[:6] == ["nmcli", "connection", "add", "save", "no", "type"]
    given = dict(zip(add[5::2], add[6::2], strict=True))
    assert given == {
        "type": "ethernet", "con-name": "diskgen-0", "ifname": "enp1s0", "ipv4.method": "manual",
        "ipv4.addresses": "192.0.2.5/24", "ipv4.gateway": "192.0.2.1", "ipv4.dns": "192.0.2.53",
        "ipv4.dns-search": "example.org", "ipv6.method": "disabled", "ipv6.dns": "2001:db8::53",
    }  # fmt: skip
    assert up[-3:] == ["connection", "up", "diskgen-0"]
    assert ask[0] == "skopeo"
    assert delete == ["nmcli", "connection", "delete", "diskgen-0"]
    assert (tmp_path / "answer").read_text() == ("remote" if answers else "image-offline.ks")


def test_devices_that_dhcp_brings_up_are_left_alone() -> None:
    plain, mac = parse("device=enp1s0"), parse("device=52:54:00:12:34:56,ip=192.0.2.5/24,mtu=1400")
    assert probe.up((plain,)) == probe.down((plain,)) == ":"
    words = shlex.split(probe.up((plain, mac)).splitlines()[0])
    given = dict(zip(words[5::2], words[6::2], strict=True))
    assert (given["ifname"], given["802-3-ethernet.mac-address"]) == ("*", "52:54:00:12:34:56")
    assert given["con-name"] == "diskgen-1"
    assert given["802-3-ethernet.mtu"] == "1400"


@pytest.mark.parametrize("answers", [True, False])
def test_our_installer_asks_when_the_network_is_up(
    answers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fragments(replace(SETTINGS, links=(STATIC,)), "F44")
    (tmp_path / "container").mkdir()
    (tmp_path / "container/index.json").write_text("{}")
    for name in ("image-offline.ks", "image-remote.ks"):
        (tmp_path / name).write_text(made[name])
    monkeypatch.setattr(medium, "ROOM", tmp_path)
    monkeypatch.setenv("PATH", f"{tools(tmp_path, answers=answers)}:{os.environ['PATH']}")
    here = Medium(
        product="X", reference="quay.io/a/os:1", signature=None, signed=False,
        no_encryption=False, payload="both", modes=("image",), kickstart_version="F44",
        packages=None, device=None,
    )  # fmt: skip
    connected: list[str] = []

    def connect(text: str) -> None:
        assert not log(tmp_path)
        connected.append(text)

    text = medium.payload_kickstart(here, "image", None, connect)
    assert len(log(tmp_path)) == 1
    assert "--ip=192.0.2.5" in connected[0]
    assert ("--transport=registry" in text) == answers
    # Who names a reference is not asked for another.
    medium.payload_kickstart(here, "image", "quay.io/b/os:1", connect)
    assert len(connected) == 1


@pytest.mark.parametrize("product", ["Oracle Linux", "Oracle Linux Server", "OL", "Rocky Linux"])
def test_media_that_are_built_from_rhel(product: str) -> None:
    assert family(product) == "RHEL"
    assert family("Olive") is None


def test_oracle_linux_in_a_container() -> None:
    release = {"ID": "ol", "VERSION_ID": "9.4"}
    assert language_of(release, VERSIONS) == "RHEL9"
    assert default_label(release, MACHINES["x86_64"]) == "OL-9-4-0-BaseOS-x86_64"
