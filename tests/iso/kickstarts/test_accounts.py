"""Accounts, keys, keyboards, disks, firewalls: refused when a medium is made, or done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.accounts import key_fault, name_fault
from diskgen.blueprint.model import Customizations, Firewall, User
from diskgen.config import IsoRequest
from diskgen.decision.system import Tree
from diskgen.errors import UsageError
from diskgen.install.identity import given, set_up
from diskgen.install.target import Target
from diskgen.iso.assembly import contents
from diskgen.iso.kickstarts import kickstart
from diskgen.iso.kickstarts.command import text_of
from diskgen.iso.kickstarts.kickstart import Settings, Unattended
from diskgen.kickstart import language, recipe
from diskgen.kickstart.recipe import Account, Recipe
from diskgen.reference import parse
from diskgen.tree import Directory

SETTINGS = Settings(reference="quay.io/a/os:1", digest="sha256:" + "1" * 64)
ROOTS = {"image": "ext4", "package": "ext4"}
GOOD = ["ann", "ann.lee", "Ann", "_x", "a-b", "host$", "x" * 32, "0day", ".x"]
BAD = ["x" * 40, "ann lee", "-x", "ännchen", "1000", "..", ".", "a:b", "a,b", "a/b", "x$y", ""]
KEY = "ssh-ed25519 AAAAC3Nza me@x"


@pytest.mark.parametrize("name", GOOD + BAD)
@pytest.mark.parametrize("anaconda", [True, False])
def test_one_rule_for_options_kickstarts_and_the_machine(
    name: str, anaconda: bool, tmp_path: Path
) -> None:
    """The same answer everywhere: an option's, a user's kickstart's, the installer's."""
    good = name in GOOD
    assert (name_fault(name) is None) == good
    mine = tmp_path / "mine.ks"
    for setting, user, line in (
        ("user", User(name=name), f"user --name='{name}'"),
        ("user-groups", User(name="a", groups=(name,)), f"group --name='{name}'"),
    ):
        source = parse("quay.io/a/os:1")
        mine.write_text(f"text\n{line}\n")
        request = IsoRequest(source=source, arch="x86_64", kickstart=mine)
        if good:
            request = replace(request, customizations=Customizations(users=(user,)))
            contents.write(request, SETTINGS, "F44", ROOTS, anaconda=anaconda)
            made = text_of(kickstart.named(replace(SETTINGS, users=(user,))))
            found = recipe.check(language.parse(made, "F44", "x")).accounts[0]
            assert (found.name, found.groups) == (user.name, user.groups)
            continue
        with pytest.raises(UsageError) as caught:
            replace(request, customizations=Customizations(users=(user,)))
        assert caught.value.setting == setting
        with pytest.raises(UsageError, match=r"'mine\.ks', line 2") as caught:
            contents.write(request, SETTINGS, "F44", ROOTS, anaconda=anaconda)
        assert caught.value.setting == "kickstart"


@pytest.mark.parametrize(
    "key",
    [KEY, "ssh-rsa AAAA== o'neill's laptop", 'from="10.0.0.0/8",command="echo \'$x\'" ' + KEY,
     "sk-ssh-ed25519@openssh.com AAAA x", 'environment="A=\\"b\\"" ' + KEY],
)  # fmt: skip
def test_keys_reach_the_machine_as_they_are(key: str) -> None:
    assert key_fault(key) is None
    settings = replace(SETTINGS, users=(User(name="ann", keys=(key,)),))
    text = text_of(kickstart.named(settings))
    (account,) = recipe.check(language.parse(text, "F44", "x")).accounts
    assert account.keys == (key,)


@pytest.mark.parametrize("key", ["", "AAAA", "ssh-rsa", f"{KEY}\nx", '"; x', "-----BEGIN X-----"])
def test_what_is_no_key(key: str) -> None:
    assert key_fault(key) is not None
    with pytest.raises(UsageError) as caught:
        IsoRequest(
            source=parse("q.io/a"), arch="x86_64",
            customizations=Customizations(users=(User(name="ann", keys=(key,)),)),
        )  # fmt: skip
    assert caught.value.setting == "user-key"


@pytest.mark.parametrize(
    ("text", "line", "console"),
    [("us", "keyboard us", "us"), ("de-nodeadkeys", "keyboard de-nodeadkeys", "de-nodeadkeys"),
     ("us(intl)", "keyboard --xlayouts='us (intl)'", "us (intl)"),
     ("us (intl)", "keyboard --xlayouts='us (intl)'", "us (intl)")],
)  # fmt: skip
def test_keyboards_with_variants(text: str, line: str, console: str, tmp_path: Path) -> None:
    made = text_of(kickstart.named(replace(SETTINGS, keyboard=text)))
    assert made == f"{line}\n"
    found = recipe.check(language.parse(made, "F44", "x"))
    assert found.keyboard == console
    (tmp_path / "usr/lib/kbd/keymaps/xkb").mkdir(parents=True)
    (tmp_path / "usr/lib/kbd/keymaps/xkb/us-intl.map.gz").write_bytes(b"")
    set_up(Target(tmp_path), given(Recipe(keyboard=found.keyboard)), print)
    written = (tmp_path / "etc/vconsole.conf").read_text()
    if "(" in text:
        assert written == "KEYMAP=us-intl\nXKBLAYOUT=us\nXKBVARIANT=intl\n"
    else:
        assert written == f"KEYMAP={text}\n"


@pytest.mark.parametrize("text", ["us(", "us;x", "a b", "us(intl)(x)"])
def test_what_is_no_keyboard(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        list(kickstart.named(replace(SETTINGS, keyboard=text)))
    assert caught.value.setting == "keyboard"


@pytest.mark.parametrize("name", ["sda1", "/dev/vda2", "nvme0n1p3", "mmcblk0p1", "dasda1",
                                  "disk/by-id/virtio-1-part2", "disk/by-uuid/x"])  # fmt: skip
def test_partitions_are_no_disks(name: str) -> None:
    with pytest.raises(UsageError, match="is a partition") as caught:
        kickstart.unattended(SETTINGS, Unattended(disk=name), "F44", mode="image", offline=True)
    assert caught.value.setting == "unattended"
    text = f"ignoredisk --only-use={name}\n"
    with pytest.raises(UsageError, match="'x', line 1"):
        recipe.check(language.parse(text, "F44", "x"))


@pytest.mark.parametrize("name", ["sda", "vdb", "nvme0n1", "mmcblk0", "dasda", "md127",
                                  "disk/by-id/wwn-0x5"])  # fmt: skip
def test_disks_are_disks(name: str) -> None:
    kickstart.unattended(SETTINGS, Unattended(disk=name), "F44", mode="image", offline=True)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A system with tables of accounts, and a group in /usr/lib alone."""
    root = tmp_path / "root"
    for place in ("etc", "usr/lib", "var/home"):
        (root / place).mkdir(parents=True)
    (root / "home").symlink_to("var/home")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/shadow").write_text("root:*:1::::::\n")
    (root / "etc/group").write_text("root:x:0:\nshadow:x:42:\n")
    (root / "etc/gshadow").write_text("root:*::\n")
    (root / "usr/lib/group").write_text("wheel:x:10:\nlibvirt:x:970:\n")
    (root / "usr/lib/passwd").write_text("core:x:970:970::/var/home/core:/bin/sh\n")
    (root / "etc/login.defs").write_text("UID_MIN 1000\nGID_MIN 1000\nUSERGROUPS_ENAB yes\n")
    return Target(root)


