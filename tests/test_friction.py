"""Mistakes that are easily made: found before any work, and told with the way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diskgen import arch
from diskgen.cli.parser import build_parser
from diskgen.errors import SourceError
from diskgen.image.manifest import parse_any
from diskgen.layout import GRAIN, Content, least_size, make_layout

from .fixtures.oci import Layout, TarBuilder, bootable, bootable_tar
from .fixtures.program import Program


@pytest.mark.parametrize(
    ("size", "words"),
    [("10", "raw"), ("1000", "plan qcow2"), ("100M", "plan raw --arch s390x"), ("30G", "plan raw")],
)
def test_a_disk_size_is_refused_before_the_fetch(
    diskgen: Program, images: Path, size: str, words: str
) -> None:
    done = diskgen.run(*words.split(), f"oci:{images}/none", "--disk-size", size)
    assert done.returncode == (3 if size == "30G" else 2), done.stderr
    assert ("is too small" in done.stderr) == (size != "30G")
    assert ("is no OCI layout" in done.stderr) == (size == "30G")
    assert (f"write {size}G" in done.stderr) == (size in ("10", "1000"))


@pytest.mark.parametrize("name", ["x86_64", "aarch64", "s390x"])
def test_the_least_size_is_one_that_can_be_made(name: str) -> None:
    """Nothing is refused beforehand that would work with a tiny image."""
    machine = arch.machine(name)
    least = least_size(machine, 512, {})
    made = make_layout(machine, seed="x", content=Content(root=GRAIN), disk_size=least)
    assert made.size == least


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("qcow", "qcow2"), ("rae", "raw"), ("anaconda-iso", "iso"), ("inspct", "inspect"),
        ("doctro", "doctor"), ("run", "boot"), ("ec2", "ami"), ("zzzzzz", None),
    ],
)  # fmt: skip
def test_an_unknown_command_names_the_nearest(
    capsys: pytest.CaptureFixture[str], given: str, meant: str | None
) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([given, "quay.io/a/b"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert ("did you mean" in said) == (meant is not None)
    assert meant is None or f"did you mean '{meant}'?" in said


@pytest.mark.parametrize("name", ["os.qcow2", "disk.raw", "./os", "/no/where", "os.iso", "disk"])
def test_inspect_of_a_file_that_is_missing(diskgen: Program, name: str) -> None:
    done = diskgen.run("inspect", name)
    assert done.returncode == 3
    assert f"there is no file '{name}'" in done.stderr
    assert "the registry of" not in done.stderr


def test_inspect_of_what_is_no_disk(diskgen: Program) -> None:
    done = diskgen.run("inspect", "/dev/null")
    assert done.returncode == 3
    assert "'/dev/null' is neither a file nor a disk" in done.stderr


def test_inspect_of_a_directory(diskgen: Program, images: Path) -> None:
    place = bootable(images / "os")
    done = diskgen.run("inspect", str(place))
    assert done.returncode == 2
    assert f"oci:{place}" in done.stderr
    assert diskgen.run("inspect", f"oci:{place}").returncode == 0


def test_attributes_that_are_too_large(diskgen: Program, images: Path) -> None:
    layout = Layout(images / "os")
    tar = TarBuilder()
    tar.file("usr/share/marked", b"x", xattrs={"user.big": b"y" * 5000})
    layers = [layout.layer(bootable_tar()), layout.layer(tar.finish())]
    layout.finish(layout.image(layers))
    done = diskgen.run("raw", f"oci:{layout.place}")
    assert done.returncode == 3
    assert "'/usr/share/marked' of the image does not fit in ext4: its extended" in done.stderr
    assert "--rootfs xfs" in done.stderr
    assert "/ostree/" not in done.stderr


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "decrypt it first"),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "Windows images"),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "an artifact"),
        ("application/vnd.oci.image.layer.v1.tar+lz4", "with gzip or zstd layers"),
    ],
)
def test_layers_of_other_types(kind: str, hint: str) -> None:
    part = {"mediaType": "x", "digest": f"sha256:{0:064d}", "size": 1}
    value = {"schemaVersion": 2, "config": part, "layers": [part | {"mediaType": kind}]}
    with pytest.raises(SourceError) as caught:
        parse_any(json.dumps(value).encode(), "it")
    assert hint in (caught.value.hint or "")


def test_more_attributes_than_a_file_may_have(diskgen: Program, images: Path) -> None:
    layout = Layout(images / "os")
    tar = TarBuilder()
    tar.file("usr/share/marked", b"x", xattrs={"user.big": b"y" * 1_040_000})
    tar.file("usr/share/more", b"x", xattrs={f"user.{n}": b"y" * 65_000 for n in range(20)})
    layout.finish(layout.image([layout.layer(bootable_tar()), layout.layer(tar.finish())]))
    done = diskgen.run("raw", f"oci:{layout.place}")
    assert done.returncode == 3
    assert "is refused: " in done.stderr
    assert "hint: " in done.stderr
