"""Kernel command lines: the right option is named, and what a kernel would cut off is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.config import INSTALLER_KARGS, IsoRequest
from diskgen.errors import UsageError
from diskgen.iso.assembly import medium
from diskgen.iso.kickstarts import kickstart
from diskgen.iso.kickstarts.kickstart import Settings, Unattended
from diskgen.iso.mastering import mainframe
from diskgen.iso.menus import menu
from diskgen.iso.menus.menu import Choices
from diskgen.kickstart import language
from diskgen.reference import parse

from ..fixtures import installers
from ..fixtures.oci import mainframe_kernel
from ..fixtures.program import Program

CHOICES = Choices(product="Tiny", label="TINY", unattended=(("image", "vda"),))
SETTINGS = Settings(reference="quay.io/a/os:1", digest="sha256:" + "1" * 64)


def made(choices: Choices) -> menu.Menu:
    return menu.make(choices, kernel="/images/pxeboot/vmlinuz", initrd="/i", bios=True)


@pytest.mark.parametrize(
    ("choices", "setting"),
    [
        (replace(CHOICES, kargs=("a=$b",)), "karg"),
        (replace(CHOICES, product="it's"), "product"),
        (replace(CHOICES, unattended=(("image", "sda;x"),)), "unattended"),
    ],
)
def test_each_word_of_a_menu_names_its_option(choices: Choices, setting: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(choices)
    assert caught.value.setting == setting


def test_words_of_kickstarts_name_theirs() -> None:
    with pytest.raises(UsageError) as caught:
        kickstart.fragments(replace(SETTINGS, kargs=('a"b',)), "F44")
    assert caught.value.setting == "install-karg"
    how = Unattended(disk="sda,sdb")
    with pytest.raises(UsageError) as caught:
        kickstart.unattended(SETTINGS, how, "F44", mode="image", offline=True)
    assert caught.value.setting == "unattended"


def test_every_architecture_has_its_kernels_figure() -> None:
    assert {name: row.command_line for name, row in MACHINES.items()} == {
        "x86_64": 2048, "aarch64": 2048, "s390x": 4096, "ppc64le": 2048, "riscv64": 1024,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["x86_64", "aarch64", "s390x"])
def test_a_line_is_as_long_as_its_kernels_take(name: str) -> None:
    most = MACHINES[name].command_line
    menu.check_length(made(replace(CHOICES, kargs=("x" * (most // 2),))), most)
    with pytest.raises(UsageError, match=f"the kernel takes '{most - 1}'") as caught:
        menu.check_length(made(replace(CHOICES, kargs=("x" * (most - 100),))), most)
    assert caught.value.setting == "karg"


@pytest.mark.parametrize("name", INSTALLER_KARGS)
def test_what_single_entries_say_is_not_said_by_all(name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}=x' cannot be an argument") as caught:
        IsoRequest(source=parse("q.io/a"), arch="x86_64", kargs=(f"{name}=x",))
    assert caught.value.setting == "karg"
    assert "--kickstart" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("word", "setting"), [("x" * 80, "karg"), ("inst.ks=hd:LABEL=" + "L" * 70, "label")]
)
def test_no_line_of_a_parameter_file_is_too_long(word: str, setting: str) -> None:
    assert max(map(len, mainframe.parameters(f"ro {'x' * 79} quiet").splitlines())) == 79
    with pytest.raises(UsageError, match="a line of a parameter file holds 79") as caught:
        mainframe.parameters(f"ro {word} quiet")
    assert caught.value.setting == setting


def test_a_disk_whose_arguments_would_be_cut_off_is_not_made(
    diskgen: Program, images: Path
) -> None:
    place = installers.machine(images / "os", how="none")
    words = ("raw", f"oci:{place}", "--target-imgref", "q.io/a", "-o", "os.raw", "--karg")
    done = diskgen.run(*words, "x" * 2000)
    assert done.returncode == 4
    assert "bytes, the kernel takes '2047'" in done.stderr
    assert "--karg" in done.stderr
    assert diskgen.left_behind() == []
    planned = diskgen.run("plan", *words[:4], "--karg", "x" * 2000)
    assert planned.returncode == 4
    assert "bytes, the kernel takes '2047'" in planned.stderr


def test_what_installed_machines_are_given_counts_on_media(diskgen: Program, images: Path) -> None:
    """Of the image, of options and of a user's kickstart, together; and the file for a server."""
    place = installers.machine(images / "os", installers.own_runtime(), how="none")
    mine, made = diskgen.home / "mine.ks", diskgen.home / "server.ks"
    mine.write_text(f'bootloader --append="x={"y" * 900}"\nclearpart --all\n')
    words = ("plan", "iso", f"oci:{place}", "--target-imgref", "q.io/a", "--kickstart", str(mine),
             "--write-kickstart", str(made), "--install-karg")  # fmt: skip
    done = diskgen.run(*words, f"z={'y' * 900}")
    assert done.returncode == 4
    assert "the kernel takes '2047'" in done.stderr
    assert "--install-karg" in done.stderr
    assert not made.exists()
    done = diskgen.run(*words, "quiet", "--payload", "remote")
    assert done.returncode == 0, done.stderr
    remote = language.parse(made.read_text(), "F44", "server.ks").handler.ostreecontainer
    assert (remote.transport, remote.url) == ("registry", "q.io/a")
    made.unlink()
    done = diskgen.run(*words, "quiet")
    assert done.returncode == 0, done.stderr
    parsed = language.parse(made.read_text(), "F44", "server.ks").handler
    assert parsed.ostreecontainer.url == "/run/install/repo/diskgen/container"
    assert parsed.bootloader.appendLine.endswith("y quiet")
    assert "DISKGEN-INSTALL done" in parsed.scripts[-1].script
    again = diskgen.run(*words, "quiet")
    assert again.returncode == 2
    assert f"'{made}' cannot be written" in again.stderr
    nobody = diskgen.run("plan", "iso", f"oci:{place}", "--target-imgref", "q.io/a",
                         "--write-kickstart", str(diskgen.home / "none.ks"))  # fmt: skip
    assert nobody.returncode == 2
    assert "--unattended" in nobody.stderr


def test_every_parameter_file_is_as_long_as_its_kernel_takes() -> None:
    """Also those that have more words than the menu's entries."""
    long = replace(CHOICES, kargs=("x" * 40,) * 90, label="L")
    lines = medium.mainframe_lines(long, own=False)
    assert lines.keys() == {"cdboot", "generic", "genericdvd", "image", "package",
                            "unattended-image"}  # fmt: skip
    most = max(len(line) for _title, line in lines.values()) + 2
    medium.check_mainframe(lines, most)
    with pytest.raises(UsageError, match=f"the kernel takes '{most - 2}'"):
        medium.check_mainframe(lines, most - 1)
    assert lines["genericdvd"][1].endswith("rd.cmdline=ask")
    sizes = [mainframe.line_size(mainframe_kernel(room=room)) for room in (0, 4096)]
    assert sizes == [896, 4096]
