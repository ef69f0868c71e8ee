"""Sources of packages for a medium: what each kind gives, with apt as the judge of our index."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from diskgen import compression
from diskgen.arch import MACHINES
from diskgen.config import IsoRequest
from diskgen.errors import UsageError
from diskgen.iso.assembly.contents import offer
from diskgen.iso.sources.packages import Source, examine
from diskgen.reference import parse
from diskgen.tree import File, Packed, read

from ...fixtures.materialise import materialise
from ...fixtures.package_sources import (
    COMPRESS,
    apt_tree,
    by_hand,
    deb,
    primary,
    repodata,
    rpm_tree,
)


def listing(source: Source) -> list[tuple[object, ...]]:
    """All that matters of a tree, in its own order."""
    found: list[tuple[object, ...]] = [(list(source.tree.entries),)]
    for path, node in source.tree.walk():
        about = (path, node.mode, node.uid, node.gid, node.mtime_ns)
        if isinstance(node, File):
            found.append((*about, node.target, node.content and read(node.content)))
        else:
            found.append((*about, list(node.entries)))
    return found


class Apt:
    """An apt that knows one repository and nothing of its host."""

    def __init__(self, place: Path, repository: Path) -> None:
        self.place = place
        for name in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial",
                     "var/cache/apt/archives/partial", "var/lib/dpkg", "down"):  # fmt: skip
            (place / name).mkdir(parents=True)
        (place / "var/lib/dpkg/status").touch()
        (place / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{repository} ./\n")
        (place / "apt.conf").write_text(
            f'Dir "{place}";\nDir::State::status "{place}/var/lib/dpkg/status";\n'
            'APT::Architecture "amd64";\nAPT::Architectures "amd64";\n'
            'APT::Sandbox::User "root";\n'
        )

    def __call__(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["apt-get", *argv], cwd=self.place / "down", check=False, capture_output=True,
            text=True, env=os.environ | {"APT_CONFIG": f"{self.place}/apt.conf", "LC_ALL": "C"},
        )  # fmt: skip


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Two packages, one of which needs the other; names as apt and people make them."""
    place = tmp_path / "pool"
    (place / "lib").mkdir(parents=True)
    deb(place / "app_2.0_all.deb", "app", version="2.0", more="Depends: libapp (>= 1:1.0)\n")
    deb(place / "lib/libapp_1%3a1.0+x_ä é.deb", "libapp", version="1:1.0+x", arch="amd64")
    return place


def test_apt_installs_from_our_index(pool: Path, tmp_path: Path) -> None:
    materialise(examine(pool).tree, tmp_path / "medium")
    apt = Apt(tmp_path / "apt", tmp_path / "medium")
    update = apt("update")
    assert update.returncode == 0, update.stderr
    assert not update.stderr, "a warning that every user of the medium would see"
    install = apt("--simulate", "install", "app")
    assert install.returncode == 0, install.stdout
    inst = [line.split()[1] for line in install.stdout.splitlines() if line.startswith("Inst")]
    assert inst == ["libapp", "app"]
    download = apt("download", "app", "libapp")
    assert download.returncode == 0, download.stderr
    fetched = {path.read_bytes() for path in (apt.place / "down").iterdir()}
    assert fetched == {path.read_bytes() for path in pool.rglob("*.deb")}


def test_apt_notices_a_file_that_is_not_the_one_of_the_index(pool: Path, tmp_path: Path) -> None:
    medium = tmp_path / "medium"
    materialise(examine(pool).tree, medium)
    damaged = bytearray((medium / "app_2.0_all.deb").read_bytes())
    damaged[-1] ^= 1
    (medium / "app_2.0_all.deb").write_bytes(damaged)
    apt = Apt(tmp_path / "apt", medium)
    assert apt("update").returncode == 0
    download = apt("download", "app")
    assert download.returncode != 0
    assert "Hash Sum mismatch" in download.stderr


