"""The installer's parts: disks, consoles and questions, the installed system's paths, programs."""

from __future__ import annotations

import os
import shutil
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diskgen.arch import MACHINES
from diskgen.errors import HostError, ToolError, UsageError
from diskgen.events import Notice, StepFinished, StepProgress, StepStarted
from diskgen.install import __main__ as installer
from diskgen.install import dialogue, disks, image_mode, medium, partitioning
from diskgen.install.console import Consoles, active
from diskgen.install.dialogue import Declined
from diskgen.install.disks import Disk
from diskgen.install.identity import given as given_by
from diskgen.install.identity import set_up
from diskgen.install.medium import Medium
from diskgen.install.target import PHYSICAL, ROOT, Mounts, Target, copy_log
from diskgen.kickstart.recipe import Account, Recipe, parse
from diskgen.layout import Content, make_layout
from diskgen.units import GIB, MIB

from ..fixtures.terminals import Typist, doing

IMAGE = parse("ostreecontainer --url=quay.io/a/os:1\n", "F44", "x.ks")
PACKAGES = parse("url --url=http://x\n%packages\nvim\n%end\n", "F44", "x.ks")
MEDIUM = Medium(
    product="Tiny Linux", reference="quay.io/a/os:1",
    signature=None, signed=False, no_encryption=False,
    payload="embedded", modes=("image", "package"), kickstart_version="F44", packages=None,
    device=Path("/dev/sr0"),
)  # fmt: skip


def disk(name: str = "vda", size: int = 20 * GIB, partitions: tuple[str, ...] = ()) -> Disk:
    return Disk(name=name, path=Path("/dev") / name, size=size, sector_size=512, model="Tiny Disk",
                partitions=partitions)  # fmt: skip


# Disks


