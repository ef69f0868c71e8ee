"""Disks of machines that are described: by a file, by options, by both; what lies on them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diskgen.cli.described import added
from diskgen.errors import UsageError
from diskgen.units import GIB, MIB

from .fixtures.oci import TarBuilder, bootable
from .fixtures.program import Program

HASH = "$6$abcdefgh$" + "x" * 86
KEY = "ssh-ed25519 AAAAC3Nza me@x"
CONFIG = f"""
[[customizations.user]]
name = "ann"
password = "secret words"
key = "{KEY}"
groups = ["wheel"]
[[customizations.user]]
name = "root"
password = "{HASH}"
[[customizations.group]]
name = "tea"
[[customizations.files]]
path = "/etc/app.conf"
data = "a = 1\\n"
user = "ann"
mode = "0640"
[[customizations.directories]]
path = "/etc/app.d"
[[customizations.filesystem]]
mountpoint = "/"
minsize = "11 GiB"
[[customizations.filesystem]]
mountpoint = "/boot"
minsize = "3 GiB"
[customizations]
hostname = "box"
[customizations.kernel]
append = "quiet a=1"
[customizations.services]
enabled = ["app"]
masked = ["b.service"]
"""
# What diff(1) says of the image's /etc and the machine's: nothing else was touched.
CHANGED = {
    "Files usr/etc/passwd and etc/passwd differ", "Files usr/etc/shadow and etc/shadow differ",
    "Files usr/etc/group and etc/group differ", "Files usr/etc/gshadow and etc/gshadow differ",
    "Files usr/etc/hostname and etc/hostname differ", "Only in etc: app.conf",
    "Only in etc: app.d", "Only in etc: fstab", "Only in etc/systemd/system: b.service",
    "Only in etc/systemd/system: multi-user.target.wants",
}  # fmt: skip


@pytest.fixture
def layout(images: Path) -> Path:
    tar = TarBuilder()
    for path, text in {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/shadow": "root:*:19000::::::\n",
        "etc/group": "root:x:0:\nwheel:x:10:\n", "etc/gshadow": "root:*::\nwheel:*::\n",
        "etc/login.defs": "USERGROUPS_ENAB yes\nHOME_MODE 0700\n", "etc/skel/.profile": "# x\n",
        "etc/machine-id": "", "etc/systemd/system/.keep": "",
        "usr/lib/systemd/system/app.service": "[Install]\nWantedBy=multi-user.target\n",
        "usr/lib/systemd/system/b.service": "[Service]\n",
    }.items():  # fmt: skip
        tar.file(path, text.encode())
    tar.symlink("home", "var/home")
    tar.symlink("root", "var/roothome")
    return bootable(images / "os", tar.finish())


@pytest.fixture
def config(diskgen: Program) -> Iterator[Path]:
    path = diskgen.place / "machine.toml"
    path.write_text(CONFIG)
    yield path
    path.unlink()


def unpacked(disk: Path, plan: dict[str, Any], place: Path) -> Path:
    """Return the files of a disk's root filesystem, read by e2fsprogs."""
    (start,) = [part["start"] for part in plan["disk"]["partitions"] if part["role"] == "root"]
    place.mkdir()
    subprocess.run(["debugfs", "-R", f"rdump / {place}", f"{disk}?offset={start}"],
                   check=True, capture_output=True)  # fmt: skip
    return place


