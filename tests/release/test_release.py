"""A release: one version, the same bytes each time, a disk made by what each package installs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diskgen import __version__
from diskgen.hosttools import tools_for

from ..fixtures.oci import bootable
from ..fixtures.program import NOBODY, ROOT, Program

# What diskgen takes along, wherever it is installed.
SHARED = {
    "share/man/man1/diskgen.1", "share/bash-completion/completions/diskgen",
    "share/zsh/site-functions/_diskgen",
}  # fmt: skip
PROGRAMS = ("diskgen", "bootc-image-builder")
DATA = {"diskgen/_data/installer/init", "diskgen/_data/kickstart/chooser.ks"}
EPOCH = "1793491200"

extended = pytest.mark.extended
root = pytest.mark.skipif(os.geteuid() != 0, reason="makes a root filesystem")


def run(*argv: str | Path, **options: Any) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def make(out: Path) -> Path:
    env = os.environ | {"SOURCE_DATE_EPOCH": EPOCH}
    run(sys.executable, ROOT / "release/make.py", "--out", out, env=env)
    return out


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("release"))


@pytest.fixture
def place() -> Iterator[Path]:
    made = Path("/var/tmp") / f"diskgen-release-test-{os.getpid()}"
    made.mkdir(mode=0o755)
    yield made
    shutil.rmtree(made)


def only(release: Path, pattern: str) -> Path:
    (found,) = release.glob(pattern)
    return found


def test_the_version_stands_once() -> None:
    stated = re.compile(rf"(?<![\d.]){re.escape(__version__)}(?![\d.])")
    places = [ROOT / "pyproject.toml", *(ROOT / "release").rglob("*")]
    assert [p.name for p in places if p.is_file() and _states(p, stated)] == []
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]


def _states(path: Path, version: re.Pattern[str]) -> bool:
    if "__pycache__" in path.parts:
        return False
    lines = path.read_text().splitlines()
    return any(version.search(line) and "==" not in line and ">=" not in line for line in lines)


def test_packages_need_what_builds_need() -> None:
    """The programs of the table, under each distribution's names."""
    needed = tools_for("build", "efi", "bios")
    control = (ROOT / "release/debian/control").read_text()
    depends = control.partition("\nDepends:")[2].partition("\nRecommends:")[0]
    spec = (ROOT / "release/diskgen.spec").read_text()
    assert {t.debian for t in needed} <= set(re.split(r"[\s,]+", depends))
    assert {t.fedora for t in needed} <= set(re.findall(r"^Requires: (\S+)$", spec, re.MULTILINE))


def test_each_library_is_pinned_for_packages() -> None:
    """A pin for each library that the project names, new enough for it."""
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "release/requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for text in project["dependencies"]:
        library = Requirement(text)
        assert library.specifier.contains(pins[library.name]), library.name


@extended
def test_two_releases_have_the_same_bytes(release: Path, tmp_path: Path) -> None:
    again = make(tmp_path)
    digests = [
        {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in place.iterdir()}
        for place in (release, again)
    ]
    assert len(digests[0]) == 5  # sdist, wheel, deb, rpm, spec
    assert digests[0] == digests[1]


@extended
def test_each_package_has_all_files(release: Path, tmp_path: Path) -> None:
    wheel = zipfile.ZipFile(only(release, "*.whl")).namelist()
    data = f"diskgen-{__version__}.data/data/"
    assert DATA | {data + name for name in SHARED} <= set(wheel)
    top = f"diskgen-{__version__}/"
    with tarfile.open(only(release, "*.tar.gz")) as tar:
        source = set(tar.getnames())
    assert {f"{top}{name}" for name in ("docs/diskgen.1", "LICENSE", "release/stage")} <= source
    run("dpkg-deb", "--extract", only(release, "*.deb"), tmp_path)
    listed = {f"/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*")}
    rpm = set(run("rpm", "-qlp", "--nosignature", only(release, "*.rpm")).split())
    for names in (listed, rpm):
        assert {f"/usr/lib/diskgen/{name}" for name in DATA} <= names
        assert {f"/usr/{name}".replace(".1", ".1.gz") for name in SHARED} <= names
        # Other libraries' programs and manuals are not ours to install.
        assert {n for n in names if n.startswith("/usr/bin/")} == {
            f"/usr/bin/{n}" for n in PROGRAMS
        }
        assert {n for n in names if n.startswith("/usr/share/man/man1/")} == {
            "/usr/share/man/man1/diskgen.1.gz"
        }


@extended
def test_a_wheel_makes_a_disk(release: Path, place: Path, diskgen: Program, images: Path) -> None:
    run(sys.executable, "-m", "venv", place / "venv")
    run(place / "venv/bin/pip", "install", "--quiet", only(release, "*.whl"))
    installed = Program(place / "venv/bin/diskgen", diskgen.place)
    assert installed("--version") == f"diskgen {__version__}\n"
    name = installed("qcow2", f"oci:{bootable(images / 'os')}").strip()
    run("qemu-img", "check", diskgen.place / name)
    assert (place / "venv/share/man/man1/diskgen.1").is_file()


@extended
@root
def test_a_debian_package_makes_a_disk(release: Path, place: Path) -> None:
    """In a bare Debian without network, as an ordinary user."""
    package = only(release, "*.deb")
    depends = run("dpkg-deb", "--field", package, "Depends")
    bare = place / "root"
    run(
        "unshare", "--mount", "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
        f"--include={','.join(_names(depends))}", "bookworm", bare,
        "http://deb.debian.org/debian",
    )  # fmt: skip
    shutil.copy(package, bare / "diskgen.deb")
    offline = ("unshare", "--net", "--mount", "chroot")
    run(*offline, bare, "dpkg", "--install", "/diskgen.deb")
    work = bare / "home/work"
    work.mkdir()
    bootable(work / "os")
    for path in (work, *work.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    inside = (
        *offline, f"--userspec={NOBODY}:{NOBODY}", bare, "/usr/bin/env", "-i", "HOME=/home/work",
        "PATH=/usr/bin:/bin", "sh", "-c",
    )  # fmt: skip
    assert run(*inside, "diskgen --version") == f"diskgen {__version__}\n"
    assert __version__ in run(*inside, "bootc-image-builder version")
    run(*inside, "cd && diskgen qcow2 oci:os -o os.qcow2")
    run("qemu-img", "check", work / "os.qcow2")
    run(*offline, bare, "dpkg", "--purge", "diskgen")
    assert not (bare / "usr/lib/diskgen").exists()


def _names(depends: str) -> list[str]:
    """Return the names of packages in a Depends field, each once."""
    words = [word.partition("|")[0].strip() for word in depends.split(",")]
    return sorted({re.split(r"[\s(:]", word)[0] for word in words})
