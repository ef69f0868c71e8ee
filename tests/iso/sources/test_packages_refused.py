"""Sources of packages that are none, damaged or hostile: each error names what is wrong."""

from __future__ import annotations

import os
import re
import socket
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from diskgen.errors import UsageError
from diskgen.iso.sources import repodata, suites
from diskgen.iso.sources.packages import examine

from ...fixtures import package_sources as make
from ...fixtures.package_sources import CONTROL, apt_tree, ar, by_hand, deb, rpm_tree, tar

GOOD = ar(
    [("debian-binary", b"2.0\n"), ("control.tar", tar([("control", CONTROL.encode())])),
     ("data.tar", tar([]))]
)  # fmt: skip
BOMB = tar([("./filler", bytes(64 * 1024 * 1024)), ("./control", CONTROL.encode())])


def refused(place: Path, message: str, hint: str = "") -> None:
    """Expect an error whose message holds ``message``, and whose hint holds ``hint``."""
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        examine(place)
    assert caught.value.setting == "packages"
    assert hint in (caught.value.hint or "")


def refused_deb(place: Path, data: bytes, message: str) -> None:
    (place / "bad.deb").write_bytes(data)
    refused(place, f"'{place}/bad.deb' is no package that can be used: ", "dpkg-deb --info")
    refused(place, message)


def with_control(name: str, data: bytes) -> bytes:
    return ar([("debian-binary", b"2.0\n"), (name, data), ("data.tar", tar([]))])


def test_what_is_no_source(tmp_path: Path) -> None:
    refused(tmp_path / "none", f"'{tmp_path}/none' does not exist", "repodata/repomd.xml")
    refused(tmp_path, f"'{tmp_path}' is empty", "a directory of .deb files")
    (tmp_path / "empty/er").mkdir(parents=True)
    refused(tmp_path, f"'{tmp_path}' is empty")
    (tmp_path / "photo.jpg").touch()
    refused(tmp_path, f"the first of 1 is '{tmp_path}/photo.jpg'", "dists/SUITE/Release")
    refused(tmp_path / "photo.jpg", "photo.jpg' is no directory")
    (tmp_path / "dists/stable").mkdir(parents=True)
    refused(tmp_path, "has 'dists' and no 'Release'")


def test_mixtures(tmp_path: Path) -> None:
    (tmp_path / "a.rpm").touch()
    refused(tmp_path, "has .rpm files and no repodata", f"createrepo_c {tmp_path}")
    (tmp_path / "a.deb").write_bytes(GOOD)
    refused(tmp_path, "has .deb files and .rpm files")
    rpm_tree(tmp_path / "rpm", [("noarch", "b.rpm")])
    refused(
        tmp_path,
        f"'{tmp_path}' has .rpm files that no repository names",
        f"createrepo_c {tmp_path}",
    )
    (tmp_path / "a.rpm").rename(tmp_path / "rpm/unlisted.rpm")
    assert examine(tmp_path).kind == "rpm"
    (tmp_path / "rpm-extra/x").mkdir(parents=True)
    (tmp_path / "rpm-extra/x/c.rpm").touch()
    refused(tmp_path, f"'{tmp_path}/rpm-extra/x' has .rpm files", f"{tmp_path}/rpm-extra/x")
    apt_tree(tmp_path)
    refused(tmp_path, "has RPM repositories and an apt repository")


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "../outside.deb", "sub/../../outside.deb", "here/../outside.deb",
     "missing/../../outside.deb", "loop"],
)  # fmt: skip
def test_symlinks_that_leave(tmp_path: Path, target: str) -> None:
    place = tmp_path / "place"
    (place / "sub").mkdir(parents=True)
    (place / "good.deb").write_bytes(GOOD)
    (tmp_path / "outside.deb").write_bytes(GOOD)
    (place / "here").symlink_to("sub/..")
    (place / "dangling").symlink_to("sub/none")
    assert examine(place).packages == 1
    (place / "loop").symlink_to(target)
    refused(place, f"'{place}/loop' is a symlink to '{target}'", "replace the link")


def test_symlink_that_leaves_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "good.deb").write_bytes(GOOD)
    (tmp_path / "link").symlink_to(f"../{tmp_path.name}/good.deb")
    refused(tmp_path, "is a symlink to")


