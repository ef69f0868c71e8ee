"""The command line: flags in, a request out. The only module that knows flag names."""

from __future__ import annotations

import argparse
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

from . import __version__
from .arch import MACHINES
from .arch import machine as machine_row
from .budgets import BOOT_SECONDS
from .config import (
    BOUND_IMAGES,
    COMPRESSIONS,
    KICKSTART_VERSIONS,
    MODES,
    PAYLOADS,
    ROOT_FILESYSTEMS,
    SECTOR_SIZES,
    AccessOptions,
    IsoRequest,
    Request,
    User,
    default_output,
    file_suffix,
)
from .errors import UsageError
from .iso.mastering.names import check_label
from .link import parse as parse_link
from .place import PLACES
from .reference import TRANSPORTS, ImageRef, parse
from .terminal import visible
from .ui import PROGRESS_MODES
from .units import parse_size

_EXAMPLES: Final = """\
examples:
  diskgen qcow2 quay.io/centos-bootc/centos-bootc:stream10
  diskgen qcow2 registry.example/os:1 -o os.qcow2 --disk-size 20G --karg quiet
  diskgen raw oci:./layout:latest --target-imgref registry.example/os:1
  diskgen plan qcow2 registry.example/os:1
  diskgen boot os.qcow2 --ssh
  diskgen iso registry.example/os:1 -o os.iso
  diskgen plan iso registry.example/os:1 --packages ./rpms
"""


