"""Which files of an installed system are labelled, and where there is a policy for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from diskgen.blueprint.model import AddedFile, Customizations
from diskgen.install.target import Target, label

# As Fedora has it: in its remarks there is a mode, too.
SELINUX = "# NOTE: SELINUX=disabled would also\nSELINUX={}\nSELINUXTYPE=targeted\n"


@pytest.mark.parametrize("mode", ["enforcing", "permissive", "disabled"])
def test_what_was_made_is_labelled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str
) -> None:
    """By a chroot that notes its arguments: setfiles takes a machine with SELinux."""
    target = Target(tmp_path / "root")
    contexts = "etc/selinux/targeted/contexts/files/file_contexts"
    for path in ("usr/sbin/setfiles", contexts, "opt/x", "var/spool/mail/ann"):
        (target.root / path).parent.mkdir(parents=True, exist_ok=True)
        (target.root / path).write_text("")
    (target.root / "etc/selinux/config").write_text(SELINUX.format(mode))
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "chroot").write_text(f"#!/bin/sh\nprintf '%s|' \"$@\" >{tmp_path}/said\n")
    (programs / "chroot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    wanted = Customizations(files=(AddedFile(path="/opt/x"), AddedFile(path="/etc/y")))
    label(target, wanted, ("/var/spool/mail/ann", "/etc/z"))
    if mode == "disabled":
        assert not (tmp_path / "said").exists()
        return
    said = (tmp_path / "said").read_text()
    assert said == f"{target.root}|setfiles|-F|/{contexts}|/etc|/opt/x|/var/spool/mail/ann|"
