"""How an image's initramfs mounts the deployment: what prepare-root.conf says.

Format: ostree-prepare-root(1).
"""

from __future__ import annotations

import configparser
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from ..errors import Problem, SourceError
from ..tree import Directory
from .lookup import find_text

_PREPARE_ROOT: Final = ("usr/lib/ostree/prepare-root.conf", "etc/ostree/prepare-root.conf")
_TRUE: Final = frozenset({"yes", "true", "1"})
_FALSE: Final = frozenset({"no", "false", "0"})
_KEY: Final = "/etc/ostree/initramfs-root-binding.key"  # where nothing else is said


class Composefs(StrEnum):
    """Whether the deployment's root is a composefs image at boot."""

    NO = "no"
    MAYBE = "maybe"  # where the deployment has one
    YES = "yes"
    VERITY = "verity"  # and every byte of it is verified as it is read
    SIGNED = "signed"  # and a commit of the image that is signed says which root it is

    @property
    def sealed(self) -> bool:
        """Whether fs-verity guards the root."""
        return self in (Composefs.VERITY, Composefs.SIGNED)


def shows_whole_root(root: Directory) -> bool:
    """Say whether the machine shows top-level directories of the image beside /usr, /etc, /var.

    Only with composefs or a transient root: others get their root from ``ostree checkout`` alone.
    Looked at is what the base itself brings, as ostree-ext does. Raises SourceError.
    """
    settings = _settings(root, _PREPARE_ROOT[:1])
    enabled = settings.get("composefs", "enabled", fallback="no").strip()
    transient = settings.get("root", "transient", fallback="no").strip()
    return enabled in _TRUE | {"maybe", "signed", "verity"} or transient in _TRUE


def _settings(root: Directory, paths: Iterable[str]) -> configparser.ConfigParser:
    """Return prepare-root.conf as its files add up. Raises SourceError for a broken one."""
    settings = configparser.ConfigParser(
        strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",)
    )
    for path in paths:
        try:
            settings.read_string(find_text(root, path) or "")
        except configparser.Error as error:
            reason = str(error).splitlines()[0]
            raise SourceError(f"'/{path}' of the image is broken: {reason}") from None
    return settings


def key_path(root: Directory) -> str:
    """Return where the keys are by which a signed root is known. Raises SourceError."""
    return _settings(root, _PREPARE_ROOT).get("composefs", "keypath", fallback=_KEY).strip()


def root_mode(root: Directory) -> tuple[Composefs, list[Problem]]:
    """Return how the deployment is mounted at boot, and what is wrong. Raises SourceError."""
    if not any(find_text(root, path) is not None for path in _PREPARE_ROOT):
        return Composefs.NO, [
            Problem(
                code="prepare-root",
                message=f"this image has no '/{_PREPARE_ROOT[0]}', by which its initramfs finds "
                "the deployment",
                hint="add one to the image, before its initramfs is made",
            )
        ]
    try:
        settings = _settings(root, _PREPARE_ROOT)
    except SourceError as error:
        return Composefs.NO, [Problem.of("prepare-root", error)]
    enabled = settings.get("composefs", "enabled", fallback="no").strip()
    if enabled in _FALSE:
        mode = Composefs.NO
    elif enabled in _TRUE:
        mode = Composefs.YES
    elif enabled in ("maybe", "verity", "signed"):
        mode = Composefs(enabled)
    else:
        return Composefs.NO, [
            Problem(
                code="prepare-root",
                message=f"prepare-root.conf of the image has '{enabled}' for composefs.enabled",
                hint="it knows: no, maybe, yes, verity, signed",
            )
        ]
    overlay = [
        key
        for key in ("transient", "transient-ro")
        if settings.get("root", key, fallback="no").strip() in _TRUE
    ]
    if overlay and mode is Composefs.NO:
        return mode, [
            Problem(
                code="composefs",
                message=f"this image would not boot: prepare-root.conf has root.{overlay[0]}, "
                "which needs composefs, and does not enable composefs",
                hint="'enabled=yes' below [composefs] in the image and its initramfs",
            )
        ]
    return mode, []
