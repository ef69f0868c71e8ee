"""A user's kickstart and what diskgen writes: every command meets its like by a rule."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.blueprint.model import Customizations, Firewall, Group, Services, User
from diskgen.config import IsoRequest
from diskgen.errors import UsageError
from diskgen.iso.assembly import contents
from diskgen.iso.kickstarts import kickstart, merging
from diskgen.iso.kickstarts.command import Command, text_of
from diskgen.iso.kickstarts.kickstart import Packages, Settings, Unattended
from diskgen.kickstart import language, recipe
from diskgen.kickstart.language import VERSIONS
from diskgen.layout import Content
from diskgen.link import parse as parse_link
from diskgen.reference import parse as parse_reference

from ...fixtures.program import Program

PLAIN = Settings(reference="quay.io/example/os:42", digest="sha256:" + "1" * 64)
ALL = replace(
    PLAIN,
    packages=Packages(url="https://mirror.example/os/", names=("@core", "vim"), chosen=True),
    language="de_DE.UTF-8",
    keyboard="de",
    timezone="Europe/Berlin",
    hostname="host.example",
    users=(User(name="ann", keys=("ssh-ed25519 AA x",)), User(name="ben", password="$6$a$b")),
    root_password="$6$salt$other",
    links=(parse_link("device=enp1s0,mtu=1400"), parse_link("device=e2")),
    graphical=True,
    kargs=("quiet", "console=ttyS0,115200"),
    completion=("-quiet", '+a="b c"'),
    package_kargs=("quiet", "console=ttyS0,115200"),
    boot="reqpart\npart /boot --size=2000",
    described=Customizations(
        groups=(Group(name="staff"),),
        services=Services(enabled=("a",)),
        firewall=Firewall(ports=("80:tcp",)),
        ntp_servers=("192.0.2.1",),
    ),
    anaconda=True,
)
HOW = Unattended(disk="sda", filesystem="ext4")
BTRFS = Unattended(disk="sda", filesystem="btrfs")
ROOTS = {"image": "ext4", "package": "ext4"}


def written(settings: Settings, how: Unattended | None, mode: str) -> list[Command]:
    commands = kickstart.machine(settings, how) if how else kickstart.named(settings)
    payload = kickstart.payload(settings, mode=mode, offline=True)
    return [kickstart.started(), *commands, *payload]


def merged(
    text: str,
    settings: Settings = PLAIN,
    how: Unattended | None = None,
    mode: str = "image",
    version: str = "F44",
) -> merging.Merged:
    user = language.parse(text, version, "mine.ks", setting="kickstart")
    return merging.merge(written(settings, how, mode), user, text, mode=mode)


@pytest.mark.parametrize("settings", [PLAIN, ALL, replace(ALL, links=())])
@pytest.mark.parametrize(
    ("version", "how"),
    [(version, how) for version in VERSIONS for how in (None, HOW, BTRFS)
     if how is not BTRFS or version.startswith("F")],
)  # fmt: skip
def test_every_command_that_is_written_has_a_row(
    version: str, settings: Settings, how: Unattended | None
) -> None:
    """By pykickstart's word: no command is in a kickstart of ours that the table does not have."""
    for mode in ("image", "package"):
        if mode == "package" and settings.packages is None:
            continue
        commands = written(settings, how, mode)
        assert {command.word for command in commands} <= set(merging.ROWS)
        text = text_of(commands)
        parsed = language.parse(text, version, "ours.ks")
        found = {word for _line, word in (*parsed.commands, *parsed.sections)}
        found |= {language.SCRIPTS[script.type] for script in parsed.handler.scripts}
        assert found == {command.word.partition(" ")[0] for command in commands}


def test_every_row_is_of_a_command_that_is_written() -> None:
    every = {c.word for mode in ("image", "package") for c in written(ALL, BTRFS, mode)}
    assert every == set(merging.ROWS)
    known = set(language.parse("", "F44", "x").handler.commands) | {"%packages", "%post"}
    for row in merging.ROWS.values():
        assert set(row.meets) <= known
        assert row.says


