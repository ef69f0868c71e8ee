"""A whole build as its user sees it: results, refusals, interrupts, the same bytes each time."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diskgen.disk.filesystems import KINDS
from diskgen.layout import Filesystem
from diskgen.place import PLACES
from diskgen.units import GIB, MIB

from .fixtures.oci import KERNEL, Layout, TarBuilder, bootable, bootable_tar
from .fixtures.program import NOBODY, Program, fingerprint
from .oracles import golden


def refusal(program: Program, status: int, *words: str | Path, **env: str) -> str:
    """Run a build that must be refused; return its complaint. Nothing may be left behind."""
    before = program.left_behind()
    done = program.run(*words, env=env)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert program.left_behind() == before
    return done.stderr


@pytest.fixture
def layout(images: Path) -> Path:
    return bootable(images / "os")


def test_raw_and_qcow2_hold_the_same(diskgen: Program, layout: Path) -> None:
    diskgen("raw", f"oci:{layout}")
    for compression in ("zstd", "zlib", "none"):
        name = f"{compression}.qcow2"
        assert (
            diskgen("qcow2", f"oci:{layout}", "-o", name, "--compression", compression)
            == f"{name}\n"
        )
        disk = diskgen.place / name
        subprocess.run(["qemu-img", "check", disk], check=True, capture_output=True)
        both: list[str | Path] = ["qemu-img", "compare", disk, diskgen.place / "os.raw"]
        subprocess.run(both, check=True, capture_output=True)
    assert diskgen.left_behind() == ["none.qcow2", "os.raw", "zlib.qcow2", "zstd.qcow2"]


@pytest.mark.parametrize(
    ("name", "wanted", "size"),
    [
        ("ami", "10500M", 11 * GIB),
        ("vhd", "10752000K", 10500 * MIB),
        ("gce", "10500M", 11 * GIB),
        ("vmdk", "10500M", 10500 * MIB),
        ("ova", "10500M", 10500 * MIB),
    ],
)
def test_a_disk_has_the_size_its_place_wants(
    diskgen: Program, layout: Path, name: str, wanted: str, size: int
) -> None:
    """The same disk in every format, and its table ends where the disk does."""
    words = (f"oci:{layout}", "--disk-size", wanted)
    plan = json.loads(diskgen("plan", name, *words, "--json"))
    assert plan["disk"]["size"] == size
    made = diskgen.place / diskgen(name, *words).strip()
    assert made.name == f"os.{PLACES[name].suffix}"
    disk = made
    if made.name.endswith(("gz", "ova")):
        subprocess.run(["tar", "-C", diskgen.place, "-xf", made], check=True)
        disk = next(f for f in diskgen.place.iterdir() if f.name in ("disk.raw", "os.vmdk"))
    kind = {"vhd": "vpc", "vmdk": "vmdk", "ova": "vmdk"}.get(name, "raw")
    raw = diskgen.place / "again.raw"
    convert: list[str | Path] = ["qemu-img", "convert", "-f", kind, "-O", "raw", disk, raw]
    subprocess.run(convert, check=True, capture_output=True)
    assert raw.stat().st_size == size
    checked = subprocess.run(["sgdisk", "-v", raw], check=True, capture_output=True, text=True)
    assert "No problems found" in checked.stdout


def test_the_table_is_what_was_planned(diskgen: Program, layout: Path) -> None:
    plan = json.loads(diskgen("plan", "raw", f"oci:{layout}", "--json"))
    assert diskgen.left_behind() == []
    diskgen("raw", f"oci:{layout}")
    disk = diskgen.place / "os.raw"
    read = subprocess.run(["sfdisk", "--json", disk], check=True, capture_output=True)
    table = json.loads(read.stdout)["partitiontable"]
    assert table["label"] == "gpt"
    assert table["id"].lower() == plan["disk"]["guid"]
    assert len(table["partitions"]) == len(plan["disk"]["partitions"]) == 4
    for found, planned in zip(table["partitions"], plan["disk"]["partitions"], strict=True):
        assert found["start"] * 512 == planned["start"]
        assert found["size"] * 512 == planned["size"]
        assert found["type"].lower() == planned["type"]
        assert found["uuid"].lower() == planned["uuid"]
        assert found["name"] == planned["name"]
    checked = subprocess.run(["sgdisk", "-v", disk], check=True, capture_output=True, text=True)
    assert "No problems found" in checked.stdout
    for planned in plan["disk"]["partitions"]:
        offset = f"--offset={planned['start']}"
        blkid: list[str | Path] = [
            "blkid",
            "--probe",
            "-o",
            "export",
            offset,
            f"--size={planned['size']}",
            disk,
        ]
        found = subprocess.run(blkid, check=False, capture_output=True, text=True).stdout
        values = dict(line.split("=", 1) for line in found.splitlines() if "=" in line)
        assert values.get("TYPE") == planned["filesystem"]
        if planned["filesystem"]:
            assert values["UUID"] == planned["filesystem_uuid"]
            assert values["LABEL"] == planned["label"]


def test_the_deployment_is_where_it_is_looked_for(
    diskgen: Program, layout: Path, tmp_path: Path
) -> None:
    words = (f"oci:{layout}", "--target-imgref", "q.io/a")
    plan = json.loads(diskgen("plan", "raw", *words, "--json"))
    diskgen("raw", *words)
    disk = f"{diskgen.place}/os.raw?offset={partition(plan, 'root')['start']}"
    subprocess.run(["e2fsck", "-fn", disk], check=True, capture_output=True)
    dump = ["debugfs", "-R", f"rdump /ostree {tmp_path}", disk]
    subprocess.run(dump, check=True, capture_output=True)
    list_refs = ["ostree", "refs", f"--repo={tmp_path}/ostree/repo"]
    refs = subprocess.run(list_refs, check=True, capture_output=True, text=True).stdout
    assert "ostree/container/image/docker_3A__2F__2F_q_2E_io/a" in refs.split()
    origin = tmp_path / "ostree/deploy/default/deploy" / f"{plan['deployment']['commit']}.0.origin"
    assert "container-image-reference=ostree-unverified-registry:q.io/a" in origin.read_text()
    link = tmp_path / plan["deployment"]["kargs"][-1].removeprefix("ostree=/")
    assert (link.parent / link.readlink()).is_dir()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts the disk")
def test_the_real_ostree_agrees(diskgen: Program, layout: Path, tmp_path: Path) -> None:
    plan = json.loads(diskgen("plan", "raw", f"oci:{layout}", "--json"))
    diskgen("raw", f"oci:{layout}")
    script = "set -e\n" + "".join(
        f"mount -o loop,offset={part['start']},sizelimit={part['size']} "
        f"{diskgen.place}/os.raw {tmp_path}/{place}\n"
        for part, place in ((partition(plan, "root"), ""), (partition(plan, "boot"), "boot"))
    )
    script += f"ostree fsck --repo={tmp_path}/ostree/repo; ls {tmp_path}/boot/loader/entries\n"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no errors found" in done.stderr + done.stdout
    assert done.stdout.endswith("ostree-1.conf\n")


def partition(plan: dict[str, Any], role: str) -> dict[str, Any]:
    found: dict[str, Any] = next(p for p in plan["disk"]["partitions"] if p["role"] == role)
    return found


def test_the_same_bytes_for_everyone(program_path: Path, images: Path, diskgen: Program) -> None:
    """Another user, directory, cache and day: the same raw disk and the same qcow2."""
    tar = TarBuilder()
    tar.file("usr/share/noise", os.urandom(3_000_000))
    layout = bootable(images / "os", tar.finish())
    words = (f"oci:{layout}", "--target-imgref", "q.io/a")
    diskgen("raw", *words)
    diskgen("qcow2", *words)
    other = images / "another-place"
    other.mkdir()
    for name in ("raw", "qcow2"):
        argv: list[str | Path] = [program_path, name, *words, "-o", other / f"os.{name}"]
        env = {
            "HOME": str(other), "PATH": "/usr/bin:/bin", "DISKGEN_CACHE": str(other / "cache"),
            "SOURCE_DATE_EPOCH": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C",
        }  # fmt: skip
        time.sleep(1.1)  # filesystems count seconds
        subprocess.run(argv, env=env, check=True, capture_output=True, umask=0o077)
    assert fingerprint(other / "os.raw") == fingerprint(diskgen.place / "os.raw")
    assert (other / "os.qcow2").read_bytes() == (diskgen.place / "os.qcow2").read_bytes()


def test_options_reach_the_machine(diskgen: Program, layout: Path) -> None:
    words = (
        "--karg",
        "quiet",
        "--karg",
        "a=b c",
        "--disk-size",
        "6G",
        "--target-imgref",
        "q.io/x:2",
    )
    plan = json.loads(diskgen("plan", "qcow2", f"oci:{layout}", "--json", *words))
    assert plan["disk"]["size"] == 6 * 1024**3
    assert "quiet" in plan["deployment"]["kargs"]
    assert plan["deployment"]["origin"] == "ostree-unverified-registry:q.io/x:2"
    assert plan["bootloader"]["ways"]["uefi"]["works"]
    assert not plan["bootloader"]["ways"]["bios"]["works"]
    assert "i386-pc" in plan["bootloader"]["ways"]["bios"]["reason"]
    text = diskgen("plan", "qcow2", f"oci:{layout}")
    assert "Tiny Linux 1" in text
    assert "bios        no: the image has no usr/lib/grub/i386-pc" in text


def test_the_golden_plan(diskgen: Program, images: Path) -> None:
    """All identifiers, places and arguments follow from the image's digest alone."""
    layout = Layout(images / "golden")
    layout.finish(layout.image([layout.layer(bootable_tar(), "none")]))
    words = ("plan", "qcow2", f"oci:{layout.place}", "--target-imgref", "quay.io/tiny/os:1")
    for name, text in (("txt", diskgen(*words)), ("json", diskgen(*words, "--json"))):
        golden.check(f"plan.{name}", text.replace(str(images), "IMAGES"))


