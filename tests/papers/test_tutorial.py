"""The tutorial, typed but for its boots: those are typed by ``vm-tests/test_tutorial.py``."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from ..fixtures import podman
from ..fixtures.oci import bootable
from ..fixtures.pages import ROOT, commands
from ..fixtures.program import Program
from ..fixtures.registry import registry
from ..fixtures.sandbox import Sandbox

PAGE = ROOT / "docs/tutorial.md"
BASE = "quay.io/fedora/fedora-bootc:44"


def test_the_tutorial_makes_a_disk(program_path: Path) -> None:
    place = Path(tempfile.mkdtemp(prefix="diskgen-tutorial-", dir="/var/tmp"))
    place.chmod(0o755)
    program = Program(program_path, place)
    program.own(place)
    program.home.mkdir()
    base = bootable(place / "base")
    with registry(place / "registry") as server:
        sandbox = Sandbox(program, server)
        podman.install(sandbox.tools, server, {BASE: base}, program.own_directory("store"))
        page = sandbox.directory(PAGE)
        for block in commands(PAGE):
            if not block.longer:
                sandbox.run(block, page)
        said = program("inspect", "registry.example/you/hello:1", "--json")
    facts = json.loads(program("inspect", page / "hello.qcow2", "--json"))
    assert facts["deployments"][0]["reference"] == "registry.example/you/hello:1"
    # The page pushed a second version after the disk was made.
    assert json.loads(said)["digest"] != facts["deployments"][0]["digest"]
    shutil.rmtree(place)
