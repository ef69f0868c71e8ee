"""Media that cannot be made: every reason is said with what to do, and nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...fixtures import installers
from ...fixtures.installers import by
from ...fixtures.oci import Layout, TarBuilder, bootable_tar
from ...fixtures.program import Program

TARGET = ("--target-imgref", "quay.io/tiny/os:1")


@pytest.fixture(scope="module")
def layouts() -> Iterator[Path]:
    """Images that media could be made of, readable by everyone."""
    place = Path(tempfile.mkdtemp(prefix="diskgen-layouts-", dir="/var/tmp"))
    place.chmod(0o755)
    installers.machine(place / "os", installers.bootupd())
    installers.machine(place / "own", installers.own_runtime())
    installers.machine(place / "plain")
    installers.installer(place / "anaconda", installers.anaconda())
    yield place
    shutil.rmtree(place)


def refused(program: Program, status: int, *words: str | Path, **env: str) -> str:
    """Return the complaint; it has an exit status, words, and no traces."""
    before = program.left_behind()
    done = program.run("iso", *words, *TARGET, "-o", "out.iso", "--progress", "none", env=env)
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert program.left_behind() == before
    return done.stderr


CONTAINERS = {
    "no initramfs": (("initramfs",), "has no initramfs beside it", "--add 'anaconda fips'"),
    "no kernel": (("vmlinuz",), "this one has none", "install one kernel"),
    "no shim": (("shimx64",), "no 'shimx64.efi' below", "shim-x64"),
    "no GRUB": (("gcdx64",), "no 'gcdx64.efi'", "grub2-efi-x64-cdboot"),
    "no BIOS": (("i386-pc",), "'/usr/lib/grub/i386-pc/boot_hybrid.img'", "grub2-pc-modules"),
    "no proc": (("proc",), "no directory '/proc'", "mkdir -p /proc"),
    "no Anaconda": (("bin/anaconda",), "holds no Anaconda", "install these packages"),
}


@pytest.mark.parametrize("name", list(CONTAINERS))
def test_an_installer_that_lacks_something(
    diskgen: Program, layouts: Path, images: Path, name: str
) -> None:
    without, words, hint = CONTAINERS[name]
    installers.installer(images / "less", installers.anaconda(*without, real=False))
    text = refused(diskgen, 3, f"oci:{layouts / 'os'}", "--installer", f"oci:{images / 'less'}")
    assert words in text
    assert hint in text
    assert "--installer" in text


@pytest.mark.parametrize(
    ("without", "words"),
    [
        (("python3",), "'python3' of 3.11 or later"),
        (("init",), "'/usr/sbin/init' (systemd)"),
        (("parted", "zstandard"), "Python's 'parted' (python3-parted"),
        (("mount",), "'mount' (mount, util-linux)"),
        (("mcopy",), "'mcopy' (mtools)"),
        (("isofs", "squashfs"), "has no driver 'isofs', 'squashfs'"),
        (("libblkid.so.1",), "needs 'libblkid.so.1', which is not in it"),
    ],
)
def test_an_image_in_which_our_installer_cannot_run(
    diskgen: Program, images: Path, without: tuple[str, ...], words: str
) -> None:
    installers.machine(images / "os", installers.own_runtime(*without))
    text = refused(diskgen, 3, f"oci:{images / 'os'}")
    assert words in text


def test_two_kernels(diskgen: Program, layouts: Path, images: Path) -> None:
    tar = installers.anaconda(kernels=("6.1-a", "6.2-b"), real=False)
    installers.installer(images / "two", tar)
    text = refused(diskgen, 3, f"oci:{layouts / 'os'}", "--installer", f"oci:{images / 'two'}")
    assert "this one has '6.1-a', '6.2-b'" in text


def test_another_architecture(diskgen: Program, layouts: Path, images: Path) -> None:
    installers.installer(images / "arm", installers.anaconda(), arch="arm64")
    text = refused(diskgen, 3, f"oci:{layouts / 'os'}", "--installer", f"oci:{images / 'arm'}")
    assert "arm64" in text
    assert "amd64" in text


def test_what_is_no_system(diskgen: Program, layouts: Path, images: Path) -> None:
    layout = Layout(images / "os")
    layout.finish(layout.image([layout.layer(bootable_tar())], labels={}))
    words = ("--installer", f"oci:{layouts / 'anaconda'}")
    for more in ((), ("--remote-payload",)):
        text = refused(diskgen, 3, f"oci:{layout.place}", *words, *more)
        assert "not made to boot" in text
        assert "LABEL containers.bootc 1" in text


def test_an_image_without_bootupd(diskgen: Program, layouts: Path) -> None:
    text = refused(diskgen, 3, *by(layouts, "plain"))
    assert "the image has no data for it (/usr/lib/bootupd/updates)" in text
    assert "bootupctl backend generate-update-metadata" in text


@pytest.mark.parametrize(
    ("label", "words"),
    [("My Linux", "the label 'My Linux' has ' '"), ("x" * 33, "has 33 characters"),
     ("größe", "'ö'"), ("", "has 0 characters"), ("a\udcff", r"the label 'a\xff' has '\udcff'")],
)  # fmt: skip
def test_labels(diskgen: Program, layouts: Path, label: str, words: str) -> None:
    text = refused(diskgen, 2, *by(layouts), "--label", label)
    assert words in text
    assert "use 1 to 32 of the letters" in text
    assert "--label" in text


@pytest.mark.parametrize("size", ["1K", "8M"])
def test_a_medium_that_is_too_small(diskgen: Program, layouts: Path, size: str) -> None:
    """What is known before is said before; the rest when the medium is there."""
    text = refused(diskgen, 2, *by(layouts), "--max-size", size)
    assert "the medium needs at least" in text
    assert "--max-size" in text
    diskgen("iso", *by(layouts), *TARGET, "-o", "fits.iso", "--max-size", "20M")


def test_programs_that_are_missing(diskgen: Program, layouts: Path, images: Path) -> None:
    done = diskgen.run("iso", *by(layouts), *TARGET, wrap=["/usr/bin/env", f"PATH={images}"])
    assert done.returncode == 4
    assert "'skopeo' is not installed" in done.stderr
    for line in ("'mksquashfs' is not installed (it packs the runtime of an installer)",
                 "apt install squashfs-tools"):  # fmt: skip
        assert line in done.stderr
    assert diskgen.left_behind() == []


def test_what_is_there_is_kept(diskgen: Program, layouts: Path) -> None:
    (diskgen.place / "out.iso").write_text("mine")
    text = refused(diskgen, 4, *by(layouts))
    assert "'out.iso' exists" in text
    assert "--force" in text
    assert (diskgen.place / "out.iso").read_text() == "mine"
    refused(diskgen, 2, *by(layouts), "--force", "--max-size", "8M")
    assert (diskgen.place / "out.iso").read_text() == "mine"


@pytest.mark.parametrize("indexed", [False, True])
def test_a_broken_blob(diskgen: Program, layouts: Path, images: Path, indexed: bool) -> None:
    """Also one that breaks after its layer was read."""
    tar = TarBuilder()
    tar.file("usr/share/noise", os.urandom(100_000))
    place = installers.machine(images / "os", installers.bootupd(), tar.finish())
    words = (f"oci:{place}", "--installer", f"oci:{layouts / 'anaconda'}")
    if indexed:
        diskgen("plan", "iso", *words, *TARGET)
    digest = Layout.manifest_of(place)["layers"][-1]["digest"]
    blob = place / "blobs" / digest.replace(":", "/")
    data = bytearray(blob.read_bytes())
    data[50_000] ^= 1
    blob.write_bytes(data)
    text = refused(diskgen, 3, *words)
    assert digest in text


@pytest.mark.skipif(os.geteuid() != 0, reason="root gives files to others")
@pytest.mark.parametrize("what", ["index.json", "manifest", "layer", "directory"])
def test_files_that_may_not_be_read(diskgen: Program, images: Path, what: str) -> None:
    place = installers.machine(images / "os")
    blobs = {path.stat().st_size: path for path in (place / "blobs/sha256").iterdir()}
    path = {"index.json": place / "index.json", "manifest": blobs[min(blobs)],
            "layer": blobs[max(blobs)], "directory": place}[what]  # fmt: skip
    path.chmod(0)
    assert "cannot be read" in refused(diskgen, 3, f"oci:{place}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lang en_US.UTF-8\nnonsense --x\n", "'mine.ks', line 2: Unknown command: nonsense"),
        ('text\nlang "en\n', "'mine.ks', line 2: No closing quotation"),
        ("ostreecontainer --url=x\n%packages\nvim\n%end\n",
         "has its own 'ostreecontainer' (line 1)"),
        ("text\n%packages\nvim\n%end\n", "has a section %packages (line 2)"),
        ("part / --size=1 --no-such\n", "'mine.ks', line 1: "),
    ],
)  # fmt: skip
def test_kickstarts(diskgen: Program, layouts: Path, images: Path, text: str, words: str) -> None:
    (images / "mine.ks").write_text(text)
    said = refused(diskgen, 2, *by(layouts), "--kickstart", images / "mine.ks", "--mode", "image")
    assert words in said
    assert "--kickstart" in said


def test_kickstarts_that_are_not_there(diskgen: Program, layouts: Path, images: Path) -> None:
    for path in (images / "none.ks", images):
        assert f"'{path}' is no file" in refused(diskgen, 2, *by(layouts), "--kickstart", path)
    secret = images / "secret.ks"
    secret.write_text("text\n")
    secret.chmod(0)
    text = refused(diskgen, 2, *by(layouts), "--kickstart", secret)
    assert f"'{secret}' cannot be read" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="root sees every file, and makes one of another")
def test_what_this_user_may_not_see(diskgen: Program, layouts: Path, images: Path) -> None:
    hidden = images / "hidden"
    hidden.mkdir(mode=0o700)
    (hidden / "mine.ks").write_text("text\n")
    for option, path in (("--kickstart", hidden / "mine.ks"), ("--packages", hidden / "packages"),
                         ("--installer", hidden / "boot.iso"), ("--authfile", hidden / "auth"),
                         ("--user-key", hidden / "key.pub")):  # fmt: skip
        done = diskgen.run("iso", *by(layouts), *TARGET, "--user", "ann", option, path)
        assert done.returncode in (2, 3, 4), (option, done.stderr)
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr


def test_packages(diskgen: Program, layouts: Path, images: Path) -> None:
    text = refused(diskgen, 2, *by(layouts), "--packages", images / "none")
    assert f"'{images / 'none'}'" in text
    assert "--packages" in text
    (images / "empty").mkdir()
    text = refused(diskgen, 2, *by(layouts), "--packages", images / "empty")
    assert "--packages" in text
    text = refused(diskgen, 2, *by(layouts), "--mode", "image", "--packages", images / "empty")
    assert "--mode" in text
    text = refused(diskgen, 2, f"oci:{layouts / 'own'}", "--mode", "package")
    assert "not told where packages come from" in text


@pytest.mark.parametrize(
    ("option", "value"),
    [("--product", "it's 'quoted'"), ("--hostname", "a b"), ("--language", "x;y"),
     ("--user", "a b"), ("--user-password-hash", "plain"), ("--install-karg", 'a"b'),
     ("--unattended", "a b"), ("--karg", "a'b"), ("--package", "a b"), ("--timezone", "x y")],
)  # fmt: skip
def test_values_that_would_break_out(
    diskgen: Program, layouts: Path, option: str, value: str
) -> None:
    """None is written into a menu or a kickstart as it is."""
    words = [option, value]
    if option == "--user-password-hash":
        words = ["--user", "ann", *words]
    if option == "--package":
        words += ["--packages", "https://x.invalid/"]
    if option == "--product":  # only shown, so what is not plain is left out
        diskgen("plan", "iso", *by(layouts), *TARGET, *words)
        return
    text = refused(diskgen, 2, *by(layouts), *words)
    if option == "--user-password-hash":  # what is no hash may be the password itself
        assert option in text
        assert value not in text
    else:
        assert f"'{value}'" in text


@pytest.mark.parametrize("path", ["etc/systemd", "usr/lib/systemd", "usr/lib/diskgen"])
def test_files_where_directories_have_to_be(diskgen: Program, images: Path, path: str) -> None:
    tar = TarBuilder()
    tar.file(path, b"no directory")
    place = installers.machine(images / "os", installers.own_runtime(), tar.finish(), how="none")
    assert "of the installer's image is no directory" in refused(diskgen, 3, f"oci:{place}")


def test_links_where_files_have_to_be(diskgen: Program, images: Path) -> None:
    """They are followed in the image, or replaced."""
    tar = TarBuilder()
    for path, goal in (("usr/lib/systemd/network", "../../../../x"), ("etc/fstab", "/etc/passwd"),
                       ("etc/selinux", "/etc/selinux"), ("etc/systemd", "/proc/self")):  # fmt: skip
        tar.symlink(path, goal)
    place = installers.machine(images / "os", installers.own_runtime(), tar.finish(), how="none")
    assert "is no directory" in refused(diskgen, 3, f"oci:{place}")


PHASES = {"runtime": "mksquashfs", "core": "grub-mkimage", "esp": "mkfs.vfat", "verify": None,
          "master": None, "checksum": None}  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "number"),
    [*((phase, signal.SIGINT) for phase in PHASES), ("runtime", signal.SIGTERM)],
)
def test_interrupts(
    diskgen: Program, layouts: Path, images: Path, phase: str, number: signal.Signals
) -> None:
    """Stopped in any phase: status 130, no output, no process."""
    tar = TarBuilder()
    tar.file("usr/share/noise", os.urandom(40_000_000))
    place = installers.machine(images / "os", installers.bootupd(), tar.finish(), how="none")
    tools = images / "tools"
    tools.mkdir()
    program = PHASES[phase]
    if program is not None:
        held = tools / program
        held.write_text(f"#!/bin/sh\n: >{diskgen.place}/held\nsleep 60\n")
        held.chmod(0o755)
    child = diskgen.start(
        "iso", f"oci:{place}", "--installer", f"oci:{layouts / 'anaconda'}", *TARGET,
        "-o", "out.iso", "--progress", "json", env={"PATH": f"{tools}:/usr/bin:/bin"},
    )  # fmt: skip
    assert child.stderr is not None
    if program is not None:
        deadline = time.monotonic() + 30
        while not (diskgen.place / "held").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (diskgen.place / "held").unlink()
    else:
        for line in child.stderr:
            assert line.startswith("{"), line + child.stderr.read()
            event = json.loads(line)
            if event.get("event") == "start" and event.get("step") == phase:
                break
        else:
            pytest.fail(f"no phase {phase}")
        time.sleep(0.01)
    child.send_signal(number)
    _out, err = child.communicate(timeout=20)
    assert child.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert diskgen.left_behind() == []
    alive = subprocess.run(["pgrep", "-f", str(tools)], check=False, capture_output=True)
    assert alive.stdout == b""
