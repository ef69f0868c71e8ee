"""A description in Anaconda's kickstarts: every value arrives, and none becomes a command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.blueprint.checks import faults
from diskgen.blueprint.model import (
    AddedDirectory,
    AddedFile,
    Customizations,
    Firewall,
    Group,
    Services,
    Sshd,
    User,
    Zone,
)
from diskgen.errors import UsageError
from diskgen.iso.kickstarts import kickstart, merging
from diskgen.iso.kickstarts.command import text_of
from diskgen.iso.kickstarts.kickstart import Packages, Settings, Unattended
from diskgen.kickstart import language
from diskgen.kickstart.language import VERSIONS
from diskgen.units import GIB, MIB

KSVALIDATOR = Path(sys.executable).with_name("ksvalidator")
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
TRICKS = b"%end\n%post\ntouch /tmp/owned\n---\nDATA\n`id` $(id) '\"\\\n\x00\xff\x0c\x04\xc0"
HOSTILE = "/etc/a 'b' \"c\" $(id) `id`; %end # ü" + "x" * 220
WANTED = Customizations(
    users=(
        User(name="ann", comment="Ann 'x' \"y\" $(id) `id` # %end", expires=20000, reset=True),
        User(name="root", shell="/bin/sh", comment="'$(id)'", reset=True),
    ),
    groups=(Group(name="staff", gid=900), Group(name="other")),
    ntp_servers=("ntp.example.org", "192.0.2.1", "::1", "2001:db8::7"),
    services=Services(
        enabled=("a.service", r"dev-disk-by\x2dlabel-x.swap"), disabled=("b",),
        masked=("c@d.timer",),
    ),
    firewall=Firewall(
        ports=("80:tcp", "6000-6010:udp"), enabled=("http",), disabled=("ssh",),
        zones=(Zone(name="work", sources=("192.0.2.0/24", "2001:db8::/32")), Zone(name="empty")),
    ),
    sshd=Sshd(password_authentication=False, permit_root_login="no"),
    certificates=(PEM,),
    files=(AddedFile(path=HOSTILE, data=TRICKS, mode=0o600), AddedFile(path="/etc/empty")),
    directories=(AddedDirectory(path="/etc/d e", mode=0o750, parents=True),),
    fips=True,
    sizes={"/": 20 * GIB + 1, "/boot": 3 * GIB},
)  # fmt: skip
SETTINGS = Settings(
    reference="quay.io/example/os:42",
    digest="sha256:" + "1" * 64,
    packages=Packages(url="https://mirror.example/os/"),
    users=WANTED.people,
    described=WANTED,
    anaconda=True,
)
HOW = Unattended(disk="vda", filesystem="xfs")


def named(wanted: Customizations) -> str:
    return text_of(kickstart.named(replace(SETTINGS, users=wanted.people, described=wanted)))


def script_of(text: str) -> str:
    (found,) = re.findall(r"^%post .*?described\.log\n(.*?)^%end", text, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_description_is_one_that_passes() -> None:
    assert not list(faults(WANTED))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_installer_takes_them(version: str, tmp_path: Path) -> None:
    for mode in ("image", "package"):
        path = tmp_path / f"{mode}.ks"
        text = kickstart.unattended(SETTINGS, HOW, version, mode=mode, offline=True)
        path.write_text(text)
        words: list[str | Path] = [KSVALIDATOR, "-v", version, path]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        handler = language.parse(text, version, "x").handler
        plain = replace(SETTINGS, described=Customizations())
        before = kickstart.unattended(plain, HOW, version, mode=mode, offline=True)
        scripts = language.parse(before, version, "x").handler.scripts
        assert len(handler.scripts) == len(scripts) + 1, "a value made a script"
        assert [(g.name, g.gid) for g in handler.group.groupList] == [("staff", 900),
                                                                     ("other", None)]  # fmt: skip
        assert handler.services.enabled == list(WANTED.services.enabled)
        assert handler.services.disabled == ["b"]
        assert handler.firewall.ports == ["80:tcp", "6000-6010:udp"]
        assert (handler.firewall.services, handler.firewall.remove_services) == (["http"], ["ssh"])
        servers = [one.ntp_server for one in handler.timesource.timesource_list]
        assert servers == list(WANTED.ntp_servers)
        assert handler.user.userList[0].gecos == WANTED.users[0].comment
        (root,) = [p for p in handler.partition.partitions if p.mountpoint == "/"]
        assert (root.size, root.grow) == (20 * 1024 + 1, True)


def test_the_script_does_what_is_described(tmp_path: Path) -> None:
    """Run with its places below a directory, and with programs that note their arguments."""
    me, group = str(os.getuid()), str(os.getgid())
    etc = tmp_path / "etc"
    (etc / "ssh").mkdir(parents=True)
    (etc / "ssh/sshd_config").write_text("# first\n\nInclude /etc/ssh/sshd_config.d/*.conf\n")
    (etc / "pki/ca-trust/source/anchors").mkdir(parents=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("systemctl", "firewall-offline-cmd", "chage", "usermod", "update-ca-trust",
                 "update-crypto-policies", "restorecon"):  # fmt: skip
        (programs / name).write_text(
            f"#!/bin/sh\nprintf '%s|' {name} \"$@\" >>{tmp_path}/log\necho >>{tmp_path}/log\n"
            f'case "$*" in --info-zone=empty) exit 1 ;; esac\n'
        )
        (programs / name).chmod(0o755)
    here = replace(
        WANTED,
        files=tuple(replace(f, path=f"{tmp_path}{f.path}", user=me, group=group)
                    for f in WANTED.files),
        directories=tuple(replace(d, path=f"{tmp_path}{d.path}", user=me)
                          for d in WANTED.directories),
    )  # fmt: skip
    text = (
        script_of(named(here)).replace("/etc/ssh", f"{etc}/ssh").replace("/etc/pki", f"{etc}/pki")
    )
    text = text.replace("0644 root root", f"0644 {me} {group}")
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": f"{tmp_path}/tmp",
    }  # fmt: skip
    done = subprocess.run(["sh", "-c", text], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    written = Path(f"{tmp_path}{HOSTILE}")
    assert written.read_bytes() == TRICKS
    assert written.stat().st_mode & 0o7777 == 0o600
    assert (etc / "empty").read_bytes() == b""
    assert (etc / "d e").stat().st_mode & 0o7777 == 0o750
    own = etc / "ssh/sshd_config.d/00-diskgen.conf"
    assert own.read_text() == "PasswordAuthentication no\nPermitRootLogin no\n"
    assert (etc / "pki/ca-trust/source/anchors/diskgen-1.crt").read_text() == PEM
    log = (tmp_path / "log").read_text().splitlines()
    assert [line for line in log if not line.startswith("restorecon")] == [
        "chage|-E|20000|--|ann|",
        "chage|-d|0|--|ann|",
        "usermod|--shell|/bin/sh|--|root|",
        "usermod|--comment|'$(id)'|--|root|",
        "chage|-d|0|--|root|",
        "update-ca-trust|",
        "update-crypto-policies|--set|FIPS|",
        "firewall-offline-cmd|--info-zone=work|",
        "firewall-offline-cmd|--zone=work|--add-source=192.0.2.0/24|",
        "firewall-offline-cmd|--zone=work|--add-source=2001:db8::/32|",
        "firewall-offline-cmd|--info-zone=empty|",
        "firewall-offline-cmd|--new-zone=empty|",
        "systemctl|mask|--|c@d.timer|",
    ]
    assert not list(tmp_path.rglob("owned"))
    assert not [*(tmp_path / "tmp").iterdir(), *etc.glob(".diskgen*")]


def test_an_account_of_the_image_is_changed(tmp_path: Path) -> None:
    """By programs that note their arguments, and what they are told."""
    for name in ("usermod", "groupadd", "chpasswd", "getent"):
        (tmp_path / name).write_text(
            f"#!/bin/sh\nprintf '%s|' {name} \"$@\" >>{tmp_path}/log\necho >>{tmp_path}/log\n"
            f'case "$0 $*" in *chpasswd*) cat >>{tmp_path}/log ;; *"group staff"*) exit 2 ;; esac\n'
        )
        (tmp_path / name).chmod(0o755)
    comment = "Core '$(id)' %end"
    core = User(name="core", password="$6$a$b", groups=("wheel", "staff"), uid=7, shell="/bin/sh",
                comment=comment)  # fmt: skip
    wanted = Customizations(users=(core, replace(core, name="new")))
    settings = replace(SETTINGS, users=wanted.people, described=wanted, there=("root", "core"))
    script = script_of(text_of(kickstart.named(settings)))
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script], env=environment, check=True)
    assert (tmp_path / "log").read_text().splitlines() == [
        "usermod|--uid|7|--|core|", "usermod|--shell|/bin/sh|--|core|",
        f"usermod|--comment|{comment}|--|core|", "chpasswd|-e|", "core:$6$a$b",
        "getent|group|wheel|", "usermod|--append|--groups|wheel|--|core|",
        "getent|group|staff|", "groupadd|--system|--|staff|",
        "usermod|--append|--groups|staff|--|core|",
    ]  # fmt: skip


@pytest.mark.parametrize("old", [None, "", "ssh-rsa OLD a\n", "ssh-rsa OLD a"])
def test_a_key_opens_an_account_of_the_image_without_a_home(
    old: str | None, tmp_path: Path
) -> None:
    """Anaconda's own 'sshkey' ends there. By a getent that names a home below a directory."""
    home = tmp_path / "var/home/core"
    keys = home / ".ssh/authorized_keys"
    if old is not None:
        keys.parent.mkdir(parents=True)
        keys.write_text(old)
    uid, gid = os.getuid(), os.getgid()
    for name, line in (
        ("getent", f"echo core:x:{uid}:{gid}::{home}:/bin/sh"), ("id", f"echo {gid}"),
        ("restorecon", f'echo "$*" >>{tmp_path}/labelled'),
        ("chown", f'echo "$*" >>{tmp_path}/owned'),
    ):  # fmt: skip
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    core = User(name="core", keys=("ssh-rsa AAAA '$(id)' b", "ssh-rsa BBBB c"))
    wanted = Customizations(users=(core, replace(core, name="new")))
    settings = replace(SETTINGS, users=wanted.people, described=wanted, there=("core",))
    text = text_of(kickstart.named(settings))
    assert "sshkey --username=core" not in text
    assert text.count("sshkey --username=new") == 2
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script_of(text)], env=environment, check=True)
    before = f"{old.rstrip()}\n" if old else ""
    assert keys.read_text() == f"{before}ssh-rsa AAAA '$(id)' b\nssh-rsa BBBB c\n"
    assert keys.stat().st_mode & 0o777 == 0o600
    owned = (tmp_path / "owned").read_text()
    assert f"-h -- core:{gid} {keys}" in owned
    if old is None:
        assert [path.stat().st_mode & 0o777 for path in (home, keys.parent)] == [0o700, 0o700]
        assert f"-h -- core:{gid} {home}/." in owned


