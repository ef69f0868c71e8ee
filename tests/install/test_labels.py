"""Which files of an installed system are labelled, and where there is a policy for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from diskgen.blueprint.model import AddedFile, Customizations, User
from diskgen.install.target import Target, label
from diskgen.ostree import labelling
from diskgen.tree import Directory, regular, symlink

# As Fedora has it: in its remarks there is a mode, too.
SELINUX = "# NOTE: SELINUX=disabled would also\nSELINUX={}\nSELINUXTYPE=targeted\n"


CONTEXTS = "etc/selinux/targeted/contexts/files/file_contexts"


def machine(monkeypatch: pytest.MonkeyPatch, place: Path, mode: str, *paths: str) -> Target:
    """Return a system whose setfiles notes its arguments, by a chroot that does so."""
    target = Target(place / "root")
    for path in ("usr/sbin/setfiles", CONTEXTS, *paths):
        (target.root / path).parent.mkdir(parents=True, exist_ok=True)
        (target.root / path).write_text("")
    (target.root / "etc/selinux/config").write_text(SELINUX.format(mode))
    programs = place / "programs"
    programs.mkdir()
    (programs / "chroot").write_text(f"#!/bin/sh\nprintf '%s|' \"$@\" >{place}/said\n")
    (programs / "chroot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return target


HOMES = ("var/home/ann/.ssh/authorized_keys", "var/home/bob/x", "var/roothome/.ssh/y")


@pytest.mark.parametrize(
    ("links", "expected"),
    [({"home": "var/home", "root": "/var/roothome"}, ["/home/ann", "/home/bob", "/root/.ssh"]),
     ({"home": "var/home"}, ["/home/ann", "/home/bob", "/var/roothome"]),
     ({}, ["/var/home", "/var/roothome"])],
)  # fmt: skip
def test_homes_are_labelled_by_the_names_that_builds_ask_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, links: dict[str, str], expected: list[str]
) -> None:
    """Not each policy knows of /var/home: what is below a link to it has the link's name."""
    target = machine(monkeypatch, tmp_path, "enforcing", *HOMES)
    tree = Directory()
    for path in HOMES:
        tree.add(path, regular(b""))
    for name, goal in links.items():
        (target.root / name).symlink_to(goal)
        tree.add(name, symlink(goal))
    label(target, Customizations(users=(User(name="ann", home="/var/home/ann"),)))
    said = (tmp_path / "said").read_text().split("|")
    assert said[3:-1] == [f"/{CONTEXTS}", "/etc", *expected]
    # The same as a build asks its policy for.
    homes = labelling._homes(tree)
    asked = {labelling._named(f"/{path}".encode(), homes).decode() for path in HOMES}
    assert all(any(path.startswith(f"{place}/") for place in expected) for path in asked)


@pytest.mark.parametrize("mode", ["enforcing", "permissive", "disabled"])
def test_what_was_made_is_labelled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str
) -> None:
    target = machine(monkeypatch, tmp_path, mode, "opt/x", "var/spool/mail/ann")
    wanted = Customizations(files=(AddedFile(path="/opt/x"), AddedFile(path="/etc/y")))
    label(target, wanted, ("/var/spool/mail/ann", "/etc/z"))
    if mode == "disabled":
        assert not (tmp_path / "said").exists()
        return
    said = (tmp_path / "said").read_text()
    assert said == f"{target.root}|setfiles|-F|/{CONTEXTS}|/etc|/opt/x|/var/spool/mail/ann|"
