"""Every command block of the papers is typed as it stands, or says why our tests do not."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from diskgen.cli.parser import build_parser

from ..fixtures.azure_stand_in import azure
from ..fixtures.bucket_stand_in import with_bucket
from ..fixtures.gcp_stand_in import gcp
from ..fixtures.libvirt import session
from ..fixtures.pages import LONGER, NOT_TRIED, ROOT, Block, blocks, commands, expected, pages
from ..fixtures.program import Program
from ..fixtures.registry import registry
from ..fixtures.sandbox import FARM, VENDOR, Sandbox

# How many say that they are not tried: who adds one changes this, and is asked why.
UNTRIED = 21
ALWAYS = {"README.md"}  # the others by the longer tests
OWN = {"docs/exercise.md", "docs/tutorial.md"}  # with tests of their own
TYPED = [page for page in pages() if str(page.relative_to(ROOT)) not in OWN
         and any(not block.reason and not block.longer for block in commands(page))]  # fmt: skip


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def sandbox(program_path: Path) -> Iterator[Sandbox]:
    place = Path(tempfile.mkdtemp(prefix="diskgen-pages-", dir="/var/tmp"))
    place.chmod(0o755)
    program = Program(program_path, place)
    program.own(place)
    program.home.mkdir()
    with (
        registry(place / "registry") as server,
        with_bucket() as account,
        azure() as subscription,
        gcp() as google,
        session(program),
    ):
        made = Sandbox(program, server)
        subscription.add_gallery()
        made.clouds = account.environment() | subscription.environment() | google.environment()
        made.pretend_qemu()
        made.serve()
        yield made
    shutil.rmtree(place)


def param(page: Path) -> Any:
    marks = () if named(page) in ALWAYS else (pytest.mark.extended,)
    return pytest.param(page, marks=marks, id=named(page))


@pytest.mark.parametrize("page", [param(page) for page in TYPED])
def test_the_commands_of_a_page(page: Path, sandbox: Sandbox) -> None:
    place = sandbox.directory(page)
    if VENDOR in page.read_text():
        sandbox.vendor(place)
    with sandbox.farming() if FARM in page.read_text() else nullcontext():
        for block in commands(page):
            if block.reason is None and not block.longer:
                sandbox.run(block, place)
    shutil.rmtree(place)


@pytest.mark.parametrize("page", [p for p in pages() if p.stem != "exercise"], ids=named)
def test_every_command_of_ours_has_the_options_that_it_is_given(page: Path) -> None:
    """Those that are not tried as well, and at once."""
    parser = build_parser()
    for block in commands(page):
        for command, _lines in block.steps():
            for words in ours(command):
                try:
                    parser.parse_args(words)
                except SystemExit as error:
                    pytest.fail(f"{block.page}:{block.line}: {command}: {error}")


def ours(command: str) -> Iterator[list[str]]:
    """Yield the words of each call of diskgen in a line of shell."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    words: list[str] | None = None
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;<>()"):
            if words:
                yield words
            words = None
        elif word.rpartition("=")[2] in ("diskgen", "$") or word.endswith("/diskgen"):
            words = []
        elif words is not None:
            words.append(word)


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("diskgen raw REF -o 'a b'  # why", [["raw", "REF", "-o", "a b"]]),
        ("disk=$(diskgen raw REF) && ls", [["raw", "REF"]]),
        ("timeout 9 .venv/bin/diskgen boot f > log || true", [["boot", "f"]]),
        ("ls; diskgen doctor | grep x; diskgen cache ls", [["doctor"], ["cache", "ls"]]),
        ("make test", []),
    ],
)
def test_calls_of_ours_are_found(command: str, found: list[list[str]]) -> None:
    assert list(ours(command)) == found


def test_whatever_is_not_tried_says_why_and_is_counted() -> None:
    every = [block for page in pages() for block in commands(page)]
    assert len(every) > 20
    reasons = [block.reason for block in every if block.reason is not None]
    assert all(len(reason) > 20 for reason in reasons)
    assert len(reasons) == UNTRIED, "\n".join(reasons)


def test_no_mark_stands_where_nothing_heeds_it() -> None:
    """A sentence that excuses nothing would be a lie, or a block that is skipped unseen."""
    for page in pages():
        lines = page.read_text().splitlines()
        marks = [line for line in lines if NOT_TRIED.search(line) or line.strip() == LONGER]
        heeded = [block for block in commands(page) if block.reason or block.longer]
        assert len(marks) == len(heeded), page


def test_commands_are_in_blocks_that_are_known_as_such() -> None:
    for page in pages():
        for block in blocks(page):
            prompted = any(line.startswith(("$ ", "# ")) and "diskgen" in line
                           for line in block.body)  # fmt: skip
            assert not prompted or block.language in ("console", "dockerfile", "python", "yaml")
            if block.language in ("sh", "bash", "shell"):
                pytest.fail(f"{block.page}:{block.line}: write commands as 'console', with '$ '")


@pytest.mark.parametrize(
    ("line", "said", "same"),
    [
        ("os.qcow2", "os.qcow2", True), ("os.qcow2", "os.raw", False),
        ("3 layers, 171 MiB", "12 layers,  9.1 MiB", True), ("3 layers", "no layers", False),
        ("digest sha256:0a1b ...", "digest sha256:99ff00, of an index", True),
    ],
)  # fmt: skip
def test_what_a_page_shows_may_differ_in_numbers_alone(line: str, said: str, same: bool) -> None:
    assert bool(expected(line).search(said)) == same


def test_a_command_may_have_several_lines() -> None:
    body = ("$ diskgen raw \\", "    REF", "os.raw", "$ ls")
    block = Block("page", 1, "console", "", body)
    assert block.steps() == [("diskgen raw REF", ["os.raw"]), ("ls", [])]
