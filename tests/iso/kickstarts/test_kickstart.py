"""Kickstarts: taken by every installer's ksvalidator, scripts that do what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.blueprint.model import User
from diskgen.config import ONLY_DISK
from diskgen.errors import UsageError
from diskgen.iso.kickstarts import kickstart
from diskgen.iso.kickstarts.command import text_of
from diskgen.iso.kickstarts.kickstart import (
    MEDIUM,
    Packages,
    Settings,
    Unattended,
    fragments,
    unattended,
)
from diskgen.kickstart.language import VERSIONS, parse
from diskgen.link import parse as parse_link

KSVALIDATOR = Path(sys.executable).with_name("ksvalidator")
SETTINGS = Settings(
    reference="quay.io/example/os:42",
    digest="sha256:" + "1" * 64,
    product="Tiny Linux 42",
    packages=Packages(url="https://mirror.example/os/", names=("@^minimal-environment", "vim")),
    language="de_DE.UTF-8",
    keyboard="de",
    timezone="Europe/Berlin",
    hostname="host.example",
    users=(
        User(
            name="core",
            groups=("wheel",),
            password="$6$salt$hash",
            keys=("ssh-ed25519 AAAA me@x",),
        ),
        User(name="locked"),
    ),
    root_password="$6$salt$other",
    links=(
        parse_link("device=enp1s0,ip=192.0.2.5/24,gateway=192.0.2.1,dns=192.0.2.53,search=a.b"),
        parse_link("device=52:54:00:12:34:56,ip=off,ipv6=2001:db8::5/64,ipv6gateway=fe80::1"),
        parse_link("ipv6=off,onboot=no,mtu=1400"),
        parse_link("device=e3,ipv6=dhcp,ip=off,search=c"),
    ),
    graphical=True,
    kargs=("quiet", "console=ttyS0,115200"),
)
UNVERIFIED = kickstart.UNVERIFIED_ORIGIN
HOW = Unattended(disk="/dev/disk/by-id/virtio-1")


def everything(version: str, settings: Settings = SETTINGS) -> dict[str, str]:
    made = dict(fragments(settings, version))
    for mode, offline in (("image", True), ("image", False), ("package", False)):
        name = f"unattended-{mode}-{offline}.ks"
        made[name] = unattended(settings, HOW, version, mode=mode, offline=offline)
    anaconda, only = replace(settings, anaconda=True), replace(HOW, disk=ONLY_DISK)
    made["only.ks"] = unattended(anaconda, only, version, mode="image", offline=True)
    return made


@pytest.mark.parametrize("version", VERSIONS)
def test_ksvalidator_takes_them(version: str, tmp_path: Path) -> None:
    for name, text in everything(version).items():
        path = tmp_path / name
        path.write_text(text)
        done = subprocess.run([KSVALIDATOR, "-v", version, path], capture_output=True, text=True,
                              check=False)  # fmt: skip
        assert done.returncode == 0, (name, done.stdout)


def test_nothing_is_left_to_fill_in() -> None:
    for name, text in everything("F44").items():
        assert not re.search(r"(?<!@)@[A-Z]+@(?!@)", text), name
        assert ("@@REF@@" in text) == (name in ("chooser.ks", "image-remote.ks"))


def test_scripts_pass_shellcheck(tmp_path: Path) -> None:
    checked = 0
    settings = replace(SETTINGS, completion=("-quiet", '+a="$b c"'))
    for name, text in everything("F44", settings).items():
        for number, (kind, shell, script) in enumerate(
            re.findall(r"^(%p\w+) --int\w+=(\S+).*?\n(.*?)^%end", text, re.MULTILINE | re.DOTALL)
        ):
            path = tmp_path / f"{name}-{number}.sh"
            path.write_text(f"#!{shell}\n{script}")
            assert shell == ("/bin/bash" if kind == "%pre" else "/bin/sh")  # every image has that
            done = subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout
            checked += 1
    assert checked >= 6


def choose(tmp_path: Path, arguments: str, *, medium: bool = True) -> tuple[int, str, str]:
    """Run the chooser of an installer whose files lie in a directory; return what it included."""
    made = fragments(SETTINGS, "F44")
    repo, share = tmp_path / "repo", tmp_path / "share"
    share.mkdir()
    (share / "image-remote.ks").write_text(made["image-remote.ks"])
    if medium:
        (repo / "container").mkdir(parents=True)
        for name in ("index.json", "oci-layout"):
            (repo / "container" / name).write_text("{}")
        for name in ("image-offline.ks", "package.ks"):
            (repo / name).write_text(made[name])
    (tmp_path / "cmdline").write_text(f"quiet {arguments} x=y\n")
    script = "".join(
        re.findall(r"^%pre.*?\n(.*?)^%end", made["chooser.ks"], re.MULTILINE | re.DOTALL)
    )
    for before, after in (
        ("/proc/cmdline", f"{tmp_path}/cmdline"), (MEDIUM, str(repo)),
        ("/usr/share/diskgen", str(share)), ("/tmp/diskgen-payload.ks", f"{tmp_path}/answer"),
        ("/dev/tty", f"{tmp_path}/no-tty"),
    ):  # fmt: skip
        script = script.replace(before, after)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    answer = tmp_path / "answer"
    text = answer.read_text() if answer.exists() else "NONE"
    return done.returncode, text, done.stdout + done.stderr


def test_the_chooser_takes_the_boot_menus_word(tmp_path: Path) -> None:
    status, text, said = choose(tmp_path, "diskgen.mode=package")
    assert status == 0, said
    assert text == fragments(SETTINGS, "F44")["package.ks"]
    assert "mode=package" in said


def test_the_chooser_prefers_the_medium(tmp_path: Path) -> None:
    _status, text, _said = choose(tmp_path, "diskgen.mode=image")
    assert text == fragments(SETTINGS, "F44")["image-offline.ks"]


def test_without_an_answer_it_is_image_mode(tmp_path: Path) -> None:
    _status, text, _said = choose(tmp_path, "diskgen.mode=ask")
    assert "ostreecontainer --transport=oci" in text


def test_without_a_payload_the_registry_is_taken(tmp_path: Path) -> None:
    status, text, said = choose(tmp_path, "diskgen.mode=image", medium=False)
    assert status == 0, said
    assert "--transport=registry --url=quay.io/example/os:42" in text
    assert "reference='quay.io/example/os:42'" in text
    parse(text, "F44", "answer")


def test_the_medium_that_was_started(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/id-11").touch()
    status, text, said = choose(tmp_path, "diskgen.mode=image diskgen.id=11")
    assert status == 0, said
    assert "--transport=oci" in text


def test_a_reference_from_the_command_line(tmp_path: Path) -> None:
    _status, text, _said = choose(tmp_path, "diskgen.ref=registry.example/other:1")
    assert "--transport=registry --url=registry.example/other:1" in text


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("diskgen.ref=x;reboot", "is no image reference"),
        ("diskgen.mode=both", "not 'both'"),
        ("diskgen.mode=image diskgen.id=22", "another medium than the one that was started"),
    ],
)
def test_the_chooser_refuses(tmp_path: Path, arguments: str, word: str) -> None:
    status, text, said = choose(tmp_path, arguments)
    assert status == 1
    assert word in said
    assert text == "NONE"


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize(
    ("rule", "wish", "taken"),
    [
        (UNVERIFIED, None, "quay.io/example/os:42"),
        (UNVERIFIED, "ostree-unverified-registry:quay.io/other/os:1", "quay.io/other/os:1"),
        (UNVERIFIED, "ostree-image-signed:docker://q.io/x", "q.io/x"),
        (UNVERIFIED, "ostree-remote-image:key:registry:q.io/y@sha256:1", "q.io/y@sha256:1"),
        (UNVERIFIED, "ostree-image-signed:oci:/x", None),
        (UNVERIFIED, "", None),
        ("ostree-image-signed:docker://", None, "quay.io/example/os:42"),
        ("ostree-image-signed:docker://", "ostree-image-signed:registry:q.io/x", "q.io/x"),
        ("ostree-image-signed:docker://", "ostree-unverified-registry:q.io/x", None),
        ("ostree-remote-registry:a.b:", "ostree-remote-image:a.b:docker://q.io/x", "q.io/x"),
        ("ostree-remote-registry:a.b:", "ostree-remote-registry:axb:q.io/x", None),
    ],
)
def test_the_origin_is_corrected(
    tmp_path: Path, works: bool, rule: str, wish: str | None, taken: str | None
) -> None:
    """``bootc switch`` does it, or fails and is replaced. Then a user's script may have its way.

    The stateroot is one that is known, or whichever the image asks for.
    """
    settings = replace(SETTINGS, rule=rule, stateroot="" if works else "default")
    text = fragments(settings, "F44")["image-offline.ks"]
    deploy = tmp_path / "ostree/deploy/default/deploy"
    deploy.mkdir(parents=True)
    origin = deploy / "abc.0.origin"
    before = "container-image-reference=ostree-unverified-image:oci:/run/install/repo/x"
    after = f"container-image-reference={rule}quay.io/example/os:42"
    bootc = tmp_path / "bin/bootc"
    bootc.parent.mkdir()
    (tmp_path / "etc").mkdir()
    env = {"PATH": f"{bootc.parent}:{os.environ['PATH']}"}

    def run(number: int) -> subprocess.CompletedProcess[str]:
        body = parse(text, "F44", "x").handler.scripts[number].script
        body = body.replace("/ostree/deploy", f"{tmp_path}/ostree/deploy")
        body = body.replace("/etc/", f"{tmp_path}/etc/")
        return subprocess.run(["dash", "-c", body], capture_output=True, text=True, check=False,
                              env=env)  # fmt: skip

    def switch(line: str) -> None:
        bootc.write_text(f'#!/bin/sh\n[ "$5" = quay.io/example/os:42 ] || exit 9\n{line}\n')
        bootc.chmod(0o755)

    origin.write_text(f"[origin]\n{before}\n")
    switch(f"sed -i 's|^container.*|{after}|' {origin}" if works else "exit 1")
    done = run(0)
    assert done.returncode == 0, done.stderr
    assert origin.read_text() == f"[origin]\n{after}\n"
    if wish is not None:
        origin.write_text(f"[origin]\ncontainer-image-reference={wish}\n")
    done = run(1)
    record = tmp_path / "etc/diskgen-install.json"
    if taken is None:
        assert done.returncode == 1
        assert "names no image in a registry" in done.stderr
        assert not record.exists()
    else:
        assert done.returncode == 0, done.stderr
        assert json.loads(record.read_text()) == {
            "mode": "image", "reference": taken, "digest": SETTINGS.digest,
        }  # fmt: skip
    # A switch that claims success and changes nothing is found out.
    if rule == UNVERIFIED:
        origin.write_text(f"[origin]\n{before}\n")
        switch("exit 0")
        done = run(0)
        assert done.returncode == 1
        assert "still names the medium" in done.stderr


def test_a_command_that_is_newer_than_the_installer() -> None:
    parse("bootc --source-imgref=registry:x\n", "F44", "new.ks")
    with pytest.raises(UsageError, match="Unknown command: bootc"):
        parse("bootc --source-imgref=registry:x\n", "F42", "new.ks")


def test_network_lines() -> None:
    """The first device has the machine's name; all are the same to whoever reads them."""
    one, two, three, _four = (
        line
        for line in text_of(kickstart.named(SETTINGS)).splitlines()
        if line.startswith("network")
    )
    assert (
        one.split()
        == (
            "network --device=enp1s0 --activate --onboot=on --bootproto=static --ip=192.0.2.5"
            " --netmask=255.255.255.0 --gateway=192.0.2.1 --nameserver=192.0.2.53"
            " --ipv4-dns-search=a.b --hostname=host.example"
        ).split()
    )
    assert (
        two.split()
        == (
            "network --device=52:54:00:12:34:56 --activate --onboot=on --bindto=mac --noipv4"
            " --ipv6=2001:db8::5/64 --ipv6gateway=fe80::1"
        ).split()
    )
    assert "--device=link --activate --onboot=off --bootproto=dhcp --noipv6 --mtu=1400" in three
    name_alone = replace(SETTINGS, links=())
    assert (
        "network --bootproto=dhcp --device=link --activate --onboot=on --hostname=host.example\n"
        in text_of(kickstart.named(name_alone))
    )


