"""What an installer's medium holds: payload, installer, entries and what each of them erases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pykickstart.constants import CLEARPART_TYPE_NONE

from ..config import KICKSTART_VERSIONS, ONLY_IN_WORDS
from ..documents import DocumentError, is_list, is_table, load_object
from ..errors import DiskgenError
from ..iso.assembly.contents import FACTS
from ..iso.assembly.medium import PRODUCT_IMAGE, ROOM
from ..iso.kickstarts.kickstart import FOUND_DISK
from ..iso.reading import reader
from ..kickstart import language
from ..reference import split_origin
from ..tree import Directory, File, read
from ..units import MIB
from ..vm import media
from . import SCHEMA_VERSION, menus
from .menus import Item

_MAX_TEXT: Final = MIB
_OWN: Final = "diskgen's own installer"
EVERY_DISK: Final = "every disk"
_MENUS: Final = (
    ("boot/grub2/grub.cfg", menus.grub),
    ("boot/grub/grub.cfg", menus.grub),
    ("EFI/BOOT/grub.cfg", menus.grub),
    ("isolinux/isolinux.cfg", menus.isolinux),
    ("boot/isolinux/isolinux.cfg", menus.isolinux),
)
_ABOUT: Final = (".treeinfo", ".disk/info")
_KEEPS: Final = (None, CLEARPART_TYPE_NONE)


def of_medium(path: Path) -> dict[str, Any]:
    """Return what a medium shows; what cannot be shown is in its ``notes``.

    Raises SourceError for a file that is none or is damaged.
    """
    image = reader.read(path)
    notes: list[str] = []
    about = _object(image.root, f"{ROOM}/{FACTS}", notes)
    index = _object(image.root, f"{ROOM}/container/index.json", notes)
    origin = _string(about, "origin")
    rule, reference = split_origin(origin) if origin is not None else (None, None)
    version = _string(about, "kickstart_version")
    modes = about.get("modes")
    return {
        "version": SCHEMA_VERSION,
        "kind": "medium",
        "path": str(path),
        "label": image.label,
        "size": image.size,
        "architecture": media.architecture(path),
        "product": _string(about, "product") or _product(image.root),
        "installer": _installer(image.root),
        "boots": [f"{'uefi' if entry.efi else 'bios'}" for entry in image.boot],
        "payload": {
            "where": _string(about, "payload"),
            "digest": _string(about, "digest"),
            "embedded_digest": _digest(index),
        },
        "reference": reference,
        "signature": rule,
        "origin": origin,
        "modes": [m for m in modes if isinstance(m, str)] if is_list(modes) else [],
        "entries": [_entry(image.root, item, version, notes) for item in _items(image.root)],
        "notes": list(dict.fromkeys(notes)),
    }


def _object(root: Directory, path: str, notes: list[str]) -> Mapping[str, Any]:
    text = _text(root, path)
    if text is None:
        return {}
    try:
        return load_object(text)
    except DocumentError as error:
        notes.append(f"'{path}' cannot be read: {error}")
        return {}


def _string(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) else None


def _digest(index: Mapping[str, Any]) -> str | None:
    manifests = index.get("manifests")
    first = manifests[0] if is_list(manifests) and manifests else None
    return _string(first, "digest") if is_table(first) else None


def _installer(root: Directory) -> str | None:
    """Return which installer a medium starts, in words."""
    ours = root.get(f"{ROOM}/{FACTS}") is not None
    if root.get(PRODUCT_IMAGE) is not None or root.get("images/install.img") is not None:
        own = ours and root.get(PRODUCT_IMAGE) is None
        return _OWN if own else "Anaconda"
    return _OWN if ours else None


def _product(root: Directory) -> str | None:
    """Return what a vendor's medium says that it is."""
    for path in _ABOUT:
        lines = (_text(root, path) or "").splitlines()
        for line in lines:
            key, equals, value = line.partition("=")
            if equals and key.strip() == "name":
                return value.strip()
        if lines and path == _ABOUT[-1]:
            return lines[0].strip()
    return None


def _items(root: Directory) -> Iterator[Item]:
    """Yield the entries of the first menu there is: they are the same in all of a medium."""

    def file(path: str) -> str | None:
        return _text(root, path)

    for path, parse in _MENUS:
        text = file(path)
        if text is not None and (found := parse(text, file)):
            yield from found
            return
    for raw in sorted(root.entries):
        text = file(raw.decode(errors="replace")) if raw.endswith(b".ins") else None
        if text is not None:
            yield from menus.mainframe(text, file)


def _entry(root: Directory, item: Item, version: str | None, notes: list[str]) -> dict[str, Any]:
    """Return an entry. ``erases`` are disks that it erases without a question, None: not known."""
    words = item.arguments or ()
    place = next((w.partition("=")[2] for w in words if w.startswith(("inst.ks=", "ks="))), None)
    erases: list[str] | None = []
    if place is not None:
        erases = _erased(root, place, version, notes)
    return {
        "title": item.title,
        "submenu": item.submenu,
        "arguments": list(words) if item.arguments is not None else None,
        "kickstart": place,
        "erases": erases,
    }


def _erased(root: Directory, place: str, version: str | None, notes: list[str]) -> list[str] | None:
    """Return the disks that a kickstart of the medium erases, None where that cannot be said."""
    path = place.rpartition(":")[2].lstrip("/")
    text = _text(root, path) if place.startswith(("hd:", "cdrom:")) else None
    if text is None:
        notes.append(f"what 'inst.ks={place}' erases is not known: it is not on the medium")
        return None
    known = version if version in KICKSTART_VERSIONS else KICKSTART_VERSIONS[0]
    try:
        parsed = language.parse(text, known, path)
    except DiskgenError as error:
        notes.append(f"what '{path}' erases is not known: {error.message}")
        return None
    found = [words for _line, words in parsed.hidden if words == FOUND_DISK]
    if len(parsed.hidden) > len(found):
        notes.append(f"'{path}' includes others, which are not looked at")
    handler = parsed.handler
    clear = handler.clearpart
    if not (clear.seen and clear.type not in _KEEPS) and not handler.zerombr.seen:
        return []
    named = [*(clear.drives or ()), *(clear.devices or ()), *(handler.ignoredisk.onlyuse or ())]
    # Our own installer takes the only one where none is named, and none of several.
    unnamed = ONLY_IN_WORDS if found or _installer(root) == _OWN else EVERY_DISK
    return list(dict.fromkeys(map(str, named))) or [unnamed]


def _text(root: Directory, path: str) -> str | None:
    get: Callable[[str], Any] = root.get
    node = get(path)
    if not isinstance(node, File) or node.content is None or node.size > _MAX_TEXT:
        return None
    try:
        return read(node.content).decode(errors="replace")
    except OSError:
        return None