def test_files_that_no_source_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.deb").write_bytes(GOOD)
    os.mkfifo(tmp_path / "x")
    refused(tmp_path, f"'{tmp_path}/x' is a fifo")
    (tmp_path / "x").unlink()
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("x")
    refused(tmp_path, f"'{tmp_path}/x' is a socket")
    (tmp_path / "x").unlink()
    deep = tmp_path.joinpath(*["d"] * 70)
    deep.mkdir(parents=True)
    refused(tmp_path, "is nested more than 64 levels deep")


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.deb").write_bytes(GOOD)

    def unreadable(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda _path, _mode: False)
        refused(tmp_path, f"'{tmp_path}/good.deb' cannot be read", "make it readable")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", unreadable)
        refused(tmp_path, f"'{tmp_path}' cannot be read: Permission denied")


def test_truncated_debs(tmp_path: Path) -> None:
    whole = deb(tmp_path / "bad.deb", "app").read_bytes()
    for length in [*range(0, 400, 7), len(whole) - 2]:
        (tmp_path / "bad.deb").write_bytes(whole[:length])
        refused(tmp_path, "bad.deb' is no package that can be used")
    refused_deb(tmp_path, whole[:-100], "it ends in the middle of its member 'data.tar.xz'")
    refused_deb(tmp_path, whole[:40], "it ends in the middle of a member's header")
    refused_deb(tmp_path, b"<html>not found</html>", "it is no ar archive")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ar([("control.tar", b""), ("debian-binary", b"2.0\n")]), "first member is not"),
        (ar([("debian-binary", b"3.0\n")]), "has version '3.0', known is 2.0"),
        (ar([("debian-binary", b"2.0\n")]), "after 'debian-binary' it has ''"),
        (with_control("control.tar.bz2", b""), "it has 'control.tar.bz2', not 'control.tar'"),
        (with_control("data.tar", b""), "it has 'data.tar', not 'control.tar'"),
        (GOOD[: GOOD.index(b"data.tar")], "it has no 'data.tar'"),
        (GOOD.replace(b"`\n", b"xx", 1), "a malformed header"),
        (GOOD.replace(b"4         `", b"-4        `", 1), "a malformed header"),
        (GOOD.replace(b"4         `", b"9999999999`", 1), "in the middle of its member"),
        (with_control("control.tar", bytes(9 * 1024**2)), "its control archive has 9437184 bytes"),
        (with_control("control.tar.gz", b"\x1f\x8bnonsense"), "its compressed data is damaged"),
        (with_control("control.tar.xz", b"nonsense"), "its compressed data is damaged"),
        (with_control("control.tar.zst", b"nonsense"), "its compressed data is damaged"),
        (with_control("control.tar", b"nonsense"), "its control archive: the archive ends"),
        (with_control("control.tar", b"nonsense" * 64), "its control archive: a tar header"),
        (with_control("control.tar", tar([("other", b"")])), "archive has no 'control'"),
        (with_control("control.tar", tar([("control", b"x" * 600)])[:1024]), "ends too early"),
        (with_control("control.tar", tar([("control", bytes(2**21))])), "or too large for one"),
    ],
)  # fmt: skip
def test_malformed_debs(tmp_path: Path, data: bytes, message: str) -> None:
    refused_deb(tmp_path, data, message)


def test_control_that_is_a_link(tmp_path: Path) -> None:
    info = tarfile.TarInfo("./control")
    info.type = tarfile.SYMTYPE
    info.linkname = "/etc/passwd"
    refused_deb(tmp_path, with_control("control.tar", info.tobuf() + bytes(1024)), "no regular")


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_decompression_bombs(tmp_path: Path, suffix: str) -> None:
    packed = make.COMPRESS[suffix](BOMB)
    assert len(packed) < 100_000
    tracemalloc.start()
    try:
        refused_deb(tmp_path, with_control(f"control.tar{suffix}", packed), "more than 8 MiB")
        assert tracemalloc.get_traced_memory()[1] < 48 * 1024**2  # the bomb has 64
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_compressed_control_that_is_cut_short(tmp_path: Path, suffix: str) -> None:
    packed = make.COMPRESS[suffix](tar([("./control", CONTROL.encode())]))
    refused_deb(tmp_path, with_control(f"control.tar{suffix}", packed[:80]), "data is damaged")


