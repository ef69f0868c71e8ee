"""What a merged image tree says of itself, and every reason why it cannot be deployed."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..errors import DiskgenError, PreflightError, Problem, SourceError
from ..tree import Directory, File, read
from .installconfig import InstallConfig, read_config
from .kernel import Kernel, find_kernel

_SMALL: Final = 1024 * 1024
_TRUE: Final = frozenset({"yes", "true", "1"})


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
    has_tmpfiles: bool


def examine(root: Directory, labels: Mapping[str, str], arch: str) -> TreeFacts:
    """Return the facts of a merged tree. Raises UnfitError with all reasons against it at once."""
    problems: list[Problem] = []
    if "ostree.bootable" not in labels and "containers.bootc" not in labels:
        problems.append(
            Problem(
                code="not-bootable",
                message="this is an application image: it has neither the label 'containers.bootc' "
                "nor 'ostree.bootable'",
                hint="build a bootable image, from a bootc base image for instance",
            )
        )
    if "ostree.final-diffid" in labels:
        problems.append(
            Problem(
                code="encapsulated",
                message="this image is an encapsulated ostree commit (it has the label "
                "'ostree.final-diffid'), which this version cannot deploy",
            )
        )
    kernel = config = None
    for action in ("kernel", "config"):
        try:
            if action == "kernel":
                kernel = find_kernel(root)
            else:
                config = read_config(root, arch)
        except SourceError as error:
            problems.append(Problem(code=action, message=error.message, hint=error.hint))
    problems += _layout(root)
    problems += _root_mode(root)
    problems += _policy(root)
    problems += _bound_images(root)
    if config is not None and config.root_filesystem not in (None, "ext4"):
        # The image's wish, not its need: any filesystem that the initramfs mounts will do.
        config = InstallConfig(
            kargs=config.kargs,
            karg_deletes=config.karg_deletes,
            root_filesystem=config.root_filesystem,
            stateroot=config.stateroot,
            bls_append_except_default=config.bls_append_except_default,
            bootloader=config.bootloader,
            warnings=(
                *config.warnings,
                f"the image prefers '{config.root_filesystem}' for its root filesystem, "
                "the disk gets ext4",
            ),
        )
    if config is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", config.stateroot):
        problems.append(
            Problem(code="stateroot", message=f"'{config.stateroot}' cannot name a stateroot")
        )
    if problems or kernel is None or config is None:
        raise UnfitError(problems)
    release = os_release(root)
    os_id = release.get("ID", "linux")
    return TreeFacts(
        kernel=kernel,
        config=config,
        os_id=os_id,
        title=release.get("PRETTY_NAME") or os_id,
        has_tmpfiles=root.get_dir("usr/lib/tmpfiles.d") is not None,
    )


def os_release(root: Directory) -> dict[str, str]:
    """Return os-release(5) of a tree, unquoted; empty where there is none."""
    text = _text(root, "usr/lib/os-release") or _text(root, "usr/etc/os-release") or ""
    values = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            try:
                words = shlex.split(value)
            except ValueError:
                continue
            values[key] = " ".join(words).replace("\n", " ").replace("\0", "")
    return values


def _layout(root: Directory) -> list[Problem]:
    problems = []
    if root.get_dir("usr/etc") is None:
        problems.append(Problem(code="layout", message="this image has no /etc"))
    if root.get_dir("sysroot") is None:
        problems.append(
            Problem(
                code="layout",
                message="this image has no directory /sysroot, where the disk is mounted at boot",
                hint="add to the image's build: mkdir /sysroot && ln -s sysroot/ostree /ostree",
            )
        )
    return problems


def _root_mode(root: Directory) -> list[Problem]:
    settings = configparser.ConfigParser(strict=False, interpolation=None)
    found = False
    for path in ("usr/lib/ostree/prepare-root.conf", "usr/etc/ostree/prepare-root.conf"):
        text = _text(root, path)
        if text is not None:
            found = True
            try:
                settings.read_string(text)
            except configparser.Error as error:
                return [
                    Problem(
                        code="prepare-root", message=f"'/{path}' of the image is broken: {error}"
                    )
                ]
    if not found:
        return [
            Problem(
                code="prepare-root",
                message="this image has no usr/lib/ostree/prepare-root.conf",
                hint="add one to the image (before its initramfs is made)",
            )
        ]
    enabled = settings.get("composefs", "enabled", fallback="no").strip().lower()
    if enabled in _TRUE | {"verity", "signed"}:
        return [
            Problem(
                code="composefs",
                message=f"this image needs composefs (prepare-root.conf: enabled={enabled}), "
                "which this version cannot write",
                hint="'enabled=maybe' or 'enabled=no' in the image boots without it",
            )
        ]
    return []


def _policy(root: Directory) -> list[Problem]:
    text = _text(root, "usr/etc/selinux/config") or ""
    values = dict(re.findall(r"^\s*(SELINUX|SELINUXTYPE)\s*=\s*(\S+)\s*$", text, re.MULTILINE))
    kind = values.get("SELINUXTYPE", "")
    policy = root.get_dir(f"usr/etc/selinux/{kind}/policy") if kind else None
    if values.get("SELINUX") in ("enforcing", "permissive") and policy is not None:
        return [
            Problem(
                code="selinux",
                message=f"this image has an active SELinux policy ('{kind}'), whose labels this "
                "version cannot compute",
                hint="'SELINUX=disabled' in the image's /etc/selinux/config goes without",
            )
        ]
    return []


def _bound_images(root: Directory) -> list[Problem]:
    folder = root.get_dir("usr/lib/bootc/bound-images.d")
    if folder is None or not folder.entries:
        return []
    names = ", ".join(f"'{name.decode(errors='replace')}'" for name in sorted(folder.entries))
    return [
        Problem(
            code="bound-images",
            message=f"this image binds other images ({names}), which this version cannot embed",
            hint="remove them from usr/lib/bootc/bound-images.d",
        )
    ]


def _text(root: Directory, path: str) -> str | None:
    node = root.get(path)
    if isinstance(node, File) and node.is_symlink and path == "usr/etc/os-release":
        return None
    if not isinstance(node, File) or not node.is_regular or node.content is None:
        return None
    if node.size > _SMALL:
        raise DiskgenError(f"'/{path}' of the image is too large to be what it should be")
    return read(node.content).decode(errors="replace")