def test_somebody_without_a_question_has_a_network_and_a_root() -> None:
    bare = replace(SETTINGS, links=(), hostname=None, root_password=None)
    for settings, network, root in (
        (bare, "network --bootproto=dhcp --device=link --activate --onboot=on", "rootpw --lock"),
        (SETTINGS, "network --device=enp1s0", "rootpw --iscrypted '$6$salt$other'"),
    ):
        text = unattended(settings, HOW, "F44", mode="image", offline=True)
        assert network in text
        assert [line for line in text.splitlines() if line.startswith("rootpw")] == [root]
        assert "rootpw --lock" not in text_of(kickstart.named(settings))
    remote = unattended(SETTINGS, HOW, "F44", mode="image", offline=False)
    assert "--transport=registry --url=quay.io/example/os:42 " in remote
    for settings in (SETTINGS, replace(SETTINGS, hostname=None)):
        text = unattended(settings, HOW, "F44", mode="image", offline=True)
        assert text.count("\nnetwork ") == 4


def test_a_root_without_a_size_takes_what_there_is() -> None:
    text = unattended(SETTINGS, replace(HOW, filesystem="ext4"), "F44", mode="image", offline=True)
    assert "\npart / --grow --fstype=ext4\n" in text


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, root_password="plain"),
        replace(SETTINGS, reference="x; reboot"),
        replace(SETTINGS, product="it's"),
        replace(SETTINGS, stateroot="a b"),
        replace(SETTINGS, hostname="a\nb"),
        replace(SETTINGS, users=(User(name="core", password="plain"),)),
        replace(SETTINGS, users=(User(name="core", keys=('"; x',)),)),
        replace(SETTINGS, packages=Packages(url="gopher://x")),
        replace(SETTINGS, packages=Packages(url="https://x/", names=("a b",))),
        replace(SETTINGS, packages=Packages(url="https://x/", kind="x")),
        replace(SETTINGS, kargs=('a"b',)),
    ],
)
def test_values_that_would_break_out(settings: Settings) -> None:
    with pytest.raises(UsageError):
        everything("F44", settings)


def test_a_remotes_name_is_of_the_option_that_gave_it() -> None:
    with pytest.raises(UsageError) as caught:
        everything("F44", replace(SETTINGS, remote=("a b", b"key")))
    assert caught.value.setting == "target-signature"


def test_an_image_comes_from_the_medium_or_from_its_registry() -> None:
    """And is asked for by its digest where the medium has it: another one may lie there."""
    for offline, source in (
        (True, "--transport=oci --url=/run/install/repo/diskgen/container"),
        (False, "--transport=registry --url=quay.io/example/os:42"),
    ):
        text = unattended(SETTINGS, HOW, "F44", mode="image", offline=offline)
        assert f"\nostreecontainer {source}" in text
        assert (SETTINGS.digest in text) is offline
