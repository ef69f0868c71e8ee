"""The boot menu of an installer's medium: one model, and the text of it for GRUB.

The same entries everywhere: BIOS and UEFI read the same words, parameter files of mainframes the
same arguments. Nothing that erases a disk is above a submenu, and never the default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ...cut_off import cut_off
from ...errors import UsageError
from ..mastering import identity

TIMEOUT_SECONDS: Final = 60
_SPECIAL: Final = re.compile(r"""["'\\$`;|&<>{}\n]""")
_PLAIN_DEVICE: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789#+-.:=@_"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to start; ``command`` is a GRUB command where it is no kernel."""

    title: str
    arguments: tuple[str, ...] = ()
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submenu:
    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """A whole menu; the first entry is the default."""

    label: str  # of the medium
    mark: str  # a file that this medium alone has; empty: it is known by its label
    kernel: str
    initrd: str
    entries: tuple[Entry | Submenu, ...]
    timeout: int = TIMEOUT_SECONDS
    serial: bool  # show the menu on the serial line too
    verb: str = ""  # what follows "linux" and "initrd": "efi" for GRUBs of old


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a medium offers."""

    product: str
    label: str
    identity: str = ""  # of the medium
    stage2: bool = True  # the installer looks for its runtime by inst.stage2
    image: bool = True
    packages: bool = True
    packages_need_network: bool = True
    unattended: tuple[tuple[str, str], ...] = ()  # (mode, disk) of kickstarts on the medium
    kargs: tuple[str, ...] = ()
    fips: bool = False  # the installer knows what fips=1 takes
    console: str = "ttyS0,115200"

    @property
    def modes(self) -> tuple[str, ...]:
        """What diskgen.mode may be, the default first."""
        return ("image",) * self.image + ("package",) * self.packages


def escape_device(label: str) -> str:
    r"""Return a label as udev names its link: ``\xNN`` for what is not plain (libblkid)."""
    return "".join(
        char if char in _PLAIN_DEVICE or not char.isascii() else f"\\x{ord(char):02x}"
        for char in label
    )


def arguments(choices: Choices, *words: str) -> tuple[str, ...]:
    """Return the kernel arguments that every entry has, and further ones."""
    own = [f"inst.stage2=hd:LABEL={escape_device(choices.label)}"]
    own += [f"{identity.ARGUMENT}={choices.identity}"] if choices.identity else []
    return (*(own if choices.stage2 else []), *words, *choices.kargs)


def unattended_words(choices: Choices, mode: str) -> tuple[str, ...]:
    """Return the kernel arguments by which a mode installs without a question."""
    place = f"hd:LABEL={escape_device(choices.label)}:/diskgen/unattended-{mode}.ks"
    return f"inst.ks={place}", f"diskgen.mode={mode}"


def erasing_title(mode: str, disk: str) -> str:
    """Return what is said of that, wherever it can be chosen."""
    return f"ERASE {disk} and install in {mode} mode without a question"


def make(choices: Choices, *, kernel: str, initrd: str, bios: bool) -> Menu:
    """Return the menu of a medium. Raises UsageError for words that GRUB would misread."""
    image, package = "diskgen.mode=image", "diskgen.mode=package"
    network = " (needs the network)" if choices.packages_need_network else ""
    modes: list[tuple[str, str]] = []
    if choices.image:
        modes.append((f"Install {choices.product} - image mode (recommended)", image))
    if choices.packages:
        title = f"Install {choices.product} - traditional, package by package{network}"
        modes.append((title, package))
    if not modes:
        raise UsageError("a medium must offer image mode or packages", setting="mode")
    ask = "diskgen.mode=ask" if len(modes) == 2 else modes[0][1]
    entries: list[Entry | Submenu] = [
        Entry(title=title, arguments=arguments(choices, mode, "quiet")) for title, mode in modes
    ]
    entries.append(
        Entry(
            title=f"Test this medium, then install {choices.product}",
            arguments=arguments(choices, "rd.live.check", modes[0][1], "quiet"),
        )
    )
    entries.append(Submenu(title="Troubleshooting", entries=_trouble(choices, ask, bios=bios)))
    if choices.unattended:
        erasing = [
            Entry(
                title=erasing_title(mode, disk),
                arguments=arguments(choices, *unattended_words(choices, mode)),
            )
            for mode, disk in choices.unattended
        ]
        disks = ", ".join(dict.fromkeys(disk for _mode, disk in choices.unattended))
        entries.append(Submenu(title=f"Unattended - ERASES {disks}", entries=tuple(erasing)))
    mark = f"/diskgen/{identity.mark(choices.identity)}" if choices.identity else ""
    menu = Menu(
        label=choices.label, mark=mark, kernel=kernel, initrd=initrd, entries=tuple(entries),
        serial=bios,
    )  # fmt: skip
    for text in _texts(menu.entries):
        if _SPECIAL.search(text.replace("\\x", "")):
            raise UsageError(
                f"'{text}' cannot stand in a boot menu", setting=_origin(choices, text)
            )
    return menu


def _trouble(choices: Choices, ask: str, *, bios: bool) -> tuple[Entry, ...]:
    """Return what helps where the plain entries do not; ``ask`` is the argument for the mode."""
    trouble = [
        Entry(title="Install with basic graphics", arguments=arguments(choices, "nomodeset", ask)),
        Entry(title="Install in text mode", arguments=arguments(choices, "inst.text", ask)),
        Entry(
            title="Install over the serial line",
            arguments=arguments(choices, f"console={choices.console}", "inst.text", ask),
        ),
        *(
            [Entry(title="Install in FIPS mode", arguments=arguments(choices, "fips=1", ask))]
            if choices.fips
            else []
        ),
        Entry(title="Rescue an installed system", arguments=arguments(choices, "inst.rescue")),
    ]
    trouble.append(
        Entry(title="Start from the first disk", command="chainloader (hd0)+1")
        if bios
        else Entry(title="Firmware settings", command="fwsetup")
    )
    return tuple(trouble)


def check_length(menu: Menu, most: int) -> None:
    """Refuse arguments that a kernel would cut off; ``most`` in bytes. Raises UsageError."""
    for item in menu.entries:
        for entry in item.entries if isinstance(item, Submenu) else (item,):
            line = f"BOOT_IMAGE={menu.kernel} {' '.join(entry.arguments)}"  # as GRUB gives it
            problem = cut_off(line, most, setting="karg", entry=entry.title)
            if problem is not None:
                raise UsageError.of(problem)


def _origin(choices: Choices, text: str) -> str:
    """Return the option that words of the menu come from."""
    if text in choices.kargs:
        return "karg"
    if any(disk and disk in text for _mode, disk in choices.unattended):
        return "unattended"
    return "product"


def to_grub(menu: Menu) -> str:
    """Return grub.cfg."""
    lines = [
        "# Written by diskgen.",
        f"set timeout={menu.timeout}",
        "set default=0",
        "insmod part_gpt",
        "insmod iso9660",
        "insmod all_video",
        "set gfxpayload=keep",
        "search --no-floppy --set=root "
        + (f"--file {menu.mark}" if menu.mark else f"--label {menu.label}"),
    ]
    if menu.serial:
        lines += [
            "serial --unit=0 --speed=115200",
            "terminal_input console serial",
            "terminal_output console serial",
        ]
    for item in menu.entries:
        if isinstance(item, Submenu):
            lines.append(f"submenu '{item.title}' {{")
            for entry in item.entries:
                lines += [f"  {line}" for line in _grub_entry(menu, entry)]
            lines.append("}")
        else:
            lines += _grub_entry(menu, item)
    return "\n".join(lines) + "\n"


def _grub_entry(menu: Menu, entry: Entry) -> Iterator[str]:
    yield f"menuentry '{entry.title}' {{"
    if entry.command is not None:
        yield f"  {entry.command}"
    else:
        words = " ".join(word.replace("\\", "\\\\") for word in entry.arguments)
        yield f"  linux{menu.verb} {menu.kernel} {words}"
        yield f"  initrd{menu.verb} {menu.initrd}"
    yield "}"


def _texts(entries: Sequence[Entry | Submenu]) -> Iterator[str]:
    for entry in entries:
        yield entry.title
        if isinstance(entry, Submenu):
            yield from _texts(entry.entries)
        else:
            yield from entry.arguments