def test_not_bootable(diskgen: Program, images: Path) -> None:
    """Everything that is wrong with an image is said at once."""
    layout = Layout(images / "label")
    layout.finish(layout.image([layout.layer(bootable_tar())], labels={}))
    text = refusal(diskgen, 3, "raw", f"oci:{layout.place}")
    assert "not made to boot" in text
    cases: dict[str, dict[str, Any]] = {
        "no kernel": {"kernels": ()},
        "two kernels": {"kernels": (KERNEL, "6.13.0-other")},
        "no boot loader": {"loader": False},
    }
    said = {}
    for name, options in cases.items():
        place = bootable(images / name.replace(" ", "-"), **options)
        said[name] = refusal(diskgen, 3, "raw", f"oci:{place}")
    assert "kernel" in said["no kernel"]
    assert KERNEL in said["two kernels"]
    assert "6.13.0-other" in said["two kernels"]
    assert "brings no boot loader" in said["no boot loader"]
    tar = TarBuilder()
    tar.file(f"usr/lib/modules/{KERNEL}/{KERNEL}.efi", b"MZ")
    tar.file(f"usr/lib/modules/{KERNEL}/.wh.vmlinuz")
    assert "unified kernel image" in refusal(
        diskgen, 3, "raw", f"oci:{bootable(images / 'uki', tar.finish())}"
    )