def test_apt_notices_an_index_that_is_not_the_one_of_the_release(
    pool: Path, tmp_path: Path
) -> None:
    medium = tmp_path / "medium"
    materialise(examine(pool).tree, medium)
    index = (medium / "Packages").read_bytes()
    (medium / "Packages").write_bytes(index.replace(b"2.0", b"9.0"))
    update = Apt(tmp_path / "apt", medium)("update")
    assert update.returncode != 0
    assert "mismatch" in update.stderr or "unexpected size" in update.stderr


def test_loose_debs(pool: Path) -> None:
    source = examine(pool)
    assert (source.kind, source.packages, source.repositories) == ("debs", 2, (".",))
    assert source.architectures == {"all", "amd64"}
    file = source.tree.get_file("app_2.0_all.deb")
    assert file is not None
    size = (pool / "app_2.0_all.deb").stat().st_size
    assert file.content == Packed(pool / "app_2.0_all.deb", size, ((0, size, 0),))
    index = source.tree.get_file("Packages")
    release = source.tree.get_file("Release")
    assert index is not None
    assert index.content is not None
    assert release is not None
    digest = hashlib.sha256((pool / "app_2.0_all.deb").read_bytes()).hexdigest()
    assert read(index.content).decode().partition("\n\n")[0] == (
        "Package: app\nVersion: 2.0\nArchitecture: all\nDepends: libapp (>= 1:1.0)\n"
        "Maintainer: M <m@example.org>\nDescription: a package\n of a test\n"
        f"Filename: ./app_2.0_all.deb\nSize: {size}\nSHA256: {digest}"
    )
    debs = sum(path.stat().st_size for path in pool.rglob("*.deb"))
    assert source.size == debs + index.size + release.size


@pytest.mark.parametrize("compress", ["none", "gzip", "xz", "zstd"])
def test_every_compression_of_dpkg(tmp_path: Path, compress: str) -> None:
    if compress == "zstd":  # dpkg of Debian 12 reads it, that of Ubuntu writes it
        (tmp_path / "app.deb").write_bytes(by_hand(suffix=".zst"))
    else:
        deb(tmp_path / "app.deb", "app", compress=compress)
    assert examine(tmp_path).architectures == {"all"}


def test_what_a_package_says_of_its_own_file_is_not_believed(tmp_path: Path) -> None:
    more = "filename: /x\nSize: 1\nSHA512: 00\nMD5sum: 00\n 11\nX-Sized: 5\n"
    (tmp_path / "a.deb").write_bytes(
        by_hand(f"Package: app\nVersion: 1\nArchitecture: all\n{more}")
    )
    index = examine(tmp_path).tree.get_file("Packages")
    assert index is not None
    assert index.content is not None
    lines = read(index.content).decode().splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "Package", "Version", "Architecture", "X-Sized", "Filename", "Size", "SHA256"
    ]  # fmt: skip
    assert lines[4] == "Filename: ./a.deb"


def test_indexes_that_were_there_give_way(pool: Path, tmp_path: Path) -> None:
    for name in ("InRelease", "Packages.gz", "Packages", "Release.gpg"):
        (pool / name).write_bytes(b"of someone else")
    source = examine(pool)
    assert source.tree.entries.keys() == {b"app_2.0_all.deb", b"lib", b"Packages", b"Release"}
    materialise(source.tree, tmp_path / "medium")
    again = examine(tmp_path / "medium")  # our own output is a source, and the same
    assert listing(again) == listing(source)


def test_order_of_the_index(tmp_path: Path) -> None:
    wanted = [("a", "1.0", "all"), ("a", "1.0", "amd64"), ("a", "2.0", "all"), ("b", "0.1", "all")]
    for file, (name, version, arch) in zip("dcba", wanted, strict=True):
        control = f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\n"
        (tmp_path / f"{file}.deb").write_bytes(by_hand(control))
        (tmp_path / f"{file}2.deb").write_bytes(by_hand(control))
    index = examine(tmp_path).tree.get_file("Packages")
    assert index is not None
    assert index.content is not None
    lines = read(index.content).decode().splitlines()
    assert [line[12:-4] for line in lines if line.startswith("Filename")] == [
        "d", "d2", "c", "c2", "b", "b2", "a", "a2"
    ]  # fmt: skip


