"""The table of options: its rows hold together, and everything is made of them."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from diskgen import cli
from diskgen.blueprint.keys import KEYS, Use
from diskgen.cli import manual, reference, remarks
from diskgen.cli.command import BUILDS, COMMANDS, DISKS, EVERY, MEDIA, READERS, in_words
from diskgen.cli.handlers import HANDLERS
from diskgen.cli.hints import flag_of
from diskgen.cli.option import Option, Section, Takes
from diskgen.cli.parser import build_parser
from diskgen.cli.remarks import manual_of
from diskgen.cli.table import OPTIONS, SECTIONS, options_of
from diskgen.errors import UsageError
from diskgen.ui import describe

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/diskgen.1"
SOURCES = Path(cli.__file__).parent
VALUED = [row for row in OPTIONS if row.takes in (Takes.VALUE, Takes.MAYBE)]


def parsers(words: list[str] | None = None) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of every command by its name in the table."""
    found = {"": build_parser(words)}
    for name in sorted(EVERY - {""}, key=len):
        parent, _, word = name.rpartition(" ")
        (below,) = (action for action in found[parent]._actions
                    if isinstance(action, argparse._SubParsersAction))  # fmt: skip
        found[name] = below.choices[word]
    return found


def test_no_command_has_a_name_twice() -> None:
    for command in COMMANDS:
        names = [row.name for row in options_of(command.name)]
        assert len(names) == len(set(names)), command.name
        letters = [row.short for row in options_of(command.name) if row.short]
        assert len(letters) == len(set(letters)), command.name
    assert {command for row in OPTIONS for command in row.commands} <= EVERY


def test_every_row_is_of_one_section() -> None:
    assert sorted(map(id, OPTIONS)) == sorted(id(row) for part in SECTIONS for row in part.options)


def test_parsers_take_what_the_table_has() -> None:
    for name, parser in parsers().items():
        rows = options_of(name)
        actions = [action for action in parser._actions
                   if not isinstance(action, argparse._SubParsersAction)]  # fmt: skip
        assert [tuple(action.option_strings) or (action.dest,) for action in actions] == [
            row.flags for row in rows
        ]
        for row, action in zip(rows, actions, strict=True):
            appends = isinstance(action, argparse._AppendAction)
            assert appends == (row.repeatable and not row.together), row.name
            assert action.choices == row.choices
            if row.has_default and not callable(row.default):
                assert action.default == row.default
                assert row.choices is None or row.default in row.choices


def test_a_parser_for_some_words_takes_what_they_mean() -> None:
    """What a run does not name has no options yet; what it names has all."""
    whole = {name: parser.format_help() for name, parser in parsers().items()}
    for name in EVERY - {""}:
        made = parsers([*name.split(), "--help"])
        assert all(made[part].format_help() == whole[part] for part in ("", name)), name
    assert parsers(["doctor"])["qcow2"].format_help() != whole["qcow2"]


@pytest.mark.parametrize("row", VALUED, ids=lambda row: row.name)
def test_a_row_says_what_its_value_is(row: Option) -> None:
    assert row.value
    assert row.manual.endswith("."), "a sentence"
    assert row.help[-1] not in ".;"
    assert "default" not in row.help, "which is added"
    said = manual_of(row)
    assert said.count("several times") == row.repeatable or row.name == "network"
    if row.otherwise or row.has_default:
        assert said.count("Default:") == 1
    if row.has_default and not callable(row.default) and not row.otherwise:
        assert f"`{row.default}`" in said


def test_what_arguments_hold_is_read() -> None:
    """An option that nothing reads would be taken, and change nothing."""
    read = {name for path in [*SOURCES.glob("*.py"), SOURCES.parent / "__main__.py"]
            for node in ast.walk(ast.parse(path.read_text())) for name in _read(node)}  # fmt: skip
    dests = {row.together or row.name.replace("-", "_") for row in OPTIONS}
    assert dests - read == {"help", "version"}


def _read(node: ast.AST) -> Iterator[str]:
    """Yield which attribute of the arguments a node of the source reads, if it does."""
    match node:
        case ast.Attribute(value=ast.Name(id="args"), attr=name):
            yield name
        case ast.Call(
            func=ast.Name(id="getattr"),
            args=[ast.Name(id="args"), ast.Constant(value=str() as name), *_],
        ):
            yield name