def sysfs(place: Path, **found: dict[str, str]) -> Path:
    """Return a directory like /sys/block; keys of a disk are files, a trailing / is a partition."""
    for name, files in found.items():
        folder = place / name.replace("_", "-")
        folder.mkdir(parents=True)
        for path, text in files.items():
            file = folder / (f"{path}partition" if path.endswith("/") else path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")
    return place


def test_disks_of_a_machine(tmp_path: Path) -> None:
    place = sysfs(
        tmp_path / "block",
        sdb={"size": "41943040", "ro": "0", "queue/logical_block_size": "4096"},
        sda={"size": "2097152", "ro": "0", "device/model": "QEMU HARDDISK  ", "sda2/": "2",
             "sda1/": "1"},
        nvme0n1={"size": "2097152", "hidden": "0"},
        nvme0c0n1={"size": "2097152", "hidden": "1"},
        sdc={"size": "0"},  # a reader of cards without a card
        sdd={"size": "2097152", "ro": "1"},
        vdz={"size": "8388608"},  # the medium
        broken={},
        **{name: {"size": "2097152"} for name in ("loop0", "ram0", "zram0", "sr0", "fd0", "dm_0",
                                                  "md127", "nbd0")},
    )  # fmt: skip
    found = disks.candidates(Path("/dev/vdz"), place)
    assert [each.name for each in found] == ["nvme0n1", "sda", "sdb"]
    nvme, sda, sdb = found
    assert (sdb.size, sdb.sector_size, sdb.partitions) == (20 * GIB, 4096, ())
    assert (sda.model, sda.partitions) == ("QEMU HARDDISK", ("sda1", "sda2"))
    assert sda.text == "sda  1 GiB  (QEMU HARDDISK, has 2 partitions)"
    assert sdb.text == "sdb  20 GiB  (no partitions)"
    assert disks.partition_path(sda.path, 3) == Path("/dev/sda3")
    assert disks.partition_path(nvme.path, 3) == Path("/dev/nvme0n1p3")


@pytest.mark.parametrize(
    ("medium", "left"),
    [
        ("dm-0", ["nvme0n1", "sdb"]),  # Ventoy's: a file on a partition of the stick
        ("dm-2", ["nvme0n1", "sdb"]),  # a map of a map
        ("sda1", ["nvme0n1", "sdb"]),  # files that were copied onto a stick
        ("nvme0n1p1", ["sda", "sdb"]),
        ("dm-3", ["nvme0n1"]),  # on two disks
        ("loop0", ["nvme0n1", "sdb"]),  # a file on a filesystem of the stick
        ("dm-9", ["nvme0n1", "sdb"]),  # maps that hold each other
        ("sr0", ["nvme0n1", "sda", "sdb"]),
        (None, ["nvme0n1", "sda", "sdb"]),
    ],
)
def test_the_stick_under_the_medium_is_no_target(
    medium: str | None, left: list[str], tmp_path: Path
) -> None:
    backing = tmp_path / "image.iso"
    backing.touch()
    number = backing.stat().st_dev
    place = sysfs(
        tmp_path / "block",
        sda={"size": "2097152", "sda1/": "1", "sda2/": "2",
             "sda1/dev": f"{os.major(number)}:{os.minor(number)}"},
        sdb={"size": "2097152", "dev": "8:16"},
        nvme0n1={"size": "2097152", "nvme0n1p1/": "1"},
        sr0={"size": "2097152"},
        loop0={"size": "2097152", "loop/backing_file": str(backing)},
        **{name: {"size": "2097152"} for name in ("dm_0", "dm_2", "dm_3", "dm_8", "dm_9")},
    )  # fmt: skip
    for name, slaves in (("dm-0", ["sda1"]), ("dm-2", ["dm-0"]), ("dm-3", ["sda2", "sdb"]),
                         ("dm-9", ["dm-8", "sda1"]), ("dm-8", ["dm-9"])):  # fmt: skip
        for slave in slaves:
            (place / name / "slaves" / slave).mkdir(parents=True)
    found = disks.candidates(Path("/dev", medium) if medium else None, place)
    assert [each.name for each in found] == left


def test_the_only_disk_needs_no_name() -> None:
    only = disk("vdb")
    assert disks.choose((), [only]) is only


@pytest.mark.parametrize(
    ("wanted", "found", "kind", "words"),
    [
        ((), [], HostError, "this machine has no disk to install on"),
        (("vda",), [], HostError, "this machine has no disk to install on"),
        ((), [disk("vda"), disk("vdb")], UsageError, "names no disk.*vda  20 GiB.*vdb"),
        (("vda", "vdb"), [disk("vda")], UsageError, r"several disks \(vda, vdb\)"),
        (("no-such",), [disk("vda")], HostError, "no disk 'no-such' to install on"),
        (("/dev/null",), [disk("vda")], HostError, "no disk '/dev/null'"),
        (("../etc/passwd",), [disk("vda")], HostError, "no disk '../etc/passwd'"),
    ],
)
def test_disks_that_are_not_there(
    wanted: tuple[str, ...], found: list[Disk], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        disks.choose(wanted, found)


def test_a_disk_is_named_by_any_of_its_links() -> None:
    null = Disk(name="null", path=Path("/dev/null"), size=1, sector_size=512, model="",
                partitions=())  # fmt: skip
    for name in ("null", "/dev/null", "../dev/null"):
        assert disks.choose((name,), [null]) is null


def test_what_is_blank(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(MIB))
    empty = Disk(name="x", path=path, size=MIB, sector_size=512, model="", partitions=())
    assert disks.is_blank(empty)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"LABELONE")
    assert not disks.is_blank(empty)
    assert not disks.is_blank(disk(partitions=("vda1",)))
    assert disks.size_of(path) == MIB


@pytest.mark.parametrize("busy", [0, 3, 1000])
def test_partitions_that_are_looked_at_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    """udev opens each partition of a disk that was written; no table is read meanwhile."""
    calls = tmp_path / "calls"
    for name in ("blockdev", "udevadm"):
        fake = tmp_path / name
        fake.write_text(
            f'#!/bin/sh\necho "$1" >>{calls}\n[ "$1" = --rereadpt ] || exit 0\n'
            f"[ $(grep -c rereadpt {calls}) -gt {busy} ] && exit 0\n"
            'echo "ioctl error on BLKRRPART: Device or resource busy" >&2; exit 1\n'
        )
        fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(image_mode, "_PAUSE_SECONDS", 0)
    if busy == 1000:
        with pytest.raises(ToolError, match="Device or resource busy"):
            image_mode.reread(Path("/dev/null"))
    else:
        image_mode.reread(Path("/dev/null"))
        said = calls.read_text().split()
        assert said.count("--rereadpt") == busy + 1
        assert said[-1] == "settle"


# Consoles


@pytest.fixture
def typist() -> Iterator[Typist]:
    made = Typist()
    yield made
    made.hang_up()


def test_a_console_asks_and_is_answered(typist: Typist) -> None:
    consoles = Consoles([typist.path, Path("/no/such/console")])
    assert consoles.paths == (typist.path,)
    consoles.say("one", "two\x1b[31m\nerror: three")
    with doing(lambda: typist.answer("Name: ", "  ann  ")):
        assert consoles.ask("Name: ") == "ann"
    assert "one\ntwo\\x1b[31m\\nerror: three\n" in typist.seen
    typist.read("ann")  # the terminal shows what is typed


def test_a_password_is_not_shown(typist: Typist) -> None:
    consoles = Consoles([typist.path])
    with doing(lambda: typist.answer("Password: ", "s3cret")):
        assert consoles.ask("Password: ", hidden=True) == "s3cret"
    consoles.say("next")
    typist.read("next")
    assert "s3cret" not in typist.seen
    fd = os.open(typist.path, os.O_RDWR | os.O_NOCTTY)
    assert termios.tcgetattr(fd)[3] & termios.ECHO
    os.close(fd)


def test_every_console_is_heard(typist: Typist) -> None:
    other = Typist()
    consoles = Consoles([typist.path, other.path])
    with doing(lambda: other.answer("Which? ", "2")):
        assert consoles.ask("Which? ") == "2"
    typist.read("Which? ")
    other.hang_up()
    with doing(lambda: typist.answer("Again? ", "yes")):
        assert consoles.ask("Again? ") == "yes"  # the other one is gone
    assert consoles.paths == (typist.path,)
    typist.hang_up()
    with pytest.raises(EOFError):
        consoles.ask("Nobody? ")


def test_what_was_typed_before_is_no_answer(typist: Typist) -> None:
    consoles = Consoles([typist.path])
    typist.type("erase\rerase\r")
    time.sleep(0.1)
    with doing(lambda: typist.answer("to go on", "no")), pytest.raises(Declined):
        dialogue.confirm(consoles, disk(), "It")


def test_the_end_of_a_file_ends_no_console(typist: Typist) -> None:
    consoles = Consoles([typist.path])

    def type_it() -> None:
        typist.read("Name: ")
        time.sleep(0.05)
        typist.type("\x04")
        time.sleep(0.1)
        typist.type("ann\r")

    with doing(type_it):
        assert consoles.ask("Name: ") == "ann"


def test_a_shell_on_every_console(typist: Typist) -> None:
    """Each has its own; when one is left, all end and the installer is heard as before."""
    other = Typist()
    consoles = Consoles([typist.path, other.path])
    other.type("echo sum $((40 + 2)); exit\r")
    installer.shell(consoles)
    consoles.say("here again")
    assert "sum 42" in other.read("here again")
    assert "sum 42" not in typist.read("here again")
    other.hang_up()


def test_a_console_is_opened_anew(typist: Typist) -> None:
    """A terminal that was hung up is dead to who had it open, not to who opens it."""
    consoles = Consoles([typist.path])
    consoles._drop(next(iter(consoles._open)))
    assert consoles.paths == ()
    consoles.reopen()
    consoles.say("here again")
    typist.read("here again")


def test_progress_is_lines(typist: Typist) -> None:
    consoles = Consoles([typist.path])
    for event in (
        StepStarted("x", "Copying", 10, "bytes"), StepProgress("x", 5, 10),
        StepFinished("x", "Copying", 2.0, "10 B", ok=True),
        StepFinished("x", "Copying", 0.0, "", ok=False),
        Notice("warning", "mind the gap"),
    ):  # fmt: skip
        consoles.emit(event)
    said = typist.read("mind the gap")
    assert "  Copying ...\n" in said
    assert ": 10 B, 2 s\n" in said
    assert " FAILED" in said
    assert "  warning: mind the gap" in said


@pytest.mark.parametrize(
    ("text", "names"),
    [("tty0 ttyS0\n", ["tty1", "ttyS0"]), ("ttyS0\n", ["ttyS0"]), (None, ["console"]),
     ("", ["console"])],
)  # fmt: skip
def test_the_consoles_of_the_kernel(tmp_path: Path, text: str | None, names: list[str]) -> None:
    source = tmp_path / "active"
    if text is not None:
        source.write_text(text)
    assert active(source, Path("/d")) == [Path("/d") / name for name in names]


# Questions


def answering(typist: Typist, *pairs: tuple[str, str]) -> Callable[[], None]:
    def talk() -> None:
        for question, text in pairs:
            typist.answer(question, text)

    return talk


def test_the_mode(typist: Typist) -> None:
    consoles = Consoles([typist.path])
    assert dialogue.choose_mode(consoles, MEDIUM, "package") == "package"
    with doing(answering(typist, ("[1]: ", "3"), ("[1]: ", "x"), ("[1]: ", "²"), ("[1]: ", "2"))):
        assert dialogue.choose_mode(consoles, MEDIUM, "ask") == "package"
    assert "2) Traditional" in typist.seen
    assert "quay.io/a/os:1" in typist.seen
    assert typist.seen.count("a number from 1 to 2") == 3
    with doing(answering(typist, ("[1]: ", ""))):
        assert dialogue.choose_mode(consoles, MEDIUM, "nonsense") == "image"


def test_who_never_answers_gets_nothing(typist: Typist) -> None:
    consoles = Consoles([typist.path])
    with doing(answering(typist, *[("[1]: ", "0")] * 5)), pytest.raises(Declined):
        dialogue.choose_disk(consoles, [disk("vda"), disk("vdb")])


def test_the_disk(typist: Typist) -> None:
    consoles = Consoles([typist.path])
    with pytest.raises(HostError, match="no disk to install on"):
        dialogue.choose_disk(consoles, [])
    found = [disk("vda", partitions=("vda1",)), disk("vdb")]
    with doing(answering(typist, ("[1]: ", "2"))):
        assert dialogue.choose_disk(consoles, found) is found[1]
    assert "Everything on it will be lost" in typist.seen
    assert "1) vda  20 GiB  (Tiny Disk, has 1 partition)" in typist.seen


@pytest.mark.parametrize("answer", ["", "y", "yes", "Erase", "erase!", "vda"])
def test_the_last_question(typist: Typist, answer: str) -> None:
    consoles = Consoles([typist.path])
    with doing(answering(typist, ("to go on, anything else to stop: ", answer))):
        with pytest.raises(Declined) as caught:
            dialogue.confirm(consoles, disk(), "quay.io/a/os:1")
        assert caught.value.message == "nothing was changed"
    assert "EVERYTHING ON vda WILL BE LOST" in typist.seen
    assert "quay.io/a/os:1 will be installed on" in typist.seen
    with doing(answering(typist, ("to go on", "erase"))):
        dialogue.confirm(consoles, disk(), "quay.io/a/os:1")


def test_who_will_use_it(typist: Typist) -> None:
    consoles = Consoles([typist.path])
    talk = answering(
        typist, ("User name: ", "Ann O"), ("User name: ", "a:b"), ("User name: ", "ann"),
        ("Password of ann: ", "one"), ("Again: ", "two"), ("Password of ann: ", "one"),
        ("Again: ", "one"), ("Password of root", ""),
    )  # fmt: skip
    with doing(talk):
        made = dialogue.ask_people(consoles, IMAGE)
    (ann,) = made.accounts
    assert (ann.name, ann.password, ann.crypted, ann.groups) == ("ann", "one", False, ("wheel",))
    assert made.root is not None
    assert made.root.locked
    assert "two different passwords" in typist.seen
    with doing(answering(typist, ("User name: ", "ann"), ("of ann: ", ""), ("of root", "r"),
                         ("Again: ", "r"))):  # fmt: skip
        made = dialogue.ask_people(consoles, PACKAGES)
    assert made.accounts[0].groups == ("wheel",)
    assert made.root is not None
    assert (made.root.password, made.root.locked) == ("r", False)


def test_who_is_known_is_not_asked_for(typist: Typist) -> None:
    consoles = Consoles([typist.path])
    known = Recipe(accounts=(Account(name="x", keys=("ssh-rsa A",)),))
    assert dialogue.ask_people(consoles, known) is known


# The installed system's paths


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the target that nothing may change."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "file").write_text("untouched")
    return place


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "root/etc").mkdir(parents=True)
    return Target(tmp_path / "root")


