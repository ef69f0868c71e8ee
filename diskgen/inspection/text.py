"""Facts for people: every kind of them as lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ..terminal import page
from ..units import format_size

_SIGNATURES: Final = {
    "ostree-unverified-registry": "any image is taken, signed or not",
    "ostree-image-signed": "as the machine's containers-policy.json wants it",
}


def to_text(facts: dict[str, Any]) -> str:
    """Return the facts of an image, a disk or a medium for people."""
    return page(_LINES[facts["kind"]](facts))


def _image(facts: dict[str, Any]) -> Iterator[str]:
    yield f"image         {facts['reference']}"
    yield f"digest        {facts['digest']}"
    platform = f", {facts['platform']} of an index" if facts["platform"] else ""
    yield f"architecture  {facts['architecture']}{platform}"
    yield f"created       {facts['created'] or '-'}"
    yield f"bootable      {'yes' if facts['bootable'] else 'no'}" + (
        " (encapsulated ostree commit)" if facts["encapsulated"] else ""
    )
    yield f"size          {format_size(facts['size'])} compressed"
    yield "layers"
    for layer in facts["layers"]:
        kind = layer["type"].rpartition(".")[2]
        yield f"  {layer['digest'][:19]}  {format_size(layer['size']):>10}  {kind}"
    yield "labels"
    for key, value in sorted(facts["labels"].items()):
        yield f"  {key}={value}"
    for warning in facts["warnings"]:
        yield f"warning: {warning}"


def _disk(facts: dict[str, Any]) -> Iterator[str]:
    packed = f", {facts['compression']}" if facts.get("compression") else ""
    yield f"disk          {facts['path']}"
    yield f"format        {facts['format']}{packed}"
    yield (
        f"size          {format_size(facts['size'])}, of which the file holds "
        f"{format_size(facts['file_size'])}, sectors of {facts['sector_size']} bytes"
    )
    yield f"architecture  {facts['architecture'] or '-'}"
    if facts["partitions"]:
        yield "partitions"
    for part in facts["partitions"]:
        held: dict[str, Any] = part.get("content") or {}
        free = f"{format_size(held['free'])} free" if held.get("free") is not None else ""
        words = (
            f"  {part['number']:<3} {part['name'] or '-':<11} {format_size(part['size']):>10}  "
            f"{held.get('filesystem') or '-':<6} {free:<14} {held.get('uuid') or part['uuid']}"
        )
        yield words.rstrip()
    if facts["ways"]:
        yield "starts"
    for way in facts["ways"]:
        yield f"  {way['name']:<11} {'yes' if way['works'] else 'no'}: {way['reason']}"
    for number, item in enumerate(facts["deployments"]):
        yield from _deployment(item, number)
    yield from _notes(facts)


def _deployment(item: Mapping[str, Any], number: int) -> Iterator[str]:
    where = f"the menu's entry {number + 1}" if item["entry"] else "not in the menu"
    system = item["os"]
    name = " ".join(filter(None, (system["name"] or system["id"], system["version"]))) or "-"
    version = f", image version {system['image_version']}" if system["image_version"] else ""
    yield f"deployment    {item['stateroot']} {item['commit'][:12]}.{item['serial']}, {where}"
    yield f"  system      {name}{version}"
    yield f"  digest      {item['digest'] or '-'}"
    yield from _updates(item, "  updates     ", "  signatures  ")
    yield f"  kernel      {', '.join(item['kernels']) or '-'}"
    yield f"  kargs       {' '.join(item['kargs']) if item['kargs'] is not None else '-'}"
    for account in item["accounts"]:
        keys = f", {account['keys']} ssh keys" if account["keys"] else ""
        how = f"password {account['password']}{keys}"
        yield f"  account     {account['name']} ({account['uid']}), {how}"


def _updates(item: Mapping[str, Any], updates: str, signatures: str) -> Iterator[str]:
    yield f"{updates}{item['reference'] or '-'}"
    rule = item["signature"]
    if rule is not None:
        meaning = _SIGNATURES.get(rule, "by the key of an ostree remote")
        yield f"{signatures}{rule}: {meaning}"


def _medium(facts: dict[str, Any]) -> Iterator[str]:
    payload = facts["payload"]
    yield f"medium        {facts['path']}"
    yield f"label         {facts['label']}"
    yield f"size          {format_size(facts['size'])}"
    yield f"architecture  {facts['architecture'] or '-'}"
    yield f"product       {facts['product'] or '-'}"
    yield f"installer     {facts['installer'] or '-'}"
    yield f"starts        {', '.join(dict.fromkeys(facts['boots'])) or '-'}"
    yield f"payload       {payload['embedded_digest'] or payload['digest'] or '-'}" + (
        f" ({payload['where']})" if payload["where"] else ""
    )
    yield from _updates(facts, "updates       ", "signatures    ")
    if facts["entries"]:
        yield "entries"
    for entry in facts["entries"]:
        title = f"{entry['submenu']}: {entry['title']}" if entry["submenu"] else entry["title"]
        yield f"  {title}"
        if entry["erases"] is None:
            yield "      may erase disks"
        elif entry["erases"]:
            yield f"      erases {', '.join(entry['erases'])} without a question"
    yield from _notes(facts)


def _notes(facts: Mapping[str, Any]) -> Iterator[str]:
    for note in facts["notes"]:
        yield f"note: {note}"


_LINES: Final[Mapping[str, Callable[[dict[str, Any]], Iterator[str]]]] = {
    "image": _image,
    "disk": _disk,
    "medium": _medium,
}
