"""The GitHub Action: its steps run as a runner runs them, and its workflow is one by actionlint."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from .fixtures.oci import bootable
from .fixtures.program import ROOT, Program, as_nobody

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.6.27"  # the last for Debian 12's Go
EXPRESSION = re.compile(r"\$\{\{\s*inputs\.([\w-]+)\s*\}\}")
EXAMPLE = ROOT / "docs/workflow.yml"


def action() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return made


def steps() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = action()["runs"]["steps"]
    return made


@dataclass
class Runner:
    """As much of GitHub's runner as composite actions need."""

    program: Program
    place: Path
    inputs: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Run one step by its name, its inputs as the action's file has them."""
        (step,) = [step for step in steps() if step["name"] == name]
        given = {
            key: str(inputs.get(key, value.get("default", "")))
            for key, value in action()["inputs"].items()
        }
        env = {
            key: EXPRESSION.sub(lambda found: given[found[1]], value)
            for key, value in step["env"].items()
        }
        for file in ("path", "output"):
            (self.place / file).touch()
            self.program.own(self.place / file)
        env |= {
            "GITHUB_ACTION_PATH": str(ROOT), "RUNNER_TEMP": str(self.place),
            "GITHUB_PATH": str(self.place / "path"), "GITHUB_OUTPUT": str(self.place / "output"),
            "PATH": f"{self.program.path.parent}:/usr/bin:/bin:/usr/sbin:/sbin",
        }  # fmt: skip
        script = self.place / "script"
        script.write_text(step["run"])
        return subprocess.run(
            as_nobody(["bash", "--noprofile", "--norc", "-eo", "pipefail", script]),
            env=self.program.environment() | env, cwd=self.program.place, capture_output=True,
            text=True, check=False, timeout=300,
        )  # fmt: skip

    @property
    def outputs(self) -> dict[str, list[str]]:
        """What a step has told: values of any number of lines."""
        found: dict[str, list[str]] = {}
        lines = iter((self.place / "output").read_text().splitlines())
        for line in lines:
            name, mark, end = line.partition("<<")
            assert mark
            found[name] = []
            for value in lines:
                if value == end:
                    break
                found[name].append(value)
        return found


@pytest.fixture
def runner(diskgen: Program) -> Runner:
    return Runner(diskgen, diskgen.own_directory("runner"))


def test_it_builds_what_is_asked_for(runner: Runner, images: Path) -> None:
    layout = bootable(images / "layout")
    done = runner.run(
        "Build", image=f"oci:{layout}", type="qcow2, vmdk qcow2", output="made here",
        args="--target-imgref registry.example/os:1 --seed '; two  $words'",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    place = runner.program.place / "made here"
    files = [place / "disk.qcow2", place / "disk.vmdk"]
    told = runner.outputs
    assert told["paths"] == [str(path) for path in files]
    assert told["digests"] == [
        f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files
    ]
    (sums,) = told["checksums"]
    subprocess.run(["sha256sum", "--check", "--quiet", sums], cwd=place, check=True)
    same = runner.program.own_directory("again") / "disk.vmdk"
    runner.program("vmdk", f"oci:{layout}", "--target-imgref", "registry.example/os:1",
                   "--seed", "; two  $words", "-o", same)  # fmt: skip
    assert same.read_bytes() == files[1].read_bytes()
    shutil.rmtree(place)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"image": ""}, "names no image"),
        ({"image": "a\n::add-path::/evil"}, "names no image"),
        ({"image": "--help"}, "is not an image reference"),
        ({"image": "oci:$(touch pwned)"}, "touch pwned"),
        ({"image": "oci:`touch pwned`; touch pwned"}, "touch pwned"),
        ({"image": "oci:x", "type": "cache"}, "the input 'type'"),
        ({"image": "oci:x", "type": "qcow2 $(touch pwned)"}, "the input 'type'"),
        ({"image": "oci:x", "type": "*"}, "the input 'type'"),
        ({"image": "oci:x", "type": " "}, "the input 'type' is empty"),
        ({"image": "oci:x", "args": "'open"}, "never closed"),
        ({"image": "oci:x", "args": "--karg $(touch${IFS}pwned)"}, "x"),
        ({"image": "oci:x", "args": "; touch pwned"}, "unrecognized arguments"),
        ({"image": "oci:x", "args": '"$(touch pwned)"'}, "unrecognized arguments"),
    ],
)
def test_no_input_is_a_script(runner: Runner, inputs: dict[str, str], says: str) -> None:
    done = runner.run("Build", **inputs)
    assert done.returncode in (2, 3), done.stderr
    assert says in done.stdout + done.stderr
    assert not list(runner.program.place.rglob("pwned"))
    assert "\n::add-path" not in done.stdout
    assert runner.outputs == {}


