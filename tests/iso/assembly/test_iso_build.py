"""Whole media, made by the program as its users run it and read by independent programs."""

from __future__ import annotations

import configparser
import hashlib
import json
import lzma
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from ...fixtures import installers
from ...fixtures.installers import RELEASE
from ...fixtures.oci import TarBuilder
from ...fixtures.package_sources import deb
from ...fixtures.program import Program, placed
from ...fixtures.registry import Registry
from ...oracles import golden

KSVALIDATOR = Path(sys.executable).with_name("ksvalidator")
TARGET = ("--target-imgref", "quay.io/tiny/os:1")
USER = ("--user", "ann", "--user-groups", "wheel", "--user-password-hash", "$6$salt$hash")
KICKSTART = (
    "text\nlang fr_FR.UTF-8\nzerombr\nclearpart --all --drives=sda\nreqpart\npart / --grow\n"
)


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Made:
    """A medium: the file, its contents as xorriso unpacks them, and what it was asked for."""

    iso: Path
    tree: Path
    words: tuple[str | Path, ...]
    digest: str
    anaconda: bool
    embedded: bool
    unattended: str | None  # what its menu says that it erases
    label: str

    def text(self, path: str) -> str:
        return (self.tree / path).read_text()


@pytest.fixture(scope="module")
def program(program_path: Path) -> Iterator[Program]:
    with placed(program_path, "diskgen-media-") as made:
        yield made


@pytest.fixture(scope="module")
def sources(program: Program) -> Path:
    """The images and packages that the media are made of."""
    place = program.place / "sources"
    place.mkdir()
    installers.machine(place / "own", installers.own_runtime(), installers.accounts())
    installers.machine(place / "os", installers.bootupd(), installers.accounts())
    installers.installer(place / "anaconda", installers.anaconda())
    (place / "debs").mkdir()
    deb(place / "debs/app.deb", "app", arch="amd64")
    (place / "mine.ks").write_text(KICKSTART)
    return place


def digest_of(layout: Path) -> str:
    index = json.loads((layout / "index.json").read_bytes())
    return str(index["manifests"][0]["digest"])


MEDIA = ("own", "remote", "both")


@pytest.fixture(scope="module")
def media(program: Program, sources: Path, server: Registry) -> dict[str, Made]:
    """All media: our own installer in the payload itself, and two with Anaconda."""
    server.push(sources / "os", "tiny/os")
    registry = f"{server.host}/tiny/os"
    anaconda = ("--installer", f"oci:{sources / 'anaconda'}")
    asked: dict[str, tuple[Path, tuple[str | Path, ...], str | None, str]] = {
        "own": (
            sources / "own",
            (f"oci:{sources / 'own'}", *TARGET, "--packages", sources / "debs", *USER,
             "--unattended", "/dev/disk/by-id/x-1", "--label", "TINY_1.0", "--karg", "nosmt"),
            "/dev/disk/by-id/x-1", "TINY_1.0",
        ),
        "remote": (
            sources / "os",
            (registry, "--tls-verify=false", *anaconda, "--remote-payload", "--mode", "image"),
            None, "Fedora-S-dvd-x86_64-44-",
        ),
        "both": (
            sources / "os",
            (f"oci:{sources / 'os'}", *TARGET, *anaconda, "--payload", "both", "--kickstart",
             sources / "mine.ks", "--packages", "https://mirror.invalid/os/", "--package", "vim",
             "--product", "My OS", "--install-karg", "quiet"),
            "the disks that mine.ks names", "Tiny-x86_64-",
        ),
    }  # fmt: skip
    found = {}
    for name, (layout, words, unattended, label) in asked.items():
        iso = program.place / f"{name}.iso"
        assert program("iso", *words, "-o", iso) == f"{iso}\n"
        said = run("blkid", "-p", "-s", "LABEL", "-o", "value", iso).strip()
        assert re.fullmatch(f"{label}[0-9a-f]{{6}}" if label.endswith("-") else label, said)
        tree = program.place / f"{name}.tree"
        run("xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", tree)
        run("chmod", "-R", "u+w", tree)
        found[name] = Made(iso, tree, words, digest_of(layout), name != "own", name != "remote",
                           unattended, said)  # fmt: skip
    assert program.left_behind() == sorted(
        [*(f"{name}.iso" for name in MEDIA), *(f"{name}.tree" for name in MEDIA), "sources"]
    )
    return found


