"""Image mode: diskgen itself writes the target disk, then the root is grown over the rest of it.

While it writes, the layers are unpacked into a filesystem at the end of the same disk: the machine
needs no more memory for a large image than for a small one.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import uuid4

from .. import build, disk_writer
from ..blueprint.model import Customizations
from ..config import Request
from ..decision import setup
from ..decision.system import Tree
from ..decision.wishes import FIPS
from ..disk import makers, tarball
from ..errors import HostError, UsageError, end_of
from ..events import Emit, notice, step, warn
from ..image.store import Store
from ..kickstart.recipe import Recipe
from ..layout import Filesystem, Partition, Role
from ..reference import parse
from ..run import PIPE, feed, run, running, which
from ..tree import Directory
from ..units import GIB, MIB, align_down, align_up, format_size
from .disks import Disk, partition_path, size_of
from .medium import Medium
from .payload import Payload, check_room
from .target import PHYSICAL, ROOT, Mounts

_ZEROOUT: Final = 0x127F  # BLKZEROOUT of linux/fs.h
_PIECE: Final = 64 * MIB
_SCRATCH: Final = Path("/run/diskgen/scratch")
_TAIL: Final = 2 * MIB  # at the disk's end: the second partition table
_TRIES: Final = 20  # to read a partition table that is in use
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What was written: the plan's deployment, and where it lies below the root filesystem."""

    prepared: disk_writer.Prepared
    deployment: Path
    stateroot: str


def check(recipe: Recipe) -> None:
    """Refuse what this runtime could not make. Raises HostError."""
    _check_maker(recipe.storage.filesystem)


def _check_maker(kind: str | None) -> None:
    for program in makers.programs(kind):
        if which(program) is None:
            raise HostError(
                f"a root filesystem of type '{kind}' takes '{program}', which this installer "
                "does not have",
                hint="choose ext4, or add the program to the installer's image",
            )


def request_of(
    recipe: Recipe,
    wanted: Customizations,
    payload: Payload,
    disk: Disk,
    arch: str,
    here: Medium,
    cache: Path,
) -> Request:
    """Return the disk that a recipe asks for, and what the medium says of its updates.

    ``wanted`` is what its machine is given, but for kernel arguments.
    """
    assert recipe.image is not None
    from_registry = recipe.image.transport == "registry"
    return Request(
        format="raw",
        source=payload.source,
        target=parse(f"docker://{recipe.image.url if from_registry else here.reference}"),
        signature=here.signature,
        no_encryption=here.no_encryption,
        arch=arch,
        disk_size=align_down(disk.size, MIB),
        sector_size=disk.sector_size,
        installed=True,
        root_filesystem=recipe.storage.filesystem,
        stateroot=recipe.image.stateroot,
        sizes={str(role): size for role, size in recipe.storage.sizes.items()},
        kargs=tuple(word for word in recipe.kargs if not (wanted.fips and word == FIPS)),
        customizations=replace(wanted, kargs=()),
        seed=str(uuid4()),  # each machine is another one
        access=payload.access,
        cache=cache,
    )


def install(
    recipe: Recipe,
    wanted: Customizations,
    payload: Payload,
    disk: Disk,
    arch: str,
    here: Medium,
    emit: Emit,
) -> Deployed:
    """Write the image onto a disk, whose contents are lost, with what its machine is given.

    Raises DiskgenError.
    """
    check_room(payload, disk, here.content_bytes(payload.digest))
    known = here.system(payload.digest) is not None
    if not known:
        notice(
            emit,
            "What this image lacks for what is to be set up is known as soon as it was read, which "
            f"takes room at the end of {disk.name}: what lies there is lost from now on",
            warning=True,
        )
    with _scratch_space(disk) as cache:
        request = request_of(recipe, wanted, payload, disk, arch, here, cache)
        with Store(cache).session() as store:
            prepared = build.prepare(request, store, emit)
            _check_maker(prepared.plan.image.root_filesystem)
            check_guard(prepared)
            warn(emit, prepared.plan.warnings)
            deployed = Deployed(
                prepared=prepared,
                deployment=Path(
                    "ostree/deploy",
                    prepared.plan.image.stateroot,
                    "deploy",
                    f"{prepared.plan.commit}.0",
                ),
                stateroot=prepared.plan.image.stateroot,
            )
            check_scripts(recipe, deployed, emit)
            _write(prepared, disk, cache, emit)
    return deployed


