"""No terminal obeys what an image, a disk, a path or a program says; programs get it exactly."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diskgen import terminal
from diskgen.errors import PreflightError, Problem, SourceError, ToolError, VerifyError
from diskgen.events import Notice, StepFinished, StepProgress, StepStarted
from diskgen.ui import describe, renderer

from .fixtures.hostile import (
    EVIL,
    EVIL_NAME,
    check_harmless,
    evil_file,
    evil_image,
    gpt_disk,
    harmful,
)
from .fixtures.oci import Layout, TarBuilder, bootable, bootable_tar
from .fixtures.program import Program

Commands = list[tuple[str | Path, ...]]
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=30)


def test_the_table_is_unicodes() -> None:
    missed = [hex(n) for n in range(sys.maxunicode + 1) if harmful(chr(n))
              and terminal.visible(chr(n)) == chr(n)]  # fmt: skip
    assert missed == []
    assert terminal.visible("\n") == r"\n"
    for number in (0x34F, 0x115F, 0x3164, 0xFE0F, 0xFFA0, 0xE01EF):  # seen by nobody either
        assert terminal.visible(chr(number)) != chr(number)


@pytest.mark.parametrize("text", ["Fedora (Café)", "日本語", "سلام", "👍", "a\\nb", "{[x]}"])
def test_what_people_write_stays(text: str) -> None:
    assert terminal.visible(text) == text


def test_spelling() -> None:
    assert terminal.visible("\x1b\x00\t\r\n\x7f") == r"\x1b\x00\t\r\n\x7f"
    assert terminal.visible("\x85\u202e\U000e0041\ud800") == r"\u0085\u202e\U000e0041\ud800"
    assert terminal.visible(b"caf\xe9".decode(errors="surrogateescape")) == r"caf\xe9"


@given(st.lists(ANYTHING))
@settings(max_examples=200, deadline=None)
def test_a_page_has_the_lines_it_is_made_of(lines: list[str]) -> None:
    text = terminal.page(lines)
    assert text.count("\n") == len(lines)
    assert not any(map(harmful, text))
    assert terminal.checked(text) == text
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")
    terminal.put(shown, text)


@given(ANYTHING, ANYTHING, st.lists(ANYTHING, min_size=1))
@settings(max_examples=100, deadline=None)
def test_no_error_can_be_forged(message: str, hint: str, said: list[str]) -> None:
    words = "\n".join(["mke2fs: bad", *said, "error: forged"])
    errors = [
        SourceError(message + EVIL, hint=hint + EVIL),
        ToolError(["/sbin/mke2fs"], 1, words),
        VerifyError("e2fsck finds fault", said=words),
        PreflightError([Problem(code="x", message=message + EVIL, hint=hint + EVIL)]),
    ]
    for error in errors:
        text = describe(error)
        assert not any(map(harmful, text))
        starts = [line for line in text.splitlines() if not line.startswith(" ")]
        assert len(starts) == 1
        assert "error: forged" not in {line.strip() for line in starts}


def test_a_programs_words_stay_lines() -> None:
    error = ToolError(["/sbin/mke2fs"], 1, "one\ntwo \x1b[31m\n")
    assert error.message == "'mke2fs' failed with status 1: one\ntwo \x1b[31m"
    assert describe(error).splitlines() == [
        "error: 'mke2fs' failed with status 1: one", r"    two \x1b[31m",
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["plain", "terminal", "json"])
def test_progress(mode: str) -> None:
    out = io.StringIO()
    with renderer(mode, out) as emit:
        emit(StepStarted("x", f"[bold]{EVIL}", 10, "bytes"))
        emit(StepProgress("x", 5, 10))
        emit(StepFinished("x", f"[bold]{EVIL}", 1.0, f"[red]{EVIL}\\", True))
        emit(Notice("warning", f"[/]{EVIL}\\"))
        emit(Notice("info", EVIL))
    text = out.getvalue()
    if mode == "json":
        messages = [json.loads(line).get("message") for line in text.splitlines()]
        assert messages[-1] == EVIL  # exact
        return
    for part in ("\x1b[2J", "\x1b]0;", "\x07", "\x9b", "\r\nerror", "\nerror: forged", "\u202e"):
        assert part not in text
    assert r"\x1b[2J" in text


# The program, with everything evil at once


def of_the_image(_place: Path, images: Path) -> Commands:
    layout = evil_image(images / "evil")
    return [
        ("inspect", f"oci:{layout}"),
        ("plan", "raw", f"oci:{layout}"),
        ("plan", "qcow2", f"oci:{layout}", "--progress", "plain"),
        ("raw", f"oci:{layout}", "-o", "out.raw", "--progress", "plain"),
        ("plan", "iso", f"oci:{layout}", "--target-imgref", "quay.io/a/os:1"),
        ("cache", "ls"),
    ]


def of_manifests(_place: Path, images: Path) -> Commands:
    words: Commands = []
    for name, change in {
        "type": lambda m: m.update(mediaType=EVIL),
        "layer": lambda m: m["layers"][0].update(mediaType=EVIL),
        "digest": lambda m: m["layers"][0].update(digest=EVIL),
        "size": lambda m: m["config"].update(size=EVIL),
    }.items():
        words.append(("inspect", f"oci:{changed(images / name, change)}"))
    layout = Layout(images / "path")
    tar = TarBuilder()
    tar.file(f"../{EVIL_NAME}")
    layers = [layout.layer(bootable_tar()), layout.layer(tar.finish())]
    place = layout.finish(layout.image(layers), tag=EVIL)
    words += [("plan", "raw", f"oci:{place}"), ("inspect", f"oci:{place}:{EVIL}x")]
    return words


def changed(place: Path, change: Callable[..., object]) -> Path:
    """Return a layout whose manifest was changed."""
    bootable(place)
    index = json.loads((place / "index.json").read_bytes())
    manifest = Layout.manifest_of(place)
    change(manifest)
    layout = Layout.__new__(Layout)
    layout.place = place
    index["manifests"][0]["digest"] = layout.blob(json.dumps(manifest).encode())
    (place / "index.json").write_text(json.dumps(index))
    return place


def of_files(place: Path, images: Path) -> Commands:
    evil = evil_file(images)
    name = EVIL_NAME.encode("utf-16-le", "surrogatepass")[:60]
    gpt_disk(images / "disk", [name, b"\x00\xd8" * 3, b"e\0r\0r\0"])
    layout = bootable(images / "os")
    return [
        ("inspect", images / "disk"),
        ("inspect", evil),
        ("inspect", images / f"{EVIL_NAME}2"),
        ("boot", evil, "--firmware", "bios", "--memory", EVIL),
        ("boot", images / f"{EVIL_NAME}2"),
        ("raw", f"oci:{layout}", "-o", f"no/{EVIL_NAME}"),
        ("raw", f"oci:{layout}", "-o", f"{EVIL_NAME}.raw", "--force"),
        ("raw", f"oci:{layout}", "-o", f"{EVIL_NAME}.raw"),
        ("cache", "ls", "--cache-dir", place / EVIL_NAME),
        ("cache", "prune", "--cache-dir", evil),
    ]


def of_arguments(_place: Path, images: Path) -> Commands:
    return [
        (EVIL,),
        ("plan", EVIL),
        ("inspect", EVIL),
        ("raw", f"oci:/no{EVIL}"),
        ("raw", "quay.io/a/os:1", f"--{EVIL}"),
        ("raw", "quay.io/a/os:1", EVIL),
        ("raw", "quay.io/a/os:1", "--karg", EVIL, "--disk-size", EVIL),
        ("iso", f"oci:{images}", "--kickstart", EVIL, "--label", EVIL, "--unattended", EVIL),
        ("completion", EVIL),
        ("doctor", "--arch", EVIL),
    ]


@pytest.mark.parametrize("kind", [of_the_image, of_manifests, of_files, of_arguments])
def test_no_command_lets_it_through(
    kind: Callable[[Path, Path], Commands], diskgen: Program, images: Path
) -> None:
    for words in kind(diskgen.place, images):
        done = subprocess.run(
            diskgen.command(*words), env=diskgen.environment(), cwd=diskgen.place,
            capture_output=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert done.returncode in (0, 2, 3, 4, 5), done.stderr.decode()
        check_harmless(done.stderr)
        if not (words[0] == "raw" and done.returncode == 0):  # a path for scripts is exact
            check_harmless(done.stdout)


def test_programs_get_it_exactly(diskgen: Program, images: Path) -> None:
    layout = evil_image(images / "evil")
    assert json.loads(diskgen("inspect", f"oci:{layout}", "--json"))["labels"][EVIL] == EVIL
    done = diskgen.run("inspect", f"oci:/no{EVIL}", "--progress", "json")
    last = json.loads(done.stderr.splitlines()[-1])
    assert last["event"] == "error"
    assert EVIL.partition(":")[0] in last["message"]  # what follows is a tag
    words = diskgen.command("raw", f"oci:{layout}", "-o", f"{EVIL_NAME}.raw", "--progress", "none")
    done2 = subprocess.run(words, env=diskgen.environment(), cwd=diskgen.place,
                           capture_output=True, check=True)  # fmt: skip
    assert done2.stdout == f"{EVIL_NAME}.raw\n".encode()
