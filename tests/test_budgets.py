"""Every budget is stated, is told where it is exceeded, and is counted somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from diskgen import budgets

_ROOT = Path(__file__).parents[1]


def test_the_man_page_states_them_all() -> None:
    page = (_ROOT / "docs/diskgen.1").read_text()
    section = page.partition(".SH LIMITS\n")[2].partition(".SH ")[0]
    stated = re.findall(r"^\.TP\n\.B (.+)\n(.+)$", section, re.MULTILINE)
    assert stated == [
        (one.name.replace("-", "\\-"), f"{one.shown}: {one.of}") for one in budgets.ALL
    ]


def test_names_are_unique() -> None:
    names = [one.name for one in budgets.ALL]
    assert len(set(names)) == len(names)


def test_each_is_counted_against() -> None:
    """A budget that nothing counts against is a promise without anyone to keep it."""
    sources = "\n".join(
        path.read_text() for path in (_ROOT / "diskgen").rglob("*.py") if path.name != "budgets.py"
    )
    named = {name for name, value in vars(budgets).items() if isinstance(value, budgets.Budget)}
    assert {name for name in named if not re.search(rf"\b{name}\b", sources)} == set()


def test_an_error_names_the_budget() -> None:
    assert budgets.PATH_DEPTH.exceeded == "more than 200 levels (budget 'path-depth')"
    assert budgets.MANIFEST_BYTES.exceeded == "more than 4 MiB (budget 'manifest-bytes')"
