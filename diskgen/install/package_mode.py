"""The traditional way: partitions, filesystems, and packages by the distribution's own tools."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from ..arch import MACHINES, Machine
from ..blueprint.model import Customizations, Firewall
from ..bootloader import grub_config
from ..decision import setup
from ..disk import makers
from ..errors import HostError, UsageError
from ..events import Emit, step
from ..kickstart.recipe import FIREWALLD, PackageSource, Recipe
from ..layout import Content, Filesystem, Layout, Role, make_layout
from ..run import run, which
from ..units import GIB, MIB, align_down
from . import dnf, medium, partitioning
from . import target as targets
from .disks import Disk
from .target import PHYSICAL, ROOT, Mounts, Target

_LEAST: Final = 3 * GIB  # of a root filesystem
_OS_RELEASE: Final = Path("/etc/os-release")
# What makes a Debian a machine, beside what %packages names; {kernel} by architecture.
_DEBIAN: Final = (
    "systemd-sysv", "udev", "dbus", "initramfs-tools", "e2fsprogs", "kmod", "passwd", "login",
    "iproute2", "ca-certificates",
)  # fmt: skip
_DEBIAN_LOADER: Final = {
    "uefi": ("grub-efi-{kernel}", "grub-efi-{kernel}-signed", "shim-signed", "dosfstools"),
    "bios": ("grub-pc",),
}
# The same of the Fedora family, whose @core has neither kernel nor boot loader.
_FEDORA: Final = ("dracut", "grub2-tools")
_FEDORA_LOADER: Final = {
    "uefi": ("grub2-efi-{suffix}", "shim-{suffix}", "efibootmgr", "dosfstools"),
    "bios": ("grub2-pc",),
}
_CHECKERS: Final = {"ext4": "e2fsprogs", "xfs": "xfsprogs", "btrfs": "btrfs-progs"}
_KERNELS: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_COMPONENTS: Final = "main"
_NETWORK: Final = "[Match]\nType=ether\n[Network]\nDHCP=yes\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How a family of distributions is installed: by which program, from what kind of source."""

    name: str
    program: str


def family(source: PackageSource, on_medium: str | None) -> Family:
    """Return how to install from a source. Raises HostError without the program it takes."""
    kinds = {"rpm": "dnf", "apt": "mmdebstrap", "debs": "mmdebstrap"}
    if on_medium is not None:
        program = kinds[on_medium]
    elif source.kind != "url":
        program = "dnf"  # nobody else has such lists of mirrors
    else:
        program = "mmdebstrap" if which("mmdebstrap") is not None else "dnf"
    if which(program) is None:
        raise HostError(
            f"installing packages takes '{program}', which this installer does not have",
            hint="add it to the installer's image, or install in image mode",
        )
    return Family(name="debian" if program == "mmdebstrap" else "fedora", program=program)


def check(recipe: Recipe, machine: Machine, on_medium: str | None) -> Family:
    """Refuse what cannot be done. Raises HostError or UsageError."""
    assert recipe.packages is not None
    if machine.name not in _KERNELS:
        raise UsageError(
            f"packages cannot be installed on '{machine.name}' by this installer",
            hint="install in image mode, or by Anaconda",
        )
    if not recipe.packages.url:
        raise UsageError(
            "the kickstart does not say where packages come from", hint="give it 'url --url=…'"
        )
    for url in _urls(recipe.packages):
        path = medium.local(url)
        if url.startswith("file:") and (path is None or not path.exists()):
            raise UsageError(
                f"the packages are to come from '{url}', which is not here",
                hint="start the machine from the medium that holds them",
            )
    kind = Filesystem(recipe.storage.filesystem or Filesystem.EXT4)
    maker = makers.COMMANDS[kind][0]
    if which(maker) is None:
        raise HostError(
            f"a root filesystem of type '{kind}' takes '{maker}', which this installer does not "
            "have",
            hint="choose ext4",
        )
    how = family(recipe.packages, on_medium)
    if how.name == "fedora":
        dnf.check(recipe.packages, dnf.release_version(_os_release()), dnf.keys())
    return how


