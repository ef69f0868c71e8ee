"""The papers as tests read them: pages, their command blocks, and what is said of each block."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELLS = ("console", "sh", "bash", "shell")
# Readers see why: the sentence stands above the block.
NOT_TRIED = re.compile(r"\*Not tried by our tests: (?P<reason>[^*]+)\.\*")
LONGER = "<!-- tried by the longer tests -->"
_FENCE = re.compile(r"^(?P<indent> *)(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``above`` is the last line with words before it."""

    page: str
    line: int
    language: str
    above: str
    body: tuple[str, ...]

    @property
    def reason(self) -> str | None:
        """Why it is not tried; None where it is."""
        match = NOT_TRIED.fullmatch(self.above)
        return match["reason"] if match else None

    @property
    def longer(self) -> bool:
        return self.above == LONGER

    def steps(self) -> list[tuple[str, list[str]]]:
        """Return its commands, each with the lines that the page says it prints."""
        found: list[tuple[str, list[str]]] = []
        lines = iter(self.body)
        for line in lines:
            if line.startswith("$ "):
                command = line[2:]
                while command.endswith("\\"):
                    command = command[:-1] + next(lines).strip()
                found.append((command, []))
            else:
                assert found, f"{self.page}:{self.line} begins without a command"
                found[-1][1].append(line)
        return found


def pages() -> list[Path]:
    """Return every paper that people read."""
    above = [
        ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    ]
    return [*above, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    name, above, inside, begun = str(page.relative_to(ROOT)), "", None, 0
    body: list[str] = []
    language = mark = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        match = _FENCE.match(line)
        if inside is None and match is not None:
            inside, begun, body = len(match["indent"]), number, []
            language, mark = match["info"].strip(), match["mark"]
        elif inside is not None and line.strip() == mark:
            yield Block(name, begun, language, above, tuple(body))
            above, inside = "", None
        elif inside is not None:
            body.append(line[inside:])
        elif line.strip():
            above = line.strip()
    assert inside is None, f"{name}:{begun} has no end"


def commands(page: Path) -> list[Block]:
    """Return the blocks of a page that are meant to be typed."""
    return [block for block in blocks(page) if block.language in SHELLS]


def expected(line: str) -> re.Pattern[str]:
    """Return what a line of a page stands for: numbers and sums vary, spaces do not count."""
    words = []
    for word in line.split():
        if word == "...":
            words.append(r".*")
        else:
            digits = re.sub(r"\\?[0-9][0-9a-f]*(\\?[.,][0-9]+)*", "0", re.escape(word))
            words.append(digits.replace("0", r"[0-9][0-9a-f.,]*"))
    return re.compile(r"\s+".join(words))


def quoted(words: list[str | Path]) -> str:
    return shlex.join(map(str, words))
