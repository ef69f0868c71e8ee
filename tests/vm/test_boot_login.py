"""`diskgen boot` lets people in: keys, passwords, credentials, ports, and a command by ssh."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from diskgen.errors import UsageError
from diskgen.vm import credentials, forward

from ..fixtures.login import Pretended, pretend
from ..fixtures.program import Program

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPretended ann@example"
HASH = "$6$salt$Ab3.pretended/hash"


@pytest.fixture
def disk(diskgen: Program) -> Path:
    """A file from which nothing starts: who starts it here only pretends."""
    path = diskgen.place / "disk.raw"
    path.write_bytes(bytes(1 << 20))
    return path


def fakes(diskgen: Program, does: str = "") -> Pretended:
    return pretend(diskgen.own_directory("fakes"), does)


def boot(
    diskgen: Program, made: Pretended, *words: str | Path, **extra: Any
) -> subprocess.CompletedProcess[str]:
    argv = ("boot", diskgen.place / "disk.raw", "--firmware", "bios", *words)
    return diskgen.run(*argv, env=made.environment | extra)


def handed(made: Pretended) -> dict[str, bytes]:
    found = {}
    for text in made.qemu["strings"]:
        prefix, name_value = text.split(":", 1)
        assert prefix == "io.systemd.credential.binary"
        name, value = name_value.split("=", 1)
        found[name] = base64.b64decode(value, validate=True)
    return found


@pytest.mark.parametrize("status", [0, 7, 42, 255])
def test_a_command_by_ssh(diskgen: Program, disk: Path, status: int) -> None:
    made = fakes(diskgen, str(status))
    before = disk.read_bytes()
    done = boot(diskgen, made, "--ssh", "uname -a; true")
    assert done.returncode == status, done.stderr
    assert "ran ['uname -a; true']" in done.stdout
    probe, real = made.ssh
    assert probe["argv"][-2:] == ["--", "exit 0"]
    words = real["argv"]
    assert words[-2:] == ["--", "uname -a; true"]
    assert "root@127.0.0.1" in words
    assert words[:2] == ["-F", "none"]  # nothing of the user's own
    assert {"UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes"} <= set(words)
    assert real["mode"] == oct(0o100600)
    port = words[words.index("-p") + 1]
    assert f"hostfwd=tcp:127.0.0.1:{port}-:22" in " ".join(made.qemu["argv"])
    assert "snapshot=on" in " ".join(made.qemu["argv"])
    lines = handed(made)["tmpfiles.extra"].decode().splitlines()
    assert lines[1] == "f /root/.ssh/authorized_keys 0600 root root -"
    added = base64.b64decode(lines[2].split()[-1]).decode()
    assert added.startswith("\nssh-ed25519 ")
    gone(made)
    assert disk.read_bytes() == before


def gone(made: Pretended) -> None:
    """Nothing of a run is left: no process, no key."""
    for pid in [made.qemu["pid"], *(note["pid"] for note in made.ssh)]:
        assert not Path(f"/proc/{pid}").exists()
    assert not [note for note in made.ssh if Path(note["key"]).parent.exists()]


def test_a_shell_reads_standard_input(diskgen: Program, disk: Path) -> None:
    made = fakes(diskgen)
    argv = diskgen.command("boot", disk, "--firmware", "bios", "--ssh")
    done = subprocess.run(
        argv, input="echo hello\n", env=diskgen.environment(**made.environment, TERM="vt100"),
        cwd=diskgen.place, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ran [] echo hello" in done.stdout
    assert made.ssh[-1]["argv"][-1] == "root@127.0.0.1"
    assert made.ssh[-1]["term"] == "vt100"
    assert "SSH_AUTH_SOCK" not in made.ssh[-1]["names"]


@pytest.mark.parametrize(
    ("does", "status", "words"),
    [
        ("dies", 7, ["the machine ended with status 3", "qemu: no such thing"]),
        ("deaf ends", 7, ["the machine ended with status 4", "last words"]),
        ("deaf", 7, ["nobody could log in by ssh", "--timeout SECONDS", "last words"]),
        ("deaf stalled", 7, ["timers stand still", "start the machine again", "5254 jiffies"]),
        (
            "deaf policy",
            7,
            ["nobody could log in by ssh", "SELinux policy", "give the disk an acc"],
        ),
        ("policy denied", 7, ["does not let 'root' in", "SELinux policy of the machine"]),
        ("mute", 7, ["nobody could log in by ssh"]),
        ("denied", 7, ["does not let 'root' in", "Permission denied (publickey)"]),
        ("nologin", 7, ["'root' cannot log in", "currently not available"]),
        ("killed", 128 + 9, []),
    ],
)
def test_what_goes_wrong_has_a_status(
    diskgen: Program, disk: Path, does: str, status: int, words: list[str]
) -> None:
    made = fakes(diskgen, does)
    done = boot(diskgen, made, "--ssh", "true", "--timeout", "3")
    assert done.returncode == status, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert not Path(f"/proc/{made.qemu['pid']}").exists()
    assert not list(diskgen.place.glob(".diskgen-*"))
    assert disk.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all(diskgen: Program, disk: Path, number: signal.Signals) -> None:
    made = fakes(diskgen, "hangs")
    child = diskgen.start(
        "boot", disk, "--firmware", "bios", "--ssh", "sleep", env=made.environment
    )
    assert child.stdout is not None
    assert child.stdout.readline().startswith("ran ['sleep']")
    child.send_signal(number)
    _out, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "nothing was left behind" in said
    gone(made)


def test_a_kept_disk_is_switched_off(diskgen: Program, disk: Path) -> None:
    made = fakes(diskgen)
    words = diskgen.command("boot", disk, "--firmware", "bios", "--write", "--ssh", "true")
    child = subprocess.Popen(
        words, env=diskgen.environment(**made.environment), cwd=diskgen.place, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    notes = made.place / "ssh.jsonl"
    while child.poll() is None and not (notes.exists() and "poweroff" in notes.read_text()):
        time.sleep(0.1)
    os.kill(made.qemu["pid"], signal.SIGKILL)  # it went
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert [note["argv"][-1] for note in made.ssh] == [
        "exit 0", "true", "systemctl poweroff",
    ]  # fmt: skip
    assert "snapshot=off" in " ".join(made.qemu["argv"])


@pytest.mark.usefixtures("disk")
def test_credentials_are_handed_over_unseen(diskgen: Program) -> None:
    made = fakes(diskgen, "ends")
    key, secret = diskgen.place / "key.pub", diskgen.place / "secret"
    key.write_text(f"# mine\n{KEY}\n\n")
    secret.write_bytes(bytes(range(256)))
    done = boot(
        diskgen, made, "--user-key", key, "--root-password-hash", HASH, "-v",
        "--credential", "login.issue=pass-w0rd", "--credential", f"my.own=@{secret}",
        "--credential", "tmpfiles.extra=d /srv/x", "--forward", "18080:80",
        "--forward", "127.0.0.2:15353:53/udp",
    )  # fmt: skip
    assert done.returncode == 4, done.stderr  # QEMU's
    found = handed(made)
    assert found["login.issue"] == b"pass-w0rd"
    assert found["my.own"] == bytes(range(256))
    assert found["passwd.hashed-password.root"] == HASH.encode()
    lines = found["tmpfiles.extra"].decode().splitlines()
    assert lines[0] == "d /srv/x"
    assert KEY in base64.b64decode(lines[3].split()[-1]).decode()
    assert set(made.qemu["modes"]) == {oct(0o100600)}
    words = " ".join(made.qemu["argv"])
    assert "hostfwd=tcp:127.0.0.1:18080-:80,hostfwd=udp:127.0.0.2:15353-:53" in words
    logs = "".join(p.read_text() for p in diskgen.home.glob(".local/state/diskgen/log/*"))
    assert "qemu-system-x86_64" in logs
    for hidden in ("pass-w0rd", HASH, "salt", base64.b64encode(b"pass-w0rd").decode()):
        assert hidden not in words + logs + done.stderr
    assert not list(diskgen.place.glob(".diskgen-*"))


@pytest.mark.usefixtures("disk")
def test_no_word_of_an_abbreviated_credential_is_logged(diskgen: Program) -> None:
    made = fakes(diskgen, "ends")
    for words in (("--c", "a=s3cret1"), ("--cred=b=s3cret2",), ("--credential", "c=s3cret3")):
        assert boot(diskgen, made, *words).returncode == 4
    logs = [p.read_text() for p in diskgen.home.glob(".local/state/diskgen/log/*")]
    assert len(logs) >= 3
    assert "s3cret" not in "".join(logs)


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--credential", "novalue"], 2, "--credential"),
        (["--credential", "a/b=x"], 2, "'a/b' is no credential's name"),
        (["--credential", "..=x"], 2, "'..' is no credential's name"),
        (["--credential", "a=1", "--credential", "a=2"], 2, "'a' is given twice"),
        (["--credential", "a=@/no/such"], 2, "'/no/such' cannot be read"),
        (["--credential", "a=" + "x" * 50_000], 2, "the credentials take"),
        (["--user-key", "/no/such"], 2, "--user-key"),
        (["--user-key", "/dev/null"], 2, "holds no public key"),
        (["--user-key", "/etc/hostname"], 2, "is no public key"),
        (["--root-password-hash", "a:b"], 2, "no hash of crypt(5)"),
        (["--root-password-hash", "x\nroot::0"], 2, "no hash of crypt(5)"),
        (["--forward", "80"], 2, "'80' names no ports"),
        (["--forward", "0:80"], 2, "'0:80' names no ports"),
        (["--forward", "1:65536"], 2, "names no ports"),
        (["--forward", "1:2/sctp"], 2, "names no ports"),
        (["--forward", "host,net=1:1:2"], 2, "is no IPv4 address"),
        (["--forward", "192.0.2.1:8080:80"], 4, "cannot be forwarded"),
        (["--forward", "8080:80", "--no-network"], 2, "--no-network"),
        (["--ssh", "--no-network"], 2, "--no-network"),
        (["--ssh", "--timeout", "0"], 2, "--timeout"),
        (["--ssh", "--arch", "s390x", "--firmware", "ipl"], 2, "take no credentials"),
        (["--credential", "a=b", "--arch", "s390x", "--firmware", "ipl"], 2, "no SMBIOS"),
    ],
)
def test_refused_before_anything_starts(
    diskgen: Program, disk: Path, words: list[str], status: int, says: str
) -> None:
    made = fakes(diskgen)
    done = boot(diskgen, made, *words)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert not (made.place / "qemu.json").exists()
    assert disk.exists()


def test_a_port_that_is_taken(diskgen: Program, disk: Path) -> None:
    made = fakes(diskgen)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = boot(diskgen, made, "--forward", f"{taken.getsockname()[1]}:80")
    assert done.returncode == 4
    assert "cannot be forwarded" in done.stderr
    assert disk.exists()


@pytest.mark.parametrize("words", [["--ssh"], ["--root-password-hash", HASH]])
def test_nobody_logs_in_to_an_installer(diskgen: Program, disk: Path, words: list[str]) -> None:
    data = bytearray(disk.read_bytes())
    data[0x8001:0x8006] = b"CD001"
    disk.write_bytes(data)
    done = boot(diskgen, fakes(diskgen), *words)
    assert done.returncode == 2
    assert "nobody logs in to an installer" in done.stderr


def test_forms_of_forwards() -> None:
    assert forward.parse("8080:80").rule == "hostfwd=tcp:127.0.0.1:8080-:80"
    assert forward.parse("0.0.0.0:1:2/tcp").rule == "hostfwd=tcp:0.0.0.0:1-:2"
    assert forward.parse("localhost:5:6/udp").rule == "hostfwd=udp:127.0.0.1:5-:6"


@pytest.mark.parametrize("there", [None, "ssh-rsa AAAA old\n", "ssh-rsa AAAA no-line-end"])
@pytest.mark.parametrize("link", [True, False])
@pytest.mark.parametrize("provision", [True, False])
def test_tmpfiles_of_systemd_adds_the_key(
    tmp_path: Path, link: bool, provision: bool, there: str | None
) -> None:
    """The real systemd-tmpfiles obeys, whether root's home is a link and whoever else has lines."""
    if os.geteuid() != 0:
        pytest.skip("gives files to root")
    root, given = tmp_path / "root", tmp_path / "given"
    lines = root / "usr/lib/tmpfiles.d"
    lines.mkdir(parents=True)
    given.mkdir()
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    home = root / ("var/roothome" if link else "root")
    if link:
        (root / "root").symlink_to("var/roothome")
        (lines / "z.conf").write_text("d /var/roothome 0700 root root -\n")
    if provision:
        own = Path("/usr/lib/tmpfiles.d/provision.conf").read_text()
        (lines / "provision.conf").write_text(own)
    (home / ".ssh").mkdir(parents=True) if there or not link else (root / "var").mkdir()
    if there:
        (home / ".ssh/authorized_keys").write_text(there)
    for name, value in credentials.of(credentials.Access(keys=(KEY,))).items():
        (given / name).write_bytes(value)
    subprocess.run(
        ["systemd-tmpfiles", "--create", f"--root={root}"], check=True,
        env={"CREDENTIALS_DIRECTORY": str(given), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    written = home / ".ssh/authorized_keys"
    assert [line for line in written.read_text().splitlines() if line] == [
        *([there.strip()] if there else []), KEY,
    ]  # fmt: skip
    assert oct(written.stat().st_mode) == oct(0o100600)
    assert oct(written.parent.stat().st_mode) == oct(0o040700)


def test_a_name_that_systemd_takes() -> None:
    assert credentials.parse("ssh.authorized_keys.root=a=b") == (
        "ssh.authorized_keys.root", b"a=b",
    )  # fmt: skip
    for text in ("a:b=c", "a b=c", "ä=c", f"{'n' * 256}=c", "=c", "a\n=c"):
        with pytest.raises(UsageError):
            credentials.parse(text)


@pytest.mark.parametrize(
    "name",
    [
        "passwd.hashed-password.root",
        "systemd.unit-dropin.sysinit.target",
        "systemd.extra-unit.diskgen-root-password.service",
    ],
)
def test_a_credential_is_not_replaced_by_a_password(name: str) -> None:
    given = ((name, b"mine"),)
    assert credentials.of(credentials.Access(given=given)) == dict(given)
    with pytest.raises(UsageError, match=f"'{name}'") as caught:
        credentials.of(credentials.Access(given=given, password="$6$a$b"))
    assert caught.value.setting == "credential"
