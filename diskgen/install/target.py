"""The installed system while it is being set up: mounted, entered, given its users and names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import HostError, ToolError
from ..kickstart.recipe import Account, Recipe, Script
from ..run import run

PHYSICAL: Final = Path("/mnt/sysimage")  # the disk's root filesystem
ROOT: Final = Path("/mnt/sysroot")  # what the machine will see as its root
_ZONES: Final = "usr/share/zoneinfo"
UTC: Final = ("UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu")  # the C library knows it without a file
_MODE_LINE: Final = re.compile(r"^SELINUX=.*$", re.MULTILINE)
_MAX_LINKS: Final = 40  # as the kernel has it
_API: Final = ("dev", "proc", "sys", "run")
_LABELLED: Final = ("/etc", "/var/home", "/var/roothome", "/var/log", "/home")
_SHELL: Final = "/bin/sh"
ADMINISTRATORS: Final = ("wheel", "sudo")  # groups, by distribution
_FOUND_EFI: Final = "/sys/firmware/efi/efivars"


@dataclass(frozen=True, slots=True)
class Target:
    """A root that commands can be run in. ``root`` is mounted with what they need."""

    root: Path

    def run(self, *argv: str | Path, stdin: bytes | None = None) -> None:
        """Run a program of the target in it. Raises ToolError."""
        run(["chroot", self.root, *argv], stdin=stdin, env={"HOME": "/root"})

    def place(self, path: str | Path) -> Path:
        """Return where a path of the target lies: links mean what they mean in it.

        Nothing needs to be there, and nothing outside of the target is looked at. Raises HostError
        for links in a circle.
        """
        todo = str(path).split("/")[::-1]
        found: list[str] = []
        links = 0
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                del found[-1:]
                continue
            here = self.root.joinpath(*found, name)
            if not here.is_symlink():
                found.append(name)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise HostError(f"'/{path}' of the system is a link that leads nowhere")
            goal = str(here.readlink())
            if goal.startswith("/"):
                found.clear()
            todo += goal.split("/")[::-1]
        return self.root.joinpath(*found)

    def has(self, *names: str) -> bool:
        """Say whether the target has one of the programs."""
        places = ("usr/bin", "usr/sbin", "bin", "sbin")
        return any(self.place(f"{place}/{name}").exists() for place in places for name in names)

    def folder(self, path: str | Path) -> Path:
        """Return the place of a directory of the target, made where it is missing.

        Raises HostError when something else is there.
        """
        place = self.place(path)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise HostError(f"'/{path}' of the system is no directory") from error
        return place

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Write a file of the target. A link in its place is replaced, not followed.

        Raises HostError when it cannot be there.
        """
        parent, _slash, name = path.strip("/").rpartition("/")
        place = self.folder(parent) / name
        if place.is_dir() and not place.is_symlink():
            raise HostError(f"'/{path}' of the system is a directory")
        place.unlink(missing_ok=True)
        place.write_text(text, encoding="utf-8")
        place.chmod(mode)


@contextmanager
def mounts() -> Iterator[Mounts]:
    """Give something that mounts; everything is unmounted when the block is left."""
    made = Mounts()
    try:
        yield made
    finally:
        made.undo()


