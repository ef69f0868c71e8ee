"""What a merged image tree says of itself, and every reason why it cannot be deployed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from ..documents import load_object
from ..errors import PreflightError, Problem, SourceError
from ..initramfs import findings
from ..tree import Directory
from . import signing
from .drivers import Drivers, read_drivers
from .dropins import drop_ins
from .embedded import Embedded, read_embedded
from .encapsulated import Base
from .installconfig import InstallConfig, read_config
from .kernel import Kernel, find_kernel, initramfs_doubt, initramfs_problem, verity_problem
from .lookup import find, find_dir, find_link, find_text
from .prepare_root import Composefs, root_mode
from .selinux import Policy, read_policy

_Found = TypeVar("_Found")

# Mount points: the root of a deployment is immutable, nobody can add them at boot.
_MOUNT_POINTS: Final = ("boot", "dev", "proc", "run", "sys", "sysroot", "var")
_BOUND: Final = "usr/lib/bootc/bound-images.d"
_BOUND_IMAGE: Final = re.compile(r"^[ \t]*Image[ \t]*=[ \t]*(\S+)", re.MULTILINE)
_LONGEST: Final = 16384  # characters of a value: shlex takes long for long words
_IGNITION: Final = ("usr/lib/dracut/modules.d/30ignition", "usr/lib/ignition")
_EVERYWHERE: Final = None
# What gets keys and accounts from where the machine runs: its file, and of which platform alone.
_FETCHERS: Final = (
    ("usr/bin/cloud-init", _EVERYWHERE),
    ("usr/bin/afterburn", _EVERYWHERE),
    ("usr/bin/google_guest_agent", "gcp"),
    ("usr/sbin/waagent", "azure"),
    ("usr/bin/waagent", "azure"),
    ("usr/bin/azure-init", "azure"),
)
# What grows a root filesystem, with its partition, at a start.
_GROWERS: Final = (
    "usr/bin/growpart",  # of cloud-utils, which cloud-init starts
    "usr/lib/systemd/system/bootc-generic-growpart.service",
    "usr/sbin/ignition-ostree-growfs",
    "usr/lib/dracut/modules.d/40ignition-ostree/ignition-ostree-growfs.sh",
    "usr/lib/dracut/modules.d/50growroot",
    "usr/share/initramfs-tools/scripts/local-bottom/growroot",
)
_REPART: Final = ("usr/lib/repart.d", "usr/etc/repart.d")  # systemd-repart(8) does what is there


class UnfitError(SourceError, PreflightError):
    """An image that cannot become a machine, with all reasons."""

    exit_status = SourceError.exit_status

    def __init__(self, problems: list[Problem]) -> None:
        PreflightError.__init__(self, problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFacts:
    """An image that can be deployed."""

    kernel: Kernel
    config: InstallConfig
    os_id: str
    title: str  # PRETTY_NAME, else ID
    version: str | None  # VERSION_ID
    has_tmpfiles: bool
    composefs: Composefs
    policy: Policy | None  # of SELinux, where it is active
    ignition: bool  # whether Ignition configures the machine at its first boot
    drivers: Drivers
    # Platforms of which something gets keys and accounts; None in it for all of them.
    fetched: frozenset[str | None]
    grows: bool  # whether something grows the root to the size of its disk
    fstab: tuple[str, ...]  # lines of the image's own
    machine_id: bool  # whether it is filled
    embedded: Embedded  # what it says of its disks
    policy_doubts: tuple[str, ...]  # why it would refuse signed updates
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """What a machine starts by."""

    kernel: Kernel
    problem: Problem | None
    doubt: str | None
    drivers: Drivers


def examine(
    root: Directory,
    labels: Mapping[str, str],
    machine: str,
    *,
    initramfs: findings.Examine = findings.examine,
    skip_bound_images: bool = False,
    base: Base | None = None,
) -> TreeFacts:
    """Return the facts of a merged tree for a machine (a name of ``arch.MACHINES``).

    ``initramfs`` reads the kernel's; with ``skip_bound_images`` the images that are bound to this
    one are no reason against it; ``base`` is the commit that it is derived from. Raises UnfitError
    with all reasons against it at once.
    """
    problems: list[Problem] = []

    def known(code: str, ask: Callable[[Directory], _Found]) -> _Found | None:
        try:
            return ask(root)
        except SourceError as error:
            problems.append(Problem.of(code, error))
            return None

    start = known("kernel", lambda tree: _start(tree, initramfs))
    problems += [start.problem] if start is not None and start.problem is not None else []
    config = known("install-config", lambda tree: read_config(tree, machine))
    embedded = known("image-config", lambda tree: read_embedded(tree, machine)) or Embedded()
    composefs, wrong = known("image", root_mode) or (Composefs.NO, [])
    problems += wrong
    problems += known("image", lambda tree: list(_guard(tree, composefs, start, base))) or []
    policy = known("selinux", read_policy)
    bound = known("image", _bound_images) or []
    if bound and not skip_bound_images:
        problems.append(_not_embedded(bound))
    release = known("image", os_release) or {}
    problems[:0] = [*kind_problems(labels), *_layout(root)]
    if problems or start is None or config is None:
        raise UnfitError(problems)
    os_id = release.get("ID") or "linux"
    return TreeFacts(
        kernel=start.kernel,
        config=config,
        os_id=os_id,
        title=release.get("PRETTY_NAME") or os_id,
        version=release.get("VERSION_ID"),
        has_tmpfiles=find_dir(root, "usr/lib/tmpfiles.d") is not None,
        composefs=composefs,
        policy=policy,
        ignition=any(find_dir(root, path) is not None for path in _IGNITION),
        drivers=start.drivers,
        fetched=frozenset(only for path, only in _FETCHERS if find(root, path) is not None),
        grows=_grows(root),
        fstab=_fstab(root),
        machine_id=_text(root, "etc/machine-id") not in ("", "uninitialized"),
        embedded=embedded,
        policy_doubts=tuple(_doubt_policy(root)),
        warnings=(*config.warnings, *embedded.warnings, *_warnings(root, start, bound)),
    )


def _guard(
    root: Directory, mode: Composefs, start: _Start | None, base: Base | None
) -> Iterator[Problem]:
    """Yield why the machine would refuse a root that is to be guarded. Raises SourceError."""
    lacking = verity_problem(root, start.kernel) if mode.sealed and start is not None else None
    if lacking is not None:
        yield lacking
    if mode is Composefs.SIGNED:
        yield from signing.problems(root, base)


def _warnings(root: Directory, start: _Start, bound: list[str]) -> Iterator[str]:
    yield from drop_ins(root, (_BOUND,)).warnings
    yield from _doubts(root)
    if start.doubt is not None:
        yield start.doubt
    yield from _skipped(bound)


def _start(root: Directory, initramfs: findings.Examine) -> _Start:
    """Return the kernel, and what its initramfs holds. Raises SourceError."""
    kernel = find_kernel(root)
    found = initramfs(kernel.initramfs)
    return _Start(
        kernel=kernel,
        problem=initramfs_problem(kernel, found),
        doubt=initramfs_doubt(kernel, found),
        drivers=read_drivers(root, kernel.release, found),
    )


def _grows(root: Directory) -> bool:
    """Say whether something grows the root, with its partition, to the size of its disk."""
    folders = [find_dir(root, path) for path in _REPART]
    told = any(name.endswith(b".conf") for f in folders if f is not None for name in f.entries)
    return told or any(find(root, path) is not None for path in _GROWERS)


def os_release(root: Directory) -> dict[str, str]:
    """Return os-release(5) of a tree, unquoted; empty where there is none."""
    text = find_text(root, "usr/lib/os-release") or find_text(root, "etc/os-release") or ""
    return parse_os_release(text)


def _fstab(root: Directory) -> tuple[str, ...]:
    """Return the lines of fstab(5) that are no comments."""
    lines = [line.strip() for line in _text(root, "etc/fstab").splitlines()]
    return tuple(line for line in lines if line and not line.startswith("#"))


def _text(root: Directory, path: str) -> str:
    return (find_text(root, path) or "").strip()


def parse_os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release(5), unquoted."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith("#") or len(value) > _LONGEST:
            continue
        try:
            words = shlex.split(value)
        except ValueError:  # an unclosed quote
            continue
        values[key] = "".join(char if char.isprintable() else " " for char in " ".join(words))
    return values


def is_graphical(root: Directory) -> bool:
    """Say whether a machine of the image greets its user with a graphical login."""
    manager = find_link(root, "etc/systemd/system/display-manager.service")
    target = find_link(root, "etc/systemd/system/default.target") or ""
    return manager is not None and not target.endswith("multi-user.target")


def _doubt_policy(root: Directory) -> Iterator[str]:
    """Yield why updates that must be signed would be refused by the image's own policy."""
    text = find_text(root, "etc/containers/policy.json")
    if text is None:
        yield (
            "updates are to be signed, but the image has no '/etc/containers/policy.json': they "
            "will be refused"
        )
        return
    try:
        default = load_object(text).get("default", [])
        kinds = {rule.get("type") for rule in default}
    except (ValueError, AttributeError, TypeError):
        yield "'/etc/containers/policy.json' of the image is broken: updates will be refused"
        return
    if kinds <= {"insecureAcceptAnything"}:
        yield (
            "updates are to be signed, but '/etc/containers/policy.json' of the image accepts "
            "anything by default: bootc refuses to update with such a policy"
        )


