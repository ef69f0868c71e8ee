"""Documents inside of images that were made to take all memory or time: refused, in words."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from .fixtures.oci import Layout, TarBuilder, bootable, bootable_tar
from .fixtures.program import Program

_INSTALL = "usr/lib/bootc/install/50-x.toml"
_DEEP = b"[" * 100_000 + b"]" * 100_000
FILES: dict[str, tuple[str, bytes, str]] = {
    "dotted parts": (_INSTALL, b"install." + b".".join([b"a"] * 3000) + b"=1", "'document-depth'"),
    "digits": (_INSTALL, b"[install]\nx=" + b"1" * 5000, "'document-digits'"),
    "TOML lists": (_INSTALL, b"a=" + _DEEP, "'document-depth'"),
    "size": (_INSTALL, b"#" * 1_100_000, "'document-bytes'"),
    "kargs": ("usr/lib/bootc/kargs.d/x.toml", b"kargs=" + _DEEP, "'document-depth'"),
    "bootupd": ("usr/lib/bootupd/updates/EFI.json", _DEEP, "EFI.json' of the image is broken"),
}


@pytest.mark.parametrize("what", FILES)
def test_files_of_an_image(diskgen: Program, images: Path, what: str) -> None:
    path, data, said = FILES[what]
    tar = TarBuilder()
    tar.file(path, data)
    if what == "bootupd":
        tar.file("usr/lib/bootupd/updates/EFI/BOOT/BOOTX64.EFI", b"MZ")
    _refused(diskgen, bootable(images / "os", tar.finish()), said)


@pytest.mark.parametrize("part", ["index.json", "manifest", "config"])
@pytest.mark.parametrize("value", ["deep", "digits"])
def test_descriptions_of_an_image(diskgen: Program, images: Path, part: str, value: str) -> None:
    data = _DEEP if value == "deep" else b"1" * 5000
    extra = b'{"x":' + data + b","
    layout = Layout(images / "os")
    top = layout.image([layout.layer(bootable_tar())])
    blobs = layout.place / "blobs/sha256"
    manifest = (blobs / top["digest"][7:]).read_bytes()
    if part == "config":
        found = json.loads(manifest)
        config = extra + (blobs / found["config"]["digest"][7:]).read_bytes()[1:]
        found["config"] |= {"digest": layout.blob(config), "size": len(config)}
        manifest = json.dumps(found).encode()
    elif part == "manifest":
        manifest = extra + manifest[1:]
    top |= {"digest": layout.blob(manifest), "size": len(manifest)}
    layout.finish(top)
    if part == "index.json":
        index = layout.place / "index.json"
        index.write_bytes(extra + index.read_bytes()[1:])
    budget = "document-depth" if value == "deep" else "document-digits"
    _refused(diskgen, layout.place, f"(budget '{budget}')")


def _refused(diskgen: Program, layout: Path, said: str) -> None:
    begun = time.monotonic()
    done = diskgen.run("plan", "raw", f"oci:{layout}")
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - begun < 30