# What the user says, what an option says: (text, settings, how, option that is named).
CONTRADICTIONS = [
    ("lang fr_FR.UTF-8", replace(PLAIN, language="de_DE.UTF-8"), None, "lang", "language"),
    ("keyboard fr", replace(PLAIN, keyboard="de"), None, "keyboard", "keyboard"),
    ("timezone Asia/Tokyo", replace(PLAIN, timezone="UTC"), None, "timezone", "timezone"),
    ("rootpw --lock", replace(PLAIN, root_password="$6$a$b"), None, "rootpw", "root-password-hash"),
    ("user --name=ann", ALL, None, "user", "user"),
    ("network --hostname=x", replace(PLAIN, hostname="y"), None, "network", "hostname"),
    ("network --device=e2 --hostname=x", ALL, None, "network", "hostname"),
    ("network --device=e2", replace(ALL, hostname=None), None, "device 'e2'", "network"),
    *((line, PLAIN, HOW, line.split()[0], "unattended")
      for line in ("clearpart --all", "autopart", "part / --size=9", "partition / --size=9",
                   "zerombr", "ignoredisk --only-use=sdb", "reqpart",
                   "mount /dev/sda1 /", "volgroup vg pv.1",
                   "logvol / --vgname=vg --name=root --size=9", "btrfs / --label=x btrfs.1",
                   "raid / --device=md0 --level=1 raid.1 raid.2")),
    ("ostreecontainer --url=x", PLAIN, None, "ostreecontainer", "kickstart"),
    ("bootc --source-imgref=registry:x", PLAIN, None, "bootc", "kickstart"),
    ("ostreesetup --osname=a --url=http://b --ref=c", PLAIN, None, "ostreesetup", "kickstart"),
    ("liveimg --url=http://x", PLAIN, None, "liveimg", "kickstart"),
    ("%packages\nvim\n%end", PLAIN, None, "section %packages", "kickstart"),
    ("url --url=http://x", PLAIN, None, "url", "kickstart"),
    ("cdrom", PLAIN, None, "cdrom", "kickstart"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "settings", "how", "word", "setting"), CONTRADICTIONS)
def test_contradictions_are_refused_by_file_line_and_option(
    line: str, settings: Settings, how: Unattended | None, word: str, setting: str
) -> None:
    with pytest.raises(UsageError) as caught:
        merged(f"text\n# one\n{line}\n", settings, how)
    assert "'mine.ks'" in caught.value.message
    assert word in caught.value.message
    assert "line 3)" in caught.value.message
    assert caught.value.setting == setting
    assert caught.value.hint


def test_a_second_source_of_packages_is_refused() -> None:
    with pytest.raises(UsageError, match=r"says 'url' as well \(line 1\)") as caught:
        merged("url --url=http://x\n%packages\n%end\n", ALL, mode="package")
    assert caught.value.setting == "packages"


def test_a_stream_of_a_module_is_no_second_source() -> None:
    line = "module --name=nodejs --stream=18\n"
    made = merged(f"{line}%packages\n%end\n", ALL, mode="package", version="RHEL9")
    assert line in made.text
    assert 'url --url="https://mirror.example/os/"' in made.text


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", ["image", "package"])
def test_what_is_but_a_default_gives_way(version: str, mode: str) -> None:
    """The disk by an option, all the rest by the kickstart; both installers read the same."""
    settings = replace(PLAIN, graphical=True, packages=Packages(url="https://x/"))
    user = (
        "graphical\nlang fr_FR.UTF-8\nkeyboard fr\ntimezone Asia/Tokyo\nrootpw --plaintext x\n"
        "reboot --eject\nskipx\nnetwork --device=e9 --bootproto=dhcp\n"
    )
    if mode == "package":
        user += "%packages --nocore --excludedocs\nvim\n%end\n"
    made = merged(user, settings, HOW, mode, version)
    found = language.parse(made.text, version, "x")
    handler = found.handler
    assert (handler.lang.lang, handler.timezone.timezone) == ("fr_FR.UTF-8", "Asia/Tokyo")
    assert handler.rootpw.password == "x"
    assert not handler.rootpw.lock
    assert [data.device for data in handler.network.network] == ["e9"]
    words = [word for _line, word in found.commands]
    assert "poweroff" not in words
    assert "text" not in words
    assert "xconfig" not in words
    assert handler.ignoredisk.onlyuse == ["sda"]
    if mode == "package":
        assert handler.packages.nocore
        assert handler.packages.excludeDocs
        assert handler.packages.packageList == ["vim"]
    ours = recipe.parse(made.text, version, "x")
    assert (ours.language, ours.keyboard, ours.timezone) == ("fr_FR.UTF-8", "fr", "Asia/Tokyo")
    assert (ours.end, ours.storage.disks, ours.storage.erase) == ("reboot", ("sda",), True)
    assert ours.root is not None
    assert ours.root.password == "x"
    assert [link.device for link in ours.links] == ["e9"]


def test_an_empty_kickstart_and_a_disk_are_what_the_disk_alone_would_be() -> None:
    made = merged("", ALL, HOW)
    assert made.text == kickstart.unattended(ALL, HOW, "F44", mode="image", offline=True)