def test_links_to_packages(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    deb(tmp_path / "blobs/app.deb", "app").rename(tmp_path / "blobs/0123")
    deb(tmp_path / "lib_1.deb", "lib")
    (tmp_path / "app.deb").symlink_to("blobs/0123")
    (tmp_path / "blobs/lib.deb").symlink_to("../lib_1.deb")
    source = examine(tmp_path)
    assert source.packages == 2
    link = source.tree.get("app.deb")
    assert isinstance(link, File)
    assert link.is_symlink
    assert link.target == b"blobs/0123"
    materialise(source.tree, tmp_path / "medium")
    apt = Apt(tmp_path / "apt", tmp_path / "medium")
    apt("update")
    assert apt("download", "app").returncode == 0
    assert [path.stat().st_size for path in (apt.place / "down").iterdir()] == [
        (tmp_path / "blobs/0123").stat().st_size
    ]


def test_the_same_content_twice_is_no_conflict(tmp_path: Path) -> None:
    deb(tmp_path / "a.deb", "app")
    shutil.copy(tmp_path / "a.deb", tmp_path / "b.deb")
    assert examine(tmp_path).packages == 2


def test_names_that_are_no_text(tmp_path: Path) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.deb"))
    place.write_bytes(by_hand())
    source = examine(tmp_path)
    assert b"\xff.deb" in source.tree.entries
    index = source.tree.get_file("Packages")
    assert index is not None
    assert index.content is not None
    assert b"Filename: ./\xff.deb\n" in read(index.content)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_rpm_repository(tmp_path: Path, suffix: str) -> None:
    packages = [("x86_64", "Packages/b/bash-5.rpm"), ("noarch", "Packages/t/tz+data~1^2.rpm")]
    source = examine(rpm_tree(tmp_path, packages, suffix=suffix))
    assert (source.kind, source.packages, source.repositories) == ("rpm", 2, (".",))
    assert source.architectures == {"x86_64", "noarch"}
    assert source.size == sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert source.tree.get_file("Packages/b/bash-5.rpm") is not None
    assert source.tree.get_file("repodata/repomd.xml") is not None


def test_tree_of_several_rpm_repositories(tmp_path: Path) -> None:
    rpm_tree(tmp_path / "BaseOS", [("x86_64", "Packages/bash.rpm")])
    rpm_tree(tmp_path / "AppStream", [("noarch", "Packages/z.rpm"), ("x86_64", "a.rpm")])
    rpm_tree(tmp_path / "Empty", [])
    (tmp_path / "EULA").write_text("text")
    (tmp_path / "base").symlink_to("BaseOS")
    source = examine(tmp_path)
    assert source.repositories == ("AppStream", "BaseOS", "Empty")
    assert (source.packages, source.architectures) == (3, frozenset({"x86_64", "noarch"}))
    assert source.tree.get_file("EULA") is not None


def test_a_package_cannot_say_what_its_file_is(tmp_path: Path) -> None:
    """An index is what says it; a second answer would be taken by whoever reads the last."""
    fields = {
        "Filename": "../x",
        "Size": "1",
        "MD5sum": "0",
        "SHA1": "0",
        "sha256": "0",
        "SHA512": "0",
    }
    said = "".join(f"{name}: {value}\n" for name, value in fields.items())
    data = by_hand(f"Package: p\nVersion: 1\nArchitecture: all\n{said}Description: d\n")
    (tmp_path / "p.deb").write_bytes(data)
    index = examine(tmp_path).tree.get_file("Packages")
    assert index is not None
    assert index.content is not None
    assert read(index.content).decode() == (
        "Package: p\nVersion: 1\nArchitecture: all\nDescription: d\nFilename: ./p.deb\n"
        f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    )


def test_rpm_repository_of_links(tmp_path: Path) -> None:
    os_tree = rpm_tree(
        tmp_path / "os", [("x86_64", "Packages/bash.rpm"), ("x86_64", "Packages/zsh.rpm")]
    )
    (os_tree / "Packages").rename(tmp_path / "pool")
    (os_tree / "Packages").symlink_to("../pool")
    (tmp_path / "pool/bash.rpm").rename(tmp_path / "blob")
    (tmp_path / "pool/bash.rpm").symlink_to("../blob")
    (os_tree / "repodata").rename(tmp_path / "metadata")
    (os_tree / "repodata").symlink_to("./../os/../metadata")
    assert examine(tmp_path).packages == 2


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("piece", [4, 1024])
def test_compressed_files_of_several_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, piece: int
) -> None:
    monkeypatch.setattr(compression, "_PIECE", piece)
    rpm_tree(tmp_path, [("noarch", f"{number}.rpm") for number in range(3)])
    data = primary([("noarch", f"{number}.rpm") for number in range(3)])
    parts = COMPRESS[suffix](data[:300]), COMPRESS[suffix](data[300:])
    repodata(tmp_path, (bytes(12) if suffix == ".xz" else b"").join(parts), suffix=suffix, raw=True)
    assert examine(tmp_path).packages == 3


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_apt_repository(tmp_path: Path, suffix: str) -> None:
    apt_tree(tmp_path, suffix=suffix)
    apt_tree(tmp_path, "other/updates", suffix=suffix, release="InRelease")
    main = tmp_path / "dists/stable/main"
    (main / "binary-amd64/by-hash").mkdir()
    (main / "debian-installer/binary-amd64").mkdir(parents=True)
    for place in ("binary-amd64/by-hash", "debian-installer/binary-amd64"):
        (main / place / "Packages").write_text("Package: u\nFilename: pool/u.udeb\n")
    if not suffix:  # it is what is read where there are several
        (main / "binary-amd64/Packages.gz").write_bytes(b"damaged")
    source = examine(tmp_path)
    assert (source.kind, source.packages) == ("apt", 3)
    assert source.repositories == ("dists/other/updates", "dists/stable")
    assert source.architectures == {"all", "amd64", "arm64"}
    assert source.size == sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())


