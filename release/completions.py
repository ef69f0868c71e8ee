"""Completion scripts of every shell, written while a wheel is built and installed with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Where each shell looks, below the prefix.
PLACES = {
    "bash": "share/bash-completion/completions/diskgen",
    "zsh": "share/zsh/site-functions/_diskgen",
}


class Completions(BuildHookInterface[Any]):
    """Add what ``diskgen completion SHELL`` prints to a wheel's shared files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        import shtab

        sys.path.insert(0, self.root)
        from diskgen.cli.parser import build_parser

        for shell, place in PLACES.items():
            script = Path(self.directory) / "completions" / shell
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_text(shtab.complete(build_parser(), shell=shell) + "\n")
            build_data["shared_data"][str(script)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - the interface's
        import shutil

        shutil.rmtree(Path(self.directory) / "completions", ignore_errors=True)