LOADERS = [
    '--append="crashkernel=1G"',
    "--append='crashkernel=1G a=\"b c\"' --timeout=3 --location=mbr",
    "--boot-drive=sda --leavebootorder --append=x",
    "--iscrypted --password=grub.pbkdf2.sha512.x --append=x",
    "--location=none",
    "--driveorder=sda,sdb --append=''",
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("arguments", LOADERS)
def test_kernel_arguments_are_united(version: str, arguments: str) -> None:
    """And what else the user's command says stays: pykickstart reads both lines alike."""
    alone = language.parse(f"bootloader {arguments}\n", version, "x").handler.bootloader
    text = f"bootloader {arguments}\n"
    made = merged(text, replace(PLAIN, kargs=("quiet", "x=1")), version=version)
    both = language.parse(made.text, version, "x").handler.bootloader
    assert both.appendLine.split() == [*(alone.appendLine or "").split(), "quiet", "x=1"]
    for name in ("location", "timeout", "password", "isCrypted", "bootDrive", "driveorder",
                 "leavebootorder"):  # fmt: skip
        assert getattr(both, name, None) == getattr(alone, name, None), name
    if alone.location != "none" and not alone.password:
        wanted = tuple(both.appendLine.split())
        assert recipe.parse(made.text, version, "x").kargs[-2:] == wanted[-2:]


def test_without_arguments_of_ours_the_users_stay_as_they_are() -> None:
    text = 'bootloader --append="crashkernel=1G"\n'
    assert merged(text).text.count("bootloader") == 1


def test_accounts_keys_and_devices_add_up() -> None:
    text = (
        "user --name=cid --groups=wheel\nsshkey --username=cid 'ssh-rsa BB'\n"
        "sshkey --username=ann 'ssh-rsa CC'\nnetwork --device=e3 --bootproto=dhcp\n"
    )
    made = merged(text, ALL)
    handler = language.parse(made.text, "F44", "x").handler
    assert [user.name for user in handler.user.userList] == ["ann", "ben", "cid"]
    assert [data.device for data in handler.network.network] == ["enp1s0", "e2", "e3"]
    ann, _ben, cid = recipe.parse(made.text, "F44", "x").accounts
    assert ann.keys == ("ssh-ed25519 AA x", "ssh-rsa CC")
    assert (cid.groups, cid.keys) == (("wheel",), ("ssh-rsa BB",))


@pytest.mark.parametrize(
    ("line", "devices"),
    [("", ["link"]), ("network --device=e0 --bootproto=dhcp", ["", "e0"]),
     ("network --bootproto=dhcp --onboot=no", ["", ""])],
)  # fmt: skip
def test_a_host_name_alone_sets_up_no_device(line: str, devices: list[str]) -> None:
    made = merged(f"{line}\n", replace(PLAIN, hostname="x"))
    handler = language.parse(made.text, "F44", "x").handler
    assert [data.device for data in handler.network.network] == devices
    found = recipe.parse(made.text, "F44", "x")
    assert found.hostname == "x"
    assert len(found.links) == 1


@pytest.mark.parametrize(
    ("line", "ours", "taken"),
    [
        ("network --hostname=x", "mtu=1400", True),
        ("network --device=e1 --bootproto=dhcp", "device=e0,mtu=1400", True),
        ("network --device=e0 --bootproto=dhcp", "device=e0,mtu=1400", False),
        ("network --device=AA:bb:cc:dd:ee:ff", "device=aa:bb:cc:dd:ee:ff,mtu=1400", False),
        ("network --bootproto=dhcp", "mtu=1400", False),
        ("network --device=link --hostname=x", "mtu=1400", False),
    ],
)
def test_a_device_is_set_up_once(line: str, ours: str, taken: bool) -> None:
    settings = replace(PLAIN, links=(parse_link(ours),))
    if taken:
        merged(f"text\n{line}\n", settings)
        return
    with pytest.raises(UsageError, match=r"'mine\.ks' sets up .* as well \(line 2\)") as caught:
        merged(f"text\n{line}\n", settings)
    assert caught.value.setting == "network"


def test_what_the_image_deletes_is_the_users_to_give() -> None:
    made = merged("bootloader --append='quiet x=1'\n", ALL)
    (script,) = re.findall(
        r"^cat .*'ARGUMENTS'\n(.*?)\nARGUMENTS$", made.text, re.MULTILINE | re.DOTALL
    )
    assert script.splitlines() == ["-quiet", '+a="b c"', "+quiet", "+x=1"]


def test_scripts_of_the_user_are_between_ours() -> None:
    """So a ``bootc switch`` of the user's stands, and the result is checked."""
    made = merged("%post\nbootc switch quay.io/mine:1\n%end\n", version="F44")
    scripts = [s.script for s in language.parse(made.text, "F44", "x").handler.scripts]
    assert "mutate-in-place" in scripts[1]
    assert scripts[2] == "bootc switch quay.io/mine:1\n"
    assert "names no image in a registry" in scripts[3]
    assert len(scripts) == 5


@pytest.mark.parametrize("words", ["# for %packages see below", "# ostreecontainer",
                                   "%post\necho ostreecontainer\n# %packages\n%end"])  # fmt: skip
def test_words_in_comments_and_scripts_are_no_commands(words: str) -> None:
    made = merged(f"text\n{words}\n")
    assert language.parse(made.text, "F44", "x").handler.ostreecontainer.seen


@pytest.mark.parametrize("text", ["", "text", "text\r\nlang en_US.UTF-8\r\n", "# ä\n\n\n"])
def test_the_users_text_is_in_it_byte_for_byte(text: str) -> None:
    assert text in merged(text).text


def request(place: Path, **more: object) -> IsoRequest:
    source = parse_reference("quay.io/example/os:42")
    return replace(IsoRequest(source=source, arch="x86_64", kickstart=place), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("anaconda", [True, False])
def test_a_comment_about_packages_leaves_the_payload(tmp_path: Path, anaconda: bool) -> None:
    mine = tmp_path / "mine.ks"
    mine.write_text("# %packages is left out\nclearpart --all\nautopart\n")
    made = contents.write(request(mine), PLAIN, "F44", ROOTS, anaconda=anaconda)
    assert "unattended-image.ks" in made.texts
    assert "unattended-package.ks" not in made.texts
    found = language.parse(made.texts["unattended-image.ks"], "F44", "x")
    assert found.handler.ostreecontainer.seen


def test_the_own_installers_rules_hold_when_the_medium_is_made(tmp_path: Path) -> None:
    mine = tmp_path / "mine.ks"
    for line, words in (
        ("autopart --type=lvm --encrypted --passphrase=x", "autopart --type"),
        ("%addon com_redhat_kdump\n%end", "'%addon' (line 2)"),
        ("%anaconda\n%end", "'%anaconda' (line 2)"),
        ("%certificate --filename=a --type=anchor\nX\n%end", "'%certificate' (line 2)"),
        ("%ksappend http://x/y", "'%ksappend http://x/y' (line 2)"),
        ("volgroup vg pv.1", "'volgroup' (line 2)"),
        ("network --device=e0 --vlanid=3", "line 2"),
        ("network --device=e0 --bootproto=static --ip=x --netmask=y", "line 2"),
    ):
        mine.write_text(f"text\n{line}\n")
        with pytest.raises(UsageError) as caught:
            contents.write(request(mine), PLAIN, "F44", ROOTS, anaconda=False)
        assert "'mine.ks'" in caught.value.message
        assert words in caught.value.message
        assert caught.value.setting == "kickstart"
        contents.write(request(mine), PLAIN, "F44", ROOTS, anaconda=True)  # which does all of that


def test_what_is_included_is_said_to_be_unseen(tmp_path: Path) -> None:
    mine = tmp_path / "mine.ks"
    mine.write_text("text\n%include /tmp/disks.ks\n%post\n%include /tmp/more\n%end\n")
    made = contents.write(request(mine), PLAIN, "F44", ROOTS, anaconda=False)
    doubts = list(contents.doubts(made, Content()))
    assert len(doubts) == 2
    assert "'mine.ks', line 2: what '%include /tmp/disks.ks' brings is not known" in doubts[0]
    assert "line 4: what '%include /tmp/more'" in doubts[1]


def test_the_plan_says_what_comes_from_where(tmp_path: Path) -> None:
    mine = tmp_path / "mine.ks"
    mine.write_text('bootloader --append="crashkernel=1G"\nlang fr_FR.UTF-8\n')
    settings = replace(PLAIN, kargs=("quiet",), package_kargs=("quiet",), timezone="UTC")
    made = contents.write(request(mine, unattended="sda"), settings, "F44", ROOTS, anaconda=True)
    lines = merging.united(made.met)
    assert "bootloader: mine.ks, line 1, and --install-karg: crashkernel=1G quiet" in lines
    assert "lang: mine.ks, line 2" in lines
    assert "timezone: --timezone" in lines
    assert "clearpart: --unattended" in lines
    assert "keyboard: diskgen" in lines
    assert contents.erased(request(mine, unattended="sda"), made.texts) == (("image", "sda"),)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("rootpw --plaintext gr\u00fcn\n".encode("latin-1"), "line 1: the byte 0xfc is not UTF-8"),
        (b"text\nlang x\n# \xff\n", "line 3: the byte 0xff is not UTF-8"),
        ("text\n".encode("utf-16"), "line 1: the byte 0xff is not UTF-8"),
    ],
)
def test_bytes_that_are_no_utf8_are_refused(tmp_path: Path, data: bytes, words: str) -> None:
    mine = tmp_path / "mine.ks"
    mine.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        contents.write(request(mine), PLAIN, "F44", ROOTS, anaconda=True)
    assert words in caught.value.message
    assert caught.value.setting == "kickstart"