def test_members_of_later_formats_are_passed_over(tmp_path: Path) -> None:
    members = [("debian-binary", b"2.1\nnew\n"), ("_signature", b"x"),
               ("control.tar/", tar([("control", CONTROL.encode())])), ("data.tar", b""),
               ("_more", b"")]  # fmt: skip
    (tmp_path / "good.deb").write_bytes(ar(members))
    assert examine(tmp_path).packages == 1


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (CONTROL.replace("Package: app\n", ""), "has no field 'Package'"),
        (CONTROL.replace("Version: 1.0\n", ""), "has no field 'Version'"),
        (CONTROL.replace("Architecture: all\n", ""), "has no field 'Architecture'"),
        (CONTROL.replace("app", ""), "has the Package ''"),
        (CONTROL.replace("app", "../app"), "has the Package '../app'"),
        (CONTROL.replace("1.0", "1.0 2"), "has the Version '1.0 2'"),
        (CONTROL.replace("app", "app\n more"), "has 'package' on more than one line"),
        (CONTROL + "package: other\n", "has 'package' twice"),
        (CONTROL + "\nPackage: evil\nVersion: 2\n", "has the line ''"),
        (CONTROL + "Description: x\n \t\nPackage: evil\n", "has the line"),
        (CONTROL + "\r\nX: y\n", "has the line"),
        (CONTROL + "no field\n", "has the line 'no field'"),
        (CONTROL + "# X: y\n", "has the line '# X: y'"),
        (CONTROL + "X: \0\n", "bytes that are no text"),
        (" \n" + CONTROL, "has the line"),
        ("", "has the line ''"),
    ],
)
def test_malformed_control_files(tmp_path: Path, control: str, message: str) -> None:
    refused_deb(tmp_path, by_hand(control), message)


def test_names_that_no_index_can_hold(tmp_path: Path) -> None:
    (tmp_path / "a\nPackage: evil.deb").write_bytes(GOOD)
    refused(tmp_path, "has a control character in its name")


def test_different_files_of_one_version(tmp_path: Path) -> None:
    deb(tmp_path / "a.deb", "app", content="1")
    deb(tmp_path / "b.deb", "app", content="2", arch="amd64")
    assert examine(tmp_path).packages == 2
    deb(tmp_path / "c.deb", "app", content="2")
    refused(tmp_path, "'a.deb' and 'c.deb' differ, and both are 'app' 1.0 for all")


def test_directory_in_place_of_the_index(tmp_path: Path) -> None:
    (tmp_path / "Packages").mkdir()
    (tmp_path / "Packages/a.deb").write_bytes(GOOD)
    refused(tmp_path, f"'{tmp_path}/Packages' is a directory", "rename it")


def test_rpm_files_that_are_missing(tmp_path: Path) -> None:
    rpm_tree(tmp_path / "os", [("noarch", f"{number}.rpm") for number in range(4)])
    (tmp_path / "os/3.rpm").unlink()
    (tmp_path / "os/1.rpm").unlink()
    refused(
        tmp_path,
        f"'{tmp_path}/os' lacks '1.rpm', which its repodata names: 2 of 4 packages are not there",
        f"createrepo_c {tmp_path}/os",
    )


@pytest.mark.parametrize("href", ["../outside.rpm", "/etc/passwd", "a/../../outside.rpm", "a"])
def test_rpm_files_elsewhere(tmp_path: Path, href: str) -> None:
    place = rpm_tree(tmp_path / "place", [("noarch", "a/b.rpm")])
    (tmp_path / "outside.rpm").touch()
    make.repodata(place, make.primary([("noarch", href)]))
    refused(place, f"lacks '{href}'")


def test_repomd_that_does_not_fit(tmp_path: Path) -> None:
    place = rpm_tree(tmp_path, [("noarch", "a.rpm")])
    data = make.primary([("noarch", "a.rpm")])
    make.repodata(place, data, digest="0" * 64)
    refused(place, f"'{place}/repodata/primary.xml.gz' has the sha256 '", "createrepo_c")
    make.repodata(place, data, checksum="sha1")
    refused(place, "a checksum of the type 'sha1'")
    make.repodata(place, data, checksum="sha512")
    assert examine(place).packages == 1
    (place / "repodata/primary.xml.gz").unlink()
    refused(place, "lacks 'repodata/primary.xml.gz', which its repomd.xml names")
    make.repodata(place, data, suffix=".bz2")
    refused(place, "primary.xml.bz2' is compressed in a way that diskgen cannot read")
    make.repodata(place, data, kind="group")
    refused(place, "repomd.xml' names no 'primary'")
    (place / "repodata/repomd.xml").write_text("<repomd")
    refused(place, f"'{place}/repodata/repomd.xml' is no XML that can be read")


