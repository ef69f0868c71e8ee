"""Kickstarts as diskgen's own installer takes them: what becomes of a command, what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diskgen.blueprint.model import User
from diskgen.config import KICKSTART_VERSIONS
from diskgen.errors import DiskgenError, UsageError
from diskgen.iso.kickstarts import kickstart
from diskgen.iso.kickstarts.kickstart import Packages, Settings, Unattended
from diskgen.kickstart.described import customizations
from diskgen.kickstart.recipe import Recipe, parse, scripts_before
from diskgen.layout import Role
from diskgen.link import parse as parse_link
from diskgen.units import GIB, MIB

from ..fixtures.program import ROOT

IMAGE = "ostreecontainer --transport=registry --url=quay.io/a/os:1\n"
LINKS = (
    parse_link("device=enp1s0,ip=192.0.2.5/24,gateway=192.0.2.1,dns=192.0.2.53,search=a.b"),
    parse_link("device=52:54:00:12:34:56,ip=off,ipv6=2001:db8::5/64,ipv6gateway=fe80::1,mtu=1400"),
    parse_link("ipv6=off,onboot=no,dns=2001:db8::53"),
    parse_link("device=e3,ipv6=dhcp,ip=off,search=c"),
    parse_link("device=e4"),
)
SETTINGS = Settings(
    reference="quay.io/example/os:42",
    digest="sha256:" + "1" * 64,
    product="Tiny Linux 42",
    packages=Packages(url="https://mirror.example/os/", names=("@^minimal", "@core", "vim")),
    language="de_DE.UTF-8",
    keyboard="de",
    timezone="Europe/Berlin",
    hostname="host.example",
    users=(
        User(
            name="core",
            groups=("wheel", "adm"),
            password="$6$salt$hash",
            keys=("ssh-ed25519 AA x",),
        ),
        User(name="locked"),
    ),
    links=LINKS,
    graphical=True,
    kargs=("quiet", "console=ttyS0,115200"),
)
HOW = Unattended(disk="vda", filesystem="ext4")


def recipe(text: str, version: str = "F44") -> Recipe:
    return parse(text, version, "mine.ks")


def refused(text: str) -> str:
    """Return the complaint about a kickstart; it names the file and says what to do instead."""
    with pytest.raises(UsageError) as caught:
        recipe(text)
    assert "'mine.ks'" in caught.value.message
    return f"{caught.value.message} / {caught.value.hint}"


@pytest.mark.parametrize("version", KICKSTART_VERSIONS)
def test_what_a_medium_carries_is_taken(version: str) -> None:
    made = kickstart.fragments(SETTINGS, version)
    offline = recipe(made["image-offline.ks"], version)
    assert offline.image is not None
    assert (offline.image.transport, offline.image.url) == ("oci", f"{kickstart.MEDIUM}/container")
    assert offline.kargs == ("quiet", "console=ttyS0,115200")
    assert offline.end is None
    assert not offline.storage.erase
    remote = recipe(made["image-remote.ks"].replace("@@REF@@", "quay.io/x:1"), version)
    assert remote.image is not None
    assert (remote.image.transport, remote.image.url) == ("registry", "quay.io/x:1")
    package = recipe(made["package.ks"], version)
    assert package.packages is not None
    assert package.packages.url == "https://mirror.example/os/"
    assert package.packages.names == ("@^minimal", "@core", "vim")
    for found in (offline, remote, package):
        assert (found.language, found.keyboard, found.timezone, found.hostname) == (
            "de_DE.UTF-8", "de", "Europe/Berlin", "host.example",
        )  # fmt: skip
        assert found.links == LINKS
        core, locked = found.accounts
        assert (core.name, core.password, core.crypted) == ("core", "$6$salt$hash", True)
        assert (core.groups, core.keys) == (("wheel", "adm"), ("ssh-ed25519 AA x",))
        assert (locked.name, locked.locked, locked.password) == ("locked", True, None)
        *scripts, done = found.after
        assert not done.in_target
        assert all(script.in_target for script in scripts)
        assert scripts[-1].log == "/var/log/diskgen-end.log"
        must = [True, True] if found.image is not None else [False]
        assert [script.must_work for script in scripts] == must


@pytest.mark.parametrize("version", KICKSTART_VERSIONS)
@pytest.mark.parametrize("mode", ["image", "package"])
def test_what_installs_without_a_question(version: str, mode: str) -> None:
    text = kickstart.unattended(SETTINGS, HOW, version, mode=mode, offline=True)
    found = recipe(text, version)
    assert found.storage.disks == ("vda",)
    assert found.storage.erase
    assert found.storage.filesystem == "ext4"
    assert found.end == "poweroff"
    assert found.root is not None
    assert found.root.locked
    assert found.links == LINKS
    assert (found.image is None) == (mode == "package")


def test_the_choosers_own_script_comes_first() -> None:
    text = kickstart.fragments(SETTINGS, "F44")["chooser.ks"]
    *_check, script = scripts_before(text, "F44", "chooser.ks")  # what it includes is not there yet
    assert script.interpreter == "/bin/bash"
    assert script.must_work
    assert not script.in_target


@pytest.mark.parametrize(
    ("line", "ntp"),
    [("timezone UTC --nontp", False), ("timesource --ntp-disable", False), ("timezone UTC", True),
     ("timesource --ntp-server=::1", True)],
)  # fmt: skip
def test_whether_the_clock_is_set_by_the_network(line: str, ntp: bool) -> None:
    found = recipe(f"{line}\nostreecontainer --transport=oci --url=/x\npart / --grow\n")
    assert found.ntp is ntp
    assert customizations(found).ntp is ntp


def test_a_users_kickstart_with_everything() -> None:
    found = recipe(
        """
