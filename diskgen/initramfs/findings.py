"""What diskgen asks of an initramfs: can it find a deployment, and what did dracut put in it."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..compression import Damaged
from ..documents import is_list, load_object
from ..image import private
from ..tree import File, pieces
from ..units import MIB
from .archive import members
from .unpackers import UnknownPacking

_FORMAT: Final = 2  # of what is remembered; another one when a question is added
_LISTS: Final = (b"usr/lib/dracut/modules.txt", b"lib/dracut/modules.txt")  # dracut(8)
_MAX_LIST: Final = MIB
_PREPARE_ROOT: Final = b"ostree-prepare-root"  # a program; where it lies is the maker's business


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The answers.

    ``damage`` says why it cannot be read to its end, ``unknown`` that a kernel may unpack it all
    the same: then nothing is known.
    """

    prepare_root: bool = False
    modules: frozenset[str] | None = None  # dracut's; None where it does not say
    drivers: frozenset[str] = frozenset()  # modules of the kernel, as lsmod names them
    damage: str | None = None
    unknown: bool = False


_DRIVER: Final = re.compile(rb"(?:^|/)([A-Za-z0-9_-]+)\.ko(?:\.(?:xz|gz|zst))?$")

Examine = Callable[[File], Findings]


def examine(image: File) -> Findings:
    """Return what an initramfs says; that it is damaged is an answer too. Raises OSError."""
    assert image.content is not None
    prepare_root = False
    modules: frozenset[str] | None = None
    drivers: set[str] = set()
    damage: str | None = None
    unknown = False
    try:
        for member in members(pieces(image.content), _wanted):
            if member.data is not None and modules is None:
                modules = frozenset(member.data.decode("utf-8", "replace").split())
            elif member.name.rpartition(b"/")[2] == _PREPARE_ROOT:
                prepare_root = prepare_root or not stat.S_ISDIR(member.mode)
            elif (driver := driver_name(member.name)) is not None:
                drivers.add(driver)
    except UnknownPacking as error:
        damage, unknown = str(error), True
    except Damaged as error:
        damage = str(error)
    return Findings(
        prepare_root=prepare_root,
        modules=modules,
        drivers=frozenset(drivers),
        damage=damage,
        unknown=unknown,
    )


def driver_name(path: bytes) -> str | None:
    """Return which module of a kernel a file is, as lsmod(8) names it; None for other files."""
    found = _DRIVER.search(path)
    return found[1].decode().replace("-", "_") if found is not None else None


def _wanted(name: bytes, size: int) -> bool:
    return name in _LISTS and size <= _MAX_LIST


class Cached:
    """``examine`` with a memory: a directory with a file for each content that was read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __call__(self, image: File) -> Findings:
        """Return what an initramfs says. Raises OSError."""
        place = self._directory / f"{_digest(image)}.json"
        found = _remembered(place)
        if found is not None:
            return found
        found = examine(image)
        note = {
            "format": _FORMAT,
            "prepare_root": found.prepare_root,
            "modules": None if found.modules is None else sorted(found.modules),
            "drivers": sorted(found.drivers),
            "damage": found.damage,
            "unknown": found.unknown,
        }
        partial = place.with_suffix(f".{time.monotonic_ns()}.partial")
        body = json.dumps(note).encode()
        partial.write_bytes(_sum(body) + b"\n" + body)
        partial.rename(place)
        return found


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _digest(image: File) -> str:
    """Return what names an initramfs; the sum of an ostree object covers its content already."""
    if image.checksum is not None:
        return image.checksum.hex()
    assert image.content is not None
    digest = hashlib.sha256()
    for piece in pieces(image.content):
        digest.update(piece)
    return digest.hexdigest()


def _remembered(place: Path) -> Findings | None:
    """Return what a file says; None for a missing or damaged one, and for another user's."""
    try:
        head, _newline, body = (private.read(place) or b"").partition(b"\n")
        if head != _sum(body):
            return None
        note = load_object(body)
    except (OSError, ValueError):
        return None
    modules, drivers, damage = note.get("modules"), note.get("drivers"), note.get("damage")
    if note.get("format") != _FORMAT or not (modules is None or is_list(modules)):
        return None
    if not is_list(drivers):
        return None
    return Findings(
        prepare_root=note.get("prepare_root") is True,
        modules=None if modules is None else frozenset(map(str, modules)),
        drivers=frozenset(map(str, drivers)),
        damage=None if damage is None else str(damage),
        unknown=note.get("unknown") is True,
    )
