"""OCI image layouts, in directories and in tars, read where they are.

Formats: OCI image layout specification 1.1; tar of POSIX.1-1988 (ustar), which suffices for the
names in a layout.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ..arch import Machine
from ..budgets import CONFIG_BYTES, MANIFEST_BYTES, Budget
from ..errors import SourceError
from ..reference import ImageRef
from .content import matching, small, verified
from .manifest import DOCKER_SCHEMA1, Manifest, outdated, parse_any, parse_config
from .model import Image, Layer
from .platforms import Choice, choose

_BLOCK: Final = 512
_MEMBERS: Final = 100_000  # of a tar with a layout; as many blobs no image has
Read = Callable[[str, Budget], bytes | None]  # a file of the layout; None where it is not there


@dataclass(frozen=True, slots=True)
class Local:
    """One platform's image of a layout, its manifest and config verified."""

    digest: str
    data: bytes
    parsed: Manifest
    config: bytes
    choice: Choice | None  # None: there was no index to choose from
    media_type: str  # of the manifest, as the layout has it


def in_place(ref: ImageRef, machine: Machine) -> Image:
    """Return the image of a layout's directory: no copy is made. Raises SourceError."""
    local = locate(ref, machine)
    directory = Path(_split(ref)[0])
    diff_ids = parse_config(local.config, len(local.parsed.layers), machine, ref.short)
    layers = tuple(
        Layer(d.digest, diff_id, d.size, d.media_type, _inside(directory, d.digest))
        for d, diff_id in zip(local.parsed.layers, diff_ids, strict=True)
    )
    for layer in layers:
        if not layer.blob.is_file():
            raise SourceError(f"'{directory}' lacks layer '{layer.digest}'")
        if not os.access(layer.blob, os.R_OK):
            raise SourceError(f"'{layer.blob}' cannot be read: {os.strerror(errno.EACCES)}")
    return Image(
        ref, machine.name, local.digest, local.data, local.config, layers,
        platform=local.choice.spelling if local.choice else "",
        warnings=local.choice.warnings if local.choice else (),
    )  # fmt: skip


def locate(ref: ImageRef, machine: Machine) -> Local:
    """Find an image in a layout's directory. Raises SourceError."""
    directory = Path(_split(ref)[0])

    def read(name: str, limit: Budget) -> bytes | None:
        if name == "index.json":
            path = directory / name
            return small(path, limit) if path.is_file() else None
        return verified(_inside(directory, name), name, limit)

    try:
        return _found(ref, machine, read)
    except OSError as error:
        raise SourceError(
            f"'{ref.short}' cannot be read: '{error.filename}': {error.strerror}",
            hint="whoever runs diskgen must be able to read all of the layout",
        ) from error


def locate_in_tar(ref: ImageRef, machine: Machine) -> Local | None:
    """Find an image in a layout's tar; None where that takes skopeo (a compressed one).

    Raises SourceError.
    """
    path = Path(_split(ref)[0])
    try:
        with path.open("rb") as file:
            places = _members(file)
            if places is None:
                return None

            def read(name: str, limit: Budget) -> bytes | None:
                where = name if name == "index.json" else f"blobs/{name.replace(':', '/', 1)}"
                if where not in places:
                    return None
                offset, size = places[where]
                if size > limit.limit:
                    raise SourceError(f"'{where}' of '{path}' has {limit.exceeded}")
                file.seek(offset)
                data = file.read(size)
                return data if name == "index.json" else matching(data, name, ref.short)

            return _found(ref, machine, read)
    except OSError:
        return None  # skopeo says what is wrong with it


def _found(ref: ImageRef, machine: Machine, read: Read) -> Local:
    place, tag = _split(ref)
    what = ref.short
    index = read("index.json", MANIFEST_BYTES)
    if index is None:
        raise SourceError(f"'{place}' is no OCI layout: it has no index.json")
    platforms = parse_any(index, what)
    if not isinstance(platforms, tuple):
        raise SourceError(f"'{place}' is no OCI layout: its index.json lists no manifests")
    named = tuple(p for p in platforms if not tag or p.name == tag)
    if not named or (named[1:] and not tag):
        tags = ", ".join(sorted({p.name for p in platforms if p.name})) or "none"
        raise SourceError(
            f"'{what}' names {'no' if not named else 'more than one'} image of the layout",
            hint=f"its tags are: {tags}",
        )
    choice = choose(named, machine, what) if named[1:] else None
    descriptor = (choice.platform if choice else named[0]).descriptor
    if descriptor.media_type in DOCKER_SCHEMA1:
        raise outdated(what)  # its digest is of a part of it
    data = _blob(read, descriptor.digest, MANIFEST_BYTES, place)
    parsed = parse_any(data, what)
    if isinstance(parsed, tuple) and choice is None:
        choice = choose(parsed, machine, what)
        descriptor = choice.platform.descriptor
        data = _blob(read, descriptor.digest, MANIFEST_BYTES, place)
        parsed = parse_any(data, what)
    if isinstance(parsed, tuple):
        raise nested(what)
    config = _blob(read, parsed.config.digest, CONFIG_BYTES, place)
    parse_config(config, len(parsed.layers), machine, what)
    return Local(descriptor.digest, data, parsed, config, choice, descriptor.media_type)


def nested(what: str) -> SourceError:
    """Return the refusal of an index inside an index, which registry clients don't read."""
    return SourceError(
        f"'{what}' has an index inside its index",
        hint="no client follows these: push the inner index under a name of its own",
    )


def _blob(read: Read, digest: str, limit: Budget, place: str) -> bytes:
    data = read(digest, limit)
    if data is None:
        raise SourceError(f"blob '{digest}' is missing from '{place}'")
    return data


def _split(ref: ImageRef) -> tuple[str, str]:
    path, _colon, tag = ref.name.partition(":")
    return path, tag


def _inside(directory: Path, digest: str) -> Path:
    """Return the path of a layout's blob; a link out of the layout is refused."""
    path = directory / "blobs" / digest.replace(":", "/", 1)
    if not path.resolve().is_relative_to(directory.resolve()):
        raise SourceError(f"blob '{digest}' of '{directory}' is a link to outside of the layout")
    return path


def _members(file: BinaryIO) -> dict[str, tuple[int, int]] | None:
    """Return offset and size in bytes of a tar's files by name; None where it is no plain tar."""
    places: dict[str, tuple[int, int]] = {}
    end = file.seek(0, os.SEEK_END)
    at = 0
    for _count in range(_MEMBERS):
        if at > end:  # a size may be more than any file has
            break
        file.seek(at)
        header = file.read(_BLOCK)
        if len(header) < _BLOCK or not any(header):
            break
        size = _size(header[124:136])
        if header[257:262] != b"ustar" or size is None:
            return None
        if header[156:157] in (b"0", b"\0"):
            name = os.fsdecode(header[:100].rstrip(b"\0")).removeprefix("./")
            if at + _BLOCK + size <= end:
                places[name] = (at + _BLOCK, size)
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
    return places


def _size(field: bytes) -> int | None:
    """Return the number of a header's field, octal or base-256; None where it is none."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ~(0x80 << 88) if not field[0] & 0x40 else None
    text = field.rstrip(b"\0 ").lstrip()
    return int(text, 8) if text and all(c in b"01234567" for c in text) else None