@pytest.fixture(params=MEDIA)
def medium(media: dict[str, Made], request: pytest.FixtureRequest) -> Made:
    return media[request.param]


def test_it_starts_everywhere(medium: Made) -> None:
    said = run("xorriso", "-indev", medium.iso, "-report_el_torito", "plain",
               "-report_system_area", "plain")  # fmt: skip
    images = re.findall(r"El Torito boot img : +(\d) +(\S+) +y", said)
    assert [kind for _, kind in images] == ["BIOS", "UEFI"]
    assert "grub2-mbr" in said
    assert re.search(r"GPT partition path.*/images/efiboot\.img", said)
    assert "No problems found" in run("sgdisk", "-v", medium.iso)
    about = run("isoinfo", "-d", "-i", medium.iso)
    assert f"Volume id: {medium.label}\n" in about
    assert "Rock Ridge signatures version 1 found" in about


def test_it_can_test_itself(medium: Made) -> None:
    run("checkisomd5", medium.iso)


def test_readers_agree_about_what_it_holds(medium: Made) -> None:
    listed = run("isoinfo", "-R", "-f", "-i", medium.iso).splitlines()
    found = {f"/{path.relative_to(medium.tree)}" for path in medium.tree.rglob("*")}
    assert {path for path in listed if path.startswith("/")} - {"/boot.cat"} == found - {
        "/boot.cat"
    }


def test_the_efi_system_partition(medium: Made, tmp_path: Path) -> None:
    image = medium.tree / "images/efiboot.img"
    run("fsck.fat", "-n", image)
    run("mcopy", "-s", "-Q", "-i", image, "::/", tmp_path)
    for name in ("BOOTX64.EFI", "grubx64.efi", "mmx64.efi"):
        here = (tmp_path / "EFI/BOOT" / name).read_bytes()
        assert here[:2] == b"MZ"
        assert here == (medium.tree / "EFI/BOOT" / name).read_bytes()
    menu = (tmp_path / "EFI/BOOT/grub.cfg").read_text()
    assert menu == medium.text("EFI/BOOT/grub.cfg")
    if not medium.anaconda:  # Debian's GRUB looks there, once it has found this mark
        assert (tmp_path / "boot/grub/grub.cfg").read_text() == menu
        assert (medium.tree / ".disk/info").is_file()


def menus(medium: Made) -> dict[str, str]:
    found = {str(path.relative_to(medium.tree)): path.read_text()
             for path in medium.tree.rglob("grub.cfg")}  # fmt: skip
    assert {"EFI/BOOT/grub.cfg", "boot/grub2/grub.cfg"} <= found.keys()
    return found


def entries(text: str) -> list[tuple[str | None, str, str]]:
    """Return (submenu, title, body) of a menu's entries in order."""
    found: list[tuple[str | None, str, str]] = []
    submenu = None
    for line in text.splitlines():
        kind, _quote, rest = line.strip().partition(" '")
        if kind == "submenu":
            submenu = rest.partition("'")[0]
        elif kind == "menuentry":
            found.append((submenu, rest.partition("'")[0], ""))
        elif line == "}" and submenu is not None:
            submenu = None
        elif found:
            found[-1] = (*found[-1][:2], f"{found[-1][2]}{line.strip()}\n")
    return found


