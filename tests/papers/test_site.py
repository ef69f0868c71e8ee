"""The site is made without a warning, and what the papers point to is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from diskgen import errors
from diskgen.cli.table import OPTIONS

from ..fixtures.pages import ROOT, blocks, pages
from ..oracles.schemas import NAMES, objects, schema

DOCS = ROOT / "docs"
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<to>[^)\s]*)\)")
CODE = re.compile(r"```.*?```", re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    words: list[str | Path] = [
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        place / "doctrees",
        DOCS,
        place / "html",
    ]
    done = subprocess.run([sys.executable, "-m", "sphinx", *words], check=False,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "html"


def test_every_page_is_on_the_site(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        made = (site / page.relative_to(DOCS)).with_suffix(".html").read_text()
        assert "<h1>" in made, page
    assert "Keep a Changelog" in (site / "changelog.html").read_text()


def test_the_reference_has_every_option(site: Path) -> None:
    text = (site / "reference/commands.html").read_text()
    flags = {flag for row in OPTIONS for flag in row.flags}
    assert len(flags) > 50
    assert {flag for flag in flags if flag not in text} == set()


def test_the_reference_has_every_exit_status() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.DiskgenError | errors.Interrupted)
    ]
    known = {kind.exit_status for kind in kinds} - {errors.DiskgenError.exit_status}
    text = (DOCS / "reference/commands.md").read_text()
    rows = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert rows == known | {0, errors.EXIT_BUG}


def test_the_reference_has_every_key(site: Path) -> None:
    text = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    for name in NAMES:
        assert f"{name}.json" in text
        place = schema(name)["$id"].removeprefix("https://diskgen.example/")
        assert json.loads((site / place).read_text()) == schema(name)
        for part in objects(schema(name)):
            for key in part["properties"]:
                assert re.search(rf">(?:[^<]*[.\]])?{re.escape(key)}<", text), f"{name}: {key}"


def links(page: Path) -> list[str]:
    return [match["to"] for match in LINK.finditer(CODE.sub("", page.read_text()))]


def test_links_between_papers_lead_somewhere() -> None:
    for page in pages():
        for to in links(page):
            path, _mark, anchor = to.partition("#")
            if "://" in to or not path:
                continue
            target = (page.parent / path).resolve()
            assert target.exists(), f"{page}: {to}"
            assert not anchor or anchor in anchors(target), f"{page}: {to}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that a forge gives the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_to_elsewhere_are_listed() -> None:
    """``make links`` asks whether they are alive, where there is a network."""
    found = {to for page in pages() for to in links(page) if "://" in to}
    assert sorted(found) == (DOCS / "external-links.txt").read_text().splitlines()


def contracts() -> list[list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [one["layers"] for one in project["tool"]["importlinter"]["contracts"]
            if one["type"] == "layers"]  # fmt: skip


@pytest.mark.parametrize("layers", contracts(), ids=lambda layers: layers[0])
def test_the_layers_are_drawn_as_the_contract_has_them(layers: list[str]) -> None:
    (drawn,) = [block for block in blocks(DOCS / "architecture.md")
                if re.match(rf"{re.escape(layers[0])}  ", block.body[0])]  # fmt: skip
    rows = [re.split(r" {2,}", line) for line in drawn.body]
    assert all(len(row) == 2 and len(row[1]) > 5 for row in rows), "a room without a sentence"
    assert [row[0] for row in rows] == layers


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_papers_name_are_there(page: Path) -> None:
    text = CODE.sub("", page.read_text())
    for name in re.findall(r"`((?:diskgen|vm-tests|tests|docs|bench)/[\w/.-]*)`", text):
        assert (ROOT / name).exists() or name == "diskgen/formats/vdi.py" or on_a_medium(name), name


def on_a_medium(name: str) -> bool:
    return name in ("diskgen/boot.ipxe", "diskgen/pxe-example.cfg", "diskgen/medium.json")


def test_what_security_promises_is_held_by_tests_that_exist() -> None:
    there = {
        path.name for folder in ("tests", "vm-tests") for path in (ROOT / folder).rglob("*.py")
    }
    named = set(re.findall(r"`(?:vm-tests/)?(\w+\.py)`", (ROOT / "SECURITY.md").read_text()))
    assert len(named) > 15
    assert named <= there, named - there


def test_the_glossary_is_in_order() -> None:
    body = (DOCS / "glossary.md").read_text().partition(":::{glossary}")[2]
    terms = [line for line in body.splitlines() if line and line[0] not in " :"]
    assert len(terms) > 30
    assert terms == sorted(terms, key=str.lower)


def test_the_changelog_has_this_version() -> None:
    from diskgen import __version__

    heads = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] == "Unreleased"
    assert heads[1] == __version__
