"""The published schemas, as tests hold outputs against them: nothing undeclared passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).resolve().parents[2] / "docs/schemas"
NAMES = sorted(path.stem for path in SCHEMAS.glob("*.json"))


def schema(name: str) -> dict[str, Any]:
    """Return a schema as readers get it: they ignore keys that are added later."""
    value: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text())
    return value


def closed(value: Any) -> Any:
    """Return a schema that takes no keys but those that it declares."""
    if isinstance(value, list):
        return [closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: closed(item) for key, item in value.items()}
    if isinstance(value.get("properties"), dict) and "type" in value:
        made.setdefault("additionalProperties", False)
    return made


def check(name: str, value: object) -> None:
    """Fail where a value is not what a schema declares, or is more than that."""
    validator = jsonschema.Draft202012Validator(closed(schema(name)))
    problems = [f"{name}: {error.json_path}: {error.message}"
                for error in validator.iter_errors(value)]  # fmt: skip
    assert not problems, "\n".join(problems)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas of objects with declared keys, from the outermost."""
    if isinstance(value, dict):
        if isinstance(value.get("properties"), dict) and "type" in value:
            yield value
        for item in value.values():
            yield from objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item)