text
lang fr_FR.UTF-8
keyboard --vckeymap=fr --xlayouts=fr,de
timezone Europe/Paris --utc
timesource --ntp-server=ntp.example
timesource --ntp-pool=pool.example
timesource --ntp-server=ntp.example
network --bootproto=dhcp --device=link --activate --hostname=here
rootpw --plaintext secret
group --name=staff2 --gid=1500
group --name=plain
user --name=ann --groups=wheel,staff2 --password=pw --shell=/bin/zsh --uid=7 --gecos="Ann O"
sshkey --username=ann "ssh-rsa AAAA ann@x"
sshkey --username=ann "ssh-rsa BBBB ann@y"
sshkey --username=root "ssh-rsa CCCC"
services --enabled=sshd,chronyd --disabled=cups
selinux --permissive
ignoredisk --only-use=sda
zerombr
clearpart --all --initlabel --drives=sda
part /boot --size=2048 --fstype=ext4
part /boot/efi --size=600 --fstype=efi
part biosboot --size=1
part / --grow --size=4096 --fstype=xfs --ondisk=sda
bootloader --append="quiet rd.luks=0"
ostreecontainer --transport=oci --url=/x --stateroot=other --no-signature-verification
reboot
%pre --interpreter=/usr/bin/python3
print(1)
%end
%post --nochroot --log=/root/post.log
echo one
%end
%post --erroronfail
echo two
%end
"""
    )
    assert (found.language, found.keyboard, found.timezone) == ("fr_FR.UTF-8", "fr", "Europe/Paris")
    assert found.hostname == "here"
    assert found.ntp_servers == ("ntp.example", "pool.example")
    assert found.root is not None
    assert (found.root.password, found.root.crypted) == ("secret", False)
    assert found.root.keys == ("ssh-rsa CCCC",)
    (ann,) = found.accounts
    assert (ann.shell, ann.uid, ann.gecos, ann.crypted) == ("/bin/zsh", 7, "Ann O", False)
    assert ann.keys == ("ssh-rsa AAAA ann@x", "ssh-rsa BBBB ann@y")
    assert found.groups == {"staff2": 1500, "plain": None}
    assert (found.enabled, found.disabled) == (("sshd", "chronyd"), ("cups",))
    assert found.selinux == "permissive"
    assert found.storage.disks == ("sda",)
    assert found.storage.erase
    assert found.storage.filesystem == "xfs"
    assert found.storage.sizes == {Role.BOOT: 2 * GIB, Role.ESP: 600 * MIB, Role.BIOS_BOOT: MIB}
    assert found.kargs == ("quiet", "rd.luks=0")
    assert found.image is not None
    assert found.image.stateroot == "other"
    assert found.end == "reboot"
    one, two = found.after
    assert (one.body, one.in_target, one.must_work) == ("echo one\n", False, False)
    assert (two.body, two.in_target, two.must_work) == ("echo two\n", True, True)
    assert one.line < two.line


@pytest.mark.parametrize(
    ("words", "refused"),
    [("", None), ("--stateroot=default", None), ("--stateroot=os --remote=os", None),
     ("--remote=mine", "--remote=mine"), ("--stateroot=os --remote=mine", "--remote=mine"),
     ("--stateroot=../x", "--stateroot=../x")],
)  # fmt: skip
def test_where_an_image_is_deployed(words: str, refused: str | None) -> None:
    lines = f"ostreecontainer --url=q.io/a {words}"
    if refused:
        with pytest.raises(UsageError, match=f"does not do 'ostreecontainer {refused}'"):
            parse(lines, "F44", "x.ks")
        return
    found = parse(lines, "F44", "x.ks").image
    assert found is not None
    asked = words.partition(" ")[0].removeprefix("--stateroot=")
    assert found.stateroot == (asked or None)


def test_packages() -> None:
    found = recipe(
        "url --metalink=https://m/x\nrepo --name=more --baseurl=https://more/\n"
        "%packages --ignoremissing\n@core\n@^server\nvim\n-nano\n%end\n"
    ).packages
    assert found is not None
    assert (found.kind, found.url) == ("metalink", "https://m/x")
    assert found.repositories == {"more": "https://more/"}
    assert found.names == ("@^server", "@core", "vim")
    assert found.excluded == ("nano",)
    assert found.missing_allowed
    assert found.weak_dependencies
    assert found.documentation
    more = recipe(
        "url --url=https://m/x\n%packages --nocore --exclude-weakdeps --excludedocs\nvim\n%end\n"
    ).packages
    assert more is not None
    assert more.names == ("vim",)
    assert [more.missing_allowed, more.weak_dependencies, more.documentation] == [False] * 3


@pytest.mark.parametrize(
    ("line", "erases"),
    [
        ("", False),
        ("clearpart --none --initlabel", False),
        ("clearpart --none --drives=sda", False),
        ("clearpart --linux --drives=sda", False),
        ("clearpart --drives=sda", False),
        ("clearpart --list=sda1", False),
        ("zerombr", False),
        ("clearpart --all", True),
        ("clearpart --all --drives=sda", True),
    ],
)
def test_only_who_says_so_lets_a_disk_be_erased(line: str, erases: bool) -> None:
    assert recipe(f"{IMAGE}{line}\n").storage.erase is erases


@pytest.mark.parametrize(
    ("line", "filesystem"),
    [
        ("autopart", None),
        ("autopart --type=plain --fstype=xfs --nohome --noswap", "xfs"),
        ("autopart --type=partition", None),
        ("reqpart --add-boot\npart / --size=1 --grow", None),
        ("part / --fstype=btrfs --size=1", "btrfs"),
    ],
)
def test_plain_partitions(line: str, filesystem: str | None) -> None:
    assert recipe(f"{IMAGE}{line}\n").storage.filesystem == filesystem


@pytest.mark.parametrize(
    ("word", "end"), [("reboot --eject", "reboot"), ("poweroff", "poweroff"), ("halt", "halt"),
                      ("shutdown", "poweroff")],
)  # fmt: skip
def test_how_it_ends(word: str, end: str) -> None:
    assert recipe(f"{IMAGE}{word}\n").end == end


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("volgroup vg pv.1", "'volgroup' (line 2)"),
        ("text\nlogvol / --vgname=vg --name=root --size=1\nrealm join x",
         "'logvol' (line 3), 'realm' (line 4)"),
        ("raid / --device=1 --level=1 raid.1 raid.2", "'raid' (line 2)"),
        ("rescue", "'rescue' (line 2)"),
        ("%pre-install\necho\n%end", "'%pre-install' (line 2)"),
        ("%onerror\necho\n%end", "'%onerror' (line 2)"),
        ("autopart --type=lvm", "line 2: this installer does not do 'autopart --type'"),
        ("autopart --type=btrfs", "line 2: this installer does not do 'autopart --type'"),
        ("autopart --encrypted --passphrase=x", "does not do 'autopart --encrypted'"),
        ("part / --size=1 --encrypted --passphrase=x", "does not do '--encrypted'"),
        ("part / --onpart=sda1", "does not do '--onpart'"),
        ("part swap --size=1024", "'a partition for swap'"),
        ("part /home --size=1", "line 2: this installer does not do 'a partition for /home'"),
        ("part pv.1 --size=1", "'a partition for pv.1'"),
        ("part / --fstype=ext3 --size=1", "root filesystem 'ext3' / this installer makes: ext4"),
        ("ignoredisk --drives=sda", "'ignoredisk --drives' / name the disk: --only-use=NAME"),
        ("bootloader --location=none", "'bootloader --location'"),
        ("bootloader --password=x", "'bootloader --password'"),
        ("network --bootproto=ibft", "'network --bootproto=ibft' / it sets up Ethernet devices"),
        ("network --device=bootif", "'network --device=bootif' / name the device, or its MAC"),
        ("network --bootproto=dhcp --vlanid=5 --device=e0", "'network --vlanid'"),
        ("network --device=b0 --bondslaves=a,b", "'network --bondslaves'"),
        ("network --device=b0 --bridgeslaves=a,b", "'network --bridgeslaves'"),
        ("network --device=b0 --teamslaves=a,b", "'network --teamslaves'"),
        ("network --device=w0 --essid=x", "'network --essid'"),
        ("network --device=w0 --wpakey=x", "'network --wpakey'"),
        ("network --device=e0 --dhcpclass=x", "'network --dhcpclass'"),
        ("text\nnetwork --device=e0 --ethtool=x", "line 3: this installer does not do 'net"),
        ("user --name=x --homedir=/usr/x", "'user --homedir=/usr/x' / use a directory below /home"),
        ("user --name=x --homedir=/home/../x", "'user --homedir=/home/../x'"),
        ("user --name=x --homedir=/home", "'user --homedir=/home'"),
        ("sshkey --username=x 'AAAA'", "line 2: 'AAAA' is no public key: it has no kind and key"),
        ("network --hostname=a..b", "line 2: no machine can be called 'a..b'"),
        ("user --name=a:b", "line 2: no account or group can be called 'a:b'"),
        ("user --name=-x", "no account or group can be called '-x'"),
        ("timesource --ntp-server=a --nts", "line 2: this installer does not do 'timeso"),
        ("repo --name=x --mirrorlist=https://x", "'repo without --baseurl'"),
        ("repo --name=x --baseurl=https://x --includepkgs=a",
         "line 2: this installer does not do 'repo --includepkgs'"),
        ("url --url=https://x --noverifyssl", "'url --noverifyssl'"),
        ('url --url="https://x http://y"', "'url --url=https://x http://y' / write one URL"),
        ("repo --name=x --baseurl=file:///a,http://b", "'repo --baseurl=file:///a,http://b'"),
        ("url --url=nfs://x/y", "'url --url=nfs://x/y'"),
        ("%packages --multilib\n%end", "'mine.ks': this installer does not do '%pack"),
        ("%packages --inst-langs=de\n%end", "'%packages --inst-langs'"),
        ("%packages\n-@games\n%end", "'-@games' / leave out its packages by their names"),
        ("%packages\n@games --optional\n%end", "'@games with options'"),
        ("%packages\nvim\n%end", "both 'ostreecontainer' and %packages"),
        ("nonsense", "line 2: Unknown command: nonsense"),
        ("user --groups=x", "line 2: "),
        ("part / --size=many", "line 2: "),
        ("%post\necho", "'mine.ks'"),
        ("%include /no/such/file", "'/no/such/file'"),
        ('lang "', "'mine.ks', line 2: No closing quotation"),
    ],
)  # fmt: skip
def test_what_is_not_done_is_refused_by_name_and_line(lines: str, words: str) -> None:
    assert words in refused(f"{IMAGE}{lines}\n")


def test_what_says_nothing() -> None:
    assert "neither which image nor which packages" in refused("lang en_US.UTF-8\n")
    assert "give it 'ostreecontainer'" in refused("")


def test_includes(tmp_path: Path) -> None:
    """Written by a %pre script, say. What is wrong in them is an error like any other."""
    part = tmp_path / "part.ks"
    part.write_text("timezone Asia/Tokyo\n")
    assert recipe(f"{IMAGE}%include {part}\n").timezone == "Asia/Tokyo"
    part.write_text("nonsense\n")
    assert "Unknown command: nonsense" in refused(f"{IMAGE}%include {part}\n")
    part.write_bytes(b"lang \xff\n")
    refused(f"{IMAGE}%include {part}\n")


def test_a_circle_of_includes(tmp_path: Path) -> None:
    part = tmp_path / "part.ks"
    part.write_text(f"%include {part}\n")
    script = (
        f"from diskgen.kickstart.recipe import parse; parse({part.read_text()!r}, 'F44', 'x.ks')"
    )
    root = ROOT
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert "UsageError: 'x.ks' includes itself" in done.stderr


def test_it_needs_no_library_for_downloads(tmp_path: Path) -> None:
    """Runtimes lack it; a kickstart that includes a URL is refused, by name."""
    (tmp_path / "requests.py").write_text("raise ImportError('not in this runtime')\n")
    script = (
        "from diskgen.kickstart.recipe import parse\n"
        "from diskgen.errors import UsageError\n"
        f"print(parse({IMAGE!r}, 'F44', 'mine.ks').image.url)\n"
        "try:\n"
        f"    parse({IMAGE!r} + '%include https://host.invalid/x\\n', 'F44', 'mine.ks')\n"
        "except UsageError as error:\n"
        "    print(error.message)\n"
    )
    root = ROOT
    env = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()[:2]
    assert first == "quay.io/a/os:1"
    assert "'mine.ks'" in second
    assert "https://host.invalid/x" in second


WORDS = st.sampled_from(
    "part / --size=1 --fstype= user --name=x --groups=() --uid=-1 sshkey rootpw %packages %end "
    "%post %include network --ip=x lang keyboard timezone clearpart --all --drives=, repo --name= "
    "url --url= bootloader --append=' \" services ignoredisk autopart reqpart group --gid=x \\ # %"
    .split()
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(WORDS | st.text(max_size=5), max_size=5).map(" ".join), max_size=6))
def test_no_text_makes_it_stumble(lines: list[str]) -> None:
    with suppress(DiskgenError):
        recipe(IMAGE + "\n".join(lines))


def test_a_recipe_can_be_changed() -> None:
    """What is asked on the console is put into it."""
    found = recipe(IMAGE)
    assert replace(found, hostname="x").hostname == "x"


@pytest.mark.parametrize("mode", ["image", "package"])
def test_a_password_of_root(mode: str) -> None:
    mine = replace(SETTINGS, root_password="$6$salt$rooted", links=(), hostname=None)
    root = recipe(kickstart.unattended(mine, HOW, "F44", mode=mode, offline=True)).root
    assert root is not None
    assert (root.password, root.crypted, root.locked) == ("$6$salt$rooted", True, False)
