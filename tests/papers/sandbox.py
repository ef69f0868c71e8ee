"""Where command blocks are run: an ordinary user's directory, fake host names, real programs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from .. import installers, vendor_iso
from ..oci import bootable
from ..package_sources import deb
from ..program import Program
from ..registry import Registry
from .pages import Block, blocks, expected

HOSTS = ("registry.example", "quay.io/project", "localhost:5000")
VENDOR = "Fedora-Everything-netinst-x86_64-42.iso"
_KICKSTART = """\
lang de_DE.UTF-8
keyboard de
timezone Europe/Berlin --utc
rootpw --lock
"""
_POLICY = {
    "default": [{"type": "reject"}],
    "transports": {"docker": {"registry.example": [{"type": "insecureAcceptAnything"}]}},
}


class Sandbox:
    """A place in which the blocks of pages run, one directory a page."""

    def __init__(self, program: Program, server: Registry) -> None:
        self.program = program
        self.server = server
        self.tools = program.place / "bin"
        self.tools.mkdir()
        (self.tools / "diskgen").symlink_to(program.path)
        self._mirrors()

    def pretend_qemu(self) -> None:
        """Have programs that say that they were started: boots are tried elsewhere."""
        for name in ("x86_64", "aarch64", "s390x"):
            tool = self.tools / f"qemu-system-{name}"
            tool.write_text(_TELLS.format(name=name))
            tool.chmod(0o755)

    def serve(self) -> None:
        """Have small images in the registry, under the names that pages use."""
        place = self.program.place / "sources"
        place.mkdir()
        own = (installers.own_runtime(), installers.accounts())
        layouts = {
            "amd64": installers.machine(place / "amd64", installers.bootupd(), *own),
            "arm64": bootable(place / "arm64", arch="aarch64"),
            "s390x": bootable(place / "s390x", arch="s390x"),
        }
        for tag in ("1", "2"):
            self.server.push_index(layouts, "os", tag)
        self.server.push(installers.machine(place / "own", *own), "installer", "1")
        self.server.push(
            installers.installer(place / "anaconda", installers.anaconda()), "anaconda", "1"
        )

    def _mirrors(self) -> None:
        """Have the names of pages reach the registry on loopback, by the user's own settings."""
        rows = [
            f'[[registry]]\nprefix = "{host}"\nlocation = "{self.server.host}"\ninsecure = true\n'
            for host in HOSTS
        ]
        place = self.program.home / ".config/containers"
        place.mkdir(parents=True)
        (place / "registries.conf").write_text("\n".join(rows))
        for path in (self.program.home, *self.program.home.rglob("*")):
            self.program.own(path)

    def directory(self, page: Path) -> Path:
        """Return a page's directory, with the files that pages suppose a reader to have."""
        place = self.program.own_directory(page.stem)
        for block in blocks(page):
            if block.language == "dockerfile" and "`Containerfile`" in block.above:
                (place / "Containerfile").write_text("\n".join(block.body) + "\n")
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43 + " ann@example\n"
        (place / "ann.pub").write_text(key)
        ssh = self.program.home / ".ssh"
        ssh.mkdir(exist_ok=True)
        (ssh / "id_ed25519.pub").write_text(key)
        (place / "mine.ks").write_text(_KICKSTART)
        (place / "policy.json").write_text(json.dumps(_POLICY))
        auth = place / "auth.json"
        auth.write_text('{"auths": {"registry.example": {"auth": "dXNlcjpzZWNyZXQ="}}}')
        auth.chmod(0o600)
        (place / "packages").mkdir()
        deb(place / "packages/app.deb", "app", arch="amd64")
        (place / "certs").mkdir()
        for path in [place, *place.rglob("*")]:
            self.program.own(path)
        return place

    def vendor(self, place: Path) -> None:
        """Put a vendor's medium into a page's directory."""
        folder = place.with_name(f"{place.name}.vendor")
        folder.mkdir()
        shutil.move(vendor_iso.lorax_x86_64(folder), place / VENDOR)
        self.program.own(place / VENDOR)

    def run(self, block: Block, place: Path) -> None:
        """Type the commands of a block and hold what they print against what the page shows."""
        for command, lines in block.steps():
            argv = self.program.command("-c", f"set -eo pipefail\n{command}")
            argv[argv.index(self.program.path)] = Path("/bin/bash")
            env = self.program.environment()
            env["PATH"] = f"{self.tools}:{env['PATH']}:/usr/sbin:/sbin"
            done = subprocess.run(
                argv, env=env, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, check=False, timeout=3600,
            )  # fmt: skip
            where = f"{block.page}:{block.line}: $ {command}\n{done.stdout}"
            assert done.returncode == 0, where
            for line in lines:
                if not line.startswith("✓"):  # of a terminal, whose looks are tested elsewhere
                    assert expected(line).search(done.stdout), f"{where}\nhas no '{line}'"


_TELLS = """\
#!/bin/sh
# Stands in for QEMU: a page's 'diskgen boot' is tried up to here.
case " $* " in
*" --version "*) echo "QEMU emulator version 8.2.0" ;;
*) echo "started {name}" ;;
esac
"""