class Mounts:
    """What was mounted, in order."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    def add(self, source: str | Path, place: Path, *options: str) -> None:
        """Mount something. Raises ToolError.

        What is mounted below it later appears nowhere else: binds of one filesystem would show
        each other the machine's own /dev and /sys, and take these away when they go.
        """
        place.mkdir(parents=True, exist_ok=True)
        run(["mount", *options, source, place])
        run(["mount", "--make-private", place])
        self._undo.callback(_unmount, place)

    def bind(self, source: Path, place: Path, *, read_only: bool = False) -> None:
        """Show a directory at a second place."""
        self.add(source, place, "--bind")
        if read_only:
            run(["mount", "-o", "remount,bind,ro", place])

    def enter(self, root: Path) -> None:
        """Give a root what programs in it need of the running kernel."""
        for name in _API:
            place = root / name
            place.mkdir(parents=True, exist_ok=True)
            run(["mount", "--rbind", f"/{name}", place])
            run(["mount", "--make-rslave", place])
            self._undo.callback(_unmount, place)

    def undo(self) -> None:
        self._undo.close()


def _unmount(place: Path) -> None:
    with suppress(ToolError):
        run(["umount", "-R", place])
        return
    run(["umount", "-R", "-l", place], ok=(0, 1, 32))


def set_up(target: Target, recipe: Recipe, warn: Callable[[str], None]) -> None:
    """Give the target its accounts, names and services. Raises DiskgenError.

    ``warn`` is told what the system does not have, and can do without.
    """
    for name, number in recipe.groups.items():
        if not _has_line(target, "group", name):
            numbered = [] if number is None else ["--gid", str(number)]
            target.run("groupadd", *numbered, name)
    for account in recipe.accounts:
        _add_user(target, account)
    if recipe.root is not None:
        _secure(target, recipe.root)
    if recipe.hostname:
        target.write("etc/hostname", f"{recipe.hostname}\n")
    if recipe.language:
        target.write("etc/locale.conf", f"LANG={recipe.language}\n")
        if target.place("etc/default/locale").exists():
            target.write("etc/default/locale", f"LANG={recipe.language}\n")
    if recipe.keyboard:
        target.write("etc/vconsole.conf", f"KEYMAP={recipe.keyboard}\n")
    if recipe.timezone:
        zones = target.place(_ZONES)
        zone = target.place(f"{_ZONES}/{recipe.timezone}")
        link = target.folder("etc") / "localtime"
        if recipe.timezone in UTC or (zone.is_file() and zone.is_relative_to(zones)):
            link.unlink(missing_ok=True)
            link.symlink_to(f"../{_ZONES}/{recipe.timezone}")
        else:
            warn(f"the system has no time zone '{recipe.timezone}', its own is kept")
    if recipe.selinux:
        config = target.place("etc/selinux/config")
        if config.is_file():
            text = config.read_text(errors="replace")
            config.write_text(_MODE_LINE.sub(f"SELINUX={recipe.selinux}", text))
    for verb, units in (("enable", recipe.enabled), ("disable", recipe.disabled)):
        for unit in units:
            target.run("systemctl", verb, unit)


def label(target: Target) -> None:
    """Give what was changed its SELinux labels, where the target has a policy."""
    config = target.place("etc/selinux/config")
    text = config.read_text(errors="replace") if config.is_file() else ""
    kind = next(
        (line.partition("=")[2].strip() for line in text.splitlines()
         if line.startswith("SELINUXTYPE=")), None,
    )  # fmt: skip
    contexts = f"/etc/selinux/{kind}/contexts/files/file_contexts"
    active = kind and "SELINUX=disabled" not in text and target.has("setfiles")
    if active and target.place(contexts).is_file():
        places = [p for p in _LABELLED if target.place(p).is_dir()]
        target.run("setfiles", "-F", contexts, *places)


def run_script(script: Script, number: int, target: Target | None, shared: Path) -> None:
    """Run one %pre or %post; ``shared`` is a directory below /run. Raises ToolError, HostError."""
    kind = "post" if target is not None else "pre"
    path = shared / f"{kind}-{number}"
    path.write_text(script.body, encoding="utf-8")
    path.chmod(0o700)
    words: list[str | Path] = [*script.interpreter.split(), path]
    inside = target is not None and script.in_target
    if inside and target is not None:
        words = ["chroot", target.root, *words]
    done = run(words, ok=range(256), env={"HOME": "/root"})
    output = done.text + done.stderr
    if script.log:
        log = Path(script.log)
        if inside and target is not None:
            log = target.place(script.log)
        with suppress(OSError):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(output, encoding="utf-8")
    if done.status and script.must_work:
        raise ToolError(
            [f"%{kind}"], done.status, output,
            message=f"the script %{kind} of line {script.line} failed with status {done.status}",
        )  # fmt: skip


def copy_log(target: Target, log: Path) -> None:
    """Leave the installation's log on the machine."""
    with suppress(OSError):
        shutil.copyfile(log, target.place("var/log/diskgen-install.log"))


def has_uefi() -> bool:
    """Say whether this machine was started by UEFI."""
    return Path(_FOUND_EFI).parent.is_dir()


def _add_user(target: Target, account: Account) -> None:
    target.folder("home")  # a link to var/home, which the first boot would make
    options: list[str] = []
    if account.groups:
        known = [group for group in ADMINISTRATORS if _has_group(target, group)]
        groups = [known[0] if g in ADMINISTRATORS and known else g for g in account.groups]
        missing = [group for group in groups if not _has_group(target, group)]
        for group in missing:
            target.run("groupadd", "--system", group)
        options += ["--groups", ",".join(dict.fromkeys(groups))]
    for flag, value in (("--shell", account.shell), ("--uid", account.uid),
                        ("--comment", account.gecos)):  # fmt: skip
        if value is not None:
            options += [flag, str(value)]
    if _has_line(target, "passwd", account.name):
        if options:
            target.run("usermod", *options, account.name)
    else:
        shell = account.shell or ("/bin/bash" if target.has("bash") else _SHELL)
        more = [] if account.shell else ["--shell", shell]
        target.run("useradd", "--create-home", *more, *options, account.name)
    _secure(target, account)


def _secure(target: Target, account: Account) -> None:
    """Set an account's password and keys."""
    if account.password is not None:
        line = f"{account.name}:{account.password}\n".encode()
        target.run("chpasswd", *(["--encrypted"] if account.crypted else []), stdin=line)
    if account.locked:
        target.run("usermod", "--lock", account.name)
    if account.keys:
        script = (
            'home=$(getent passwd "$1" | cut -d: -f6); mkdir -p "$home/.ssh"; '
            'cat >>"$home/.ssh/authorized_keys"; chmod 700 "$home/.ssh"; '
            'chmod 600 "$home/.ssh/authorized_keys"; chown -R "$1:" "$home/.ssh"'
        )
        text = "".join(f"{key}\n" for key in account.keys)
        target.run(_SHELL, "-ec", script, "sh", account.name, stdin=text.encode())


def _has_group(target: Target, name: str) -> bool:
    return _has_line(target, "group", name)


def _has_line(target: Target, table: str, name: str) -> bool:
    lines: Sequence[str] = ()
    for place in ("etc", "usr/lib"):
        path = target.place(f"{place}/{table}")
        if path.is_file():
            lines = [*lines, *path.read_text(errors="replace").splitlines()]
    return any(line.startswith(f"{name}:") for line in lines)
