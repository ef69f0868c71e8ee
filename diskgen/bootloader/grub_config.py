"""GRUB's configuration files, as text."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

TIMEOUT_SECONDS: Final = 3


class Menu(StrEnum):
    """How GRUB's menu follows the boot loader entries that ostree writes."""

    BLSCFG = "blscfg"  # Fedora's command
    BLSUKI = "blsuki"  # upstream's, since 2.14
    SCRIPT = "script"  # read by GRUB script: any GRUB with its regexp module


DESCRIPTIONS: Final = {
    Menu.BLSCFG: "GRUB's blscfg reads /boot/loader/entries",
    Menu.BLSUKI: "GRUB's blscfg reads /boot/loader/entries",
    Menu.SCRIPT: "a script in grub.cfg reads /boot/loader/entries (this GRUB has no blscfg)",
}

# What the script cannot carry: GRUB's parser gives these a meaning of their own.
_SPECIAL: Final = re.compile(r"""["'\\$;|&<>{}*?\[\]]""")

_OSTREE_KARG: Final = r"ostree=/ostree/boot\.[01]/([^/ ]+)/([0-9a-f]+)/"

# Each line of a boot loader entry is a command to GRUB when the file is sourced. Its keys are
# functions here, all but `linux` and `initrd`, which are commands and cannot be replaced. libostree
# writes `options` before them, so that is where the machine is started; it never gets to the
# others. The argument ostree= says where kernel and initramfs are, because libostree names their
# directory and its boot links alike.
_FUNCTIONS: Final = r"""
function title { true; }
function version { true; }
function devicetree { true; }
function fdtdir { true; }
function aboot { true; }
function abootcfg { true; }
function options {
  set bls_options="$* $bls_more"
  regexp --set=1:bls_root --set=2:bls_sum '@OSTREE@' "$bls_options"
  for bls_kernel in ($boot)/ostree/$bls_root-$bls_sum/vmlinuz-*; do
    linux $bls_kernel $bls_options
  done
  for bls_initrd in ($boot)/ostree/$bls_root-$bls_sum/initramfs-*; do
    initrd $bls_initrd
  done
  boot
}
function boot_entry {
  set bls_file="$1"
  shift
  set bls_more="$*"
  source "$bls_file"
}
"""

# ostree numbers its entries from the oldest, so the highest is the default. GRUB expands patterns
# in the order of the directory's hash: the numbers are counted down instead.
_MOST_ENTRIES: Final = 24
_LISTING: Final = r"""
for bls_number in @NUMBERS@; do
  for bls_file in ($boot)/loader/entries/ostree-$bls_number.conf \
                  ($boot)/loader/entries/ostree-$bls_number-*.conf; do
    if [ -f "$bls_file" ]; then
      menuentry "@TITLE@ (deployment $bls_number)" "$bls_file" {
        # further kernel arguments can be given behind "$2"
        boot_entry "$2"
      }
    fi
  done
done
"""


IGNITION_STAMP: Final = "ignition.firstboot"  # on /boot; Ignition removes it when it is done
IGNITION_URL: Final = "ignition.config.url"  # the kernel argument that Ignition reads
# The stamp may set ignition_network_kcmdline, by which a first boot reaches its network.
_IGNITION: Final = r"""
set ignition_firstboot=""
if [ -f ($boot)/@STAMP@ ]; then
  set ignition_network_kcmdline=""
  source ($boot)/@STAMP@
  set ignition_firstboot="@STAMP@ $ignition_network_kcmdline"
fi
"""


def ignition_stamp(url: str | None) -> bytes:
    """Return the stamp's text: with a URL, where the first boot gets its configuration."""
    if url is None:
        return b""
    return f"set ignition_network_kcmdline='{IGNITION_URL}={url}'\n".encode()


def special_characters(text: str) -> str:
    """Return the characters of a title or kernel arguments that the script menu cannot carry."""
    return "".join(sorted(set(_SPECIAL.findall(text))))


def stub(boot_uuid: str, directory: str) -> str:
    """Return the configuration beside GRUB's EFI binary: find /boot, go on there."""
    return (
        "# Written by diskgen: finds /boot, where the configuration is.\n"
        f"search --no-floppy --fs-uuid --set=root {boot_uuid}\n"
        f"set prefix=($root)/{directory}\n"
        "configfile $prefix/grub.cfg\n"
    )


def main(*, title: str, menus: dict[str, Menu], serial: str | None, ignition: bool = False) -> str:
    """Return /boot/grub/grub.cfg.

    ``menus`` maps GRUB's platforms (``efi``, ``pc``) to the way each reads entries; ``serial`` is
    the command that sets up the serial line on platforms whose firmware does not. With
    ``ignition``, entries find their first boot in a variable.
    """
    parts = [
        "# Written by diskgen. The menu is read from loader/entries at every boot: what ostree\n"
        "# deploys later appears by itself. Local additions: custom.cfg beside this file.",
        f"set timeout={TIMEOUT_SECONDS}\nset default=0\nset boot=$root",
        "if [ -s $prefix/grubenv ]; then load_env; fi",
    ]
    if serial:
        parts.append(console(serial).rstrip("\n"))
    if ignition:
        parts.append(_IGNITION.strip("\n").replace("@STAMP@", IGNITION_STAMP))
    if Menu.SCRIPT in menus.values():
        parts.append(_FUNCTIONS.strip("\n").replace("@OSTREE@", _OSTREE_KARG))  # top level only
    for platform, menu in sorted(menus.items()):
        body = _menu(menu, title)
        parts.append(f'if [ "$grub_platform" = {platform} ]; then\n{body}\nfi')
    parts.append("if [ -f $prefix/custom.cfg ]; then source $prefix/custom.cfg; fi")
    return "\n\n".join(parts) + "\n"


def console(serial: str) -> str:
    """Return the commands that put GRUB on the serial line too, where firmware does not."""
    return (
        'if [ "$grub_platform" = pc ]; then\n'
        f"  {serial}\n"
        "  terminal_input console serial\n"
        "  terminal_output console serial\n"
        "fi\n"
    )


def _menu(menu: Menu, title: str) -> str:
    if menu is Menu.BLSCFG:
        return "insmod blscfg\nblscfg"
    if menu is Menu.BLSUKI:
        return "insmod blsuki\nblscfg --path ($boot)/loader/entries"
    numbers = " ".join(str(number) for number in range(_MOST_ENTRIES, 0, -1))
    return _LISTING.strip("\n").replace("@TITLE@", title).replace("@NUMBERS@", numbers)


def environment_block() -> bytes:
    """Return an empty GRUB environment block: 1024 bytes (GRUB manual, "Environment block")."""
    head = (
        b"# GRUB Environment Block\n"
        b"# WARNING: Do not edit this file by tools other than grub-editenv!!!\n"
    )
    return head + b"#" * (1024 - len(head))