def test_files_are_written(target: Target) -> None:
    target.write("etc/a/b/c", "text", mode=0o600)
    assert (target.root / "etc/a/b/c").read_text() == "text"
    assert (target.root / "etc/a/b/c").stat().st_mode & 0o777 == 0o600
    (target.root / "link").symlink_to("etc/a")
    target.write("link/b/c", "other")
    assert (target.root / "etc/a/b/c").read_text() == "other"


def _links(outside: Path) -> dict[str, tuple[dict[str, str], str]]:
    """Return hostile links by name, and the path that is written."""
    up = "../" * 12
    return {
        "absolute": ({"x": f"{outside}"}, "x/file"),
        "upwards": ({"x": f"{up}{outside}"}, "x/file"),
        "last": ({"x": f"{outside}/file"}, "x"),
        "middle": ({"a/x": f"{outside}"}, "a/x/file"),
        "chain": ({"x": "/y", "y": f"{outside}"}, "x/file"),
        "relative chain": ({"x": "a/y", "a/y": f"../{up}{outside}"}, "x/file"),
        "below a link": ({"x": "/a", "a/y": f"{outside}"}, "x/y/file"),
        "through a link": ({"x": "/y/..", "y": f"{outside}"}, f"x/{outside.name}/file"),
        "dots": ({}, f"../{outside.name}/file"),
    }


