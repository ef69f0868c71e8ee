"""Words of bootc-image-builder's command line: where flags stand, what they take and do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from diskgen.bib import manual, request
from diskgen.bib.arguments import parse, usage
from diskgen.bib.flags import BUILD, COMMANDS, FLAGS, HELP, MANIFEST, Takes, flag_of
from diskgen.bib.request import job_of, types_of
from diskgen.bib.types import OTHER_NAME, TYPES
from diskgen.config import IsoRequest, Request
from diskgen.errors import UsageError
from diskgen.events import discard
from diskgen.place import PLACES

from ..fixtures.program import ROOT

IMAGE = "docker://quay.io/tiny/os:1"  # with a transport: nothing is looked for in a storage
PAGE = ROOT / "docs/bootc-image-builder.1"


def request_of(*words: str) -> Request | IsoRequest:
    return job_of(parse(words), Path("/nowhere"), discard).request


@pytest.mark.parametrize(
    "words",
    [
        "--type raw --rootfs xfs IMAGE",
        "build --type raw --rootfs xfs IMAGE",
        "--type=raw build IMAGE --rootfs=xfs",
        "IMAGE --rootfs xfs --type raw",
        "--local build --rootfs xfs IMAGE --type raw",
        "--use-librepo=True --local=true --tls-verify true --type raw --rootfs xfs -v IMAGE",
        "--type raw --rootfs ext4 --rootfs xfs -- IMAGE",
    ],
)
def test_flags_stand_anywhere(words: str) -> None:
    made = request_of(*words.replace("IMAGE", IMAGE).split())
    assert isinstance(made, Request)
    assert (made.format, made.root_filesystem) == ("raw", "xfs")
    assert str(made.source) == IMAGE


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("", {"root_filesystem": None, "console": True, "seed": None, "format": "qcow2"}),
        ("--rootfs btrfs", {"root_filesystem": "btrfs"}),
        ("--target-arch arm64", {"arch": "aarch64"}),
        ("--target-arch amd64", {"arch": "x86_64"}),
        ("--no-default-kernel-args", {"console": False}),
        ("--no-default-kernel-args=false", {"console": True}),
        ("--seed 42", {"seed": "42"}),
        ("--output /x/y", {"output": Path("/x/y/qcow2/disk.qcow2")}),
        ("--type ova", {"output": Path("archive/image.ova")}),
    ],
)
def test_what_flags_do_to_a_request(words: str, fields: dict[str, object]) -> None:
    made = request_of(IMAGE, *words.split())
    assert {name: getattr(made, name) for name in fields} == fields
    assert made.force


@pytest.mark.parametrize(
    ("words", "verified"),
    [("", None), ("--tls-verify false", False), ("--tls-verify=0", False), ("--tls-verify", None)],
)
def test_certificates(words: str, verified: bool | None) -> None:
    assert request_of(*words.split(), IMAGE).access.tls_verify is verified


def test_types_and_their_paths() -> None:
    words = "--type vhd --type raw,ami --type ova --type raw --output /o".split()
    made = request_of(*words, IMAGE)
    assert isinstance(made, Request)
    assert [(out.format, str(out.path)) for out in made.outputs] == [
        ("vhd", "/o/vpc/disk.vhd"), ("raw", "/o/image/disk.raw"),
        ("ami", "/o/image/disk.raw"), ("ova", "/o/archive/disk.ova"),
    ]  # fmt: skip
    job = job_of(parse([*words, IMAGE]), Path(), discard)
    assert job.manifest == Path("/o/manifest-vhd-raw-ami-ova.json")


def test_media() -> None:
    made = request_of("--type", "iso", IMAGE)
    assert isinstance(made, IsoRequest)
    assert made.output == Path("bootiso/install.iso")
    other = request_of("--type", "bootc-installer", "--installer-payload-ref",
                       "docker://quay.io/tiny/payload", IMAGE)  # fmt: skip
    assert isinstance(other, IsoRequest)
    assert (str(other.installer), other.source.short) == (IMAGE, "quay.io/tiny/payload")
    assert request_of("manifest", "--type", "iso", IMAGE).output is None


AWS = "--aws-ami-name os1 --aws-bucket images --aws-region eu-central-1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--type floppy IMAGE", "'floppy' is no type"),
        ("--type pxe-tar-xz IMAGE", "type 'pxe-tar-xz' cannot be made"),
        ("--type qcow2 --type iso IMAGE", "disks and media cannot be made in one build"),
        ("--type bootc-installer IMAGE", "takes the image that the medium installs"),
        ("--installer-payload-ref x IMAGE", "installed by type 'bootc-installer' alone"),
        ("--type", "flag needs an argument: '--type'"),
        ("--typ raw IMAGE", "unknown flag: '--typ'"),
        ("-x IMAGE", "unknown flag: '-x'"),
        ("manifest --output x IMAGE", "unknown flag: '--output' is none of 'manifest'"),
        ("build", "'build' takes the name of an image"),
        ("a b", "'build' takes 1 image, not 2: 'a', 'b'"),
        ("version x", "'version' takes no images, not 1: 'x'"),
        ("--local=false IMAGE", "'--local=false' cannot be given"),
        ("--local=x IMAGE", "'x' is neither true nor false"),
        ("--rootfs zfs IMAGE", "'zfs' is not known to '--rootfs'"),
        ("--chown me IMAGE", "'me' is no owner"),
        ("--chown 1:4294967295 IMAGE", "an id that does not exist"),
        ("--target-arch vax IMAGE", "'vax' is not an architecture"),
        ("--type gce --target-arch s390x IMAGE", "has no machines of architecture 's390x'"),
        ("--aws-ami-name os IMAGE", "'--aws-bucket' is missing"),
        ("--aws-bucket b --aws-region eu-central-1 IMAGE", "'--aws-ami-name' is missing"),
        (f"{AWS} IMAGE", "an AMI is made of type 'ami' alone"),
        (f"--type ami {AWS} --aws-region=x IMAGE", "'x' is no name of a region"),
        (f"--type ami {AWS} --aws-ami-name=x IMAGE", "'x' is no name of an AMI"),
        (f"--type ami {AWS} --aws-bucket=/ IMAGE", "'/' is no name of a bucket"),
    ],
)
def test_what_is_refused_is_named(words: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        request_of(*words.replace("IMAGE", IMAGE).split())
    assert message in refused.value.message
    if refused.value.setting is not None:
        assert flag_of(refused.value.setting) is not None


def test_every_flag_is_taken_as_its_row_says() -> None:
    for flag in FLAGS:
        value = {Takes.SWITCH: ["--" + flag.name]}.get(
            flag.takes, [f"--{flag.name}", flag.choices[0] if flag.choices else "1"]
        )
        words = [flag.commands[0], *value, *([] if flag.commands[0] == "version" else [IMAGE])]
        assert parse(words).given == {flag.name: ["true" if len(value) == 1 else value[1]]}
    assert parse(["--help"]).command == parse([]).command == parse(["help"]).command == HELP
    assert {name for name in COMMANDS if name not in (BUILD, MANIFEST)} == {"version", "help"}


def test_every_disk_type_is_a_format_of_ours() -> None:
    assert {made.format for made in TYPES.values() if made.format} == {*PLACES} - {
        "vhdx",
        "containerdisk",
        "vagrant",
    }
    for made in TYPES.values():
        assert bool(made.path) != bool(made.refused)
        if made.refused:
            with pytest.raises(UsageError):
                types_of(parse(["--type", made.name, IMAGE]))
    assert TYPES["iso"].path.rpartition("/")[0] == str(OTHER_NAME.parent)


def test_the_man_page_is_what_the_tables_make() -> None:
    """After a change of them: ``python -m diskgen.bib.manual docs/bootc-image-builder.1``."""
    page = PAGE.read_text()
    assert manual.renewed(page) == page
    with pytest.raises(ValueError, match="no marks"):
        manual.renewed("a page of another kind")
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", PAGE],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stderr == ""
    for flag in FLAGS:
        assert f"--{flag.name}".replace("-", "\\-") in page
        assert f"--{flag.name}" in usage()


def test_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is named, else the one of a container's root; two of them are an error."""
    toml, json = tmp_path / "config.toml", tmp_path / "config.json"
    monkeypatch.setattr(request, "_CONFIGS", (toml, json))
    assert request_of(IMAGE).customizations.hostname is None
    json.write_text('{"customizations": {"hostname": "from-json"}}')
    assert request_of(IMAGE).customizations.hostname == "from-json"
    assert request_of("--type", "iso", IMAGE).customizations.hostname == "from-json"
    toml.write_text('[customizations]\nhostname = "from-toml"\n')
    assert request_of("--config", str(toml), IMAGE).customizations.hostname == "from-toml"
    with pytest.raises(UsageError, match="are both there"):
        request_of(IMAGE)