@pytest.mark.parametrize("kind", ["debs", "rpm", "apt"])
def test_the_same_files_give_the_same_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    first = tmp_path / "first"
    first.mkdir()
    if kind == "debs":
        for number in range(5):
            (first / f"{number}.deb").write_bytes(
                by_hand(f"Package: p\nVersion: {9 - number}\nArchitecture: all\n")
            )
    elif kind == "rpm":
        rpm_tree(first, [("noarch", f"Packages/{number}.rpm") for number in range(5)])
    else:
        apt_tree(first)
    (first / "link").symlink_to(".")
    (first / "empty").touch()
    before = examine(first)
    second = tmp_path / "second"
    shutil.copytree(first, second, symlinks=True)
    for path in second.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o700)
            os.utime(path, (1, 1))
    shuffled = random.Random(1)
    original = Path.iterdir

    def iterdir(self: Path) -> list[Path]:
        names = list(original(self))
        shuffled.shuffle(names)
        return names

    monkeypatch.setattr(Path, "iterdir", iterdir)
    for _turn in range(3):
        after = examine(second)
        assert listing(after) == listing(before)
        assert (after.packages, after.size) == (before.packages, before.size)
    empty = before.tree.get_file("empty")
    assert empty is not None
    assert empty.content == Packed(first / "empty", 0, ())


@pytest.mark.parametrize("names", [(), ("vim", "mc")])
@pytest.mark.parametrize("below", ["", "Everything/os"])
def test_what_a_medium_offers_of_a_directory(
    tmp_path: Path, below: str, names: tuple[str, ...]
) -> None:
    rpm_tree(tmp_path / below, [("noarch", "a.rpm")])
    request = IsoRequest(
        source=parse("quay.io/example/os:1"), arch="x86_64", packages=str(tmp_path),
        package_names=names,
    )  # fmt: skip
    offered = offer(request, MACHINES["x86_64"])
    assert offered.source is not None
    assert offered.packages is not None
    place = f"file:///run/install/repo/diskgen/packages/{below}".rstrip("/")
    assert (offered.packages.kind, offered.packages.url) == ("url", place)
    assert (offered.packages.names, offered.packages.chosen) == (names or ("@core",), bool(names))
    rpm_tree(tmp_path / below, [("x86_64", "a.rpm")])
    with pytest.raises(UsageError, match="the medium is for aarch64"):
        offer(request, MACHINES["aarch64"])