def check_guard(prepared: disk_writer.Prepared) -> None:
    """Refuse a root that fs-verity is to guard on a filesystem which its own tool makes."""
    kind = prepared.plan.image.root_filesystem
    config = prepared.root.get_file("ostree/repo/config")
    if kind in makers.FOREIGN and config is not None and config.seal is not None:
        raise UsageError(
            f"the image's root is guarded by fs-verity, which this installer does not write on "
            f"'{kind}'",
            hint="choose ext4",
        )


def check_scripts(recipe: Recipe, deployed: Deployed, emit: Emit) -> None:
    """Refuse scripts that an image that was read has no means for. Raises PreflightError.

    All else was asked when what the machine is given was written.
    """
    root = deployed.prepared.root.get_dir(str(deployed.deployment))
    assert root is not None
    scripts = Recipe(after=recipe.after)
    setup.refuse(scripts, Tree(root), lambda text: notice(emit, text, warning=True))


def mount(deployed: Deployed, disk: Disk, mounts: Mounts) -> None:
    """Mount the installed machine at PHYSICAL, and the deployment as it will be seen at ROOT."""
    layout = deployed.prepared.plan.layout
    root = layout.partition(Role.ROOT)
    options = _options(deployed.prepared.plan.image.root_subvolume)
    mounts.add(partition_path(disk.path, root.number), PHYSICAL, *options)
    boot = partition_path(disk.path, layout.partition(Role.BOOT).number)
    mounts.add(boot, PHYSICAL / "boot")
    if layout.has(Role.ESP):
        esp = partition_path(disk.path, layout.partition(Role.ESP).number)
        if (PHYSICAL / "boot/efi").is_dir():
            mounts.add(esp, PHYSICAL / "boot/efi")
    mounts.bind(PHYSICAL / deployed.deployment, ROOT)
    mounts.bind(ROOT / "usr", ROOT / "usr", read_only=True)  # its files are the repository's
    mounts.bind(PHYSICAL, ROOT / "sysroot")
    mounts.bind(PHYSICAL / "ostree/deploy" / deployed.stateroot / "var", ROOT / "var")
    mounts.bind(PHYSICAL / "boot", ROOT / "boot")
    mounts.enter(ROOT)
    mounts.add("tmpfs", ROOT / "tmp", "-t", "tmpfs")
    (ROOT / "var/log").mkdir(exist_ok=True)
    (ROOT / "var/tmp").mkdir(exist_ok=True, mode=0o1777)