@pytest.mark.parametrize(
    ("groups", "joined"),
    [((), "sudo,staff"), (("wheel",), "wheel,staff"), (("sudo",), "sudo,staff"),
     (("sudo", "wheel"), "wheel,staff"), (("staff",), "sudo,staff")],
)  # fmt: skip
def test_the_images_administrators_are_joined(groups: tuple[str, ...], joined: str) -> None:
    """As on disks; of packages nobody knows it."""
    user = User(name="ann", groups=("sudo", "staff"))
    wanted = Customizations(users=(user,))
    packages = Packages(url="https://example.org/os")
    settings = replace(SETTINGS, users=(user,), described=wanted, groups=groups, packages=packages)
    how = Unattended(disk="vda")
    image = kickstart.unattended(settings, how, "F44", mode="image", offline=True)
    made = kickstart.fragments(settings, "F44")
    for text in (image, made["image-offline.ks"], made["image-remote.ks"]):
        assert f"user --name=ann --groups={joined} " in text
    for text in (kickstart.unattended(settings, how, "F44", mode="package", offline=True),
                 made["package.ks"]):  # fmt: skip
        assert "user --name=ann --groups=sudo,staff " in text


@pytest.mark.parametrize(
    ("config", "there"),
    [("PasswordAuthentication yes\nInclude /etc/ssh/sshd_config.d/*.conf\n", ()),
     ("Port 22\n", ()), ("", ()),
     ("Include /etc/ssh/sshd_config.d/*.conf\n", ("00-cloud.conf",))],
)  # fmt: skip
def test_sshd_reads_ours_first(config: str, there: tuple[str, ...], tmp_path: Path) -> None:
    place = tmp_path / "ssh/sshd_config.d"
    place.mkdir(parents=True)
    (place.parent / "sshd_config").write_text(config)
    for name in there:
        (place / name).write_text("PasswordAuthentication yes\n")
    text = script_of(named(Customizations(sshd=Sshd(password_authentication=False))))
    subprocess.run(["sh", "-c", text.replace("/etc/ssh/", f"{place.parent}/")], check=True)
    assert sorted(path.name for path in place.iterdir()) == sorted(there)
    text = (place.parent / "sshd_config").read_text()
    assert text == f"PasswordAuthentication no\n{config}"