def test_menus(medium: Made) -> None:
    """GRUB can parse them, they name what is there, and the first entry asks before it erases."""
    for path, text in menus(medium).items():
        run("grub-script-check", medium.tree / path)
        assert "set default=0" in text
        (mark,) = re.findall(r"^search .* --file /(\S+)$", text, re.MULTILINE)
        assert (medium.tree / mark).is_file()
        found = entries(text)
        assert found[0][0] is None
        assert "image mode (recommended)" in found[0][1]
        for submenu, title, body in found:
            assert ("inst.ks=" in body) == ("ERASE" in title) == ("ERASES" in (submenu or ""))
            for place in re.findall(r"(?:linux|initrd) (\S+)", body):
                assert (medium.tree / place.lstrip("/")).is_file()
            if "linux" in body:
                assert f"inst.stage2=hd:LABEL={medium.label} " in body + " "
            for kickstart in re.findall(r"inst\.ks=hd:LABEL=[^:]+:(\S+)", body):
                assert (medium.tree / kickstart.lstrip("/")).is_file()
        titles = {submenu for submenu, _, _ in found if submenu and "ERASES" in submenu}
        if medium.unattended is None:
            assert "ERASE" not in text
        else:
            assert titles == {f"Unattended - ERASES {medium.unattended}"}
            assert all(medium.unattended in title for _, title, _ in found if "ERASE" in title)


def test_menus_offer_what_was_asked_for(media: dict[str, Made]) -> None:
    own, remote, both = (menus(media[name])["boot/grub2/grub.cfg"] for name in MEDIA)
    assert "traditional, package by package'" in own
    assert " nosmt" in own
    assert "console=ttyS0" in own  # our own installer shows its words on the serial line
    assert "traditional" not in remote
    assert "Install My OS - traditional, package by package (needs the network)" in both
    assert sum("ERASE" in title for _, title, _ in entries(both)) == 2
    assert sum("ERASE" in title for _, title, _ in entries(own)) == 2


def kickstarts(medium: Made) -> dict[str, Path]:
    return {path.name: path for path in (medium.tree / "diskgen").glob("*.ks")}


def test_kickstarts(medium: Made, tmp_path: Path) -> None:
    version = json.loads(medium.text("diskgen/medium.json"))["kickstart_version"]
    found = kickstarts(medium)
    assert {"image-offline.ks", "image-remote.ks"} <= found.keys()
    assert ("package.ks" in found) == (medium.iso.name != "remote.iso")
    unattended = {name for name in found if name.startswith("unattended-")}
    assert bool(unattended) == (medium.unattended is not None)
    for name, path in found.items():
        text = path.read_text()
        run(KSVALIDATOR, "-v", version, path)
        assert ("clearpart" in text) == (name in unattended)
    if medium.anaconda:
        (tmp_path / "product").mkdir()
        data = lzma.decompress((medium.tree / "images/product.img").read_bytes())
        assert "usr/share/anaconda/interactive-defaults.ks" in installers.cpio(data)
        subprocess.run(["cpio", "-idm", "--quiet"], input=data, cwd=tmp_path / "product",
                       check=True)  # fmt: skip
        for path in (tmp_path / "product").rglob("*.ks"):
            run(KSVALIDATOR, "-v", version, path)
    else:
        assert not (medium.tree / "images/product.img").exists()


def test_a_users_kickstart_gets_the_payload(media: dict[str, Made]) -> None:
    text = kickstarts(media["both"])["unattended-image.ks"].read_text()
    assert KICKSTART.rstrip() in text
    lines = text.splitlines()
    assert sum(line.startswith("ostreecontainer ") for line in lines) == 1
    assert sum(line.startswith("clearpart ") for line in lines) == 1
    assert 'bootloader --append="console=tty0 console=ttyS0,115200n8 quiet"' in lines
    assert "quay.io/tiny/os:1" in text
    text = kickstarts(media["both"])["unattended-package.ks"].read_text()
    assert KICKSTART.rstrip() in text
    assert "ostreecontainer" not in text
    assert "\n%packages\nvim\n%end\n" in text


def test_what_the_installer_sets_up(media: dict[str, Made]) -> None:
    for mode in ("image", "package"):
        text = kickstarts(media["own"])[f"unattended-{mode}.ks"].read_text()
        assert "ignoredisk --only-use=disk/by-id/x-1\n" in text
        assert "user --name=ann --groups=wheel --iscrypted --password='$6$salt$hash'\n" in text
        assert ("ostreecontainer" in text) == (mode == "image")


