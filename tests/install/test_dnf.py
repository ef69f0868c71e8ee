"""Packages by a real dnf: groups, environments, mirrors, signatures, from real repositories."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from diskgen.arch import MACHINES
from diskgen.errors import HostError, ToolError, UsageError
from diskgen.install import package_mode
from diskgen.install.dnf import check, install, keys, release_version
from diskgen.install.identity import given
from diskgen.install.medium import REPOSITORY, holds, local
from diskgen.install.target import Target
from diskgen.kickstart.recipe import PackageSource, parse
from diskgen.layout import Content, Role, make_layout
from diskgen.units import GIB

from ..fixtures import rpm_sources
from ..fixtures.installers import programs
from ..fixtures.rpm_sources import Mirror, Signer, run

DATABASE = "/usr/lib/sysimage/rpm"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="dnf installs as root alone")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rpm")


@pytest.fixture(scope="module")
def built(place: Path) -> Path:
    return rpm_sources.build(place / "built")


@pytest.fixture(scope="module")
def medium(place: Path, built: Path) -> Path:
    """A medium with a repository of packages that nobody signed."""
    shutil.copytree(built, place / "medium/diskgen/packages")
    rpm_sources.index(place / "medium/diskgen/packages")
    return place / "medium"


@pytest.fixture(scope="module")
def signer(place: Path) -> Signer:
    return rpm_sources.signer(place / "distribution", "distribution")


@pytest.fixture(scope="module")
def mirror(place: Path, built: Path, signer: Signer) -> Iterator[Mirror]:
    """A server with the repository signed, of a release, and as it was built."""
    web = place / "web"
    (web / "44").mkdir(parents=True)
    rpm_sources.index(signer.sign(built, web / "signed"))
    (web / "44/os").symlink_to(web / "signed")
    shutil.copytree(built, web / "unsigned")
    rpm_sources.index(web / "unsigned")
    extra = rpm_sources.build(place / "extra", {"extra": ""})
    rpm_sources.index(signer.sign(extra, web / "extra-signed"))
    shutil.copytree(extra, web / "extra-unsigned")
    rpm_sources.index(web / "extra-unsigned")
    with rpm_sources.mirror(web) as served:
        yield served


def source(text: str, head: str) -> PackageSource:
    found = parse(f"{head}\n%packages {text}%end\n", "F44", "x.ks").packages
    assert found is not None
    return found


def installed(
    root: Path, found: PackageSource, medium: Path = Path("/nowhere"), *,
    trusted: tuple[Path, ...] = (), version: str | None = None,
) -> set[str]:  # fmt: skip
    """Install from a source; return the names of the packages that came of it."""
    root.mkdir(exist_ok=True)
    install(
        found, found.names, MACHINES["x86_64"], Target(root), version=version,
        trusted=[path.as_uri() for path in trusted], medium=medium,
    )  # fmt: skip
    return database(root, DATABASE if version is None else run("rpm", "--eval", "%_dbpath").strip())


def database(root: Path, path: str) -> set[str]:
    said = run("rpm", "--root", root, "--dbpath", path, "-qa", "--qf", "%{NAME}\n")
    return {name for name in said.splitlines() if name != "gpg-pubkey"}


def on_it(medium: Path) -> str:
    return f"url --url=file://{medium}/diskgen/packages"


@needs_root
def test_a_group_an_environment_a_package_and_none(medium: Path, tmp_path: Path) -> None:
    text = "--nocore\n@^tiny-server\n@tools\neditor\n-unwanted\n"
    root = tmp_path / "root"
    found = installed(root, source(text, on_it(medium)), medium)
    assert found == {"base", "server", "library", "tool", "suggestion", "editor"}
    assert {path.name for path in (root / "usr/share/tiny").iterdir()} == found
    assert (root / "usr/share/doc/tiny/editor").is_file()
    left = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert not [path for path in left if path.startswith("etc/") or "dnf.conf" in path]
    assert not list((root / "var/cache").glob("*"))
    assert not list((root / "var/log").glob("*"))


@needs_root
def test_the_core_unless_told_otherwise(medium: Path, tmp_path: Path) -> None:
    text = "--exclude-weakdeps --excludedocs\ntool\n"
    assert installed(tmp_path / "root", source(text, on_it(medium)), medium) == {"base", "tool"}
    assert not (tmp_path / "root/usr/share/doc/tiny/tool").exists()


@needs_root
@pytest.mark.parametrize("kind", ["url", "mirrorlist", "metalink"])
def test_a_mirror_of_signed_packages(
    kind: str, mirror: Mirror, signer: Signer, tmp_path: Path
) -> None:
    head = f"url --{kind}={mirror.lists('signed')[kind]}"
    found = source("--nocore\nserver\n", head)
    assert installed(tmp_path / "root", found, trusted=(signer.public,)) == {"server", "library"}
    assert any(path.startswith("/signed/server-1-1") for path in mirror.asked)


@needs_root
def test_the_release_is_filled_in(mirror: Mirror, signer: Signer, tmp_path: Path) -> None:
    found = source("--nocore\nbase\n", f"url --url={mirror.url}/$releasever/os")
    # With the version of a release goes its RPM, whose database is where it says.
    assert installed(tmp_path / "r", found, trusted=(signer.public,), version="44") == {"base"}


@needs_root
@pytest.mark.parametrize("which", ["unsigned", "signed by another"])
def test_packages_that_nobody_vouches_for(
    which: str, mirror: Mirror, signer: Signer, place: Path, tmp_path: Path
) -> None:
    known, repository = signer, "unsigned"
    if which != "unsigned":
        known, repository = rpm_sources.signer(tmp_path / "other", "other"), "signed"
    found = source("--nocore\nbase\n", f"url --url={mirror.url}/{repository}")
    with pytest.raises(ToolError) as caught:
        installed(tmp_path / "root", found, trusted=(known.public,))
    assert "GPG" in str(caught.value.stderr) or "not signed" in str(caught.value.stderr)
    assert not (tmp_path / "root/usr/share").exists()
    # The same away from the medium.
    away = source("--nocore\nbase\n", f"url --url=file://{place}/web/{repository}")
    with pytest.raises(ToolError):
        installed(tmp_path / "root", away, trusted=(known.public,))
    assert not (tmp_path / "root/usr/share").exists()


@needs_root
def test_a_package_by_its_path_is_no_way_around(
    medium: Path, mirror: Mirror, signer: Signer, tmp_path: Path
) -> None:
    for name in (f"{mirror.url}/unsigned/base-1-1.noarch.rpm",
                 str(mirror.place / "unsigned/base-1-1.noarch.rpm")):  # fmt: skip
        found = source(f"--nocore\n{name}\n", on_it(medium))
        with pytest.raises(ToolError):
            installed(tmp_path / "root", found, medium, trusted=(signer.public,))
        assert not (tmp_path / "root/usr/share").exists()


@needs_root
@pytest.mark.parametrize("name", ["main", "installation", "diskgen-0", "a b]", "größe", "%x$y"])
def test_names_of_repositories_mean_nothing(
    name: str, medium: Path, mirror: Mirror, signer: Signer, tmp_path: Path
) -> None:
    """They end no section, and are none that means something."""
    head = f'{on_it(medium)}\nrepo --name="{name}" --baseurl={mirror.url}/extra-'
    text, trusted = "--nocore\nbase\nextra\n", (signer.public,)
    both = installed(tmp_path / "1", source(text, f"{head}signed"), medium, trusted=trusted)
    assert both == {"base", "extra"}
    with pytest.raises(ToolError):
        installed(tmp_path / "2", source(text, f"{head}unsigned"), medium, trusted=trusted)
    assert not (tmp_path / "2/usr/share").exists()


@needs_root
def test_what_is_not_there(medium: Path, tmp_path: Path) -> None:
    text = "--nocore\nbase\nno-such-package\n"
    with pytest.raises(ToolError) as caught:
        installed(tmp_path / "root", source(text, on_it(medium)), medium)
    assert "no-such-package" in caught.value.stderr
    allowed = source(f"--ignoremissing {text}", on_it(medium))
    assert installed(tmp_path / "root", allowed, medium) == {"base"}


@needs_root
def test_the_database_is_where_the_systems_rpm_looks(medium: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for path, data in programs(("rpm",)).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
        (root / path).chmod(0o755)
    for name in ("lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "usr/lib/rpm").mkdir()
    (root / "usr/lib/rpm/rpmrc").write_text("")
    (root / "usr/lib/rpm/macros").write_text("%_dbpath /var/lib/rpm\n")
    found = source("--nocore\nbase\n", on_it(medium))
    assert installed(root, found, medium) == set()  # is not where it was made
    assert database(root, "/var/lib/rpm") == {"base"}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("ID=fedora\nVERSION_ID=44\n", "44"),
        ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.6"\n', "9"),
        ('ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.0"\n', "10"),
        ('ID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="10"\n', "10"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n', "15.6"),
        ("ID=debian\nVERSION_ID=12\n", None),
        ("ID=fedora\n", None),
        ("", None),
    ],
)
def test_the_number_of_a_release(text: str, version: str | None) -> None:
    assert release_version(text) == version


def test_the_keys_of_a_system(tmp_path: Path) -> None:
    folder = tmp_path / "etc/pki/rpm-gpg"
    folder.mkdir(parents=True)
    assert keys(tmp_path) == ()
    (folder / "RPM-GPG-KEY-a").write_text("")
    (folder / "RPM-GPG-KEY-b").write_text("")
    assert keys(tmp_path) == (f"file://{folder}/RPM-GPG-KEY-a", f"file://{folder}/RPM-GPG-KEY-b")
    (tmp_path / "etc/yum.repos.d").mkdir()
    (tmp_path / "etc/yum.repos.d/os.repo").write_text(
        "[os]\nenabled=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-$releasever\n"
        "    file:///second https://far/key\n"
        "[debug]\nenabled = 0\ngpgkey=file:///debug\n[also]\ngpgkey=file:///second,file:///third\n"
    )
    assert keys(tmp_path) == (
        "file:///etc/pki/rpm-gpg/RPM-GPG-KEY-$releasever", "file:///second", "file:///third",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("file:///run/install/repo/diskgen/packages", True),
        ("file:/run/install/repo", True),
        ("file:///run/install/repository", False),
        ("file:///run/install/repo/../../../srv", False),
        ("file:///run/install/repo/%2e%2e/%2E./srv", False),
        ("http://run/install/repo", False),
        ("/run/install/repo", False),
        ("file://host/run/install/repo", False),
        ("file://file:/run/install/repo", False),
        ("file:///srv?/../../run/install/repo", False),  # programs differ in what its path is
        ("file:///srv#/../../run/install/repo", False),
    ],
)
def test_what_is_on_the_medium(url: str, there: bool) -> None:
    assert holds(url) is there


def test_blanks_in_the_path_of_a_url() -> None:
    assert local("file:///run/install/repo/my%20packages") == REPOSITORY / "my packages"


def test_keys_are_not_looked_for_in_a_directory(tmp_path: Path) -> None:
    (tmp_path / "etc/yum.repos.d/a.repo").mkdir(parents=True)
    assert keys(tmp_path) == ()


def test_sources_that_could_not_be_used() -> None:
    near = source("\na\n", "url --url=file:///run/install/repo/diskgen/packages")
    far = source("\na\n", "url --metalink=https://m/?repo=fedora-$releasever")
    check(near, None, ())
    check(far, "44", ("file:///key",))
    with pytest.raises(UsageError, match="has the number of a release to be filled in"):
        check(far, None, ("file:///key",))
    with pytest.raises(HostError, match="cannot be verified: this installer has no keys") as caught:
        check(far, "44", ())
    assert "/etc/pki/rpm-gpg" in (caught.value.hint or "")
    both = source("\na\n", "url --url=file:///run/install/repo/p\nrepo --name=x --baseurl=ftp://h/")
    with pytest.raises(HostError, match="'ftp://h/' cannot be verified"):
        check(both, "44", ())


@pytest.mark.parametrize(
    ("arch", "uefi", "part", "more"),
    [
        ("x86_64", True, "xfs", ("kernel", "dracut", "grub2-tools", "xfsprogs", "grub2-efi-x64",
                                 "shim-x64", "efibootmgr", "dosfstools")),
        ("aarch64", True, "ext4", ("kernel", "dracut", "grub2-tools", "e2fsprogs",
                                   "grub2-efi-aa64", "shim-aa64", "efibootmgr", "dosfstools")),
        ("x86_64", False, "btrfs", ("kernel", "dracut", "grub2-tools", "btrfs-progs", "grub2-pc")),
    ],
)  # fmt: skip
def test_a_machine_is_more_than_what_is_named(
    arch: str, uefi: bool, part: str, more: tuple[str, ...]
) -> None:
    text = f"url --url=http://m\npart / --grow --fstype={part}\n%packages\nvim\n%end\n"
    wanted = parse(text, "F44", "x.ks")
    names = package_mode.rpm_names(wanted, given(wanted), MACHINES[arch], uefi=uefi)
    assert names == ("@core", "vim", *more)
    own = parse(text.replace("vim", "kernel-rt\n-dracut"), "F44", "x.ks")
    names = package_mode.rpm_names(own, given(own), MACHINES[arch], uefi=uefi)
    assert not {"kernel", "dracut"} & set(names)


def test_grub_is_pointed_to_its_menu(tmp_path: Path) -> None:
    content = Content(root=GIB)
    layout = make_layout(MACHINES["x86_64"], seed="s", content=content, disk_size=20 * GIB)
    for name in ("fedora/grubx64.efi", "fedora/shimx64.efi", "BOOT/BOOTX64.EFI"):
        path = tmp_path / "boot/efi/EFI" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"MZ")
    package_mode.point_to_menus(Target(tmp_path), MACHINES["x86_64"], layout)
    made = (tmp_path / "boot/efi/EFI/fedora/grub.cfg").read_text()
    assert f"--fs-uuid --set=root {layout.partition(Role.BOOT).fs_uuid_text}\n" in made
    assert "set prefix=($root)/grub2\n" in made
    run("grub-script-check", tmp_path / "boot/efi/EFI/fedora/grub.cfg")
    assert not (tmp_path / "boot/efi/EFI/BOOT/grub.cfg").exists()