@pytest.mark.parametrize("home", ["/home/a", "/var/home/a/", "/srv/www/a", "/var/lib/a"])
def test_homes_that_a_machine_keeps(home: str) -> None:
    text = f"user --name=ann --homedir={home}\n"
    assert recipe.check(language.parse(text, "F44", "x")).accounts[0].home == home


@pytest.mark.root
def test_a_home_a_group_of_its_own_and_a_lock(target: Target) -> None:
    ann = Account(name="ann", home="/srv/www/ann", locked=True, password="$6$x", crypted=True)
    root = Account(name="root", locked=True)
    set_up(target, given(Recipe(accounts=(ann,), groups={"ann": 3000}, root=root)), print)
    (line,) = [line.split(":") for line in (target.root / "etc/passwd").read_text().splitlines()
               if line.startswith("ann:")]  # fmt: skip
    assert (line[3], line[5]) == ("3000", "/srv/www/ann")
    assert (target.root / "srv/www/ann").is_dir()
    hashes = {line.split(":")[0]: line.split(":")[1]
              for line in (target.root / "etc/shadow").read_text().splitlines()}  # fmt: skip
    assert hashes == {"root": "!*", "ann": "!$6$x"}


@pytest.mark.root
def test_groups_of_usr_lib_are_joined(target: Target) -> None:
    ann = Account(name="ann.lee", groups=("wheel", "libvirt"), gid=2500)
    ben = Account(name="Ben", groups=("wheel",), locked=True)
    core = Account(name="core", groups=("libvirt",))
    set_up(target, given(Recipe(accounts=(ann, ben, core))), print)
    groups = {line.split(":")[0]: line.split(":")[2:]
              for line in (target.root / "etc/group").read_text().splitlines()}  # fmt: skip
    assert groups["wheel"] == ["10", "ann.lee,Ben"]
    assert groups["libvirt"] == ["970", "ann.lee,core"]
    assert groups["ann.lee"] == ["2500", ""]
    users = {line.split(":")[0]: line.split(":")[2:4]
             for line in (target.root / "etc/passwd").read_text().splitlines()}  # fmt: skip
    assert users["ann.lee"][1] == "2500"
    assert "core" not in users  # its line stays in /usr/lib
    assert "Ben" in users


