"""Those who call bootc-image-builder, with the words that they call it with, without privileges."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from diskgen import __version__

from ..fixtures import installers
from ..fixtures.bucket_stand_in import with_bucket
from ..fixtures.oci import bootable
from ..fixtures.program import Program, fingerprint
from ..fixtures.registry import Registry

PATHS = {
    "qcow2": "qcow2/disk.qcow2", "raw": "image/disk.raw", "ami": "image/disk.raw",
    "vmdk": "vmdk/disk.vmdk", "vhd": "vpc/disk.vhd", "gce": "gce/image.tar.gz",
}  # fmt: skip
PLAIN = "--tls-verify=false"


@pytest.fixture
def builder(diskgen: Program) -> Program:
    """The program under the name that scripts know."""
    return Program(diskgen.path.with_name("bootc-image-builder"), diskgen.place)


@pytest.fixture
def image(images: Path, server: Registry) -> str:
    server.push(bootable(images / "os"), "team/os", "1")
    return f"{server.host}/team/os:1"


def made_in(output: Path) -> set[str]:
    return {str(path.relative_to(output)) for path in output.rglob("*") if not path.is_dir()}


CALLERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "podman-desktop": (
        "{image} --output {out}/ --local --progress verbose --type qcow2 --type raw --type vmdk "
        "--type vhd --type gce --target-arch amd64 --rootfs ext4 --chown {owner}",
        ("qcow2", "raw", "vmdk", "vhd", "gce"),
    ),
    "github-action": (
        "--output {out} --tls-verify false --type qcow2 --type ami --rootfs ext4 --chown {owner} "
        "--use-librepo=True {image}",
        ("qcow2", "ami"),
    ),
    "tmt": ("build --type qcow2 --local {image} --output {out}", ("qcow2",)),
    "flightctl": (
        "build --type qcow2 --progress verbose --output {out} --in-vm --rpmmd /r --store /s "
        "{image}",
        ("qcow2",),
    ),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_a_caller(caller: str, builder: Program, image: str) -> None:
    words, types = CALLERS[caller]
    out = builder.place / "output"
    owner = f"{out.parent.stat().st_uid}:{out.parent.stat().st_gid}"
    argv = words.format(image=image, out=out, owner=owner).split()
    if "--tls-verify" not in argv:
        argv.append(PLAIN)
    done = builder.run(*argv)
    assert done.returncode == 0, done.stderr
    manifest = f"manifest-{'-'.join(types)}.json"
    assert made_in(out) == {*(PATHS[name] for name in types), manifest}
    assert done.stderr.endswith(f"Build complete!\nResults saved in {out}\n")
    assert f"Building {manifest}\n" in done.stderr
    plan = json.loads((out / manifest).read_text())
    assert [entry["format"] for entry in plan["outputs"]] == list(types)
    assert plan["deployment"]["origin"].endswith(image)
    assert builder.left_behind() == ["output"]


def test_equal_to_our_own_command(diskgen: Program, builder: Program, image: str) -> None:
    """The same disk by either name, and again where one is there: it is replaced."""
    diskgen("qcow2", image, PLAIN, "-o", "ours.qcow2")
    ours = (diskgen.place / "ours.qcow2").read_bytes()
    for program, words in ((builder, ()), (diskgen, ("bib",)), (builder, ("build",))):
        program(*words, "--type", "qcow2", PLAIN, image)
        assert (diskgen.place / "qcow2/disk.qcow2").read_bytes() == ours


def test_a_configuration_is_the_same_by_either_name(
    diskgen: Program, builder: Program, image: str
) -> None:
    config = diskgen.place / "config.toml"
    config.write_text(
        '[customizations]\nhostname = "disk"\n[customizations.kernel]\nappend = "quiet"\n'
        '[[customizations.files]]\npath = "/etc/motd"\ndata = "welcome"\n'
    )
    diskgen("raw", image, PLAIN, "--config", config, "-o", "ours.raw")
    done = builder.run("--type", "raw", PLAIN, "--config", config, image)
    assert done.returncode == 0, done.stderr
    made = diskgen.place / "image/disk.raw"
    assert fingerprint(made) == fingerprint(diskgen.place / "ours.raw")
    plan = json.loads((diskgen.place / "manifest-raw.json").read_text())
    assert "quiet" in plan["deployment"]["kargs"]
    done = builder.run("--config", "-", "--type", "raw", PLAIN, image)
    assert done.returncode == 1
    assert "standard input" in done.stderr
    config.unlink()


def test_manifest_and_version(builder: Program, image: str) -> None:
    plan = json.loads(builder("manifest", "--type", "raw", "--type", "ami", image, PLAIN))
    assert [entry["format"] for entry in plan["outputs"]] == ["raw", "ami"]
    lines = dict(line.split(": ") for line in builder("version").splitlines())
    assert lines == {
        "build_revision": __version__, "build_time": "unknown", "build_tainted": "false",
        "diskgen": __version__,
    }  # fmt: skip
    assert "--target-arch" in builder("--help")
    assert builder.left_behind() == []


def test_failures_end_with_one_and_leave_nothing(builder: Program, server: Registry) -> None:
    for words, message in (
        (("--type", "pxe-tar-xz", "x"), "type 'pxe-tar-xz' cannot be made"),
        (("--aws-region", "r", "x"), "'--aws-ami-name' is missing"),
        ((f"{server.host}/no/such:1", PLAIN, "--output", "a/b"), "does not exist"),
        (("quay.io/a/b", "--output", "/proc/x"), "cannot be made"),
        (("--chown", "1234567:1", "docker://x.example/y", "--output", "c"), "'1234567:1'"),
    ):
        done = builder.run(*words)
        assert done.returncode == 1, (words, done.stderr)
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert builder.left_behind() == []


def test_an_ami_is_registered_by_way_of_the_bucket(
    builder: Program, image: str, tmp_path: Path
) -> None:
    """With the line that scripts look for, and nothing of it in the bucket afterwards."""
    words = ("--type", "ami", PLAIN, image, "--output", "out", "--aws-bucket", "images")
    home = ("--aws-region", "eu-central-1", "--aws-ami-name", "os 1")
    with with_bucket() as account:
        done = builder.run(*words, *home, env=account.environment())
        assert done.returncode == 0, done.stderr
        (ami,) = account.images
        (task,) = account.tasks.values()
        assert done.stdout == f"AMI registered: {ami}\nSnapshot ID: {task['snapshot']}\n"
        assert account.images[ami]["said"]["Name"] == "os 1"
        assert account.objects == {}
        got = tmp_path / "got.vmdk"
        got.write_bytes(task["bytes"])
        again = builder.run(*words, *home, env=account.environment())
        assert again.returncode == 1
        assert "an AMI 'os 1' exists" in again.stderr
        assert "(see --aws-ami-name)" in again.stderr
    disk = builder.place / "out/image/disk.raw"
    subprocess.run(["qemu-img", "compare", got, "-F", "raw", disk], check=True, capture_output=True)


CONFIG = f"""
[customizations.installer]
unattended = true
sudo-nopasswd = ["%wheel"]
[customizations.iso]
volume_id = "Team_OS-1"
application_id = "Image builder of the team"
publisher = "{"A publisher with much to say" * 4}"
"""


def test_a_medium_has_both_names(builder: Program, images: Path, server: Registry) -> None:
    server.push(installers.machine(images / "os", installers.own_runtime()), "team/medium", "1")
    config = builder.place / "config.toml"
    config.write_text(CONFIG)
    reference = f"{server.host}/team/medium:1"
    done = builder.run("--type", "anaconda-iso", "--config", config, reference, PLAIN)
    assert done.returncode == 0, done.stderr
    iso = builder.place / "bootiso/install.iso"
    said = subprocess.run(["isoinfo", "-d", "-i", iso], capture_output=True, text=True, check=True)
    for line in ("Volume id: Team_OS-1", "Application id: IMAGE BUILDER OF THE TEAM",
                 "Publisher id: " + "A PUBLISHER WITH MUCH TO SAY" * 4):  # fmt: skip
        assert line.upper() in said.stdout.upper(), said.stdout
    plan = json.loads((builder.place / "manifest-anaconda-iso.json").read_text())
    assert any("ERASES the only disk" in entry for entry in plan["medium"]["menu"])
    names = ["bootiso/install.iso", "bootiso/disk.iso"]
    assert made_in(builder.place) >= {*names, "manifest-anaconda-iso.json"}
    assert len({(builder.place / name).stat().st_ino for name in names}) == 1


@pytest.fixture
def stored(diskgen: Program, images: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give what runs words where /var/lib/containers/storage is a storage with an image."""
    tools = diskgen.own_directory("tools")
    conf = tools / "storage.conf"
    conf.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tools}/storage"\nrunroot = "{tools}/run"\n'
        '[storage.options.vfs]\nignore_chown_errors = "true"\n'
    )
    env = {"CONTAINERS_STORAGE_CONF": str(conf), "XDG_RUNTIME_DIR": str(tools)}
    skopeo = Program(Path("/usr/bin/skopeo"), diskgen.place)
    layout = bootable(images / "layout")
    for name in ("localhost/built:1", "quay.example/team/os:1"):
        done = skopeo.run("copy", "--insecure-policy", "-q", f"oci:{layout}:latest",
                          f"containers-storage:{name}", env=env)  # fmt: skip
        assert done.returncode == 0, done.stderr
    script = (
        "mount -t tmpfs none /var/lib && mkdir -p /var/lib/containers/storage && "
        'mount --bind "$0" /var/lib/containers/storage && exec "$@"'
    )
    wrap = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script,
            tools / "storage")  # fmt: skip

    def run(program: Program, *words: str) -> subprocess.CompletedProcess[str]:
        return program.run(*words, wrap=wrap)

    return run


def test_images_of_the_hosts_storage(
    builder: Program, stored: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """As in a container that has it mounted: taken from there, updated from the registry."""
    done = stored(builder, "--type", "raw", "--output", "output", "quay.example/team/os:1")
    assert done.returncode == 0, done.stderr
    assert "'quay.example/team/os:1' is taken from the local storage" in done.stderr
    output = builder.place / "output"
    plan = json.loads((output / "manifest-raw.json").read_text())
    assert plan["deployment"]["origin"].endswith("registry:quay.example/team/os:1")
    assert fingerprint(output / "image/disk.raw")
    done = stored(builder, "manifest", "localhost/built:1")
    assert done.returncode == 0, done.stderr
    assert "never update" in done.stdout
