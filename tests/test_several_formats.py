"""Several formats of one disk: the same disk in each, all of them or none, no copy too many."""

from __future__ import annotations

import errno
import hashlib
import json
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from diskgen import disk_files
from diskgen.build import build_all
from diskgen.config import Output, Request
from diskgen.decision.suited import unshared
from diskgen.disk import reflink
from diskgen.errors import HostError, UsageError
from diskgen.events import discard
from diskgen.place import PLACES
from diskgen.plan import to_json, to_text
from diskgen.reference import parse
from diskgen.units import GIB
from diskgen.workspace import Workspace

from .fixtures.oci import bootable
from .fixtures.program import Program, fingerprint
from .oracles.schemas import check


def wanted(tmp_path: Path, formats: tuple[str, ...], **given: object) -> Request:
    first, *others = formats
    output = tmp_path / f"os.{PLACES[first].suffix}"
    also = tuple(Output(name, tmp_path / f"os.{PLACES[name].suffix}") for name in others)
    source = parse(f"oci:{given.pop('layout', tmp_path / 'layout')}")
    values: dict[str, object] = {
        "format": first, "also": also, "output": output, "source": source, "arch": "x86_64",
        "cache": tmp_path / "cache", "disk_size": 5 * GIB + 512, **given,
    }  # fmt: skip
    return Request(**values)  # type: ignore[arg-type]


def raw_of(path: Path, kind: str, place: Path) -> str:
    """Return a fingerprint of the disk in a file, as qemu-img reads it."""
    out = place / "as.raw"
    subprocess.run(["qemu-img", "convert", "-f", kind, "-O", "raw", path, out], check=True)
    try:
        return fingerprint(out)
    finally:
        out.unlink()


def test_one_disk_is_in_every_format(images: Path, tmp_path: Path) -> None:
    """The same disk everywhere, of a size that each place takes, and the same bytes as alone."""
    layout = bootable(images / "os")
    formats = ("qcow2", "raw", "ami", "vhd", "gce", "vmdk", "ova")
    request = wanted(tmp_path, formats, layout=layout)
    made = build_all(request, discard)
    assert [artifact.format for artifact in made] == list(formats)
    assert {artifact.virtual_size for artifact in made} == {6 * GIB}
    files = {artifact.format: artifact.path for artifact in made}
    disk = fingerprint(files["raw"])
    assert fingerprint(files["ami"]) == disk
    for name, kind in (("qcow2", "qcow2"), ("vhd", "vpc"), ("vmdk", "vmdk")):
        assert raw_of(files[name], kind, tmp_path) == disk, name
    extracted = tmp_path / "extracted"
    extracted.mkdir()
    subprocess.run(["tar", "-xf", files["gce"], "-C", extracted], check=True)
    assert fingerprint(extracted / "disk.raw") == disk
    kargs = PLACES["ami"].kargs  # which the disk has for each of its places
    alone = wanted(tmp_path / "alone", ("qcow2",), layout=layout, disk_size=6 * GIB, kargs=kargs)
    (tmp_path / "alone").mkdir()
    [qcow2] = build_all(alone, discard)
    assert qcow2.path.read_bytes() == files["qcow2"].read_bytes()
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith("os.")} == {
        f"os.{PLACES[name].suffix}" for name in formats
    }


def written(
    tmp_path: Path, formats: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], list[tuple[Path, Path]]]:
    """Write files of a small disk; return what was copied, and the files."""
    copies: list[str] = []
    real = reflink.copy

    def counted(source: Path, target: Path) -> None:
        copies.append(target.name)
        real(source, target)

    monkeypatch.setattr(reflink, "copy", counted)
    request = wanted(tmp_path, formats)
    with Workspace(tmp_path / "os", force=False) as work:
        disk = work.partial("disk")
        disk.write_bytes(b"\1" * 4096)
        with disk.open("r+b") as file:
            file.truncate(GIB)
        inode = disk.stat().st_ino
        finished = disk_files.write_files(disk, request, UUID(int=1), work, discard)
        last = PLACES[formats[-1]]
        if not last.converted:
            assert finished[-1][0].stat().st_ino == inode
        work.publish_all(finished)
    return copies, finished