def test_the_image_on_the_medium(medium: Made) -> None:
    container = medium.tree / "diskgen/container"
    assert container.is_dir() == medium.embedded
    facts = json.loads(medium.text("diskgen/medium.json"))
    assert facts["digest"] == medium.digest
    if not medium.embedded:
        return
    read = json.loads(run("skopeo", "inspect", f"oci:{container}"))
    assert read["Digest"] == medium.digest
    raw = subprocess.run(["skopeo", "inspect", "--raw", f"oci:{container}"], check=True,
                         capture_output=True)  # fmt: skip
    assert f"sha256:{hashlib.sha256(raw.stdout).hexdigest()}" == medium.digest
    manifest = json.loads(raw.stdout)
    wanted = {part["digest"] for part in (manifest["config"], *manifest["layers"])}
    blobs = {path.name: path for path in (container / "blobs/sha256").iterdir()}
    assert {f"sha256:{name}" for name in blobs} == wanted | {medium.digest}
    for name, path in blobs.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == name


def test_the_runtime(medium: Made) -> None:
    listed = run("unsquashfs", "-l", "-q", medium.tree / "images/install.img").splitlines()
    names = {line.removeprefix("squashfs-root") for line in listed}
    if medium.anaconda:
        assert {"/usr/bin/anaconda", "/proc", f"/usr/lib/modules/{RELEASE}/vmlinuz"} <= names
        assert not any("diskgen" in name for name in names)
        initrd = (medium.tree / "images/pxeboot/initrd.img").read_bytes()
        assert initrd == b"initramfs " * 5000
    else:
        place = "/usr/lib/diskgen/python"
        assert {f"{place}/diskgen/install/__main__.py", f"{place}/pykickstart/parser.py",
                "/usr/lib/systemd/system/diskgen-installer.service",
                "/etc/systemd/system/default.target"} <= names  # fmt: skip
        assert not any("__pycache__" in name for name in names)
    meta = run("unsquashfs", "-lln", "-q", medium.tree / "images/install.img")
    assert set(re.findall(r"^[-dlcbps]\S+ (\S+)", meta, re.MULTILINE)) == {"0/0"}


def test_our_own_initramfs(media: dict[str, Made], tmp_path: Path) -> None:
    packed = (media["own"].tree / "images/pxeboot/initrd.img").read_bytes()
    data = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    names = set(installers.cpio(data))
    carried = {f"diskgen/{name}" for name in ("medium.json", "image-remote.ks", "package.ks")}
    assert carried <= names  # for a machine that has no medium
    drivers = {f"usr/lib/modules/6.12.1-test/kernel/{path}.ko.xz" for path in installers.DRIVERS}
    assert {"init", "usr/bin/sh", "usr/bin/mount", "usr/bin/blkid", *drivers} <= names
    subprocess.run(["cpio", "-idm", "--quiet", "--no-absolute-filenames"], input=data,
                   cwd=tmp_path, check=True)  # fmt: skip
    run("sh", "-n", tmp_path / "init")
    for path in sorted((tmp_path / "usr/bin").iterdir()):  # each runs with what is in there alone
        loader = tmp_path / "usr/lib64/ld-linux-x86-64.so.2"
        libraries = f"{tmp_path}/usr/lib/x86_64-linux-gnu"
        said = run(loader, "--library-path", libraries, "--list", path)
        assert "not found" not in said
        assert all(place.startswith(f"{tmp_path}/") for place in re.findall(r"=> (/\S+)", said))