def test_utf8_with_and_without_a_mark(tmp_path: Path) -> None:
    mine = tmp_path / "mine.ks"
    texts = []
    for mark in (b"", b"\xef\xbb\xbf"):
        mine.write_bytes(mark + "rootpw --plaintext 'grün'\r\n".encode())
        made = contents.write(request(mine), PLAIN, "F44", ROOTS, anaconda=True)
        texts.append(made.texts["unattended-image.ks"])
    assert texts[0] == texts[1]
    assert "'grün'\r\n" in texts[0]
    assert language.parse(texts[0], "F44", "x").handler.rootpw.password == "grün"


@pytest.mark.parametrize("mode", ["image", "package"])
@pytest.mark.parametrize("own", [None, "clearpart --all\nautopart\n%pre\necho mine\n%end\n"])
def test_what_erases_a_disk_first_looks_at_the_medium(
    mode: str, own: str | None, tmp_path: Path
) -> None:
    """Media that were made of one vendor's have one label, and the wrong one may be read."""
    mine = tmp_path / "mine.ks"
    mine.write_text(own or "")
    request = IsoRequest(
        source=parse_reference("q.io/a"),
        arch="x86_64",
        modes=(mode,),
        kickstart=mine if own else None,
        unattended=None if own else "sda",
    )
    written = contents.write(request, ALL, "F44", ROOTS, anaconda=True)
    handler = language.parse(written.texts[f"unattended-{mode}.ks"], "F44", "x").handler
    script = next(each for each in handler.scripts if each.type == 0)
    assert script.errorOnFail
    place, line = tmp_path / "diskgen", tmp_path / "cmdline"
    body = script.script.replace("/proc/cmdline", str(line)).replace(kickstart.MEDIUM, str(place))
    place.mkdir()
    (place / "id-11").touch()
    for word, status in (("diskgen.id=11", 0), ("diskgen.id=22", 1), ("quiet", 0)):
        line.write_text(f"inst.ks=x {word}\n")
        done = subprocess.run(["bash", "-c", body], capture_output=True, text=True, check=False)
        assert (done.returncode, bool(done.stderr)) == (status, bool(status))