def install(
    recipe: Recipe,
    wanted: Customizations,
    disk: Disk,
    arch: str,
    how: Family,
    mounts: Mounts,
    emit: Emit,
) -> Target:
    """Partition a disk, whose contents are lost, and install packages onto it.

    ``wanted`` is what the machine is given later. The target is left mounted. Raises DiskgenError.
    """
    assert recipe.packages is not None
    machine = MACHINES[arch]
    kind = Filesystem(recipe.storage.filesystem or Filesystem.EXT4)
    layout = make_layout(
        machine,
        seed=str(uuid4()),  # each machine is another one
        content=Content(root=_LEAST),  # its kernels are not known before they are installed
        disk_size=align_down(disk.size, MIB),
        sector_size=disk.sector_size,
        root_filesystem=kind,
        sizes=recipe.storage.sizes,
    )
    with step(emit, "partition", f"Partitioning {disk.name}"):
        partitioning.partition(disk, layout)
        partitioning.mount(disk, layout, mounts)
    target = Target(PHYSICAL)
    if how.name == "fedora":
        mounts.enter(PHYSICAL)  # its packages' scripts look at the machine
        target.write("etc/kernel/cmdline", _command_line(recipe, machine, layout))
    with step(emit, "packages", "Installing packages") as phase:
        (_debian if how.name == "debian" else _fedora)(recipe, wanted, machine, target)
        phase.detail = f"by {how.program}"
    if how.name == "debian":
        mounts.enter(PHYSICAL)
    partitioning.show(layout, mounts)
    mounts.enter(ROOT)
    target = Target(ROOT)
    target.write("etc/fstab", partitioning.fstab(layout))
    if not wanted.hostname:
        target.write("etc/hostname", "localhost\n")
    target.write("etc/machine-id", "")
    with step(emit, "bootloader", "Installing the boot loader"):
        _boot_loader(target, disk, recipe, machine, how)
        if how.name == "fedora" and targets.has_uefi():
            point_to_menus(target, machine, layout)
    return target


def _debian(recipe: Recipe, given: Customizations, machine: Machine, target: Target) -> None:
    source = recipe.packages
    assert source is not None
    suite = _suite()
    kernel = _KERNELS[machine.name]
    names = [name for name in source.names if not name.startswith("@")]
    wanted = [*_DEBIAN, *_DEBIAN_LOADER["uefi" if targets.has_uefi() else "bios"]]
    if not any(name.startswith("linux-image-") for name in names):
        wanted.append("linux-image-{kernel}")
    if given.timezone not in (None, *setup.UTC):
        wanted.append("tzdata")
    if _has_firewall(given):
        wanted.append(FIREWALLD)
    include = ",".join(dict.fromkeys([*(n.format(kernel=kernel) for n in wanted), *names]))
    # A directory of packages is of no suite, and what is essential is then looked for in all.
    flat = any(line.endswith(" ./") for line in _apt_lines(source, suite))
    argv: list[str | Path] = [
        "mmdebstrap", "--verbose", "--mode=root", "--variant=apt", "--skip=check/empty",
        f"--include={include}", *_hooks(), "" if flat else suite, target.root,
        *_apt_lines(source, suite),
    ]  # fmt: skip
    run(argv)
    network = target.root / "etc/systemd/network"
    if network.is_dir() and not any(network.iterdir()):
        target.write("etc/systemd/network/20-wired.network", _NETWORK)
        target.run("systemctl", "enable", "systemd-networkd")
    for url, line in zip(_urls(source), _apt_lines(source, suite), strict=True):
        if url.startswith("file:"):  # the medium will not be there
            place = target.root / "etc/apt/sources.list"
            if place.is_file():
                place.write_text(place.read_text().replace(line, f"# {line}"))


def _hooks() -> list[str]:
    """Return the option by which mmdebstrap shows packages on this machine to the target."""
    place = Path("/usr/share/mmdebstrap/hooks/file-mirror-automount")
    return [f"--hook-directory={place}"] if place.is_dir() else []


def _suite() -> str:
    """Return the suite that the runtime is of: what it installs is its own distribution."""
    match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', _os_release(), re.MULTILINE)
    return match[1] if match else "stable"


def _os_release() -> str:
    """Return the os-release of the runtime."""
    return _OS_RELEASE.read_text(errors="replace") if _OS_RELEASE.is_file() else ""


def _apt_lines(source: PackageSource, suite: str) -> Iterator[str]:
    """Yield lines of sources.list(5). A flat directory of packages has no suites.

    What is not on the medium is verified by the keys that this machine has.
    """
    for url in _urls(source):
        path = medium.local(url)
        flat = path is not None and not (path / "dists").is_dir()
        trusted = "[trusted=yes] " if medium.holds(url) else ""
        suites = "./" if flat else f"{suite} {_COMPONENTS}"
        yield f"deb {trusted}{url.replace('file://', 'file:')} {suites}"


