"""Anaconda in a container image: what it takes to start, and what is changed so that it does.

A medium's runtime is an installation of Anaconda that starts by itself. What makes one of a
container is what lorax does to its own (``share/templates.d/99-generic/runtime-postinstall.tmpl``);
without the link to its target Anaconda's systemd generator makes no unit. Modules: Anaconda's
``data/anaconda.conf``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ...arch import Machine
from ...errors import Problem
from ...ostree.lookup import find
from ...tree import Directory, File, read, regular, symlink
from . import own
from .roots import changes, directory, start_by

PACKAGES: Final = ("anaconda", "anaconda-install-img-deps", "anaconda-dracut")
_UNITS: Final = "usr/lib/systemd/system"
_TARGET: Final = "anaconda.target"
_SHELL: Final = "anaconda-shell@.service"
_ACCOUNT: Final = b"install:x:0:0:root:/root:/usr/libexec/anaconda/run-anaconda\n"
_SHADOW: Final = b"install::14438:0:99999:7:::\n"
BUILD_STAMP: Final = ".buildstamp"
_STUB: Final = "usr/share/anaconda/list-harddrives-stub"
_REPOSITORIES: Final = ("yum.repos.d", "anaconda.repos.d")  # of the container, of Anaconda, in /etc
_TERMINALS: Final = b"[Login]\nReserveVT=2\n"  # the first has Anaconda on it
_PIPEWIRE: Final = ("pipewire.service", "pipewire.socket")
_FOR_ROOT: Final = b"[Unit]\nConditionUser=\n"
_HOMES: Final = ("root", "mnt")  # links into /var in images that are meant to boot
_LABEL: Final = b"security.selinux"
CONFIGURATION: Final = "etc/anaconda/conf.d/90-diskgen.conf"  # counts more than profiles
_ACTIVATABLE: Final = (
    "org.fedoraproject.Anaconda.Modules.*",
    "org.fedoraproject.Anaconda.Addons.*",
)
_SUBSCRIPTION: Final = "org.fedoraproject.Anaconda.Modules.Subscription"


@dataclass(frozen=True, slots=True)
class _Need:
    """A file that Anaconda does not start without, and the package that brings it."""

    path: str
    package: str


_FILES: Final = (
    _Need("usr/lib/systemd/systemd", "systemd"),
    _Need("usr/lib/systemd/system-generators/anaconda-generator", "anaconda-core"),
    _Need(f"{_UNITS}/{_TARGET}", "anaconda-core"),
)
_PROGRAMS: Final = ("tmux",)  # it runs in this one
_FOR_IMAGES: Final = ("ostree", "skopeo")  # it installs an image by these
_PROGRAMS_OF: Final = "anaconda-install-img-deps"


def problems(root: Directory, machine: Machine, *, images: bool) -> Iterator[Problem]:
    """Yield what a flattened image lacks so that its Anaconda would start and install.

    ``images`` says whether the medium offers image mode.
    """
    lacks = [
        f"'/{need.path}' ({need.package})"
        for need in _FILES
        if not isinstance(find(root, need.path), File)
    ]
    programs = (*_PROGRAMS, *_FOR_IMAGES) if images else _PROGRAMS
    lacks += [f"'{name}' ({_PROGRAMS_OF})" for name in programs if not own.has_program(root, name)]
    if lacks:
        yield Problem(
            code="installer",
            message="Anaconda of this image would not start and install: it lacks "
            + ", ".join(lacks),
            hint=f"install {', '.join(packages(machine))} in the image",
            setting="installer",
        )


def packages(machine: Machine) -> tuple[str, ...]:
    """Return the packages of Fedora that make a container an installer for a machine."""
    boot: tuple[str, ...] = ()
    if machine.efi_suffix:
        boot = (f"grub2-efi-{machine.efi_suffix}-cdboot", f"shim-{machine.efi_suffix}")
    if machine.bios_grub:
        boot = (*boot, "grub2-pc-modules")
    return (*PACKAGES, *boot)


def arguments(root: Directory) -> tuple[str, ...]:
    """Return the kernel arguments that a runtime of this root needs.

    A container has no SELinux labels: under a policy that is enforced nothing of it would start.
    """
    if root.get_dir("etc/selinux") is None:
        return ()
    labelled = any(name == _LABEL for _, node in root.walk() for name, _ in node.xattrs)
    return () if labelled else ("enforcing=0",)


def build_stamp(product: str, version: str, machine: Machine, timestamp: int) -> bytes:
    """Return ``/.buildstamp``, by which Anaconda knows its name and that it is no test version."""
    made = time.strftime("%Y%m%d%H%M", time.gmtime(timestamp))
    return (
        f"[Main]\nProduct={product}\nVersion={version}\nBugURL=\nIsFinal=True\n"
        f"UUID={made}.{machine.name}\n"
    ).encode()


def configuration(enabled: Sequence[str], disabled: Sequence[str]) -> bytes:
    """Return what Anaconda is told of its modules; what is disabled does not run, whoever names it.

    Subscription is for hosts that are sold, and runs where it is named alone.
    """
    forbidden = dict.fromkeys((*disabled, *({_SUBSCRIPTION} - {*enabled})))
    lines = ["[Anaconda]"]
    for name, values in (
        ("activatable_modules", (*_ACTIVATABLE, *enabled) if enabled else ()),
        ("forbidden_modules", forbidden),
    ):
        if values:
            lines += [f"{name} =", *(f"    {value}" for value in values)]
    return "\n".join([*lines, ""]).encode()


def add_to(root: Directory) -> None:
    """Make a container's root one that starts Anaconda. Raises SourceError."""
    with changes():
        start_by(root, _TARGET)
        _add_account(root)
        _add_homes(root)
        _move(root, _STUB, "usr/bin", "list-harddrives", mode=0o755)
        ours, theirs = _REPOSITORIES
        if root.get(f"etc/{theirs}") is None:
            _move(root, f"etc/{ours}", "etc", theirs)
        if find(root, f"{_UNITS}/{_SHELL}") is not None:
            shells = directory(root, "etc/systemd/system")
            shells.add("autovt@.service", symlink(f"/{_UNITS}/{_SHELL}"))
        directory(root, "etc/systemd/logind.conf.d").add("anaconda-shell.conf", regular(_TERMINALS))
        for unit in _PIPEWIRE:
            if find(root, f"usr/lib/systemd/user/{unit}") is not None:
                place = directory(root, f"etc/systemd/user/{unit}.d")
                place.add("allowroot.conf", regular(_FOR_ROOT))