def test_keys_are_those_that_a_file_can_have() -> None:
    """A row's key says the same as the option, for whatever takes the option."""
    keys = {key.path: key for key in KEYS}
    rows = [row for row in OPTIONS if row.key is not None]
    assert len(rows) > 8
    for row in rows:
        assert row.key is not None
        key = keys[row.key]
        assert not row.commands & DISKS or key.disk is Use.DONE, row.name
        assert not row.commands & MEDIA or key.medium is Use.DONE, row.name


def test_every_command_is_carried_out() -> None:
    assert {command.name.partition(" ")[0] for command in COMMANDS} - {""} == set(HANDLERS)


def test_a_flag_is_shown_where_it_can_be_typed() -> None:
    assert flag_of("disk-size") == "--disk-size"
    assert flag_of("no-such-option") is None
    assert flag_of("reference") is None  # typed without a flag
    error = UsageError("wrong", setting="no-such-option")
    assert describe(error, flag_of=flag_of) == "error: wrong"


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        (READERS, "disks, iso, inspect"),
        (DISKS, "disks"),
        (BUILDS, "disks, iso, but not plan"),
        (frozenset({"plan iso"}), "plan iso"),
        (frozenset({"qcow2"}), "qcow2, but not plan"),
        (frozenset({"boot"}), "boot"),
    ],
)
def test_commands_in_words(commands: frozenset[str], words: str) -> None:
    assert in_words(commands) == words


def test_the_man_page_is_what_the_table_makes() -> None:
    """After a change of the table: ``python -m diskgen.cli.manual docs/diskgen.1``."""
    page = PAGE.read_text()
    assert manual.renewed(page) == page
    with pytest.raises(ValueError, match="no marks"):
        manual.renewed("a page of another kind")


def test_the_man_page_has_every_command() -> None:
    page = PAGE.read_text().replace("\\-", "-")
    commands = page.partition(".SH COMMANDS")[2].partition(".SH OPTIONS")[0]
    for command in COMMANDS:
        if command.name and not command.name.startswith("plan "):
            assert command.name in commands


def test_marks_become_roff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a text is taken for a request of roff's."""
    row = Option(
        name="a-b",
        commands=frozenset({"boot"}),
        metavar="X-Y",
        help="",
        manual="Type `a-b\\`*N*, well-known.\n\n'. and\n\n`.x` is 5%.",
    )
    section = Section(heading="Odd", commands=row.commands, options=(row,))
    monkeypatch.setattr(manual, "SECTIONS", (section,))
    monkeypatch.setattr(remarks, "OPTIONS", (row,))
    assert manual.options().splitlines() == [
        ".SH OPTIONS", ".SS Odd", ".TP", "\\f[B]\\-\\-a\\-b\\f[R] \\f[I]X\\-Y\\f[R]",
        "Type \\f[B]a\\-b\\e\\f[R]\\f[I]N\\f[R], well-known.", ".IP", "\\&'. and", ".IP",
        "\\f[B].x\\f[R] is 5%.",
    ]  # fmt: skip


def test_marks_become_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else Markdown would take for a mark stays as it is typed."""
    row = Option(
        name="a",
        commands=frozenset({"boot"}),
        takes=Takes.MAYBE,
        metavar="X",
        help="",
        manual="Type `a_*`*N* in a_b.\n\nAnd [x].",
    )
    section = Section(heading="Odd", commands=DISKS, options=(row,), closing="All <of> them.")
    monkeypatch.setattr(reference, "SECTIONS", (section,))
    monkeypatch.setattr(remarks, "OPTIONS", (row,))
    assert reference.pages().partition("## Odd")[2].splitlines() == [
        "", "", "`--a [X]`", ": Type `a_*`*N* in a\\_b.", "", "  And \\[x\\]. Commands: boot.", "",
        "All \\<of\\> them.",
    ]  # fmt: skip


def test_what_two_rows_say_alike_is_said_once() -> None:
    seeds = [commands for part in SECTIONS for row, commands in remarks.entries(part)
             if row.name == "seed"]  # fmt: skip
    assert seeds == [DISKS | MEDIA]