def _write(prepared: disk_writer.Prepared, disk: Disk, scratch: Path, emit: Emit) -> None:
    layout = prepared.plan.layout
    root = layout.partition(Role.ROOT)
    size = align_up(prepared.plan.root_bytes + prepared.plan.root_bytes // 10, 16 * MIB)
    size = min(size, root.size)
    begin = _scratch_begin(disk)
    if root.start + size > begin:
        raise UsageError(
            f"'{disk.name}' has {format_size(disk.size)}; while it is installed this image needs "
            f"{format_size(align_up(2 * (root.start + size), GIB))}",
            hint="choose a larger disk",
        )
    with step(emit, "erase", f"Erasing the beginning of {disk.name}", unit="bytes") as phase:
        zero(disk.path, 0, root.start + size, phase.advance)
        zero(disk.path, disk.size - _TAIL, _TAIL, phase.advance)

    def fill(part: Partition, tree: Directory, advance: Callable[[int], None]) -> None:
        reread(disk.path)
        device = partition_path(disk.path, part.number)
        fill_foreign(device, part, tree, advance, prepared.plan.image.root_subvolume)

    own = root.filesystem not in makers.FOREIGN
    place = scratch / "loader"
    place.mkdir()
    disk_writer.write_onto(
        prepared,
        disk.path,
        place,
        emit,
        root_size=size if own else None,
        foreign=dict.fromkeys(makers.FOREIGN, fill),
    )


def grow(deployed: Deployed, disk: Disk, emit: Emit) -> None:
    """Let the root filesystem take its whole partition. Raises ToolError."""
    root = deployed.prepared.plan.layout.partition(Role.ROOT)
    reread(disk.path)
    if root.filesystem is Filesystem.EXT4:
        with step(emit, "grow", "Growing the root filesystem") as phase:
            run(["resize2fs", "-f", partition_path(disk.path, root.number)])
            phase.detail = format_size(root.size)


def fill_foreign(
    device: Path,
    part: Partition,
    tree: Directory,
    advance: Callable[[int], None],
    subvolume: str | None = None,
) -> None:
    """Make a filesystem by its own tool and unpack a tree into it. Raises ToolError.

    ``subvolume`` is the one of btrfs that is made for the tree.
    """
    run(makers.command(part, device))
    PHYSICAL.mkdir(parents=True, exist_ok=True)
    if subvolume is not None:
        _make_subvolume(device, subvolume)
    run(["mount", *_options(subvolume), device, PHYSICAL])
    try:
        argv = ["tar", "-C", str(PHYSICAL), "--numeric-owner", "--xattrs", "--xattrs-include=*",
                "-xpf", "-"]  # fmt: skip
        with running(argv, stdin=PIPE, stderr=None, stdout=None) as tar:
            feed(tar, tarball.stream(tree, advance))
        if tar.returncode:
            how = f"tar {end_of(tar.returncode)}, see the log"
            raise HostError(f"'{device}' could not be filled: {how}")
        for path, node in tree.walk():
            if isinstance(node, Directory) and node.immutable:
                run(["chattr", "+i", PHYSICAL / os.fsdecode(path)])
    finally:
        run(["umount", PHYSICAL])


def _make_subvolume(device: Path, name: str) -> None:
    run(["mount", device, PHYSICAL])
    try:
        place = PHYSICAL / name
        place.parent.mkdir(parents=True, exist_ok=True)
        run(["btrfs", "subvolume", "create", place])
        run(["btrfs", "subvolume", "set-default", place])  # kernel arguments need not name it
    finally:
        run(["umount", PHYSICAL])


def _options(subvolume: str | None) -> tuple[str, ...]:
    return () if subvolume is None else ("-o", f"subvol={subvolume}")


def zero(device: Path, start: int, length: int, advance: Callable[[int], None]) -> None:
    """Make a range of a device read as zeros, by whatever is quickest for it. Raises HostError."""
    try:
        with device.open("r+b", buffering=0) as file:
            for at in range(start, start + length, _PIECE):
                size = min(_PIECE, start + length - at)
                fcntl.ioctl(file, _ZEROOUT, struct.pack("QQ", at, size))
                advance(size)
    except OSError as error:
        raise HostError(f"'{device}' cannot be written: {error.strerror}") from error


def reread(device: Path) -> None:
    """Let the kernel take the partitions that are on a disk now. Raises ToolError.

    udev looks at every disk that was written to, and none of its partitions may be open.
    """
    run(["blockdev", "--flushbufs", device])
    argv: list[str | Path] = ["blockdev", "--rereadpt", device]
    tries = 1
    while run(argv, ok=range(256) if tries < _TRIES else (0,)).status:
        tries += 1
        _settle()
        time.sleep(_PAUSE_SECONDS)
    _settle()


def _settle() -> None:
    if which("udevadm") is not None:
        run(["udevadm", "settle", "--timeout=20"], ok=range(256))


def _scratch_begin(disk: Disk) -> int:
    return align_down(disk.size // 2, MIB)


@contextmanager
def _scratch_space(disk: Disk) -> Generator[Path]:
    """Give a directory on the second half of a disk, which is nothing else's meanwhile."""
    begin = _scratch_begin(disk)
    size = align_down(size_of(disk.path) - begin - _TAIL, MIB)
    loop = run(
        ["losetup", "--show", "-f", "-o", str(begin), "--sizelimit", str(size), disk.path]
    ).text.strip()
    try:
        run(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0",
             "-E", "nodiscard,lazy_itable_init=1", loop])  # fmt: skip
        _SCRATCH.mkdir(parents=True, exist_ok=True)
        run(["mount", loop, _SCRATCH])
        try:
            cache = _SCRATCH / "cache"
            cache.mkdir()
            yield cache
        finally:
            run(["umount", _SCRATCH])
    finally:
        run(["losetup", "-d", loop])