def kind_problems(labels: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the reason why an image with such labels is not made to boot."""
    if "ostree.bootable" not in labels and "containers.bootc" not in labels:
        yield Problem(
            code="not-bootable",
            message="this image is not made to boot: it has neither the label 'containers.bootc' "
            "nor 'ostree.bootable'",
            hint="build it from a bootc base image, or add 'LABEL containers.bootc 1'",
        )


def _layout(root: Directory) -> Iterator[Problem]:
    missing = [name for name in _MOUNT_POINTS if root.get_dir(name) is None]
    if missing:
        yield Problem(
            code="layout",
            message="this image lacks directories that are mount points at boot: "
            + ", ".join(f"'/{name}'" for name in missing),
            hint="add to the image's build: mkdir -p "
            + " ".join(f"/{name}" for name in missing)
            + (" && ln -s sysroot/ostree /ostree" if root.get("ostree") is None else ""),
        )
    if root.get_dir("usr/etc") is None:
        yield Problem(
            code="layout",
            message="this image has no directory '/etc'",
            hint="a bootable image holds its configuration there",
        )


def _doubts(root: Directory) -> Iterator[str]:
    link = root.get("ostree")
    if link is None or getattr(link, "target", b"") != b"sysroot/ostree":
        yield (
            "the image has no symlink '/ostree' to 'sysroot/ostree': the 'ostree' command will not "
            "find its repository on the machine"
        )
    if root.get("tmp") is None:
        yield "the image has no directory '/tmp', and the machine will not be able to make one"


def _bound_images(root: Directory) -> list[str]:
    """Return the names of the images that are to be there whenever this one is."""
    names: list[str] = []
    for path in drop_ins(root, (_BOUND,)).paths:
        image = _BOUND_IMAGE.search(find_text(root, path) or "")
        name = path.rpartition(b"/")[2].decode(errors="backslashreplace")
        names.append(image[1] if image else name)
    return names


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _not_embedded(bound: list[str]) -> Problem:
    return Problem(
        code="bound-images",
        message="this image is bound to other images, which this version of diskgen cannot put "
        f"on the disk yet: {_quoted(bound)}",
        hint="'skip' leaves them out, and the machine fetches them at its next update; or remove "
        f"the links from /{_BOUND}",
        setting="bound-images",
    )


def _skipped(bound: list[str]) -> list[str]:
    if not bound:
        return []
    return [
        f"images that are bound to this one are left out: {_quoted(bound)}; the machine fetches "
        "them at its next update, what needs them before fails"
    ]
