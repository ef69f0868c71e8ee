"""Options that README and the pages below docs/ name are there, with the values they say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from diskgen.bib.flags import FLAGS
from diskgen.cli.command import COMMANDS
from diskgen.cli.table import OPTIONS, options_of

from ..fixtures.pages import ROOT, blocks, pages

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
THEIRS = {f"--{flag.name}" for flag in FLAGS}
NAMES = {command.name for command in COMMANDS}
# Of podman and docker, apt and pip, dracut, ostree, osinfo, virt-install, virsh, and clouds' own.
FOREIGN = {
    "--rm", "--userns", "--privileged", "--quiet", "--list", "--sparse", "--no-install-recommends",
    "--no-hostonly", "--add", "--name", "--import", "--osinfo", "--boot", "--target",
    "--image-id", "--instance-type", "--key-name", "--zone", "--image", "--machine-type",
    "--location", "--admin-username", "--ssh-key-values", "--generate-composefs-metadata",
    "--sign-type",
}  # fmt: skip


def lines() -> Iterator[tuple[str, list[str]]]:
    """Yield each command line of diskgen's that a paper has: its command, and its words."""
    for page in pages():
        if page.name == "exercise.md":  # adds a command of its own
            continue
        steps = [step for block in blocks(page) if block.language == "console"
                 for step, _printed in block.steps()]  # fmt: skip
        for text in [*steps, *SPAN.findall(page.read_text().replace("\\|", "/"))]:
            for part in re.split(r"&&|\|\||[|;<>#]", text):
                if part.strip().startswith("diskgen "):
                    words = shlex.split(part)[1:]
                    yield command_of(words), words


def command_of(words: list[str]) -> str:
    name = ""
    for word in words:
        longer = f"{name} {word}".strip()
        if longer not in NAMES:
            break
        name = longer
    return name


def test_every_option_of_the_papers_is_there() -> None:
    have = {flag for row in OPTIONS for flag in row.flags}
    have |= {f"--{flag.name}" for flag in FLAGS}  # of bootc-image-builder
    for page in pages():
        if page.name != "CHANGELOG.md":  # which may name what is gone
            theirs = THEIRS if "bootc-image-builder" in page.read_text() else set()
            assert set(FLAG.findall(page.read_text())) - have - theirs - FOREIGN == set(), page


def test_every_command_line_of_the_papers_can_be_typed() -> None:
    seen = 0
    for command, words in lines():
        flags = {flag for row in options_of(command) for flag in row.flags}
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given - flags == set(), (command, words)
        seen += bool(given)
    assert seen > 20


def test_values_and_defaults_of_the_readme_are_those_of_the_table() -> None:
    seen = set()
    for line in (ROOT / "README.md").read_text().splitlines():
        for name, values in re.findall(r"`--([a-z-]+) ([^`]+)`", line):
            for row in OPTIONS:
                if row.name == name and row.choices is not None:
                    given = values.replace("\\", "").split("|")
                    assert set(given) <= set(map(str, row.choices)), line
                    seen.add(name)
                if row.name == name and row.has_default and "default:" in line:
                    default = row.otherwise or str(row.default)
                    assert f"default: {default}" in line, line
    assert seen >= {"rootfs", "sector-size", "compression", "payload", "progress"}