def test_starts_from_the_network(media: dict[str, Made]) -> None:
    """A script for iPXE has the menu's words; what only the medium has is not offered."""
    own, both = (media[name].text("diskgen/boot.ipxe") for name in ("own", "both"))
    for name, text in (("own", own), ("both", both)):
        assert text.startswith("#!ipxe\n")
        for path in re.findall(r"\$\{base\}/(\S+)", text):
            assert (media[name].tree / path).is_file(), path
        for word in ("unattended", "rd.live.check", "hd:LABEL", "fwsetup"):
            assert word not in text
        for target in re.findall(r"^item (\S+) ", text, re.MULTILINE):
            assert f"\n:{target}\nkernel " in text
    assert "initrd ${base}/images/install.img install.img\nboot\n" in own
    assert "traditional" not in own  # its packages lie on the medium
    assert "inst.stage2" not in own
    assert "traditional, package by package (needs the network)" in both
    kernels = re.findall(r"^kernel .*$", both, re.MULTILINE)
    assert len(kernels) == 7
    assert all(" initrd=initrd.img inst.stage2=${base} " in line for line in kernels)
    example = media["own"].text("diskgen/pxe-example.cfg")
    assert "newc:install.img:/images/install.img" in example
    assert "inst.stage2=http://SERVER/PATH enforcing=0 diskgen.mode=ask" in (
        media["both"].text("diskgen/pxe-example.cfg")
    )


def test_what_libosinfo_and_virt_install_look_for(medium: Made) -> None:
    info = configparser.ConfigParser()
    info.optionxform = str  # type: ignore[assignment,method-assign]
    info.read_string(medium.text(".treeinfo"))
    assert info["general"]["arch"] == "x86_64"
    # What productmd does not read a description without.
    needed = {"header": "type version", "release": "name short version",
              "tree": "arch build_timestamp platforms variants"}  # fmt: skip
    assert {name: " ".join(sorted(info[name])) for name in needed} == needed
    assert info["stage2"]["mainimage"] == "images/install.img"
    images = info["images-x86_64"]
    assert {"kernel", "initrd", "efiboot.img", "eltorito.img"} <= set(images)
    for path in images.values():
        assert (medium.tree / path).is_file()
    assert set(info["checksums"]) >= {*images.values(), "images/install.img"} - {
        "images/eltorito.img"  # is patched afterwards
    }
    for path, sum_ in info["checksums"].items():
        found = hashlib.sha256((medium.tree / path).read_bytes()).hexdigest()
        assert sum_ == f"sha256:{found}", path
    stamp, name, arch = medium.text(".discinfo").splitlines()
    assert float(stamp) == float(info["general"]["timestamp"])
    assert (name, arch) == (info["general"]["family"], "x86_64")


def test_packages_on_the_medium(media: dict[str, Made]) -> None:
    place = media["own"].tree / "diskgen/packages"
    assert {path.name for path in place.iterdir()} == {"Packages", "Release", "app.deb"}
    assert 'url --url="file:///run/install/repo/diskgen/packages"' in media["own"].text(
        "diskgen/package.ks"
    )
    assert "vim" in media["both"].text("diskgen/package.ks")
    assert not (media["both"].tree / "diskgen/packages").exists()


@pytest.mark.parametrize("name", ["own", "both"])
def test_the_same_bytes_each_time(
    media: dict[str, Made], program: Program, name: str, tmp_path: Path
) -> None:
    """Another output, cache, user, umask, zone and language."""
    made = media[name]
    env = {
        "HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "DISKGEN_CACHE": str(tmp_path / "cache"),
        "TZ": "Asia/Tokyo", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1",
    }  # fmt: skip
    argv = [program.path, "iso", *made.words, "-o", tmp_path / "other-name.iso"]
    subprocess.run(argv, env=env, check=True, capture_output=True, umask=0o077, cwd=tmp_path)
    assert (tmp_path / "other-name.iso").read_bytes() == made.iso.read_bytes()


def test_an_installer_is_packed_once(media: dict[str, Made], program: Program) -> None:
    """Two media share theirs; what is in the cache is what is on them."""
    found = {name: made.tree / "images/install.img" for name, made in media.items()}
    assert found["remote"].read_bytes() == found["both"].read_bytes()
    cached = sorted((program.cache / "v1/runtimes").iterdir())
    assert len(cached) == 2
    assert {path.read_bytes() for path in cached} == {p.read_bytes() for p in found.values()}