_NO_CHOICE: Final = re.compile(
    r"invalid choice: '(?P<given>[^']*)' \(choose from (?P<choices>.*)\)"
)
# What other tools of this field call it.
_MEANT: Final = {
    "anaconda-iso": "iso", "installer": "iso", "bootc-installer": "iso", "img": "raw",
    "disk": "raw", "azure": "vhd", "vpc": "vhd", "aws": "ami", "ec2": "ami", "gcp": "gce",
    "vsphere": "ova", "build": "qcow2", "run": "boot", "vm": "boot", "info": "inspect",
    "show": "inspect", "check": "doctor", "list": "ls", "clean": "prune", "rm": "prune",
}  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Whose complaints stay one line, whatever the arguments hold."""

    def error(self, message: str) -> NoReturn:
        super().error(visible(message) + _nearest(message))


def _nearest(complaint: str) -> str:
    """Return which of the choices was probably meant, in words; "" where none is near."""
    match = _NO_CHOICE.search(complaint)
    if match is None:
        return ""
    import difflib

    given = match["given"].lower()
    choices = re.findall(r"'?([^\s',]+)'?", match["choices"])
    meant = _MEANT.get(given)
    near = [meant] if meant in choices else difflib.get_close_matches(given, choices, 1, 0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def build_parser() -> argparse.ArgumentParser:
    """Return the whole command line's parser; completion, help and the man page test read it."""
    parser = _Parser(
        prog="diskgen",
        description="Turn a bootable container image into a disk: no root, no KVM, no mounts.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"diskgen {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, place in PLACES.items():
        command = _command(commands, name, place.text)
        _add_source(command)
        _add_disk(command)
        _add_access(command)
        _add_output(command, name)
        _add_progress(command)
    _add_iso(commands)
    _add_plan(commands)
    _add_others(commands)
    return parser


def request_of(args: argparse.Namespace) -> Request:
    """Return what a build or plan command asks for. Raises UsageError."""
    source = parse(args.reference)
    format_name = args.format if args.command == "plan" else args.command
    planned = args.command == "plan"
    return Request(
        format=format_name,
        source=source,
        target=parse(args.target_imgref, setting="target-imgref") if args.target_imgref else None,
        bound_images=args.bound_images,
        signature=args.target_signature,
        arch=machine_row(args.arch).name,
        variant=machine_row(args.arch).variant,
        output=None if planned else args.output or default_output(source, format_name),
        force=False if planned else args.force,
        disk_size=parse_size(args.disk_size, setting="disk-size") if args.disk_size else None,
        sector_size=args.sector_size,
        root_filesystem=args.rootfs,
        kargs=tuple(args.karg),
        karg_deletes=tuple(args.karg_delete),
        no_encryption=args.no_encryption,
        console=not args.no_console,
        compression=getattr(args, "compression", "zstd"),
        seed=args.seed,
        access=access_of(args),
        cache=args.cache_dir,
    )


def iso_request_of(args: argparse.Namespace) -> IsoRequest:
    """Return the medium that an iso or plan command asks for. Raises UsageError."""
    source = parse(args.reference)
    planned = args.command == "plan"
    if args.label is not None:
        check_label(args.label)
    if args.kickstart is not None and not args.kickstart.is_file():
        raise UsageError(f"'{args.kickstart}' is no file", setting="kickstart")
    return IsoRequest(
        source=source,
        target=parse(args.target_imgref, setting="target-imgref") if args.target_imgref else None,
        bound_images=args.bound_images,
        signature=args.target_signature,
        signature_key=args.target_signature_key,
        embed_authfile=args.embed_authfile,
        arch=machine_row(args.arch).name,
        variant=machine_row(args.arch).variant,
        output=None if planned else args.output or default_output(source, "iso"),
        force=False if planned else args.force,
        installer=_installer(args.installer),
        label=args.label,
        product=args.product,
        payload="remote" if args.remote_payload else args.payload,
        modes=MODES if args.mode == "both" else (args.mode,),
        packages=args.packages,
        package_names=tuple(args.package),
        kickstart=args.kickstart,
        unattended=args.unattended,
        kickstart_version=args.kickstart_version,
        max_size=parse_size(args.max_size, setting="max-size") if args.max_size else None,
        seed=args.seed,
        kargs=tuple(args.karg),
        install_kargs=tuple(args.install_karg),
        no_encryption=args.no_encryption,
        users=_users(args.accounts),
        root_password=args.root_password_hash,
        links=tuple(parse_link(text) for text in args.network),
        hostname=args.hostname,
        language=args.language,
        keyboard=args.keyboard,
        timezone=args.timezone,
        access=access_of(args),
        cache=args.cache_dir,
    )


def _installer(text: str | None) -> ImageRef | Path | None:
    """Return what an installer is taken from: a file that exists or looks like one, or an image."""
    if text is None:
        return None
    path = Path(text)
    if text.endswith(".iso") or path.is_file() or path.is_block_device():
        return path
    return parse(text, setting="installer")


def _users(given: Sequence[tuple[str, Any]]) -> tuple[User, ...]:
    """Return the accounts: each option belongs to the account that was named before it.

    Raises UsageError.
    """
    users: list[User] = []
    done: set[str] = set()
    for option, value in given:
        setting = option.lstrip("-")
        if setting == "user":
            users.append(User(name=value))
            done.clear()
            continue
        if not users:
            raise UsageError(
                f"{option} belongs to no account", hint="name the account before it", setting="user"
            )
        user = users[-1]
        if setting in done:
            raise UsageError(f"{option} is given twice for '{user.name}'", setting=setting)
        done.add(setting)
        if setting == "user-groups":
            users[-1] = replace(user, groups=tuple(filter(None, value.split(","))))
        elif setting == "user-key":
            users[-1] = replace(user, key=_key(value))
        else:
            users[-1] = replace(user, password=value)
    return tuple(users)


def _key(path: Path) -> str:
    """Return a public key's line. Raises UsageError."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' cannot be read: {error}", setting="user-key") from error
    if "\n" in text or "PRIVATE" in text:
        raise UsageError(
            f"'{path}' is not one public key", hint="name the .pub file", setting="user-key"
        )
    return text


def access_of(args: argparse.Namespace) -> AccessOptions:
    """Return how registries are to be reached. Raises UsageError for files that are not there."""
    for setting in (
        "authfile", "signature_policy", "registries_conf", "registries_d", "cert_dir",
    ):  # fmt: skip
        path: Path | None = getattr(args, setting)
        if path is not None and not path.exists():
            flag = setting.replace("_", "-")
            raise UsageError(f"'{path}' does not exist", setting=flag)
    return AccessOptions(
        authfile=args.authfile,
        tls_verify=args.tls_verify,
        cert_dir=args.cert_dir,
        policy=args.signature_policy,
        registries_conf=args.registries_conf,
        registries_d=args.registries_d,
    )


def default_cache() -> Path:
    """Return where blobs and layer indexes are kept: $DISKGEN_CACHE, else the XDG cache."""
    if named := os.environ.get("DISKGEN_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "diskgen"


def host_arch() -> str:
    """Return this machine's architecture where diskgen knows it, else x86_64."""
    name = platform.machine()
    return name if name in MACHINES else "x86_64"


def _command(commands: Any, name: str, text: str, **extra: Any) -> argparse.ArgumentParser:  # noqa: ANN401
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", **extra
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=argparse.SUPPRESS,  # a command and its format may both have it
        help="show which programs are started, and what they say",
    )
    return parser


def _add_source(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("image")
    group.add_argument(
        "reference",
        metavar="REF",
        help="the container image: a registry reference such as quay.io/project/os:1, or "
        + ", ".join(f"{t}:" for t in TRANSPORTS if t != "docker"),
    )
    group.add_argument(
        "--arch",
        default=host_arch(),
        metavar="ARCH",
        help="architecture of the machine: {}; with a variant of an index's image as x86_64/v3 "
        "(default: this machine's, %(default)s)".format(", ".join(MACHINES)),
    )
    group.add_argument(
        "--target-imgref",
        metavar="REF",
        help="the reference the machine updates from, when it is not REF",
    )
    group.add_argument(
        "--target-signature",
        metavar="RULE",
        help="what its updates must be signed with: ostree-unverified-registry (nothing), "
        "ostree-image-signed (what the image's containers policy wants), or "
        "ostree-remote-registry:REMOTE (the key of an ostree remote)",
    )
    group.add_argument(
        "--bound-images",
        choices=BOUND_IMAGES,
        help="leave out the images that the image is bound to: the machine fetches them at its "
        "next update (default: refuse such an image)",
    )


def _add_disk(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("disk")
    group.add_argument(
        "--disk-size",
        metavar="SIZE",
        help="size of the disk, such as 20G (default: room for two deployments, at least 10G)",
    )
    group.add_argument(
        "--sector-size",
        type=int,
        choices=SECTOR_SIZES,
        default=512,
        help="of the device the disk is for, in bytes (default: %(default)s)",
    )
    group.add_argument(
        "--rootfs",
        choices=ROOT_FILESYSTEMS,
        help="the root filesystem: ext4 in seconds, xfs and btrfs by libguestfs in minutes "
        "(default: what the image asks for, else ext4)",
    )
    _add_no_encryption(group)
    group.add_argument(
        "--karg", action="append", default=[], metavar="ARG", help="add a kernel argument"
    )
    group.add_argument(
        "--karg-delete",
        action="append",
        default=[],
        metavar="ARG",
        help="drop a kernel argument of the image: KEY or KEY=VALUE",
    )
    group.add_argument(
        "--no-console",
        action="store_true",
        help="add no console= arguments (by default screen and serial line, unless the image "
        "names consoles)",
    )
    _add_seed(group)


def _add_seed(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--seed",
        metavar="TEXT",
        help="derive all identifiers from the image's digest and TEXT, so that disks of one image "
        "can be told apart (default: from the digest alone)",
    )


def _add_iso(commands: Any) -> None:  # noqa: ANN401
    text = "make an installer medium, which installs the image or packages"
    command = _command(commands, "iso", text)
    _add_source(command)
    _add_medium(command)
    _add_machine(command)
    _add_access(command)
    _add_output(command, "iso")
    _add_progress(command)


def _add_medium(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("medium")
    group.add_argument(
        "--installer",
        metavar="SRC",
        help="a vendor's boot ISO or DVD (a file), or a container image that holds Anaconda or can "
        "run diskgen's own installer (default: diskgen's own installer, in REF itself)",
    )
    group.add_argument(
        "--payload",
        choices=PAYLOADS,
        default=PAYLOADS[0],
        help="where the installer gets the image: from the medium, from the registry, or from the "
        "registry and if that fails from the medium (default: %(default)s)",
    )
    group.add_argument("--remote-payload", action="store_true", help="the same as --payload remote")
    group.add_argument(
        "--mode",
        choices=(*MODES, "both"),
        default="both",
        help="what the menu offers (default: both, packages where their source is known)",
    )
    group.add_argument(
        "--packages",
        metavar="SRC",
        help="where packages come from: a directory with an RPM tree, an apt repository or .deb "
        "files, which goes onto the medium; or a URL, mirrorlist=URL or metalink=URL",
    )
    group.add_argument(
        "--package",
        action="append",
        default=[],
        metavar="NAME",
        help="a package, @group or @^environment of the traditional installation",
    )
    group.add_argument(
        "--label", metavar="LABEL", help="of the medium (default: as the distribution has it)"
    )
    group.add_argument(
        "--product", metavar="NAME", help="what menus call the system (default: its PRETTY_NAME)"
    )
    group.add_argument(
        "--embed-authfile",
        action="store_true",
        help="put the credentials of --authfile for the image's repository onto the medium, where "
        "whoever has it can read them",
    )
    group.add_argument(
        "--max-size", metavar="SIZE", help="refuse to make a larger medium, such as 4.7G"
    )
    _add_seed(group)
    group.add_argument(
        "--karg",
        action="append",
        default=[],
        metavar="ARG",
        help="add a kernel argument of the installer",
    )


def _add_machine(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("installed machine")
    group.add_argument(
        "--target-signature-key",
        type=Path,
        metavar="FILE",
        help="the public key (OpenPGP) of the ostree remote that --target-signature names",
    )
    group.add_argument(
        "--unattended",
        metavar="DISK",
        help="add menu entries which erase DISK (such as vda) and install without a question",
    )
    group.add_argument(
        "--kickstart",
        type=Path,
        metavar="FILE",
        help="add menu entries which install as this kickstart says; payload and origin are added",
    )
    group.add_argument(
        "--kickstart-version",
        choices=KICKSTART_VERSIONS,
        help="of the installer's kickstart language (default: by its os-release)",
    )
    _add_no_encryption(group)
    group.add_argument(
        "--install-karg",
        action="append",
        default=[],
        metavar="ARG",
        help="add a kernel argument of the installed machine",
    )
    for option, metavar, text in (
        ("--user", "NAME", "an account to create; may be given several times"),
        ("--user-groups", "GROUPS", "groups of the account named before it, by commas"),
        ("--user-password-hash", "HASH", "its password, as 'openssl passwd -6' has it"),
        ("--user-key", "FILE", "its public key for ssh"),
    ):
        group.add_argument(
            option,
            action=_InOrder,
            dest="accounts",
            default=[],
            type=Path if metavar == "FILE" else str,
            metavar=metavar,
            help=text,
        )
    group.add_argument(
        "--root-password-hash",
        metavar="HASH",
        help="password of root (default: locked where nobody is asked)",
    )
    group.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="SPEC",
        help="how a network device is set up, such as device=enp1s0,ip=192.0.2.5/24,"
        "gateway=192.0.2.1,dns=192.0.2.53; may be given several times (default: by DHCP)",
    )
    group.add_argument("--hostname", metavar="NAME", help="name of the machine")
    group.add_argument("--language", metavar="LOCALE", help="such as de_DE.UTF-8")
    group.add_argument("--keyboard", metavar="LAYOUT", help="such as de")
    group.add_argument("--timezone", metavar="ZONE", help="such as Europe/Berlin")


def _add_no_encryption(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--no-encryption",
        action="store_true",
        help="leave the root filesystem unencrypted where the image asks for encryption",
    )


class _InOrder(argparse.Action):
    """Keep options of one kind in the order in which they were given, with their names."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,  # noqa: ARG002 - it may be abbreviated
    ) -> None:
        """Take one option."""
        given = [*getattr(namespace, self.dest), (self.option_strings[0], values)]
        setattr(namespace, self.dest, given)


def _add_access(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("registry access")
    group.add_argument(
        "--authfile", type=Path, metavar="FILE", help="credentials, as 'podman login' writes them"
    )
    group.add_argument(
        "--tls-verify",
        type=_boolean,
        metavar="BOOL",
        default=None,
        help="false: accept plain HTTP and unknown certificates",
    )
    group.add_argument(
        "--cert-dir", type=Path, metavar="DIR", help="directory with *.crt, *.cert, *.key files"
    )
    group.add_argument(
        "--signature-policy",
        type=Path,
        metavar="FILE",
        help="containers-policy.json(5) to obey instead of the system's",
    )
    group.add_argument(
        "--registries-conf",
        type=Path,
        metavar="FILE",
        help="containers-registries.conf(5) with mirrors, instead of the system's",
    )
    group.add_argument(
        "--registries-d",
        type=Path,
        metavar="DIR",
        help="containers-registries.d(5), which says where signatures are, instead of the system's",
    )
    _add_cache(group)


def _add_cache(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--cache-dir",
        type=Path,
        default=default_cache(),
        metavar="DIR",
        help="where layers and packed installers are kept (default: %(default)s)",
    )


def _add_output(command: argparse.ArgumentParser, name: str) -> None:
    group = command.add_argument_group("output")
    group.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=f"the file to write (default: NAME.{file_suffix(name)} in this directory)",
    )
    group.add_argument("--force", action="store_true", help="replace FILE if it exists")
    if name == "qcow2":
        group.add_argument(
            "--compression",
            choices=COMPRESSIONS,
            default="zstd",
            help="zstd needs QEMU 5.1 to read, zlib any; none is quickest (default: zstd)",
        )


def _add_progress(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--progress",
        choices=PROGRESS_MODES,
        default="auto",
        help="how to show progress on standard error (default: auto)",
    )


def _add_plan(commands: Any) -> None:  # noqa: ANN401
    text = "print what a build would do, and write nothing but the cache"
    formats = _command(commands, "plan", text).add_subparsers(
        dest="format", metavar="FORMAT", required=True
    )
    for name in (*PLACES, "iso"):
        what = "medium" if name == "iso" else f"disk, as {name}"
        command = _command(formats, name, f"print what would be done for a {what}")
        _add_source(command)
        if name == "iso":
            _add_medium(command)
            _add_machine(command)
            command.add_argument(
                "--write-kickstart",
                type=Path,
                metavar="FILE",
                help="write the kickstart by which the medium installs without a question, for a "
                "server (see --kickstart, --unattended, --payload)",
            )
        else:
            _add_disk(command)
        _add_access(command)
        command.add_argument("--json", action="store_true", help="print JSON")
        _add_progress(command)


def _add_others(commands: Any) -> None:  # noqa: ANN401
    command = _command(commands, "inspect", "show what an image, a disk or a medium holds")
    _add_source(command)
    _add_access(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    _add_progress(command)

    command = _command(commands, "doctor", "say what this machine lacks, and what brings it")
    command.add_argument(
        "--arch",
        default=host_arch(),
        metavar="ARCH",
        help="architecture to make and boot disks of (default: this machine's, %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")

    command = _command(
        commands, "boot", "boot a disk or a medium in QEMU, its serial line on this terminal"
    )
    command.add_argument(
        "file", type=Path, metavar="FILE", help="a raw or qcow2 disk, or an installer's medium"
    )
    command.add_argument(
        "--disk",
        type=Path,
        metavar="DISK",
        help="a disk file for the installer to write (default: an empty one, thrown away)",
    )
    command.add_argument(
        "--usb", action="store_true", help="show the medium as a USB stick, not as a CD"
    )
    command.add_argument("--no-network", action="store_true", help="give the machine no network")
    command.add_argument(
        "--firmware",
        choices=("uefi", "secureboot", "bios", "ipl"),
        help="how to start it (default: uefi, for s390x ipl)",
    )
    command.add_argument(
        "--arch", metavar="ARCH", help="of the machine (default: what the disk was made for)"
    )
    command.add_argument(
        "--memory", default="2G", metavar="SIZE", help="of the machine (default: %(default)s)"
    )
    command.add_argument(
        "--write",
        action="store_true",
        help="keep what the machine writes (by default it is thrown away)",
    )
    _add_login(command)

    command = _command(commands, "cache", "list or clean the cache of layers")
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = _command(actions, "ls", "list what is cached, biggest first")
    _add_cache(listing)
    listing.add_argument("--json", action="store_true", help="print JSON")
    prune = _command(actions, "prune", "remove what was not used lately")
    _add_cache(prune)
    prune.add_argument("--all", action="store_true", help="remove everything")
    prune.add_argument(
        "--older-than",
        metavar="DAYS",
        type=int,
        default=30,
        help="remove what no build used for so many days (default: %(default)s)",
    )

    command = _command(commands, "completion", "print a completion script for a shell")
    command.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")


def _add_login(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("login")
    group.add_argument(
        "--ssh",
        nargs="?",
        const="",
        metavar="COMMAND",
        help="log in as root by ssh as soon as that can be, and run COMMAND or a shell; the "
        "machine ends with it, and the status is the command's",
    )
    group.add_argument(
        "--timeout",
        type=_seconds,
        default=BOOT_SECONDS.limit,
        metavar="SECONDS",
        help="how long --ssh waits for the machine (default: %(default)s)",
    )
    group.add_argument(
        "--user-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="let root log in by the public keys in FILE",
    )
    group.add_argument(
        "--root-password-hash",
        metavar="HASH",
        help="root's password, crypted (openssl passwd -6); for systemd 256 and newer",
    )
    group.add_argument(
        "--credential",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="hand a credential to the machine's systemd; NAME=@FILE takes it from a file",
    )
    group.add_argument(
        "--forward",
        action="append",
        default=[],
        metavar="HOST:GUEST",
        help="let a port of this machine be one of the guest's: [ADDR:]PORT:PORT[/udp]",
    )


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds")
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"'{text}' is neither true nor false")
