"""A document against the table of keys: which are named, what they hold, and what is wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..documents import DocumentError, is_list, is_table, load_json, load_toml
from ..errors import Problem
from .errors import SETTING, BlueprintError
from .keys import KEYS, TOP, Key, Kind
from .lines import line_of
from .paths import plain as plain_path

FORMS: Final = ("toml", "json")
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*(kB|KiB|MB|MiB|GB|GiB|TB|TiB)", re.ASCII)
_UNITS: Final = {
    unit: base**power
    for power, names in enumerate((("kB", "KiB"), ("MB", "MiB"), ("GB", "GiB"), ("TB", "TiB")), 1)
    for unit, base in zip(names, (1000, 1024), strict=True)
}
_MODE: Final = re.compile(r"[0-7]{3,4}", re.ASCII)
_BY_PATH: Final = {key.path: key for key in KEYS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A key that a document names: ``path`` with the numbers of list entries, counted from 0."""

    path: str
    key: Key
    value: Any


def size_of(value: object) -> int | None:
    """Return a size in bytes: a number, or a text with a unit; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    size: int = round(float(found[1]) * _UNITS[found[2]]) if found is not None else 0
    return size or None


class _ValueRefused(Exception):  # noqa: N818 - no failure, an answer
    """A value is not of its key's kind; the text says what it has to be."""


class Document:
    """A document that was read; ``problems`` are collected, ``line`` finds them in the text."""

    def __init__(self, text: str, form: str, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self._text, self._form = text, form
        try:
            value = load_toml(text) if form == "toml" else load_json(text)
        except DocumentError as error:
            raise BlueprintError([_broken(name, str(error))]) from None
        if not is_table(value):
            raise BlueprintError([_broken(name, "it is no table of keys")])
        inner = value.get("blueprint")
        if form == "json" and len(value) == 1 and is_table(inner):
            value = inner  # as osbuild wrote them before May 2024
        self.value = value
        self.named = tuple(self._walk(value, ""))

    def complain(self, path: str, message: str, hint: str | None = None) -> None:
        """Note what is wrong with a key."""
        line = line_of(self._text, self._form, path)
        where = f"'{self.name}', line {line}" if line is not None else f"'{self.name}'"
        self.problems.append(
            Problem(code="config", message=f"{where}: {message}", hint=hint, setting=SETTING)
        )

    def finish(self) -> None:
        """Raise BlueprintError where anything is wrong."""
        if self.problems:
            raise BlueprintError(self.problems)

    def _walk(self, table: Mapping[str, Any], prefix: str) -> Iterator[Named]:
        for name, value in table.items():
            path = f"{prefix}.{name}" if prefix else name
            plain = plain_path(path)
            if re.search(r"[.\[\]]", name):  # a quoted key is one name, and no path
                self._unknown(path)
                continue
            key = _BY_PATH.get(plain)
            if key is not None:
                yield from self._leaf(path, key, value)
            elif any(known.startswith(f"{plain}[].") for known in _BY_PATH):
                yield from self._tables(path, value)
            elif any(known.startswith(f"{plain}.") for known in _BY_PATH):
                if is_table(value):
                    yield from self._walk(value, path)
                else:
                    self.complain(path, f"'{path}' is a table of keys")
            else:
                self._unknown(path)

    def _tables(self, path: str, value: Any) -> Iterator[Named]:  # noqa: ANN401
        if not is_list(value) or not all(is_table(item) for item in value):
            self.complain(path, f"'{path}' is a list of tables", f"write it as [[{path}]]")
            return
        for number, item in enumerate(value):
            place = f"{path}[{number}]"
            for key in KEYS:
                parent, _dot, name = key.path.rpartition(".")
                if key.required and parent == plain_path(place) and name not in item:
                    self.complain(path, f"'{place}' has no '{name}'")
            yield from self._walk(item, place)

    def _leaf(self, path: str, key: Key, value: Any) -> Iterator[Named]:  # noqa: ANN401
        try:
            yield Named(path=path, key=key, value=_READERS[key.kind](value))
        except _ValueRefused as error:
            self.complain(path, f"'{path}' is '{_shown(path, value)}': {error}")

    def _unknown(self, path: str) -> None:
        parent, _dot, name = path.rpartition(".")
        plain = plain_path(parent)
        rest = [known.removeprefix(f"{plain}.") if plain else known for known in _BY_PATH
                if not plain or known.startswith(f"{plain}.")]  # fmt: skip
        here = dict.fromkeys(part.partition(".")[0].removesuffix("[]") for part in rest)
        near = difflib.get_close_matches(name, here, 1, 0.5)
        if not parent and f"{TOP}.{name}" in {_top(known) for known in _BY_PATH}:
            hint = f"it belongs into [{TOP}]"
        else:
            hint = f"did you mean '{near[0]}'?" if near else "known are: " + ", ".join(here)
        self.complain(path, f"'{path}' is not known", hint)


def _top(path: str) -> str:
    return ".".join(part.removesuffix("[]") for part in path.split(".")[:2])


def _shown(path: str, value: Any) -> str:  # noqa: ANN401
    """Return a value as messages have it; a password is in none."""
    if "password" in path.rpartition(".")[2]:
        return "…"
    return str(value)[:80].encode(errors="replace").decode()


def _broken(name: str, reason: str) -> Problem:
    return Problem(code="config", message=f"'{name}' cannot be read: {reason}", setting=SETTING)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _ValueRefused("it has to be a text")
    if "\0" in value:
        raise _ValueRefused("it has a NUL character")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise _ValueRefused("it has half of a character (a surrogate)")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not is_list(value):
        raise _ValueRefused("it has to be a list of texts")
    return tuple(_text(item) for item in value)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _ValueRefused("it has to be a whole number")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _ValueRefused("it has to be true or false")
    return value


def _size(value: object) -> int:
    size = size_of(value)
    if size is None:
        raise _ValueRefused("it has to be bytes, or a size such as '20 GiB' (kB, KiB to TB, TiB)")
    return size


def _mode(value: object) -> int:
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise _ValueRefused("it has to be a text of 3 or 4 octal digits, such as '0644'")
    return int(value, 8)


def _owner(value: object) -> str | int:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[0-9]{1,10}", value) else _text(value)
    return _number(value)


def _switch(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _text(value)


_READERS: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.TEXT: _text, Kind.TEXTS: _texts, Kind.NUMBER: _number, Kind.BOOLEAN: _boolean,
    Kind.SIZE: _size, Kind.MODE: _mode, Kind.OWNER: _owner, Kind.SWITCH: _switch,
    Kind.ANY: lambda value: value,
}  # fmt: skip