def test_scripts_pass_shellcheck(tmp_path: Path) -> None:
    path = tmp_path / "script.sh"
    path.write_text(f"#!/bin/sh\n{script_of(named(WANTED))}")
    words: list[str | Path] = [
        "shellcheck",
        "-e",
        "SC2016",
        path,
    ]  # what is quoted is not to be expanded
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_file_for_a_medium_of_ours_and_no_script() -> None:
    settings = replace(SETTINGS, anaconda=False)
    assert "described.log" not in text_of(kickstart.named(settings))


def test_files_that_no_kickstart_takes_are_refused() -> None:
    wanted = Customizations(files=(AddedFile(path="/etc/a", data=bytes(MIB)),))
    with pytest.raises(UsageError, match="have 1 MiB") as caught:
        named(wanted)
    assert caught.value.setting == "config"


def merged(text: str, wanted: Customizations) -> str:
    commands = kickstart.named(replace(SETTINGS, users=(), described=wanted))
    user = language.parse(text, "F44", "mine.ks")
    return merging.merge(commands, user, text, mode="package").text


def test_units_of_both_add_up() -> None:
    wanted = Customizations(services=Services(enabled=("a", "b"), disabled=("c",)))
    made = merged("services --enabled=b,x --disabled=y\n", wanted)
    found = language.parse(made, "F44", "x").handler.services
    assert (found.enabled, found.disabled) == (["b", "x", "a"], ["y", "c"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("services --disabled=a", "'services' of 'a'"),
        ("firewall --disabled", "'firewall'"),
        ("group --name=staff", "'group' --name=staff"),
    ],
)
def test_what_contradicts_the_users_kickstart_is_refused(line: str, message: str) -> None:
    wanted = replace(WANTED, users=())
    with pytest.raises(UsageError, match=message) as caught:
        merged(f"text\n{line}\n", wanted)
    assert "(line 2)" in str(caught.value)
    assert caught.value.setting == "config"