def test_group_file_is_checked_too(tmp_path: Path) -> None:
    place = rpm_tree(tmp_path, [("noarch", "a.rpm")])
    repomd = place / "repodata/repomd.xml"
    repomd.write_text(
        repomd.read_text().replace(
            "</repomd>",
            '<data type="group"><checksum type="sha256">0</checksum>'
            '<location href="repodata/comps.xml"/></data></repomd>',
        )
    )
    refused(place, "lacks 'repodata/comps.xml'")
    (place / "repodata/comps.xml").touch()
    refused(place, "comps.xml' has the sha256")


def test_repodata_without_packages(tmp_path: Path) -> None:
    refused(rpm_tree(tmp_path, []), f"the repodata of '{tmp_path}' names no packages")


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize("head", [LAUGHS, "<!DOCTYPE x>", '<!DOCTYPE x SYSTEM "file:///dev/zero">'])
def test_doctypes(tmp_path: Path, head: str) -> None:
    place = rpm_tree(tmp_path, [("noarch", "a.rpm")])
    make.repodata(place, make.primary([("noarch", "a.rpm")], head=head))
    refused(place, "primary.xml.gz' cannot be used: it has a DOCTYPE")
    repomd = place / "repodata/repomd.xml"
    repomd.write_text(repomd.read_text().replace("?>", f"?>{head}", 1))
    refused(place, "repomd.xml' cannot be used: it has a DOCTYPE")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</metadata>", "", "is no XML that can be read: no element found"),
        ("noarch<", "n" * 300 + "<", "for a word"),
        ('<location href="a.rpm"/>', "", "names a package without a location"),
        ('href="a.rpm"', 'xml:base="https://example.org/" href="a.rpm"',
         "'a.rpm' is at 'https://example.org/', not in the directory"),
        ('encoding="UTF-8"', 'encoding="nonsense"', "is no XML that can be read"),
    ],
)  # fmt: skip
def test_malformed_primary(tmp_path: Path, old: str, new: str, message: str) -> None:
    place = rpm_tree(tmp_path, [("noarch", "a.rpm")])
    data = make.primary([("noarch", "a.rpm")]).decode()
    assert old in data
    make.repodata(place, data.replace(old, new).encode())
    refused(place, message, "copy the whole repository again")


def test_indexes_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repodata, "_MAX_PRIMARY", 1024**2)
    monkeypatch.setattr(suites, "_MAX_PACKAGES", 1024**2)
    place = rpm_tree(tmp_path / "rpm", [("noarch", "a.rpm")])
    make.repodata(place, make.primary([("noarch", "a.rpm")], head=" " * 2 * 1024**2))
    refused(place, "primary.xml.gz' cannot be used: it holds more than 1 MiB")
    apt_tree(tmp_path / "apt", suffix=".xz")
    packed = make.COMPRESS[".xz"](b"X: y\n" * 1024**2)
    (tmp_path / "apt/dists/stable/main/binary-arm64/Packages.xz").write_bytes(packed)
    refused(tmp_path / "apt", "binary-arm64/Packages.xz' cannot be used: it holds more than 1 MiB")


def test_apt_repository_that_is_damaged(tmp_path: Path) -> None:
    apt_tree(tmp_path, suffix=".gz")
    index = tmp_path / "dists/stable/main/binary-amd64/Packages.gz"
    index.write_bytes(index.read_bytes()[:-12])
    refused(tmp_path, f"'{index}' cannot be used: its compressed data is damaged")


def test_apt_repository_with_a_line_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suites, "_MAX_LINE", 1024**2)
    apt_tree(tmp_path)
    (tmp_path / "dists/stable/main/binary-amd64/Packages").write_bytes(b"x" * 3 * 1024**2)
    refused(tmp_path, "it has a line of more than 1 MiB")


def test_apt_repository_without_its_pool(tmp_path: Path) -> None:
    apt_tree(tmp_path)
    (tmp_path / "pool").rename(tmp_path / "pond")
    refused(tmp_path, "names 3 packages, and none of them is there", "'pool'")
    for index in tmp_path.rglob("Packages"):
        index.unlink()
    refused(tmp_path, f"the apt repository '{tmp_path}' names no packages")