@pytest.mark.parametrize("name", list(_links(Path("/x"))))
def test_links_do_not_lead_out(target: Target, outside: Path, name: str) -> None:
    links, path = _links(outside)[name]
    for place, goal in links.items():
        (target.root / place).parent.mkdir(parents=True, exist_ok=True)
        (target.root / place).symlink_to(goal)
    target.write(path, "written")
    assert sorted(entry.name for entry in outside.iterdir()) == ["file"]
    assert (outside / "file").read_text() == "untouched"
    found = [p for p in target.root.rglob("*") if p.is_file() and not p.is_symlink()]
    assert [file.read_text() for file in found] == ["written"]
    assert found[0].resolve().is_relative_to(target.root.resolve())
    assert not (outside.parent / "written").exists()


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "a/b", "c", "b/c"]), st.sampled_from(
        ["/a", "/b/c", "..", "../..", "../../outside", "/", "c", "b/a", "./x", "OUT", "a//../b"])),
        max_size=5),
    st.sampled_from(["a/f", "b/c/f", "a/b/c/f", "f", "a/../f", "c/./f"]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_no_links_lead_out(links: list[tuple[str, str]], path: str) -> None:
    place = Path("/var/tmp") / f"diskgen-links-{os.getpid()}"
    outside = place / "outside"
    try:
        outside.mkdir(parents=True)
        made = Target(place / "root")
        made.root.mkdir()
        for name, goal in links:
            spot = made.place(name)
            if not spot.exists() and not spot.is_symlink() and spot != made.root:
                try:
                    spot.parent.mkdir(parents=True, exist_ok=True)
                    spot.symlink_to(goal.replace("OUT", str(outside)))
                except (FileExistsError, NotADirectoryError):
                    continue
        with suppress(HostError):
            made.write(path, "x")
        assert not list(outside.iterdir())
        assert sorted(entry.name for entry in place.iterdir()) == ["outside", "root"]
    except HostError:
        pass  # a circle while the links are made
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("case", ["circle", "file", "directory"])
def test_what_cannot_be_written(target: Target, case: str) -> None:
    (target.root / "x").symlink_to("y")
    (target.root / "y").symlink_to("x")
    (target.root / "plain").write_text("")
    path = {"circle": "x/f", "file": "plain/f", "directory": "etc"}[case]
    with pytest.raises(HostError, match="of the system is"):
        target.write(path, "text")


def test_programs_are_the_targets(target: Target, outside: Path) -> None:
    (target.root / "usr/bin").mkdir(parents=True)
    (target.root / "usr/bin/tool").symlink_to(outside / "file")
    (target.root / "usr/bin/real").write_text("")
    (target.root / "usr/bin/linked").symlink_to("/usr/bin/real")
    assert not target.has("tool")
    assert target.has("none", "real")
    assert target.has("linked")


def test_names_and_places_are_set(target: Target, outside: Path) -> None:
    (target.root / "usr/share/zoneinfo/Europe").mkdir(parents=True)
    (target.root / "usr/share/zoneinfo/Europe/Berlin").write_text("TZif")
    (target.root / "etc/selinux").mkdir()
    (target.root / "etc/selinux/config").write_text(
        "# SELINUX=\nSELINUX=enforcing\nSELINUXTYPE=t\n"
    )
    (target.root / "etc/localtime").symlink_to(outside / "file")
    (target.root / "etc/hostname").symlink_to(outside / "file")
    said: list[str] = []
    recipe = Recipe(hostname="here", language="de_DE.UTF-8", keyboard="de",
                    timezone="Europe/Berlin", selinux="permissive")  # fmt: skip
    set_up(target, given_by(recipe), said.append)
    etc = target.root / "etc"
    assert (etc / "hostname").read_text() == "here\n"
    assert (etc / "locale.conf").read_text() == "LANG=de_DE.UTF-8\n"
    assert (etc / "vconsole.conf").read_text() == "KEYMAP=de\n"
    assert (etc / "localtime").readlink() == Path("../usr/share/zoneinfo/Europe/Berlin")
    config = (etc / "selinux/config").read_text()
    assert config == "# SELINUX=\nSELINUX=permissive\nSELINUXTYPE=t\n"
    assert (outside / "file").read_text() == "untouched"
    assert [text.partition("'")[0] for text in said] == [
        "the system has no keyboard ", "the system has no language ",
    ]  # fmt: skip
    said.clear()
    for zone in ("Mars/Olympus", "../../../etc/hostname"):
        set_up(target, given_by(Recipe(timezone=zone)), said.append)
        assert f"no time zone '{zone}'" in said.pop()
        assert (etc / "localtime").readlink() == Path("../usr/share/zoneinfo/Europe/Berlin")
    set_up(target, given_by(Recipe(timezone="Etc/UTC")), said.append)
    assert not said
    assert (etc / "localtime").readlink() == Path("../usr/share/zoneinfo/Etc/UTC")


def test_the_log_stays_in_the_system(target: Target, outside: Path) -> None:
    (target.root / "var").symlink_to(outside)
    log = outside.parent / "log"
    log.write_text("x")
    copy_log(target, log)
    assert sorted(entry.name for entry in outside.iterdir()) == ["file"]


# Programs and their libraries


# The medium's own checksum


# Where updates come from


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"product": 1, "modes": 1}'])
def test_facts_of_a_medium_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "medium.json").write_text(text)
    (tmp_path / "device").write_text("")
    monkeypatch.setattr(medium, "ROOM", tmp_path)
    monkeypatch.setattr(medium, "_DEVICE", tmp_path / "device")
    with pytest.raises(HostError, match=r"medium\.json' cannot be read"):
        medium.read()


def test_all_that_is_mounted_is_seen_by_the_boot_loader() -> None:
    """A bind shows one filesystem alone: menus would go where no firmware looks."""
    bound: list[tuple[Path, Path]] = []

    class Recorder(Mounts):
        def bind(self, source: Path, place: Path, *, read_only: bool = False) -> None:
            assert not read_only
            bound.append((source, place))

    content = Content(root=GIB)
    layout = make_layout(MACHINES["x86_64"], seed="s", content=content, disk_size=20 * GIB)
    partitioning.show(layout, Recorder())
    assert bound == [(PHYSICAL / place, ROOT / place) for place in ("", "boot", "boot/efi")]