@pytest.mark.root
def test_accounts_that_are_called_like_groups(target: Target) -> None:
    """Theirs where the kickstart has them; one of the image may be allowed more than is wanted."""
    text = "group --name=ann --gid=2500\nuser --name=ann\nuser --name=wheel\nuser --name=shadow\n"
    set_up(target, given(recipe.check(language.parse(text, "F44", "x"))), print)
    users = {line.split(":")[0]: line.split(":")[3]
             for line in (target.root / "etc/passwd").read_text().splitlines()}  # fmt: skip
    assert users["ann"] == "2500"
    assert users["wheel"] == "100"
    assert users["shadow"] == "100"


def test_a_firewall_takes_the_words_that_anaconda_gives(tmp_path: Path) -> None:
    line = "firewall --enabled --port=80:tcp,53:udp --service=ssh --trust=eth0\n"
    found = recipe.check(language.parse(line, "F44", "x"))
    assert found.firewall == Firewall(
        ports=("80:tcp", "53:udp"), enabled=("ssh",), trusted=("eth0",)
    )
    assert found.enabled == ("firewalld",)
    off = recipe.check(language.parse("firewall --disabled\n", "F44", "x"))
    assert (off.firewall, off.enabled, off.disabled) == (Firewall(), (), ("firewalld",))
    mine = tmp_path / "mine.ks"
    mine.write_text(line)
    request = IsoRequest(source=parse("q.io/a"), arch="x86_64", kickstart=mine)
    written = contents.write(request, SETTINGS, "F44", ROOTS, anaconda=False)
    problems, _warnings = contents.unsuited(request, written, "F44", Tree(Directory()))
    (problem,) = [problem for problem in problems if problem.code == "firewall"]
    assert "has no firewalld" in problem.message
    assert problem.setting == "kickstart"
