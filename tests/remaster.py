"""Making media of vendors' media by the program itself. Tests only."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from .oci import TarBuilder, bootable
from .test_bootloader import signed

ARCHES = {"x86_64": "x64", "aarch64": "aa64", "s390x": ""}


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, check=False, capture_output=True)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, f"{argv}\n{said}"
    return said


def payload(place: Path, arch: str) -> Path:
    """Return a layout with a small image that Anaconda could install."""
    if not ARCHES[arch]:
        return bootable(place, arch=arch)
    suffix, tar = ARCHES[arch], TarBuilder()
    folder = "usr/lib/bootupd/updates/EFI"
    tar.file(f"{folder}/BOOT/BOOT{suffix.upper()}.EFI", signed())
    tar.file(f"{folder}/tiny/shim{suffix}.efi", signed())
    tar.file(f"{folder}/tiny/grub{suffix}.efi", signed(b"blscfg"))
    meta = {"timestamp": "2026-01-02T03:04:05Z", "version": "grub2-1:2.12-40"}
    tar.file("usr/lib/bootupd/updates/EFI.json", json.dumps(meta).encode())
    return bootable(place, tar.finish(), arch=arch, loader=False)


def extracted(iso: Path, out: Path) -> Path:
    run("xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", out)
    run("chmod", "-R", "u+rwX", out)
    return out


def detected(iso: Path) -> str | None:
    """Return the system that a medium installs, by libosinfo; None for one that is not known."""
    said = run("osinfo-detect", iso)
    assert "Media is bootable." in said
    found = re.search(r"installer for OS '(.*)'", said)
    return found[1] if found else None


class Maker:
    """The program, told to make a medium of a vendor's."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def _run(
        self, source: Path, output: Path, words: tuple[str | Path, ...]
    ) -> subprocess.CompletedProcess[str]:
        arch = str(words[words.index("--arch") + 1]) if "--arch" in words else "x86_64"
        image = self._place / f"os-{arch}"
        if not image.exists():
            payload(image, arch)
        argv: list[str | Path] = [
            Path(sys.executable).with_name("diskgen"), "iso", f"oci:{image}",
            "--target-imgref", "registry.example/os:1", "--installer", source, "-o", output,
            "--cache-dir", self._place / "cache", "--progress", "plain", *words,
        ]  # fmt: skip
        return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=900)

    def __call__(self, source: Path, output: Path, *words: str | Path) -> Path:
        done = self._run(source, output, words)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{output}\n"
        return output

    def refusal(self, source: Path, output: Path, *words: str | Path, status: int) -> str:
        """Return the complaint, in one line; nothing may be left behind."""
        before = sorted(output.parent.iterdir())
        done = self._run(source, output, words)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        assert sorted(output.parent.iterdir()) == before
        return " ".join(done.stderr.split())
