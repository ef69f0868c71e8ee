"""The installed system while it is being set up: mounted, entered, its scripts run."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..blueprint.model import Customizations
from ..decision.system import fields
from ..errors import HostError, ToolError
from ..kickstart.recipe import Script
from ..ostree.labelling import HOMES
from ..ostree.selinux import policy_of
from ..run import run

PHYSICAL: Final = Path("/mnt/sysimage")  # the disk's root filesystem
ROOT: Final = Path("/mnt/sysroot")  # what the machine will see as its root
_MAX_LINKS: Final = 40  # as the kernel has it
_API: Final = ("dev", "proc", "sys", "run")
_LABELLED: Final = ("/etc", "/var/log")
_IN_VAR: Final = ("/var/home", "/var/roothome")  # where homes lie, with a link or without
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


@dataclass(frozen=True, slots=True)
class Installed:
    """What a target holds, as a ``decision.system.System``."""

    target: Target

    def knows(self, path: str) -> bool:  # noqa: ARG002 - all of it
        return True

    def has(self, path: str) -> bool:
        return self.target.place(path).is_file()

    def names(self, path: str) -> Iterator[str]:
        place = self.target.place(path)
        for found in sorted(place.rglob("*")) if place.is_dir() else ():
            if not found.is_dir():
                yield str(found.relative_to(place))

    def link(self, path: str) -> str | None:
        parent, _slash, name = path.rpartition("/")
        place = self.target.place(parent) / name
        return str(place.readlink()) if place.is_symlink() else None

    def table(self, name: str) -> Iterator[list[str]]:
        for path in (self.target.place(f"{where}/{name}") for where in ("etc", "usr/lib")):
            if path.is_file():
                yield from fields(path.read_text(errors="replace"))


@contextmanager
def mounts() -> Generator[Mounts]:
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


def label(target: Target, wanted: Customizations, made: Sequence[str] = ()) -> None:
    """Give what was changed, and what was given, its labels where the target has SELinux.

    ``made`` is what else was written; of directories all that they hold.
    """
    config = target.place("etc/selinux/config")
    text = config.read_text(errors="replace") if config.is_file() else ""
    kind = policy_of(text)
    contexts = f"/etc/selinux/{kind}/contexts/files/file_contexts"
    if kind is not None and target.has("setfiles") and target.place(contexts).is_file():
        below = tuple(f"{place}/" for place in (*_LABELLED, *_IN_VAR, *(f"/{h}" for h in HOMES)))
        homes = [user.home for user in wanted.users if user.home is not None]
        added = [folder.path for folder in wanted.directories]
        added += [file.path for file in wanted.files]
        beside = [path for path in (*homes, *added, *made) if not path.startswith(below)]
        places = dict.fromkeys((*_LABELLED, *_homes(target), *beside))
        there = [place for place in places if target.place(place).exists()]
        target.run("setfiles", "-F", contexts, *there)


def _homes(target: Target) -> Iterator[str]:
    """Yield what is labelled of homes: what is below a link to them by the link's name.

    As builds do it (``ostree.labelling``): not each policy knows of /var/home.
    """
    led: list[Path] = []
    for name in HOMES:
        place = target.place(name)
        if (target.root / name).is_symlink():
            led.append(place)
            yield from (f"/{name}/{home.name}" for home in _entries(place))
        else:
            yield f"/{name}"
    yield from (place for place in _IN_VAR if target.place(place) not in led)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def run_script(script: Script, number: int, target: Target | None, shared: Path) -> None:
    """Run one %pre or %post; ``shared`` is a directory below /run. Raises ToolError, HostError.

    It may take its time: scripts of users wait for people and for other machines.
    """
    kind = "post" if target is not None else "pre"
    path = shared / f"{kind}-{number}"
    path.write_text(script.body, encoding="utf-8")
    path.chmod(0o700)
    words: list[str | Path] = [*script.interpreter.split(), path]
    inside = target is not None and script.in_target
    if inside and target is not None:
        words = ["chroot", target.root, *words]
    done = run(words, ok=range(256), env={"HOME": "/root"}, idle=None)
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
