"""The script that completes kernel arguments, where it finds nothing to complete."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ...fixtures.program import ROOT


def test_an_installer_that_shows_no_entries_is_not_ended(tmp_path: Path) -> None:
    text = (ROOT / "kickstart/kargs.ks").read_text()
    _head, body = text.split("\n", 1)
    script = body.removesuffix("%end\n").replace("/boot/loader/", f"{tmp_path}/boot/loader/")
    words = ["sh", "-c", script.replace("@ARGUMENTS@", "+quiet")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "/boot has no entries" in done.stderr
