"""A registry that is not verified by TLS, as containers-registries.conf(5) says it.

A drop-in replaces the whole entry of a registry that other files have, so it repeats what they say
of it: mirrors, another location. As skopeo's ``--tls-verify=false``, it is for all of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...documents import DocumentError, load_toml
from ...errors import UsageError

_WORDS: Final = ("prefix", "location", "blocked", "mirror-by-digest-only")  # of a registry
_OF_MIRRORS: Final = ("location", "pull-from-mirror")


def drop_in(name: str, host: str, conf: bytes | None) -> str:
    """Return the file for an image of a registry, by its name without a transport.

    ``conf`` is what else is said of registries. Raises UsageError where that cannot be read.
    """
    found = _entry(name, conf) or {"location": host}
    lines = ["[[registry]]", *_lines(found, _WORDS), "insecure = true"]
    for mirror in found.get("mirror", ()):
        lines += ["[[registry.mirror]]", *_lines(mirror, _OF_MIRRORS), "insecure = true"]
    return "\n".join(lines) + "\n"


def _entry(name: str, conf: bytes | None) -> Mapping[str, Any] | None:
    """Return what is said of the registry of an image: the longest prefix counts."""
    try:
        entries = load_toml(conf or b"").get("registry", [])
        fitting = {_prefix(entry): entry for entry in entries if _fits(_prefix(entry), name)}
        return fitting[max(fitting, key=len)] if fitting else None
    except (DocumentError, TypeError, AttributeError) as error:
        raise UsageError(
            f"what is said of registries cannot be read: {error}",
            hint="containers-registries.conf(5) has the format, of version 2",
            setting="registries-conf",
        ) from None


def _prefix(entry: Mapping[str, Any]) -> str:
    return str(entry.get("prefix") or entry.get("location") or "")


def _fits(prefix: str, name: str) -> bool:
    if prefix.startswith("*."):
        return name.partition("/")[0].endswith(prefix[1:])
    return bool(prefix) and name.startswith(prefix) and name[len(prefix) :][:1] in ("", *"/:@")


def _lines(table: Mapping[str, Any], words: tuple[str, ...]) -> Iterator[str]:
    """Yield keys and values; strings and booleans of JSON are those of TOML."""
    for word in words:
        if isinstance(table.get(word), str | bool):
            yield f"{word} = {json.dumps(table[word])}"
