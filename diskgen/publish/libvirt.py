"""A disk in a pool of libvirt's: a volume of the file's bytes, whose holes are not sent.

virsh(1) speaks to the daemon, here or elsewhere, by the URI that it takes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import HostError, PreflightError, Problem, PublishError, ToolError, UsageError
from ..events import Emit, step
from ..hosttools import install_command, tools_for
from ..run import run, which
from ..units import format_size
from .leftovers import Leftovers
from .publication import Call, DiskFile, Means, Published

# What libvirt calls the formats that its machines have disks of.
FORMATS: Final = {"raw": "raw", "ami": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc"}
# What virsh reads of the environment: where its daemon is, and who may log in there.
_KEPT: Final = ("LIBVIRT_DEFAULT_URI", "VIRSH_DEFAULT_CONNECT_URI", "SSH_AUTH_SOCK",
                "LIBVIRT_AUTH_FILE", "XDG_CACHE_HOME")  # fmt: skip
_STATE: Final = re.compile(r"^State:\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Libvirt:
    """A volume that is to be, in a pool of a daemon; ``uri`` None is virsh's own default."""

    volume: str
    pool: str = "default"
    uri: str | None = None

    @property
    def name(self) -> str:
        return "libvirt"

    def check(self, emit: Emit) -> None:
        """Ask whether the daemon answers, whether the pool is active and the name is free."""
        if which("virsh") is None:
            raise HostError("'virsh' is not installed", hint=install_command(tools_for("libvirt")))
        problems: list[Problem] = []
        with step(emit, "check", f"Asking libvirt for the pool '{self.pool}'"):
            state = _STATE.search(self._virsh("pool-info", f"--pool={self.pool}"))
            if state is None or state[1] != "running":
                problems.append(
                    Problem(
                        code="pool",
                        message=f"the pool '{self.pool}' is not active",
                        hint=f"virsh pool-start '{self.pool}'",
                        setting="pool",
                    )
                )
            elif self._exists():
                problems.append(
                    Problem(
                        code="volume",
                        message=f"the pool '{self.pool}' has a volume '{self.volume}'",
                        hint="name another one, or remove that: virsh vol-delete",
                        setting="volume",
                    )
                )
        if problems:
            raise PreflightError(problems)

    def calls(self, disk: DiskFile) -> list[Call]:
        """Return what virsh is told."""
        where = self.uri or "libvirt's default"
        size = disk.path.stat().st_size
        return [
            Call(name="vol-create-as", where=where,
                 says={"pool": self.pool, "name": self.volume, "capacity": size, "format": "raw"}),
            Call(name="vol-upload", where=where,
                 says={"pool": self.pool, "vol": self.volume, "file": str(disk.path)}),
        ]  # fmt: skip

    def publish(self, disk: DiskFile, means: Means) -> Published:
        """Make the volume and fill it; what is not filled is removed."""
        known = _known(disk)
        of = (f"--pool={self.pool}", f"--vol={self.volume}")
        with Leftovers(means.emit) as made:
            # As large as the file: what it is, libvirt sees when it is filled.
            self._virsh(
                "vol-create-as", f"--pool={self.pool}", f"--name={self.volume}",
                f"--capacity={disk.path.stat().st_size}B", "--allocation=0", "--format=raw",
            )  # fmt: skip
            made.add(
                f"the volume '{self.volume}' in the pool '{self.pool}'",
                f"virsh vol-delete --pool '{self.pool}' '{self.volume}'",
                self._remove,
            )
            with step(means.emit, "upload", f"Sending to the pool '{self.pool}'") as phase:
                path = disk.path.absolute()
                self._virsh("vol-upload", *of, f"--file={path}", "--sparse")
                phase.detail = format_size(disk.path.stat().st_size)
            self._virsh("pool-refresh", f"--pool={self.pool}")
            place = self._virsh("vol-path", *of).strip()
            made.keep()
        return Published(
            place=self.name,
            id=place,
            facts={"pool": self.pool, "volume": self.volume, "format": known, "uri": self.uri},
        )

    def _exists(self) -> bool:
        try:
            self._virsh("vol-key", f"--pool={self.pool}", f"--vol={self.volume}")
        except PublishError:
            return False
        return True

    def _remove(self) -> None:
        self._virsh("vol-delete", f"--pool={self.pool}", f"--vol={self.volume}")

    def _virsh(self, *words: str) -> str:
        """Return what virsh prints. Raises PublishError with what it says."""
        uri = [f"--connect={self.uri}"] if self.uri is not None else []
        argv: Sequence[str | Path] = ["virsh", "--quiet", *uri, *words]
        try:
            return run(
                argv, env={name: os.environ[name] for name in _KEPT if name in os.environ}
            ).text
        except ToolError as error:
            reason = " ".join(error.stderr.split()).removeprefix("error: ")
            raise PublishError(
                f"libvirt refuses {words[0]}: {reason}",
                hint="is its daemon running, and may you use it? virsh "
                + (f"--connect {self.uri} " if self.uri else "")
                + "pool-list --all",
                setting="connect" if "connect" in reason else None,
            ) from error


def _known(disk: DiskFile) -> str:
    """Return what libvirt calls a disk's format. Raises UsageError."""
    if disk.format not in FORMATS:
        raise UsageError(
            f"libvirt has no volumes of the format '{disk.format}'",
            hint="it has: " + ", ".join(FORMATS),
        )
    return FORMATS[disk.format]
