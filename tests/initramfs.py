"""Initramfs made by hand: a few bytes of the shape that real ones have."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PREPARE_ROOT = "usr/lib/ostree/ostree-prepare-root"


def cpio(files: Mapping[str, bytes], *, mode: int = stat.S_IFREG | 0o755) -> bytes:
    """Return an archive of the kind that kernels unpack."""
    made = b""
    for number, (name, data) in enumerate([*files.items(), ("TRAILER!!!", b"")], 1):
        raw = name.encode() + b"\0"
        head = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        made += b"070701" + b"%08X" * 13 % head + raw
        made += bytes(-len(made) % 4) + data
        made += bytes(-len(made) % 4)
    return made


def toy_initramfs() -> bytes:
    """Return one that finds a deployment, as far as can be seen from outside."""
    return cpio({"init": b"init " * 2000, PREPARE_ROOT: b"prepare"})


def packed(place: Path, module: str, compress: Sequence[str]) -> bytes:
    """Return one by cpio and a compressor: early firmware, and what dracut would say."""
    early, late = place / "early", place / "late"
    (early / "kernel/x86/microcode").mkdir(parents=True)
    (early / "kernel/x86/microcode/GenuineIntel.bin").write_bytes(b"microcode" * 1001)
    for name in ("usr/lib/dracut", "usr/lib/ostree", "usr/bin"):
        (late / name).mkdir(parents=True)
    (late / "usr/bin/big").write_bytes(os.urandom(3_000_001))
    (late / "usr/bin/text").write_bytes(b"a text that says it again. " * 100_000)
    (late / "usr/lib/dracut/modules.txt").write_text(f"systemd\nimg-lib\n{module}\n")
    if module == "ostree":
        (late / PREPARE_ROOT).write_bytes(b"\x7fELF")
    made = []
    for root in (early, late):
        done = subprocess.run("find . | sort | cpio -o -H newc --quiet", shell=True, cwd=root,
                              check=True, capture_output=True)  # fmt: skip
        made.append(done.stdout)
    return made[0] + subprocess.run(compress, input=made[1], check=True, capture_output=True).stdout
