"""The smaller commands: inspect, cache, doctor, completion, boot's refusals, packaging."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from diskgen.errors import SourceError, VerifyError
from diskgen.formats import qcow2_reader

from .fixtures.oci import bootable
from .fixtures.program import ROOT, Program
from .fixtures.registry import Registry


def test_inspect_looks_at_images_and_disks(
    diskgen: Program, images: Path, server: Registry
) -> None:
    layout = bootable(images / "os")
    digest = server.push(layout, "inspected")
    reference = f"{server.host}/inspected"
    facts = json.loads(diskgen("inspect", reference, "--tls-verify=false", "--json"))
    assert facts["digest"] == digest
    assert facts["bootable"]
    assert facts["layers"][0]["digest"] not in server.fetched("inspected")
    local = json.loads(diskgen("inspect", f"oci:{layout}", "--json"))
    assert local | {"reference": ""} == facts | {"reference": ""}
    assert "bootable      yes" in diskgen("inspect", f"oci:{layout}")
    diskgen("raw", f"oci:{layout}")
    seen = []
    for compression in ("zstd", "zlib", "none"):
        diskgen("qcow2", f"oci:{layout}", "--compression", compression, "--force")
        seen.append(json.loads(diskgen("inspect", "os.qcow2", "--json")))
    raw = json.loads(diskgen("inspect", "os.raw", "--json"))
    names = [part["name"] for part in raw["partitions"]]
    assert names == ["BIOS-BOOT", "EFI-SYSTEM", "boot", "root"]
    for facts in seen:
        assert facts["partitions"] == raw["partitions"]
        assert facts["size"] == raw["size"] == 10 * 1024**3
    assert raw["partitions"][3]["meaning"] == "root of x86_64"
    assert "EFI-SYSTEM" in diskgen("inspect", "os.qcow2")
    assert not diskgen.left_behind().count("home")


def test_inspect_refuses_other_files(diskgen: Program) -> None:
    done = diskgen.run("inspect", "/etc/passwd")
    assert done.returncode == 3
    assert "'/etc/passwd' is no disk with a partition table" in done.stderr


@pytest.mark.parametrize(
    ("offset", "data"),
    [(4, b"\0\0\0\x09"), (8, b"\1" * 8), (20, b"\0\0\0\xff"), (72, b"\xff" * 8), (40, b"\xff" * 8)],
)
def test_a_hostile_qcow2_is_an_error(tmp_path: Path, offset: int, data: bytes) -> None:
    path = tmp_path / "x.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    with qcow2_reader.opened(path) as disk:
        assert disk.read_at(1000, 100) == bytes(100)
        assert disk.size == 1024 * 1024
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(data)] = data
    path.write_bytes(raw)
    with pytest.raises((SourceError, VerifyError)), qcow2_reader.opened(path) as disk:
        disk.read_at(0, 4096)


def test_the_cache_is_listed_and_pruned(diskgen: Program, images: Path, server: Registry) -> None:
    server.push(bootable(images / "os"), "cached/os")
    reference = f"{server.host}/cached/os"
    assert json.loads(diskgen("cache", "ls", "--json"))["entries"] == []
    diskgen("raw", reference, "--tls-verify=false")
    entries = json.loads(diskgen("cache", "ls", "--json"))["entries"]
    assert {entry["kind"] for entry in entries} == {"blob", "initramfs", "layer"}
    assert any(entry["images"] == [reference] for entry in entries)
    assert reference in diskgen("cache", "ls")
    diskgen("cache", "prune")
    assert json.loads(diskgen("cache", "ls", "--json"))["entries"] == entries
    old = 0
    for path in diskgen.cache.rglob("*"):
        if path.is_file():
            os.utime(path, (old, old))
    assert diskgen("cache", "prune", "--older-than", "10").startswith("freed ")
    assert json.loads(diskgen("cache", "ls", "--json"))["entries"] == []
    diskgen("raw", reference, "--tls-verify=false", "--force")
    diskgen("cache", "prune", "--all")
    assert json.loads(diskgen("cache", "ls", "--json"))["entries"] == []


def test_the_doctor_names_what_is_missing(diskgen: Program, images: Path) -> None:
    assert "this machine builds disks" in diskgen("doctor")
    done = diskgen.run("doctor", wrap=["/usr/bin/env", f"PATH={images}"])
    assert done.returncode == 4
    assert "MISSING skopeo" in done.stdout
    assert "apt install skopeo" in done.stdout or "dnf install skopeo" in done.stdout
    found = json.loads(diskgen("doctor", "--json"))["findings"]
    kvm = next(f for f in found if f["name"].startswith("acceleration"))
    assert kvm["purpose"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(diskgen: Program, shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(diskgen("completion", shell))
    assert "qcow2" in script.read_text()
    if shell == "bash":
        subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("boot", "/no/such"), 2, "'/no/such' is no file"),
        (("boot", "/etc/passwd", "--memory", "much"), 2, "--memory"),
        (("boot", "/etc/passwd", "--arch", "riscv64"), 2, "cannot be booted yet"),
        (("boot", "/etc/passwd", "--arch", "s390x", "--firmware", "bios"), 2, "no 'bios' firmware"),
    ],
)
def test_boot_refuses(diskgen: Program, words: tuple[str, ...], status: int, text: str) -> None:
    done = diskgen.run(*words)
    assert done.returncode == status, done.stderr
    assert text in done.stderr


def test_it_installs_in_a_clean_environment(tmp_path: Path) -> None:
    """What a user gets from `pip install .` runs, and brings its man page."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", ROOT], check=True)
    program = tmp_path / "venv/bin/diskgen"
    shown = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    assert shown.stdout == "diskgen 0.1.0\n"
    subprocess.run([program, "doctor"], check=True, capture_output=True)
    page = tmp_path / "venv/share/man/man1/diskgen.1"
    assert page.read_text() == (ROOT / "docs/diskgen.1").read_text()
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True
    )
    names = {row["name"].lower() for row in json.loads(listed.stdout)}
    assert {"pyparted", "pycdlib"} <= names
    assert "pytest" not in names
    assert sys.version_info >= (3, 11)


@pytest.mark.parametrize(
    ("words", "closed", "status"),
    [
        (("completion", "bash"), "stdout", 0),  # as in: diskgen completion bash | head
        (("raw", "oci:/no/such", "--progress", "plain"), "stderr", 4),
    ],
)
def test_readers_that_go_away(
    diskgen: Program, words: tuple[str, ...], closed: str, status: int
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writing}
    done = subprocess.run(
        diskgen.command(*words), env=diskgen.environment(), cwd=diskgen.place, check=False,
        **streams,
    )  # type: ignore[call-overload]  # fmt: skip
    os.close(writing)
    assert done.returncode == status
    assert not done.stderr
