"""JSON and TOML of others: what is sound is read, all else is refused soon and in words."""

from __future__ import annotations

import json
import re
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diskgen.documents import DocumentError, load_json, load_object, load_toml, load_yaml

_DEPTH = "more than 64 levels"
_DIGITS = "more than 100 digits"
_BOMBS: dict[str, tuple[Any, bytes | str, str]] = {
    "JSON lists": (load_json, "[" * 100_000 + "]" * 100_000, _DEPTH),
    "JSON objects": (load_json, '{"a":' * 100_000 + "1" + "}" * 100_000, _DEPTH),
    "JSON, never closed": (load_json, "[" * 500_000, _DEPTH),
    "JSON digits": (load_json, "1" * 5000, _DIGITS),
    "JSON digits of a fraction": (load_json, "0." + "1" * 5000, _DIGITS),
    "JSON size": (load_json, " " * 1_100_000, "more than 1 MiB"),
    "JSON that is none": (load_json, "[NaN]", "no JSON"),
    "JSON in another code": (load_json, b'"\xff"', "no UTF-8"),
    "JSON list": (load_object, "[]", "no JSON object"),
    "TOML dotted parts": (load_toml, ".".join("a" * 3000) + "=1", _DEPTH),
    "TOML many dotted parts": (load_toml, ".".join("a" * 500_000) + "=1", _DEPTH),
    "TOML quoted parts": (load_toml, ".".join(['"a"'] * 3000) + "=1", _DEPTH),
    "TOML spaced parts": (load_toml, " . ".join("a" * 3000) + "=1", _DEPTH),
    "TOML header": (load_toml, "[" + ".".join("a" * 3000) + "]", _DEPTH),
    "TOML digits": (load_toml, "a=" + "1" * 5000, _DIGITS),
    "TOML hexadecimal digits": (load_toml, "a=0x" + "1" * 50_000, _DIGITS),
    "TOML lists": (load_toml, "a=" + "[" * 100_000, _DEPTH),
    "TOML tables": (load_toml, "a=" + "{a=" * 100_000, _DEPTH),
    "TOML unclosed strings": (load_toml, '\\"""\n' * 200_000, "."),
    "TOML unclosed lines": (load_toml, "\\'\\\"\n" * 200_000, "."),
    "YAML of a kind that it is not": (load_yaml, 'a: !!int ""', "has a tag"),
    "YAML table of such a kind": (load_yaml, "!!set {a}", "has a tag"),
    "JSON unclosed strings": (load_json, '\\"\\\n' * 200_000, "."),
}


@pytest.mark.parametrize("name", _BOMBS)
def test_bombs(name: str) -> None:
    load, data, said = _BOMBS[name]
    begun = time.process_time()
    with pytest.raises(DocumentError, match=said):
        load(data)
    assert time.process_time() - begun < 3


_LEAVES = st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.text()
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30
)


@given(_VALUES)
def test_sound_json_is_read(value: object) -> None:
    assert load_json(json.dumps(value)) == value
    assert load_json(json.dumps(value).encode()) == value


@given(st.text(alphabet="\"'#[]{}.\\\n=a1_ ", max_size=60))
def test_toml_is_read_as_it_is(text: str) -> None:
    """Nothing that the standard library reads is refused, and nothing it refuses is read."""
    try:
        wanted = tomllib.loads(text)
    except ValueError:
        with pytest.raises(DocumentError):
            load_toml(text)
        return
    assert load_toml(text) == wanted


def test_text_in_strings_counts_for_nothing() -> None:
    dots, digits, brackets = ".".join("a" * 300), "1" * 300, "[" * 300
    for inner in (dots, digits, brackets):
        assert load_json(json.dumps([inner, f'\\"{inner}'])) == [inner, f'\\"{inner}']
        text = f"a=\"{inner}\" # {inner}\nb='{inner}'\nc=\"\"\"\n{inner}\"\"\"\nd='''{inner}'''"
        assert load_toml(text) == dict.fromkeys("abcd", inner)


def test_nothing_else_reads_documents() -> None:
    """What speaks to our own processes may; everything else has hostile sources."""
    ours = {
        "documents.py",
        "image/worker.py",
        "image/layers.py",
        "image/index.py",
    }
    package = Path(__file__).parents[1] / "diskgen"
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"\bjson\.loads?\(|\btomllib\.loads?\(", path.read_text())
    }
    assert found <= ours