@pytest.mark.parametrize(
    ("formats", "copies"),
    [
        (("raw",), 0),
        (("qcow2", "vhd"), 0),
        (("qcow2", "gce"), 0),
        (("raw", "vhd"), 1),
        (("qcow2", "raw", "ami", "vhd"), 2),
    ],
)
def test_no_format_costs_a_copy_that_need_not_be(
    tmp_path: Path, formats: tuple[str, ...], copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied, finished = written(tmp_path, formats, monkeypatch)
    assert len(copied) == copies
    assert len(finished) == len(formats)
    for _partial, output in finished:
        assert output.stat().st_blocks * 512 < 1024 * 1024


def test_formats_of_the_same_bytes_may_share_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    monkeypatch.setattr(reflink, "copy", lambda *paths: copied.append(str(paths)))
    path = tmp_path / "disk.raw"
    request = wanted(tmp_path, ("raw",), output=path, also=(Output("ami", path),))
    with Workspace(path, force=False) as work:
        disk = work.partial("disk")
        disk.write_bytes(bytes(512))
        files = disk_files.write_files(disk, request, UUID(int=1), work, discard)
        work.publish_all(files)
    assert [output for _partial, output in files] == [path]
    assert not copied
    with pytest.raises(UsageError, match="as 'raw' and as 'vhd'"):
        wanted(tmp_path, ("raw",), output=path, also=(Output("vhd", path),))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sector_size": 4096}, "Amazon EC2 has no disks with sectors of 4096 bytes"),
        ({"arch": "s390x"}, "Amazon EC2 has no machines of architecture 's390x'"),
        ({"disk_size": 70000 * 1024 * GIB}, "Amazon EC2 takes disks of"),
    ],
)
def test_a_place_that_cannot_share_the_disk_is_named(
    tmp_path: Path, given: dict[str, object], words: str
) -> None:
    wanted(tmp_path, ("qcow2", "raw"), **given)
    with pytest.raises(UsageError, match=words):
        wanted(tmp_path, ("qcow2", "ami"), **given)


def test_ignition_is_told_of_one_place(tmp_path: Path) -> None:
    class Tree:
        ignition = True

    both = wanted(tmp_path, ("qcow2", "ami")).places
    [problem] = unshared(both, Tree())  # type: ignore[arg-type]
    assert "'qcow2' and 'ami' cannot be made of one disk" in problem.message
    assert not list(unshared(wanted(tmp_path, ("vmdk", "ova")).places, Tree()))  # type: ignore[arg-type]
    Tree.ignition = False
    assert not list(unshared(both, Tree()))  # type: ignore[arg-type]


@pytest.mark.parametrize("force", [False, True])
def test_all_outputs_appear_or_none(tmp_path: Path, *, force: bool) -> None:
    outputs = [tmp_path / name for name in ("a", "b", "c")]
    if force:
        outputs[0].write_text("old")
    else:
        outputs[1].write_text("old")
    (tmp_path / "c").mkdir()  # in the way
    before = {path.name for path in tmp_path.iterdir()}
    with Workspace(outputs[0], force=force) as work:
        finished = []
        for output in outputs:
            partial = work.partial(output.name)
            partial.write_text("new")
            finished.append((partial, output))
        with pytest.raises((UsageError, OSError)):
            work.publish_all(finished)
    assert {path.name for path in tmp_path.iterdir()} == before
    assert outputs[0 if force else 1].read_text() == "old"


def test_a_full_disk_in_the_last_format_leaves_nothing(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = bootable(images / "os")

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(reflink, "copy", full)
    request = wanted(tmp_path, ("qcow2", "raw", "vhd"), layout=layout)
    with pytest.raises(HostError, match="no space left"):
        build_all(request, discard)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_copy_is_exact_and_sparse(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    with source.open("wb") as file:
        file.truncate(GIB)
        for at in (0, 12345, GIB - 3):
            file.seek(at)
            file.write(b"abc")
    reflink.copy(source, target)
    assert fingerprint(source) == fingerprint(target)
    assert target.stat().st_blocks <= source.stat().st_blocks + 64
    before = sorted(path.name for path in tmp_path.iterdir())
    assert reflink.possible(tmp_path) in (True, False)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_plan_lists_each_output(images: Path, tmp_path: Path) -> None:
    from diskgen.build import plan_only

    request = wanted(tmp_path, ("qcow2", "ami"), layout=bootable(images / "os"))
    plan = plan_only(request, discard)
    facts = json.loads(json.dumps(to_json(plan)))
    assert facts["outputs"] == [
        {"format": output.format, "path": str(output.path)} for output in request.outputs
    ]
    assert "as qcow2 in" in to_text(plan)
    assert ", ami in" in to_text(plan)


def test_the_command(diskgen: Program, images: Path) -> None:
    """Files in a directory, and their digests for programs; a format is asked for by its name."""
    layout = bootable(images / "os")
    place = diskgen.own_directory("out")
    words = ("build", f"oci:{layout}", "--disk-size", "5G", "-o", place)
    facts = json.loads(diskgen(*words, "--format", "qcow2,vmdk", "--format", "raw", "--json"))
    check("results", facts)
    assert [entry["format"] for entry in facts["outputs"]] == ["qcow2", "vmdk", "raw"]
    for entry in facts["outputs"]:
        data = Path(entry["path"]).read_bytes()
        assert entry["size"] == len(data)
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert diskgen(*words, "--format", "raw", "--force") == f"{place}/os.raw\n"
    plan = json.loads(diskgen("plan", "build", f"oci:{layout}", "--format", "raw,ami", "--json"))
    assert [entry["format"] for entry in plan["outputs"]] == ["raw", "ami"]
    for more, message in (
        ((), "no format is named"),
        (("--format", "floppy"), "'floppy' is not a format"),
        (("--format", "qcow2,raw"), "os.qcow2' exists"),
    ):
        done = diskgen.run(*words, *more)
        assert done.returncode in (2, 4)
        assert message in done.stderr