def _urls(source: PackageSource) -> tuple[str, ...]:
    assert source.url is not None
    return (source.url, *source.repositories.values())


def _fedora(recipe: Recipe, given: Customizations, machine: Machine, target: Target) -> None:
    assert recipe.packages is not None
    dnf.install(
        recipe.packages,
        rpm_names(recipe, given, machine, uefi=targets.has_uefi()),
        machine,
        target,
        version=dnf.release_version(_os_release()),
        trusted=dnf.keys(),
    )


def rpm_names(
    recipe: Recipe, given: Customizations, machine: Machine, *, uefi: bool
) -> tuple[str, ...]:
    """Return what is to be installed of the Fedora family: what is named, and what starts it."""
    source = recipe.packages
    assert source is not None
    kind = recipe.storage.filesystem or Filesystem.EXT4
    firewall = [FIREWALLD] if _has_firewall(given) else []
    wanted = [*firewall, *_FEDORA, _CHECKERS[kind], *_FEDORA_LOADER["uefi" if uefi else "bios"]]
    if not any(name.startswith("kernel") for name in source.names):
        wanted.insert(0, "kernel")
    found = [name.format(suffix=machine.efi_suffix) for name in wanted]
    return (*source.names, *(name for name in found if name not in source.excluded))


def _has_firewall(given: Customizations) -> bool:
    return given.firewall != Firewall() or FIREWALLD in given.services.enabled


def _command_line(recipe: Recipe, machine: Machine, layout: Layout) -> str:
    """Return the kernel's arguments for kernel-install(8), which would take the installer's own."""
    root = layout.partition(Role.ROOT).fs_uuid_text
    return " ".join((f"root=UUID={root}", "ro", *machine.consoles, *recipe.kargs)) + "\n"


def point_to_menus(target: Target, machine: Machine, layout: Layout) -> None:
    """Tell each GRUB on the ESP, which packages put there, where its menu is."""
    text = grub_config.stub(layout.partition(Role.BOOT).fs_uuid_text, "grub2")
    for program in target.place("boot/efi/EFI").glob(f"*/grub{machine.efi_suffix}.efi"):
        target.write(f"boot/efi/EFI/{program.parent.name}/grub.cfg", text)


def grub_settings(recipe: Recipe, machine: Machine, how: Family) -> dict[str, str]:
    """Return what grub-mkconfig is told (GRUB manual, "Simple configuration handling").

    A menu on every console, in text: where there is no screen, BIOS hangs in its graphics.
    """
    made = {
        "GRUB_TIMEOUT": "2",
        "GRUB_CMDLINE_LINUX": " ".join((*machine.consoles, *recipe.kargs)),
        "GRUB_CMDLINE_LINUX_DEFAULT": "",
        "GRUB_TERMINAL": "console",
    }
    if machine.serial_grub is not None:
        made |= {"GRUB_TERMINAL": "console serial", "GRUB_SERIAL_COMMAND": machine.serial_grub}
    if how.name == "fedora":
        made["GRUB_ENABLE_BLSCFG"] = "true"
    return made


def _boot_loader(target: Target, disk: Disk, recipe: Recipe, machine: Machine, how: Family) -> None:
    place = "etc/default/grub.d/50-diskgen.cfg" if how.name == "debian" else "etc/default/grub"
    settings = grub_settings(recipe, machine, how)
    target.write(place, "".join(f'{name}="{value}"\n' for name, value in settings.items()))
    program = "grub-install" if target.has("grub-install") else "grub2-install"
    if targets.has_uefi():
        words = [f"--target={machine.efi_grub}", "--force-extra-removable", "--no-nvram"]
        if how.name == "fedora":
            words = []  # shim and GRUB of the packages lie on the ESP already
    else:
        words = [f"--target={machine.bios_grub}", str(disk.path)]
    if words:
        target.run(program, *words)
    if target.has("update-grub"):
        target.run("update-grub")
    else:
        target.run("grub2-mkconfig", "-o", "/boot/grub2/grub.cfg")


def installed_machine() -> str:
    """Return this machine's architecture as ``arch.MACHINES`` names it. Raises HostError."""
    name = platform.machine()
    if name not in MACHINES:
        raise HostError(f"'{name}' machines are not known")
    return name
