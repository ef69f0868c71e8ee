"""What a machine is given, as a file that travels: on a medium, to our installer.

The shape is that of the types, field by field: ``{"version": 1, "customizations": {…}}``. Bytes are
base64, and a field that says nothing is left out. ``source`` says that a file describes the
machine, so that the image's own does not count. What else a medium says where it belongs is not
in it: devices, kernel arguments, sizes. Passwords are crypted.
"""

from __future__ import annotations

import base64
import binascii
import json
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from ..budgets import CONFIG_BYTES
from ..documents import DocumentError, is_list, is_table
from ..errors import UsageError
from .checks import faults
from .errors import SETTING
from .model import Customizations, is_many

NAME: Final = "machine.json"  # of the file, in our place on a medium
_VERSION: Final = 1
# What other files of a medium say, and what is about the document alone.
_ELSEWHERE: Final = frozenset(
    {"links", "kargs", "installer", "volume", "sizes", "given", "overridden"}
)


def is_needed(wanted: Customizations) -> bool:
    """Say whether a file of it would hold anything."""
    return bool(_of(wanted))


def to_json(wanted: Customizations) -> dict[str, Any]:
    """Return it as JSON values. Raises ValueError for a password that is not crypted."""
    if any(user.plain is not None for user in wanted.users):
        raise ValueError("a password is not crypted")
    return {"version": _VERSION, "customizations": _of(wanted)}


def to_file(wanted: Customizations) -> bytes:
    """Return what the file holds. Raises UsageError for what no installer would read."""
    data = json.dumps(to_json(wanted), sort_keys=True).encode()
    if len(data) > CONFIG_BYTES.limit:
        raise UsageError(
            f"what the installer is to write has {CONFIG_BYTES.exceeded}",
            hint="put large files into the image's build",
            setting=SETTING,
        )
    return data


def of_json(value: Any) -> Customizations:  # noqa: ANN401
    """Return what a file says. Raises DocumentError for what no machine can be given."""
    if not is_table(value) or value.get("version") != _VERSION:
        raise DocumentError(f"it has not the version {_VERSION}")
    made = _made(Customizations, value.get("customizations"), "customizations")
    assert isinstance(made, Customizations)
    for fault in faults(made):
        raise DocumentError(f"{fault.message} ({fault.path})")
    return made


def _of(node: Any) -> dict[str, Any]:  # noqa: ANN401 - one of the model's types
    return {
        each.name: _plain(value)
        for each in fields(node)
        if each.name not in _ELSEWHERE and (value := getattr(node, each.name)) != _default(each)
    }


def _default(each: Field[Any]) -> object:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return each.default  # MISSING is like no value


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if is_many(value):
        return [_plain(item) for item in value]
    return _of(value) if is_dataclass(value) else value


def _made(kind: Any, value: Any, place: str) -> Any:  # noqa: ANN401 - by the model's annotations
    """Return a value of a field's kind. Raises DocumentError."""
    if is_dataclass(kind):
        return _table(kind, value, place)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple and is_list(value):
        return tuple(_made(inner[0], item, f"{place}[{at}]") for at, item in enumerate(value))
    if origin in (Union, types.UnionType):
        for one in inner:
            if one is not type(None) and type(value) is one:
                return value
    elif kind is bytes and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
    elif type(value) is kind and kind is not bytes:
        return value
    raise DocumentError(f"'{place}' is not what it has to be")


def _table(kind: Any, value: Any, place: str) -> Any:  # noqa: ANN401
    if not is_table(value):
        raise DocumentError(f"'{place}' is no table")
    known = {each.name: each for each in fields(kind) if each.name not in _ELSEWHERE}
    for name in value:
        if name not in known:
            raise DocumentError(f"'{place}' has '{name}', which is not known")
    hints = get_type_hints(kind)
    for name, each in known.items():
        if name not in value and _default(each) is MISSING:
            raise DocumentError(f"'{place}' has no '{name}'")
    given = {name: _made(hints[name], item, f"{place}.{name}") for name, item in value.items()}
    return kind(**given)
