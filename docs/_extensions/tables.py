"""Directives of the site: pages made from the schemas and from the program's own options."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils.nodes import Node
    from sphinx.application import Sphinx

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"


class Schema(SphinxDirective):
    """``{schema} NAME``: a table of every key that a JSON Schema declares."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[Node]:
        """Return the nodes of the table; the page is made anew when the schema changes."""
        path = SCHEMAS / f"{self.arguments[0]}.json"
        self.env.note_dependency(str(path))
        text = schema_page(json.loads(path.read_text(encoding="utf-8")))
        return self.parse_text_to_nodes(text)


class Options(SphinxDirective):
    """``{options}``: every command and every option, as the program's tables have them."""

    has_content = False

    def run(self) -> list[Node]:
        """Return a table of commands, then a section of nodes for each part of the options."""
        from diskgen.cli.reference import pages

        return self.parse_text_to_nodes(pages(), allow_section_headings=True)


def schema_page(schema: Mapping[str, Any]) -> str:
    """Return a schema as MyST: what it is of, then a row for each key."""
    lines = [schema["description"], "", "| key | type | meaning |", "| --- | --- | --- |"]
    if "oneOf" in schema:
        for name, part in schema["$defs"].items():
            lines += [f"| *{name}* | | {_cell(part['description'])} |", *_rows(part, "")]
    else:
        lines += _rows(schema, "")
    return "\n".join(lines)


def _rows(part: Mapping[str, Any], above: str) -> Iterator[str]:
    for key, value in part["properties"].items():
        name = f"{above}{key}"
        sometimes = "" if key in part["required"] else " Not always there."
        yield f"| `{name}` | {_type(value)} | {_cell(value['description'])}{sometimes} |"
        inner, mark = value, "."
        while "items" in inner or isinstance(inner.get("additionalProperties"), dict):
            inner, mark = (
                (inner["items"], "[].") if "items" in inner
                else (inner["additionalProperties"], ".*.")
            )  # fmt: skip
        if "properties" in inner:
            yield from _rows(inner, f"{name}{mark}")


def _type(value: Mapping[str, Any]) -> str:
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    kinds = value["type"] if isinstance(value["type"], list) else [value["type"]]
    return " or ".join(f"{kind} of {_type(value['items'])}" if kind == "array" else kind
                       for kind in kinds)  # fmt: skip


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("schema", Schema)
    app.add_directive("options", Options)
    return {"parallel_read_safe": True}