Fill = Callable[[TarBuilder], object]


@pytest.mark.parametrize(
    ("what", "fill"),
    [
        ("..", lambda tar: tar.file("usr/../../etc/passwd")),
        ("link", lambda tar: (tar.symlink("usr/lib/evil", "/etc"), tar.file("usr/lib/evil/x"))),
        ("hardlink", lambda tar: tar.hardlink("usr/x", "no/such")),
        ("device", lambda tar: tar.special("usr/disk", b"4")),
    ],
)  # fmt: skip
def test_hostile_layers(diskgen: Program, images: Path, what: str, fill: Fill) -> None:
    tar = TarBuilder()
    fill(tar)
    place = bootable(images / "os", tar.finish())
    done = diskgen.run("raw", f"oci:{place}")
    assert done.returncode == 3, (what, done.stderr)
    assert "layer 'sha256:" in done.stderr
    assert diskgen.left_behind() == []


def test_a_fifo_that_a_later_layer_removes(diskgen: Program, images: Path) -> None:
    fifo, remove = TarBuilder(), TarBuilder()
    fifo.special("usr/fifo", tarfile.FIFOTYPE)
    remove.file("usr/.wh.fifo")
    place = bootable(images / "os", fifo.finish(), remove.finish())
    done = diskgen.run("plan", "raw", f"oci:{place}")
    assert done.returncode == 0
    assert "has 1 device or fifo, which a later layer removes" in " ".join(
        (done.stdout + done.stderr).split()
    )