def _add_account(root: Directory) -> None:
    """Add who runs Anaconda; root has no password, for the shells beside it."""
    etc = directory(root, "etc")
    for name, line in (("passwd", _ACCOUNT), ("shadow", _SHADOW)):
        file = find(root, f"etc/{name}")
        known = file if isinstance(file, File) and file.content is not None else None
        text = read(known.content) if known is not None and known.content is not None else b""
        lines = [each for each in text.splitlines(keepends=True) if each.strip()]
        lines = [each if each.endswith(b"\n") else each + b"\n" for each in lines]
        if name == "shadow":
            lines = [_without_password(each) for each in lines]
        if not any(each.startswith(b"install:") for each in lines):
            lines.append(line)
        mode = known.mode & 0o7777 if known is not None else 0o644 if name == "passwd" else 0
        etc.add(name, regular(b"".join(lines), mode=mode))


def _without_password(line: bytes) -> bytes:
    fields = line.split(b":")
    if fields[0] == b"root" and len(fields) > 1:
        fields[1] = b""
    return b":".join(fields)


def _add_homes(root: Directory) -> None:
    for name in _HOMES:
        node = root.get(name)
        if node is None:
            root.make_dirs(name)
        elif isinstance(node, File) and node.is_symlink and find(root, name) is None:
            goal = [part for part in node.target.split(b"/") if part]
            if b".." not in goal:
                root.make_dirs(b"/".join(goal))


def _move(root: Directory, path: str, place: str, name: str, *, mode: int | None = None) -> None:
    parent, _slash, old = path.rpartition("/")
    folder = root.get_dir(parent)
    node = folder.entries.pop(old.encode(), None) if folder is not None else None
    if node is None:
        return
    if mode is not None and isinstance(node, File) and node.content is not None:
        node = File(0o100000 | mode, content=node.content)
    directory(root, place).add(name, node)