@pytest.mark.root
def test_a_disk_has_what_its_machine_is_given(
    diskgen: Program, layout: Path, config: Path, tmp_path: Path
) -> None:
    plan = json.loads(diskgen("plan", "raw", f"oci:{layout}", "--config", config, "--json"))
    assert plan["machine"]["accounts"] == ["ann", "root"]
    assert plan["deployment"]["kargs"][-3:-1] == ["quiet", "a=1"]
    sizes = {part["role"]: part["size"] for part in plan["disk"]["partitions"]}
    assert sizes["root"] >= 11 * GIB
    assert sizes["boot"] == 3 * GIB
    diskgen("raw", f"oci:{layout}", "--config", config)
    disk = diskgen.place / "os.raw"
    assert disk.stat().st_mode & 0o777 == 0o600  # it has password hashes
    root = unpacked(disk, plan, tmp_path / "root")
    place = root / "ostree/deploy/default"
    (deployment,) = (place / "deploy").glob("*.0")
    shadow = (deployment / "etc/shadow").read_text()
    assert f"root:{HASH}:" in shadow
    assert "ann:$6$" in shadow
    home = place / "var/home/ann"
    assert (home.stat().st_uid, home.stat().st_mode & 0o7777) == (1000, 0o700)
    assert (home / ".profile").stat().st_uid == 1000
    assert (home / ".ssh/authorized_keys").read_text() == f"{KEY}\n"
    conf = (deployment / "etc/app.conf").stat()
    assert (conf.st_uid, conf.st_gid, conf.st_mode & 0o7777) == (1000, 0, 0o640)
    said = subprocess.run(
        ["diff", "-rq", "--no-dereference", "usr/etc", "etc"], cwd=deployment,
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    assert set(said.splitlines()) == CHANGED
    # The same input, the same bytes; and the password is nowhere.
    first = disk.read_bytes()[: 64 * MIB]
    diskgen("raw", f"oci:{layout}", "--config", config, "--force")
    assert disk.read_bytes()[: 64 * MIB] == first
    for path in diskgen.cache.rglob("*"):
        assert not path.is_file() or b"secret words" not in path.read_bytes()
    disk.unlink()


def test_options_win_and_it_is_said(diskgen: Program, layout: Path, config: Path) -> None:
    key = diskgen.place / "key.pub"
    key.write_text(f"{KEY} other\n")
    extra = diskgen.place / "motd"
    extra.write_text("hello\n")
    words = ("plan", "raw", f"oci:{layout}", "--config", config, "--hostname", "other",
             "--user", "ann", "--user-key", key, "--user", "ben", "--root-key", key,
             "--add", f"{extra}:/etc/motd:0600:ann")  # fmt: skip
    plan = json.loads(diskgen(*words, "--json"))
    assert plan["machine"]["hostname"] == "other"
    assert plan["machine"]["accounts"] == ["ann", "root", "ben"]
    assert plan["machine"]["files"] == ["/etc/app.conf", "/etc/motd"]
    assert plan["machine"]["overridden"] == ["--hostname", "--user ann"]
    text = diskgen(*words)
    assert text.count("win over") == 1
    key.unlink()
    extra.unlink()


def test_json_on_standard_input(diskgen: Program, layout: Path) -> None:
    done = subprocess.run(
        diskgen.command("plan", "raw", f"oci:{layout}", "--config", "-", "--json"),
        input=json.dumps({"customizations": {"hostname": "a"}}), env=diskgen.environment(),
        capture_output=True, text=True, check=True, cwd=diskgen.place,
    )  # fmt: skip
    assert json.loads(done.stdout)["machine"]["hostname"] == "a"


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [("[customizations]\nhostnam = 'x'\n", 2, "line 2: 'customizations.hostnam' is not known"),
     ("[[customizations.user]]\nname = 'a:b'\n", 2, "customizations.user[0].name"),
     ("[customizations.disk]\nminsize = 1\n", 2, "customizations.disk"),
     ("[customizations.services]\nenabled = ['nope']\n", 2, "the image has none"),
     ("[[customizations.files]]\npath = '/usr/x'\n", 2, "is a part of the image"),
     ("[customizations.firewall]\nports = ['1:tcp']\n", 2, "the image has no firewalld")],
)  # fmt: skip
def test_what_cannot_be_ends_before_anything_is_written(
    diskgen: Program, layout: Path, text: str, status: int, said: str
) -> None:
    config = diskgen.place / "x.toml"
    config.write_text(text)
    done = diskgen.run("raw", f"oci:{layout}", "--config", config)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert not (diskgen.place / "os.raw").exists()
    config.unlink()


@pytest.mark.parametrize("strict", [False, True])
def test_what_is_left_out_is_a_warning_or_an_error(
    diskgen: Program, layout: Path, strict: bool
) -> None:
    config = diskgen.place / "x.json"
    config.write_text(
        json.dumps(
            {
                "packages": [{"name": "vim"}],
                "customizations": {"rhsm": {}, "timezone": {"timezone": "M/x"}},
            }
        )
    )
    words = ["plan", "raw", f"oci:{layout}", "--config", str(config)]
    done = diskgen.run(*words, *(["--strict"] if strict else []))
    assert done.returncode == (2 if strict else 0)
    said = done.stderr if strict else done.stdout
    for name in ("'packages' of", "'customizations.rhsm' of", "no time zone 'M/x'"):
        assert said.count(name) == 1, said
    config.unlink()


@pytest.mark.parametrize("text", ["x", "x:y", "/nowhere:/etc/x", ":/etc/x"])
def test_files_that_cannot_be_added(diskgen: Program, layout: Path, text: str) -> None:
    done = diskgen.run("plan", "raw", f"oci:{layout}", "--add", text)
    assert done.returncode == 2
    assert "--add" in done.stderr or "cannot be read" in done.stderr


@pytest.mark.parametrize("more", ["0888", "888", "ann", "0640:ann:x"])
def test_what_is_no_mode_is_no_owner(more: str) -> None:
    with pytest.raises(UsageError, match="is no file to add"):
        added(f"/dev/null:/etc/x:{more}")


@pytest.mark.parametrize(
    ("name", "said"),
    [("none.toml", "cannot be read"), ("x.yaml", "neither TOML nor JSON"),
     ("latin.toml", "no UTF-8"), ("big.toml", "budget 'document-bytes'")],
)  # fmt: skip
def test_descriptions_that_cannot_be_read(
    diskgen: Program, layout: Path, name: str, said: str
) -> None:
    (diskgen.place / "latin.toml").write_bytes(b"name = '\xe4'\n")
    (diskgen.place / "big.toml").write_bytes(b"#" * (MIB + 1))
    done = diskgen.run("plan", "raw", f"oci:{layout}", "--config", name)
    assert done.returncode == 2
    assert said in done.stderr
    for each in ("latin.toml", "big.toml"):
        (diskgen.place / each).unlink()
