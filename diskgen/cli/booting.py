"""``diskgen boot``: which machine to start, and how to get into it, by what was asked for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from .. import scratch
from ..arch import machine as machine_row
from ..config import SECTOR_SIZES
from ..errors import SourceError, UsageError
from ..ui import renderer
from ..units import GIB, MIB, parse_size
from ..vm import boot as machine_boot
from ..vm import credentials, forward, media, ssh
from ..vm.qemu import VirtualMachine
from .users import text_of
from .values import host_arch

_EMPTY_DISK: Final = 20 * GIB  # sparse, beside a medium


def boot(args: argparse.Namespace) -> int:
    """Boot a disk or a medium; the status is QEMU's, or with ``--ssh`` that of the command.

    Raises UsageError or HostError before anything is started, GuestError where nobody can log in.
    """
    if not args.file.is_file():
        raise UsageError(f"'{args.file}' is no file", hint="build one: diskgen qcow2 REF")
    access = _access(args)
    if media.is_medium(args.file):
        return _boot_medium(args, access)
    if args.disk is not None:
        raise UsageError(
            f"'{args.file}' is no installer's medium, so there is nothing to install on a disk",
            setting="disk",
        )
    if args.usb:
        raise UsageError(f"'{args.file}' is no installer's medium", setting="usb")
    disk = _outline(args.file)
    machine = VirtualMachine(
        disk=args.file,
        arch=machine_row(args.arch or disk["architecture"] or host_arch()).name,
        sector_size=disk["sector_size"],
        write=args.write,
        **_common(args, access),
    )
    with renderer("plain") as emit:
        if args.ssh is None:
            return machine_boot.boot(machine, emit)
        return ssh.session(machine, access, args.ssh, emit, seconds=args.timeout)


def _outline(path: Path) -> dict[str, Any]:
    from ..inspection.disk import outline

    try:
        return outline(path)
    except SourceError:  # not of ours, and the firmware may yet start it
        return {"architecture": None, "sector_size": SECTOR_SIZES[0]}


def _access(args: argparse.Namespace) -> credentials.Access:
    """Return who gets in. Raises UsageError."""
    given = tuple(credentials.parse(text) for text in args.credential)
    twice = {name for name, _value in given if [n for n, _v in given].count(name) > 1}
    if twice:
        raise UsageError(f"'{min(twice)}' is given twice", setting="credential")
    keys = tuple(line for path in args.user_key for line in _keys(path))
    return credentials.Access(keys=keys, password=args.root_password_hash, given=given)


def _keys(path: Path) -> list[str]:
    """Return the keys of a file, one a line, as authorized_keys has them. Raises UsageError."""
    setting = "user-key"
    lines = text_of(path, setting).splitlines()
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not keys or "PRIVATE" in keys[0]:
        raise UsageError(
            f"'{path}' holds no public key", hint="name the .pub file", setting=setting
        )
    return keys


def _common(args: argparse.Namespace, access: credentials.Access) -> dict[str, Any]:
    """Return what machines of disks and media have in common."""
    return {
        "firmware": args.firmware,
        "memory": parse_size(args.memory, setting="memory") // MIB,
        "network": not args.no_network,
        "forwards": tuple(forward.parse(text) for text in args.forward),
        "credentials": credentials.of(access),
    }


def _boot_medium(args: argparse.Namespace, access: credentials.Access) -> int:
    """Start an installer's medium with a disk: an empty one that is thrown away, or ``--disk``."""
    if args.disk is not None and not args.disk.is_file():
        raise UsageError(
            f"'{args.disk}' is no file", hint="make one: truncate -s 20G FILE", setting="disk"
        )
    if args.ssh is not None or access.keys or access.password is not None:
        raise UsageError(
            f"'{args.file}' is an installer's medium, and nobody logs in to an installer",
            hint="install it on a --disk, and boot that",
            setting="ssh" if args.ssh is not None else "user-key" if access.keys
            else "root-password-hash",
        )  # fmt: skip
    with scratch.directory() as place:
        disk = args.disk
        if disk is None:
            disk = place / "disk"
            with disk.open("wb") as file:
                file.truncate(_EMPTY_DISK)
        machine = VirtualMachine(
            disk=disk,
            medium=args.file,
            arch=machine_row(args.arch or media.architecture(args.file) or host_arch()).name,
            write=True,
            attach="usb" if args.usb else "cdrom",
            **_common(args, access),
        )
        with renderer("plain") as emit:
            return machine_boot.boot(machine, emit)