def test_the_plan_is_what_is_made(program: Program, medium: Made) -> None:
    before = program.left_behind()
    plan = json.loads(program("plan", "iso", *medium.words, "--json"))
    assert program.left_behind() == before
    assert plan["medium"]["label"] == medium.label
    assert plan["image"]["digest"] == medium.digest
    titles = [f"{submenu}: {title}" if submenu else title
              for submenu, title, _ in entries(menus(medium)["boot/grub2/grub.cfg"])]  # fmt: skip
    assert plan["medium"]["menu"] == titles
    assert set(plan["installer"]["kickstarts"]) - {"chooser.ks"} == set(kickstarts(medium))
    assert plan["medium"]["most_bytes"] >= medium.iso.stat().st_size


def test_the_golden_plan(diskgen: Program, images: Path) -> None:
    place = installers.machine(images / "os", installers.bootupd(), how="none")
    other = installers.installer(images / "anaconda", installers.anaconda(real=False), how="none")
    words = ("plan", "iso", f"oci:{place}", *TARGET, "--installer", f"oci:{other}",
             "--packages", "https://mirror.invalid/os/", "--unattended", "vda")  # fmt: skip
    for name, text in (("txt", diskgen(*words)), ("json", diskgen(*words, "--json"))):
        steady = re.sub(r"(?<=\": \")[0-9a-f]{16}(?=\")|(?<=x86_64-)[0-9a-f]{6}\b", "ID", text)
        golden.check(f"plan-iso.{name}", steady.replace(str(images), "IMAGES"))
    assert diskgen.left_behind() == []


def test_another_architecture(diskgen: Program, images: Path) -> None:
    """A medium for aarch64 starts by UEFI alone."""
    tar = TarBuilder()
    files = {
        "usr/bin/anaconda": b"", "proc/.keep": b"", "usr/lib/modules/6.1/vmlinuz": b"kernel",
        "usr/lib/modules/6.1/initramfs.img": b"initramfs",
        "usr/lib/efi/x/EFI/f/shimaa64.efi": b"MZ",
        "usr/lib/efi/x/EFI/f/gcdaa64.efi": b"MZ",
        **dict.fromkeys(installers.ANACONDA, b""),
    }  # fmt: skip
    for path, data in files.items():
        tar.file(path, data)
    other = installers.installer(images / "anaconda", tar.finish(), arch="arm64")
    updates = TarBuilder()
    updates.file("usr/lib/bootupd/updates/EFI.json", b'{"timestamp": "x", "version": "1"}')
    place = installers.machine(images / "os", updates.finish(), arch="aarch64")
    diskgen("iso", f"oci:{place}", *TARGET, "--installer", f"oci:{other}", "--arch", "aarch64")
    said = run("xorriso", "-indev", diskgen.place / "os.iso", "-report_el_torito", "plain")
    assert re.findall(r"El Torito boot img : +\d +(\S+)", said) == ["UEFI"]
    # Anaconda would take a tree's description for a source of packages, and there are none.
    names = run("isoinfo", "-R", "-f", "-i", diskgen.place / "os.iso").split()
    assert "/.discinfo" in names
    assert "/.treeinfo" not in names


def test_inspect_shows_what_a_medium_is_for(program: Program, medium: Made) -> None:
    facts = json.loads(program("inspect", medium.iso, "--json"))
    assert facts["kind"] == "medium"
    assert facts["label"] == medium.label
    assert facts["installer"] == ("Anaconda" if medium.anaconda else "diskgen's own installer")
    assert facts["payload"]["digest"] == medium.digest
    assert facts["payload"]["embedded_digest"] == (medium.digest if medium.embedded else None)
    said = json.loads(medium.text("diskgen/medium.json"))
    assert (facts["origin"], facts["reference"]) == (said["origin"], said["reference"])
    assert set(facts["boots"]) == {"uefi", "bios"}
    titles = [title for _, title, _ in entries(medium.text("boot/grub2/grub.cfg"))]
    assert [entry["title"] for entry in facts["entries"]] == titles
    for entry in facts["entries"]:
        assert bool(entry["erases"]) == ("ERASE" in entry["title"])
        if medium.unattended is not None and medium.unattended.startswith("/dev/"):
            disk = medium.unattended.removeprefix("/dev/")
            assert entry["erases"] in ([], [disk])
    text = program("inspect", medium.iso)
    assert medium.digest in text
    assert ("without a question" in text) == (medium.unattended is not None)
