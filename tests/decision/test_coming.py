"""What is asked of packages before there is a system: what can never be, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from diskgen.decision import coming, setup
from diskgen.decision.system import System, Tree
from diskgen.install import __main__ as installer
from diskgen.install import package_mode
from diskgen.kickstart import recipe
from diskgen.tree import Directory, regular

from ..fixtures.systems import DISK, GOOD, medium, tree

PACKAGES = "url --url=https://q.io/x\n%packages\n@core\n%end\n"


def of_packages(lines: str, system: System) -> list[tuple[str, str]]:
    """Return what is said of a system that packages make, by an installer with ``system``."""
    wanted = recipe.parse(f"{lines}\n{PACKAGES}", "F44", "x.ks")
    return [(row.name, found.message) for row, found in
            setup.check(wanted, coming.of(wanted, system))]  # fmt: skip


@pytest.mark.parametrize("lines", [line for lines in GOOD.values() for line in lines])
def test_of_packages_nothing_is_refused_that_may_come(lines: str) -> None:
    assert of_packages(lines, Tree(tree())) == []
    assert of_packages(lines, Tree(Directory())) == []


@pytest.mark.parametrize(
    ("row", "lines"),
    [("accounts", "user --name=a --uid=0"),
     ("accounts", "user --name=a --uid=2000\nuser --name=b --uid=2000"),
     ("groups", "group --name=a --gid=50\ngroup --name=b --gid=50"),
     ("groups", "group --name=a --gid=0"), ("shells", "user --name=a --shell=sh"),
     ("passwords", "rootpw --iscrypted plain"), ("firewall", "firewall --enabled --port=x:tcp"),
     ("zone", "timezone Mars/Olympus"), ("keymap", "keyboard xx"),
     ("firewall", "firewall --enabled\n%packages\n-firewalld\n%end")],
)  # fmt: skip
def test_of_packages_it_is_known_what_can_never_be(row: str, lines: str) -> None:
    ((found, _text),) = of_packages(lines, Tree(tree()))
    assert found == row
    bare = of_packages(lines, Tree(Directory()))  # an installer that tells of no zones, no keymaps
    assert [name for name, _text in bare] == ([row] if row not in ("zone", "keymap") else [])
    debian = tree()
    debian.add("usr/bin/mmdebstrap", regular(b""))
    if "-firewalld" in lines:  # which installs what the firewall takes all the same
        assert of_packages(lines, Tree(debian)) == []


def test_our_installer_asks_it_before_it_installs_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_mode, "check", lambda *_: None)
    said: list[str] = []
    by = coming.of
    monkeypatch.setattr(coming, "of", lambda wanted, _installer: by(wanted, Tree(tree())))
    wanted = recipe.parse(f"timezone Mars/Olympus\n{PACKAGES}", "F44", "x.ks")
    installer._check(SimpleNamespace(say=said.append), wanted, medium(None), DISK)  # type: ignore[arg-type]
    assert any("'Mars/Olympus'" in text for text in said)
