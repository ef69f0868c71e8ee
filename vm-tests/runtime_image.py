"""The installer's container that the README describes, as its Dockerfile would make it.

What is read there is what is built here: what the README forgets, the installations show.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from bootstrap import SOURCES, bootstrap, cached

from tests.fixtures.oci import EPOCH, Layout

_README = Path(__file__).resolve().parent.parent / "README.md"
_BLOCK = re.compile(
    r"FROM debian:(?P<suite>\w+)\n\s*RUN apt-get update && apt-get install -y "
    r"--no-install-recommends (?P<packages>[\w\s+.-]+) && (?P<rest>.+?)\n\s*```",
    re.DOTALL,
)
_VERSION = 1  # of what this file does


def build(cache: Path) -> Path:
    """Return an OCI layout with the tag ``latest``, made if the cache lacks it."""
    found = _BLOCK.search(_README.read_text().replace("\\\n", ""))
    assert found is not None, "the README's Dockerfile is written in another way"
    suite, packages, rest = found["suite"], found["packages"].split(), found["rest"]
    makes = repr((SOURCES[suite], packages, rest, _VERSION))
    layout = cache / f"runtime-{hashlib.sha256(makes.encode()).hexdigest()[:16]}"

    def make(root: Path, result: Path) -> None:
        bootstrap(root, suite, packages, "minbase", "--architectures=amd64")
        subprocess.run(["chroot", root, "sh", "-ec", rest], check=True)
        shutil.rmtree(root / "dev")  # a layer has none of it
        (root / "dev").mkdir()
        tar = root.with_suffix(".tar")
        subprocess.run(
            ["tar", "--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner",
             "--sort=name", f"--mtime=@{EPOCH}", "-C", root, "-cf", tar, "."],
            check=True,
        )  # fmt: skip
        made = Layout(result)
        made.finish(made.image([made.layer(tar.read_bytes(), "zstd")], labels={}))

    return cached(layout, make)
