"""Room for updates: /boot, the ESP and the root hold two deployments, or somebody is told."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskgen.arch import MACHINES
from diskgen.build import plan_only
from diskgen.config import Request
from diskgen.disk import ext4, room
from diskgen.errors import UsageError
from diskgen.events import discard
from diskgen.iso.kickstarts import kickstart, partitions
from diskgen.kickstart import language
from diskgen.layout import BOOT_SIZE, ESP_SIZE, Content, Role, make_layout
from diskgen.reference import parse
from diskgen.tree import Directory, regular
from diskgen.units import GIB, MIB

from ..fixtures.oci import KERNEL, TarBuilder, bootable
from ..fixtures.program import Program

X86 = MACHINES["x86_64"]
LARGE = Content(root=4 * GIB, boot=(500 * MIB, 950 * MIB, 1400 * MIB), esp=(400 * MIB, 800 * MIB))


def boot_of(deployments: int, kernel: bytes) -> Directory:
    tree = Directory()
    tree.add("grub2/grub.cfg", regular(b"menu" * 1000))
    for number in range(deployments):
        folder = tree.make_dirs(f"ostree/default-{number}")
        folder.add("vmlinuz", replace(regular(kernel), dense=True))
        folder.add("initramfs.img", replace(regular(kernel), dense=True))
    return tree


def test_boot_holds_three_deployments(tmp_path: Path) -> None:
    kernel = bytes(range(256)) * (12 * MIB // 256)
    sizes = room.of_boot(boot_of(1, kernel))
    assert len(sizes) == 3
    for deployments, size in enumerate(sizes, 1):
        disk = tmp_path / f"boot-{deployments}"
        with disk.open("wb") as file:
            file.truncate(size)
        ext4.make_empty(
            disk, offset=0, size=size, uuid=UUID(int=1), label="boot", hash_seed=UUID(int=2),
            timestamp=0, verity=False,
        )  # fmt: skip
        ext4.populate(
            disk, offset=0, root=boot_of(deployments, kernel), timestamp=0, advance=lambda _: None
        )
        subprocess.run(["e2fsck", "-fn", disk], check=True, capture_output=True)
    assert sizes[2] < sizes[0] + 2 * (24 * MIB + 4 * MIB)


def test_boot_partitions_grow_with_what_they_hold() -> None:
    layout = make_layout(X86, seed="s", content=LARGE, disk_size=None)
    assert layout.partition(Role.BOOT).size >= 1400 * MIB * 10 // 9
    assert layout.partition(Role.ESP).size >= 800 * MIB * 10 // 9
    assert layout.partition(Role.ROOT).size >= 8 * GIB
    assert layout.warnings == ()
    small = make_layout(X86, seed="s", content=Content(root=MIB, boot=(MIB,)), disk_size=None)
    assert small.partition(Role.BOOT).size == BOOT_SIZE
    assert small.partition(Role.ESP).size == ESP_SIZE


def test_three_kernels_where_they_fit_else_two_else_a_warning() -> None:
    def boot(size: int) -> tuple[int, int]:
        layout = make_layout(X86, seed="s", content=LARGE, disk_size=size)
        return layout.partition(Role.BOOT).size // MIB, len(layout.warnings)

    three, two, one = ((mega * MIB * 10 // 9 // MIB) + 1 for mega in (1400, 950, 500))
    assert boot(12 * GIB) == (three, 0)
    assert boot(9 * GIB) == (two, 1)  # the root has no room for two
    tight = 1 + 1 + 501 + 1024 + 4096 + 1
    assert boot(tight * MIB) == (max(one, 1024), 3)
    with pytest.raises(UsageError, match="too small"):
        boot((tight - 1) * MIB)


@given(
    root=st.integers(1, 20 * GIB),
    boot=st.integers(1, GIB),
    esp=st.integers(1, GIB),
    disk=st.one_of(st.none(), st.integers(2048, 80 * 1024).map(lambda m: m * MIB)),
    fixed=st.one_of(st.none(), st.integers(1, 3000).map(lambda m: m * MIB)),
)
def test_whatever_has_no_room_for_a_second_deployment_is_named(
    root: int, boot: int, esp: int, disk: int | None, fixed: int | None
) -> None:
    content = Content(root=root, boot=(boot, 2 * boot, 3 * boot), esp=(esp, 2 * esp))
    sizes = {} if fixed is None else {Role.BOOT: fixed}
    try:
        layout = make_layout(X86, seed="x", content=content, disk_size=disk, sizes=sizes)
    except UsageError:
        assert disk is not None or fixed is not None
        return
    words = {Role.ROOT: "root filesystem", Role.BOOT: "boot partition", Role.ESP: "EFI system"}
    needs = {Role.ROOT: 2 * root, Role.BOOT: 2 * boot * 10 // 9, Role.ESP: 2 * esp * 10 // 9}
    for role, need in needs.items():
        size = layout.partition(role).size
        named = any(words[role] in warning for warning in layout.warnings)
        assert named == (size < need), (role, layout.warnings)
        assert size >= {Role.ROOT: root, Role.BOOT: boot, Role.ESP: esp}[role]


def test_sizes_of_the_users_own_are_kept_and_judged(images: Path, tmp_path: Path) -> None:
    tar = TarBuilder()
    tar.file(f"usr/lib/modules/{KERNEL}/vmlinuz", bytes(40 * MIB), mode=0o755)
    source = parse(f"oci:{bootable(images / 'os', tar.finish())}")

    def plan(mega: int) -> tuple[int, str]:
        request = Request(format="raw", source=source, target=parse("q.io/x:1"), arch="x86_64",
                          sizes={"boot": mega * MIB}, cache=tmp_path)  # fmt: skip
        made = plan_only(request, discard)
        return made.layout.partition(Role.BOOT).size, "\n".join(made.warnings)

    assert plan(200) == (200 * MIB, "")
    size, warning = plan(80)
    assert size == 80 * MIB
    assert "the boot partition of 80 MiB has no room for the files of a second" in warning
    with pytest.raises(UsageError, match="the boot partition of 40 MiB is too small"):
        plan(40)


def test_a_small_disk_is_made_with_a_warning(diskgen: Program, images: Path) -> None:
    tar = TarBuilder()
    tar.file("usr/share/large", b"large" * (60 * MIB // 5))
    source = f"oci:{bootable(images / 'os', tar.finish())}"
    words = ("plan", "raw", source, "--target-imgref", "q.io/x:1", "--json", "--disk-size")
    (warning,) = json.loads(diskgen(*words, "1620M"))["warnings"]
    assert "the root filesystem" in warning
    assert "no room for two deployments; a disk of 5 GiB has it" in warning
    assert json.loads(diskgen(*words, "2G"))["warnings"] == []


def test_anaconda_is_told_what_boot_must_hold() -> None:
    settings = kickstart.Settings(reference="q.io/a", digest="sha256:1")
    how = kickstart.Unattended(disk="vda")
    for content, commands in (
        (Content(boot=(200 * MIB, 300 * MIB, 400 * MIB)), ["reqpart --add-boot"]),
        (LARGE, ["reqpart", "part /boot --size=1556"]),
    ):
        made = kickstart.unattended(
            replace(settings, boot=partitions.commands(content)), how, "F44", mode="image",
            offline=True,
        )  # fmt: skip
        lines = made.splitlines()
        at = lines.index(commands[0])
        assert lines[at : at + len(commands)] == commands


def test_a_kickstart_with_a_small_boot_partition_is_named() -> None:
    def doubts(mega: int, more: str = "") -> list[str]:
        text = f"part /boot --size={mega} {more}\npart / --size=3000 --grow\n"
        handler = language.parse(text, "F44", "my.ks").handler
        return list(partitions.doubts("my.ks", handler, LARGE))

    assert doubts(1100) == []
    assert doubts(600, "--grow") == []
    with pytest.raises(UsageError, match="the boot partition of 500 MiB is too small") as caught:
        doubts(500)
    assert caught.value.setting == "kickstart"
    assert doubts(600) == [
        "'my.ks': an update may fail: the boot partition of 600 MiB has no room for the files of a "
        "second deployment; give it at least 1056 MiB"
    ]
