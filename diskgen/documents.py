"""JSON, TOML and YAML from images, registries and files that others wrote: one way to read each.

Formats: RFC 8259 and TOML 1.0. What the parsers of the standard library would take long for, or
stumble over, is refused before they see it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final, TypeGuard

from .budgets import DOCUMENT_BYTES, DOCUMENT_DEPTH, DOCUMENT_DIGITS, YAML_BYTES, Budget

# Strings and comments; an unclosed string reaches to the end of its line, or of the text. Nothing
# here goes back to what it has taken, so the time is in proportion to the text.
_JSON_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_TOML_STRING: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5})?'
    r"|'''(?:[^']|'(?!''))*+(?:'{3,5})?"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
_DOTS: Final = re.compile(rf"(?:[\w-]+[ \t]*+\.[ \t]*+){{{DOCUMENT_DEPTH.limit}}}", re.ASCII)
_DIGITS: Final = re.compile(
    rf"0x[0-9A-Fa-f_]{{{DOCUMENT_DIGITS.limit + 1}}}|[0-9_]{{{DOCUMENT_DIGITS.limit + 1}}}"
)


class DocumentError(ValueError):
    """A document cannot be read; the text says why and follows on "it is broken: "."""


def load_json(data: bytes | str, limit: Budget = DOCUMENT_BYTES) -> Any:  # noqa: ANN401
    """Return the value of a JSON text. Raises DocumentError."""
    text = _text(data, limit)
    bare = _JSON_STRING.sub('""', text)
    _check_depth(bare)
    _check_digits(bare)
    try:
        return json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"it is no JSON: {error}") from None


def is_table(value: object) -> TypeGuard[dict[str, Any]]:
    """Say whether a document's value is a table, or an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Say whether a document's value is a list."""
    return isinstance(value, list)


def load_object(data: bytes | str, limit: Budget = DOCUMENT_BYTES) -> dict[str, Any]:
    """Return a JSON object. Raises DocumentError, also for another JSON value."""
    value = load_json(data, limit)
    if not is_table(value):
        raise DocumentError("it is no JSON object")
    return value


def load_toml(data: bytes | str, limit: Budget = DOCUMENT_BYTES) -> dict[str, Any]:
    """Return the table that a TOML text is. Raises DocumentError."""
    text = _text(data, limit)
    bare = _TOML_STRING.sub(lambda found: "" if found[0][0] == "#" else "s", text)
    _check_depth(bare)
    _check_digits(bare)
    if _DOTS.search(bare):
        raise DocumentError(DOCUMENT_DEPTH.exceeded)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentError(str(error)) from None


def load_yaml(data: bytes | str, limit: Budget = YAML_BYTES) -> Any:  # noqa: ANN401
    """Return the value of a YAML document, of plain values. Raises DocumentError.

    Aliases are refused, by which a small text becomes a large value, and tags, by which a value
    is said to be of a kind that it is not.
    """
    yaml: Any = import_module("yaml")  # few images have any
    text = _text(data, limit)
    _check_digits(text)
    try:
        _check_events(yaml, yaml.parse(text, Loader=yaml.SafeLoader))
        return yaml.safe_load(text)
    except DocumentError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise DocumentError(f"it is no YAML: {' '.join(str(error).split())[:200]}") from None


def _check_events(yaml: Any, events: Iterable[Any]) -> None:  # noqa: ANN401 - of the library
    """Refuse aliases, tags, keys that are there twice, too many levels. Raises DocumentError."""
    tables: list[set[str] | None] = []  # the keys so far of what is open; None: a list
    keys: list[bool] = []  # whether a key comes next
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise DocumentError(f"it has an alias, '*{event.anchor}': write out what it means")
        if isinstance(event, yaml.CollectionEndEvent):
            tables.pop()
            keys.pop()
        if not isinstance(event, yaml.NodeEvent):
            continue
        if event.tag is not None:
            raise DocumentError(f"it has a tag, '{event.tag}': write the value alone")
        if tables and (known := tables[-1]) is not None:
            if keys[-1] and isinstance(event, yaml.ScalarEvent):
                if event.value in known:
                    raise DocumentError(f"it has the key '{event.value}' twice")
                known.add(event.value)
            keys[-1] = not keys[-1]
        if isinstance(event, yaml.CollectionStartEvent):
            tables.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
            keys.append(True)
        if len(tables) > DOCUMENT_DEPTH.limit:
            raise DocumentError(DOCUMENT_DEPTH.exceeded)


def _no_json(word: str) -> None:
    raise ValueError(f"it has the word {word}")


def _text(data: bytes | str, limit: Budget) -> str:
    if len(data) > limit.limit:
        raise DocumentError(limit.exceeded)
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"it is no UTF-8 text (at byte {error.start})") from None


def _check_depth(bare: str) -> None:
    """Refuse brackets too deep in each other, in a text without strings."""
    if bare.count("[") + bare.count("{") <= DOCUMENT_DEPTH.limit:
        return
    depth = 0
    for found in re.finditer(r"[\[\]{}]", bare):
        depth += 1 if found[0] in "[{" else -1
        if depth > DOCUMENT_DEPTH.limit:
            raise DocumentError(DOCUMENT_DEPTH.exceeded)


def _check_digits(bare: str) -> None:
    if _DIGITS.search(bare):
        raise DocumentError(DOCUMENT_DIGITS.exceeded)
