"""What the container image is made of, as far as that can be seen without making it."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import tomllib

import pytest

from diskgen.hosttools import TOOLS
from diskgen.vm.qemu import BOARDS

from .fixtures.program import ROOT

FILE = (ROOT / "Containerfile").read_text()


@pytest.mark.parametrize("script", ["build", "authorities"])
def test_the_scripts_are_clean(script: str) -> None:
    subprocess.run(["shellcheck", ROOT / "container" / script], check=True)


def test_the_packages_of_every_tool_are_in_it() -> None:
    """QEMU's depend on the architecture: each has its own, and none of the others."""
    for tool in TOOLS:
        assert re.search(rf"[ \"]{re.escape(tool.debian)}[ \"\n]", FILE), tool.debian
    machines = dict(re.findall(r'^ +(\w+)\) machine="([^"]*)"', FILE, re.MULTILINE))
    assert len(machines) == len(BOARDS)
    for packages in machines.values():
        assert len(re.findall(r"qemu-system-\w+", packages)) == 1


ALONE = {"azure"}  # Debian has it within half a gigabyte of others: pip brings it


def test_libraries_of_vendors_come_with_it_and_with_packages() -> None:
    """Where Debian and Fedora have them the image has those, and our packages name them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    names = {
        f"python3-{re.split(r'[^A-Za-z0-9._-]', row)[0]}"
        for extra in set(extras) - ALONE
        for row in extras[extra]
    }
    assert names
    final = FILE.partition(" AS diskgen\n")[2]
    for name in names:
        assert re.search(rf" {re.escape(name)} ", final), name
        for file, line in (("debian/control", "Suggests:.* "), ("diskgen.spec", "Suggests: ")):
            text = (ROOT / "release" / file).read_text()
            assert re.search(rf"^{line}{re.escape(name)}(,|$)", text, re.MULTILINE), (file, name)


def test_debians_fields_are_there_once() -> None:
    """dpkg makes no package of a paragraph with two."""
    for paragraph in (ROOT / "release/debian/control").read_text().split("\n\n"):
        fields = re.findall(r"^([A-Z][A-Za-z-]*):", paragraph, re.MULTILINE)
        assert len(fields) == len(set(fields))


def test_what_is_copied_is_not_ignored() -> None:
    rules = (ROOT / ".containerignore").read_text().split()
    assert rules[0] == "*"
    kept = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", FILE, re.MULTILINE)
        for word in line.split()
    ]
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / name).exists() for name in copied)
    # What hatchling needs to make a wheel is among it.
    project = (ROOT / "pyproject.toml").read_text()
    forced = re.findall(r'^"(\S+)" = "(?:diskgen/_data|share)/', project, re.MULTILINE)
    assert forced
    assert not [n for n in forced if not any(fnmatch.fnmatch(n, f"{k}*") for k in kept)]


def test_each_name_has_its_user() -> None:
    """Nobody is root but for whoever brings root's habits along: see the file."""
    stages = dict(
        re.findall(
            r'^FROM \S+ AS (\S+)$(?:(?!^FROM).)*?^USER (\S+)\nENTRYPOINT \["\1"\]$',
            FILE,
            re.MULTILINE | re.DOTALL,
        )
    )
    assert stages == {"diskgen": "diskgen", "bootc-image-builder": "root"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert stages.keys() == project["scripts"].keys()