def test_absolute_links_and_duplicates_are_harmless(diskgen: Program, images: Path) -> None:
    tar = TarBuilder()
    tar.symlink("usr/absolute", "/etc/shadow")
    tar.symlink("usr/outside", "../../../../etc/shadow")
    tar.file("usr/twice", b"first")
    tar.file("usr/twice", b"second")
    diskgen("raw", f"oci:{bootable(images / 'os', tar.finish())}")


def test_disk_too_small(diskgen: Program, layout: Path) -> None:
    text = refusal(diskgen, 2, "raw", f"oci:{layout}", "--disk-size", "1G")
    assert "--disk-size" in text


def test_all_problems_at_once(diskgen: Program, layout: Path) -> None:
    """An unwritable directory, an unwritable cache and a missing tool are told together."""
    tools = diskgen.own(diskgen.place / "home")
    locked = diskgen.place / "locked"
    locked.mkdir(mode=0o555)
    done = diskgen.run(
        "raw", f"oci:{layout}", "-o", locked / "os.raw", "--cache-dir", locked / "cache",
        wrap=["/usr/bin/env", f"PATH={tools}"],
    )  # fmt: skip
    text = done.stderr
    assert done.returncode == 4
    assert list(locked.iterdir()) == []
    assert f"the directory '{locked}' is not writable" in text
    assert f"the cache directory '{locked}/cache' cannot be written" in text
    assert "'skopeo' is not installed" in text


