"""The log of a run and --verbose: what bug reports carry, and what they must not."""

from __future__ import annotations

import argparse
import json
import stat
from pathlib import Path

import pytest

from diskgen import runlog
from diskgen.cli.parser import build_parser

from .fixtures.oci import bootable
from .fixtures.program import Program
from .fixtures.registry import Registry

PLAIN = "--tls-verify=false"
HASH = "$6$salt1234$Zl9wqp0aXbYcVdWeUfTgShRiQjPkOlNmMnLoKpJqIrHsGtFuEvDwCxByAz"


def logs(program: Program) -> list[Path]:
    return sorted((program.home / ".local/state/diskgen/log").glob("*.log"))


def test_a_run_leaves_a_log(diskgen: Program, images: Path, server: Registry) -> None:
    server.push(bootable(images / "os"), "logged")
    done = diskgen.run("plan", "raw", f"{server.host}/logged", PLAIN)
    assert done.returncode == 0
    assert "log" not in done.stderr
    (log,) = logs(diskgen)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700
    text = log.read_text()
    assert "diskgen 0" in text
    assert "Python 3" in text
    assert f"diskgen plan raw {server.host}/logged --tls-verify=false" in text
    assert "] skopeo inspect" in text
    assert "skopeo: status 0, " in text
    assert text.endswith("  exit status 0\n")
    failed = diskgen.run("plan", "raw", f"{server.host}/none", PLAIN)
    assert failed.returncode == 3
    text = logs(diskgen)[-1].read_text()
    assert "level=fatal" in text
    assert "skopeo: status 1, " in text
    assert text.endswith("  exit status 3\n")


def test_no_secret_is_in_a_log(diskgen: Program, images: Path, server: Registry) -> None:
    layout = bootable(images / "os")
    for words in (
        ("plan", "raw", "docker://ann:hunter2@127.0.0.1:1/os:1"),
        ("plan", "iso", f"oci:{layout}", "--user", "ann", "--user-password-hash", HASH),
        ("plan", "iso", f"oci:{layout}", f"--root-password-hash={HASH}"),
        ("plan", "raw", f"{server.host}/none", PLAIN, "--karg", "x.password=hunter2"),
    ):  # fmt: skip
        done = diskgen.run(*words, env={"HTTPS_PROXY": "http://u:hunter2@127.0.0.1:1"})
        assert "Traceback" not in done.stderr
    assert len(logs(diskgen)) == 4
    for log in logs(diskgen):
        text = log.read_text()
        assert "diskgen plan" in text
        assert "hunter2" not in text
        assert "salt1234" not in text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Get https://ann:hunter2@host/v2/: EOF", "hunter2"),
        ("token=abcdef0123&x=1", "abcdef0123"),
        ("Authorization: Bearer abcdefgh.ijk", "abcdefgh"),
        (f"user ann {HASH}", "salt1234"),
        ("https://s3/x?X-Amz-Signature=0123abcd", "0123abcd"),
        ("https://s3/x?X-Amz-Credential=AKIA0123", "AKIA0123"),
    ],
)
def test_what_is_masked(text: str, secret: str) -> None:
    assert secret not in runlog.masked(text)
    assert runlog.masked("skopeo copy docker://host/os:1@sha256:00") == (
        "skopeo copy docker://host/os:1@sha256:00"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--user-password-hash", "s3cret"], ["--root-password-hash=s3cret"],
        ["--user-pass", "s3cret"], ["--root=s3cret"], ["--creds", "ann:s3cret"],
    ],
)  # fmt: skip
def test_options_that_carry_a_secret(words: list[str]) -> None:
    line = runlog.command_line(["diskgen", *words, "--after", "seen"])
    assert "s3cret" not in line
    assert line.endswith("--after seen")


def test_few_logs_are_kept(diskgen: Program) -> None:
    place = diskgen.home / ".local/state/diskgen/log"
    place.mkdir(parents=True)
    for number in range(30):
        (place / f"20200101T0000{number:02}Z-1.log").write_text("old\n")
    for path in (place, *place.parents[:3]):
        diskgen.own(path)
    (place / "0.log").write_text("of somebody else\n")
    diskgen("completion", "bash")  # is run by every new shell
    assert len(logs(diskgen)) == 31
    diskgen.run("cache", "ls")
    (place / "0.log").unlink()
    assert len(logs(diskgen)) == 20
    assert "diskgen cache ls" in logs(diskgen)[-1].read_text()


def test_where_it_lies_and_where_it_cannot(diskgen: Program, images: Path) -> None:
    other = images / "state"
    other.mkdir()
    diskgen.own(other)
    diskgen("cache", "ls", XDG_STATE_HOME=str(other))
    assert len(list(other.glob("diskgen/log/*.log"))) == 1
    assert not logs(diskgen)
    diskgen("cache", "ls", XDG_STATE_HOME="/proc/none")


def test_verbose_shows_the_programs_own_words(diskgen: Program, server: Registry) -> None:
    words = ("plan", "raw", f"{server.host}/none", PLAIN)
    assert "level=fatal" not in diskgen.run(*words).stderr
    done = diskgen.run(*words, "-v")
    assert "skopeo inspect" in done.stderr
    assert "skopeo: time=" in done.stderr
    assert "level=fatal" in done.stderr
    done = diskgen.run("plan", "-v", "raw", *words[2:])
    assert "level=fatal" in done.stderr
    lines = diskgen.run(*words, "--verbose", "--progress", "json").stderr.splitlines()
    events = [json.loads(line) for line in lines]
    assert any("level=fatal" in e["message"] for e in events if e["event"] == "program")
    assert events[-1]["log"].endswith(".log")


def test_a_tool_that_fails_names_the_log(diskgen: Program, images: Path) -> None:
    fake = images / "skopeo"
    fake.write_text("#!/bin/sh\necho 'out of cheese' >&2\nexit 1\n")
    fake.chmod(0o755)
    done = diskgen.run("inspect", "registry.example/os", env={"PATH": f"{images}:/usr/bin:/bin"})
    assert done.returncode == 5
    assert "out of cheese" in done.stderr
    (log,) = logs(diskgen)
    assert f"log: '{log}'" in done.stderr
    assert "out of cheese" in log.read_text()


def test_every_command_has_it() -> None:
    def walk(parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    assert "--verbose" in command.format_help(), command.prog
                    walk(command)

    walk(build_parser())