def test_the_configuration_is_handed_over(runner: Runner, images: Path) -> None:
    config = runner.program.place / "my config.toml"
    config.write_text("[customizations]\nhostnam = 'db1'\n")
    done = runner.run("Build", image=f"oci:{bootable(images / 'os')}", config=str(config))
    config.unlink()
    assert done.returncode == 2
    assert "my config.toml" in done.stderr
    assert "hostname" in done.stderr  # the nearest key that it knows


def test_expressions_reach_no_shell() -> None:
    for step in steps():
        assert "${{" not in step.get("run", "")
    workflow = yaml.safe_load(EXAMPLE.read_text())
    for step in workflow["jobs"]["disk"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_every_input_is_used_and_every_output_made() -> None:
    text = (ROOT / "action.yml").read_text()
    inputs = set(re.findall(r"inputs\.([\w-]+)", text))
    assert inputs == set(action()["inputs"])
    made = set(re.findall(r"^ *printf '(\w+)<<", (ROOT / "action/build").read_text(), re.MULTILINE))
    named = set(re.findall(r"steps\.build\.outputs\.([\w-]+)", text))
    assert named == made


@pytest.mark.parametrize("script", ["build", "install"])
def test_the_scripts_are_clean(script: str) -> None:
    subprocess.run(["shellcheck", ROOT / "action" / script], check=True)


@pytest.mark.parametrize("words", ["ec2", "aws $(touch pwned)", "*", "aws]", "gcp @ /x"])
def test_what_is_no_cloud_is_told_before_anything_is_installed(runner: Runner, words: str) -> None:
    done = runner.run("Install diskgen", publish=words)
    assert done.returncode == 2
    assert done.stdout == "::error::the input 'publish' has a word that is none of: aws azure gcp\n"
    assert not list(runner.program.place.rglob("pwned"))


def test_every_extra_can_be_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = sorted(project["optional-dependencies"])
    script = (ROOT / "action/install").read_text()
    assert re.findall(r"^  ([a-z |]+)\) ;;", script, re.MULTILINE) == [" | ".join(extras)]
    assert f"none of: {' '.join(extras)}" in script
    assert ", ".join(extras) in action()["inputs"]["publish"]["description"]


@pytest.mark.extended
def test_it_installs_what_the_runner_lacks(runner: Runner) -> None:
    """The packages are there already, as they are on this machine: diskgen itself is not."""
    done = runner.run("Install diskgen", publish="aws, gcp")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("diskgen 0.1.0\n")
    (path,) = (runner.place / "path").read_text().splitlines()
    shown = subprocess.run([f"{path}/diskgen", "--version"], capture_output=True, check=True)
    assert shown.stdout == b"diskgen 0.1.0\n"
    assert [entry.name for entry in Path(path).iterdir()] == ["diskgen"]
    python = Path(path).parent / "bin/python"
    subprocess.run([python, "-c", "import botocore, google.auth"], check=True)


@pytest.fixture(scope="module")
def actionlint() -> Path:
    """The checker of workflows: a Go module, built once and kept."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = base / "diskgen-tests" / ACTIONLINT.rpartition("@")[2].replace("v", "actionlint-")
    program = place / "actionlint"
    if not program.exists():
        env = {**os.environ, "GOBIN": str(place), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
        subprocess.run(["go", "install", ACTIONLINT], env=env, check=True, timeout=900)
    return program


def test_the_example_is_a_workflow(actionlint: Path, tmp_path: Path) -> None:
    """With the action as it is here, so that inputs and outputs are looked at as well."""
    place = tmp_path / ".github/workflows/disk.yml"
    place.parent.mkdir(parents=True)
    for name in ("action.yml", "action"):
        (tmp_path / name).symlink_to(ROOT / name)
    text = EXAMPLE.read_text()
    assert "uses: diskgen/diskgen@v0" in text

    def lint(text: str) -> str:
        place.write_text(text.replace("diskgen/diskgen@v0", "./"))
        done = subprocess.run(
            [actionlint, "-no-color", place], cwd=tmp_path, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        return done.stdout + done.stderr

    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert lint(text) == ""
    assert "imagery" in lint(text.replace("image: oci", "imagery: oci"))
    assert "digestion" in lint(text.replace("outputs.digests", "outputs.digestion"))