def test_what_is_no_whole_kickstart_is_the_options_fault(tmp_path: Path) -> None:
    mine = tmp_path / "mine.ks"
    mine.write_text("repo --name=x --baseurl=http://y\nclearpart --all\nautopart\n")
    request = IsoRequest(source=parse_reference("q.io/a"), arch="x86_64", kickstart=mine)
    with pytest.raises(UsageError, match="neither which image nor which packages") as caught:
        contents.write(request, PLAIN, "F44", ROOTS, anaconda=False)
    assert caught.value.setting == "kickstart"


@pytest.mark.parametrize(
    ("option", "value"),
    [("--karg", "a=$b"), ("--install-karg", "a$b"), ("--unattended", "sda,sdb"),
     ("--unattended", "sda1"), ("--keyboard", "us,de"), ("--timezone", "a b"),
     ("--user-key", "ann=no key")],
)  # fmt: skip
def test_words_are_looked_at_before_anything_is_fetched(
    diskgen: Program, option: str, value: str
) -> None:
    """Nothing listens there."""
    user = ("--user", "ann") if option == "--user-key" else ()
    done = diskgen.run("plan", "iso", "127.0.0.1:9/tiny/os:1", *user, option, value)
    assert done.returncode == 2
    assert f"see {option}" in done.stderr
    assert "cannot be reached" not in done.stderr


def test_reading_leaves_python_where_it_was() -> None:
    """pykickstart adds its directory to where Python looks, each time."""
    before = list(sys.path)
    for version in VERSIONS:
        language.parse("text\n", version, "ks.cfg")
    assert sys.path == before