def test_output_exists(diskgen: Program, layout: Path) -> None:
    (diskgen.place / "os.raw").write_text("mine")
    text = refusal(diskgen, 4, "raw", f"oci:{layout}")
    assert "'os.raw' exists" in text
    assert "--force" in text
    assert (diskgen.place / "os.raw").read_text() == "mine"
    diskgen("raw", f"oci:{layout}", "--force")
    assert (diskgen.place / "os.raw").stat().st_size == 10 * 1024**3
    (diskgen.place / "link.raw").symlink_to("nowhere")
    text = refusal(diskgen, 4, "raw", f"oci:{layout}", "-o", "link.raw")
    assert "'link.raw' exists" in text


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts small filesystems")
@pytest.mark.parametrize("full", ["output", "cache"])
def test_no_space(diskgen: Program, images: Path, full: str) -> None:
    tar = TarBuilder()
    tar.file("usr/share/noise", os.urandom(4_000_000))
    layout = bootable(images / "os", tar.finish())
    small = diskgen.place / "small"
    small.mkdir()
    script = f'mount -t tmpfs -o size=2m,uid={NOBODY} none {small} && exec "$@"'
    place = small if full == "output" else diskgen.place
    cache = small / "cache" if full == "cache" else diskgen.cache
    words = ("raw", f"oci:{layout}", "-o", place / "os.raw", "--cache-dir", cache)
    argv = ["unshare", "--mount", "sh", "-c", script, "-", *diskgen.command(*words)]
    done = subprocess.run(
        argv, env=diskgen.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 4, done.stderr
    assert ("free, this disk needs" if full == "output" else "no space left") in done.stderr
    assert f"--{'output' if full == 'output' else 'cache-dir'}" in done.stderr


def test_the_space_ends_while_writing(diskgen: Program, images: Path) -> None:
    """A limit on file sizes stands for a disk that fills up after it was checked."""
    layout = bootable(images / "os")
    text = diskgen.run("raw", f"oci:{layout}", wrap=["prlimit", "--fsize=1000000"]).stderr
    assert "no space left" in text
    assert "Traceback" not in text
    assert diskgen.left_behind() == []


PHASES = ("fetch", "index", "esp", "boot", "boot: check", "root", "convert")
# A program that runs in the phase; it is made to last, so that the signal finds the phase.
HELD = {"fetch": "skopeo", "esp": "mkfs.vfat", "boot": "mke2fs", "boot: check": "e2fsck"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", PHASES)
def test_interrupts(diskgen: Program, images: Path, phase: str, number: signal.Signals) -> None:
    """Stopped in any phase: status 130, no output, no process, and the cache still works."""
    tar = TarBuilder()
    tar.file("usr/share/noise", os.urandom(30_000_000))
    layout = bootable(images / "os", tar.finish())
    source = f"oci:{layout}" if phase != "fetch" else f"dir:{images}/none"
    tools = images / "tools"
    tools.mkdir()
    if phase in HELD:
        held = tools / HELD[phase]
        held.write_text("#!/bin/sh\nsleep 60\n")
        held.chmod(0o755)
    path = f"{tools}:/usr/bin:/bin"
    child = diskgen.start(
        "qcow2", source, "--progress", "json", "-o", "a.qcow2", env={"PATH": path}
    )
    assert child.stderr is not None
    for line in child.stderr:
        event = json.loads(line)
        if event.get("event") == "start" and event.get("step") == phase.partition(":")[0]:
            break
    else:
        pytest.fail(f"no phase {phase}")
    time.sleep(0.3 if phase in HELD else 0.01)
    child.send_signal(number)
    begun = time.monotonic()
    _out, err = child.communicate(timeout=20)
    assert time.monotonic() - begun < 8
    assert child.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert diskgen.left_behind() == []
    mark = str(diskgen.place).encode()
    alive = [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if mark in _bytes(path) or str(tools).encode() in _bytes(path)
    ]
    assert alive == []
    diskgen("qcow2", f"oci:{layout}", "-o", "a.qcow2")
    disk = diskgen.place / "a.qcow2"
    subprocess.run(["qemu-img", "check", disk], check=True, capture_output=True)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("format_name", "platform", "kargs"),
    [
        *((place.format, place.platform, ()) for place in PLACES.values()),
        ("raw", "mine", ("--karg", "ignition.platform.id=mine")),
    ],
)
def test_ignition_learns_where_it_runs(
    diskgen: Program, images: Path, format_name: str, platform: str, kargs: tuple[str, ...]
) -> None:
    tar = TarBuilder()
    tar.file("usr/lib/ignition/base.d/00.ign", b"{}")
    layout = bootable(images / "os", tar.finish())
    plan = json.loads(diskgen("plan", format_name, f"oci:{layout}", "--json", *kargs))
    chosen = plan["deployment"]["kargs"]
    assert [k for k in chosen if k.startswith("ignition.platform.id=")] == [
        f"ignition.platform.id={platform}"
    ]
    assert chosen.count("$ignition_firstboot") == 1


@pytest.mark.parametrize(
    ("rule", "origin"),
    [
        ("ostree-unverified-registry", "ostree-unverified-registry:q.io/x:2"),
        ("ostree-image-signed", "ostree-image-signed:docker://q.io/x:2"),
        ("ostree-remote-registry:fedora", "ostree-remote-registry:fedora:q.io/x:2"),
    ],
)
def test_updates_may_have_to_be_signed(
    diskgen: Program, layout: Path, rule: str, origin: str
) -> None:
    done = diskgen.run(
        "plan", "raw", f"oci:{layout}", "--target-imgref", "q.io/x:2", "--target-signature", rule,
        "--json",
    )  # fmt: skip
    plan = json.loads(done.stdout)
    assert plan["deployment"]["origin"] == origin
    warned = any("no '/etc/containers/policy.json'" in text for text in plan["warnings"])
    assert warned == (rule == "ostree-image-signed")


def test_a_rule_for_signatures_that_is_none(diskgen: Program, layout: Path) -> None:
    text = refusal(diskgen, 2, "raw", f"oci:{layout}", "--target-signature", "trust-me")
    assert "'trust-me' is no rule for signatures" in text
    assert "--target-signature" in text


def test_the_image_may_ask_for_signed_updates(diskgen: Program, images: Path) -> None:
    tar = TarBuilder()
    tar.file("usr/lib/bootc/install/10.toml", b"[install]\nenforce-container-sigpolicy = true\n")
    tar.file("etc/containers/policy.json", b'{"default": [{"type": "reject"}]}')
    layout = bootable(images / "os", tar.finish())
    plan = json.loads(diskgen("plan", "raw", f"oci:{layout}", "--json"))
    assert plan["deployment"]["origin"].startswith("ostree-image-signed:oci:")
    assert not any("signed" in text for text in plan["warnings"])
    tar = TarBuilder()
    tar.file("etc/containers/policy.json", b'{"default": [{"type": "insecureAcceptAnything"}]}')
    layout = bootable(images / "open", tar.finish())
    words = ("--target-signature", "ostree-image-signed")
    plan = json.loads(diskgen("plan", "raw", f"oci:{layout}", "--json", *words))
    assert any("accepts anything by default" in text for text in plan["warnings"])


@pytest.mark.skipif(Path("/usr/sbin/btrfs").exists(), reason="it is found whatever PATH says")
def test_who_judges_is_asked_for_before_anything_is_written(layout: Path, diskgen: Program) -> None:
    """A PATH that has everything but the program that is to check the filesystem."""
    name = "btrfs"
    assert KINDS[Filesystem.BTRFS].uses == (name,)
    places = [Path(place) for place in os.environ["PATH"].split(":") if Path(place).is_dir()]
    tools = diskgen.place / "tools"
    tools.mkdir()
    tools.chmod(0o755)
    for path in (path for place in places for path in place.iterdir() if path.name != name):
        with contextlib.suppress(FileExistsError):
            (tools / path.name).symlink_to(path)
    words = ("raw", f"oci:{layout}", "--rootfs", "btrfs")
    text = refusal(diskgen, 4, *words, PATH=str(tools))
    shutil.rmtree(tools)
    assert f"'{name}' is not installed" in text


def test_the_image_says_which_root_filesystem(diskgen: Program, images: Path) -> None:
    wish = TarBuilder()
    wish.file("usr/lib/bootc/install/1.toml", b'[install]\nroot-fs-type = "xfs"\n')
    source = f"oci:{bootable(images / 'os', wish.finish())}"
    for options, kind in (((), "xfs"), (("--rootfs", "ext4"), "ext4")):
        plan = json.loads(diskgen("plan", "raw", source, *options, "--json"))
        assert plan["disk"]["partitions"][-1]["filesystem"] == kind


@pytest.mark.parametrize("command", ["raw", "iso"])
def test_bound_images(command: str, diskgen: Program, images: Path) -> None:
    tar = TarBuilder()
    tar.file("usr/lib/bootc/bound-images.d/app.image", b"[Image]\nImage=quay.io/a/b\n")
    words = ("plan", command, f"oci:{bootable(images / 'os', tar.finish())}", "--target-imgref",
             "quay.io/a/os:1")  # fmt: skip
    done = diskgen.run(*words)
    assert done.returncode == 3
    assert "--bound-images" in done.stderr
    if command == "raw":
        done = diskgen.run(*words, "--bound-images", "skip")
        assert done.returncode == 0
        assert "are left out: 'quay.io/a/b'" in " ".join((done.stdout + done.stderr).split())
    else:  # its installer lacks, too, but this reason is gone
        assert "bound to other images" not in diskgen.run(*words, "--bound-images", "skip").stderr
