"""What is cached and what is secret is for its owner's eyes alone; no password is ever shown."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest

from diskgen import secrecy
from diskgen.errors import HostError, UsageError
from diskgen.reference import parse
from diskgen.terminal import visible
from diskgen.workspace import Workspace

from .fixtures import installers
from .fixtures.installers import by
from .fixtures.oci import TarBuilder, bootable
from .fixtures.program import Program
from .fixtures.registry import Registry

HASH = "$6$salt$" + "a" * 86
DIGEST = "sha256:" + "0" * 64


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_cache_is_its_owners_alone(diskgen: Program, images: Path, server: Registry) -> None:
    server.push(bootable(images / "os"), "secret/os")
    shell = ["/bin/sh", "-c", 'umask 0022; exec "$@"', "-"]
    done = diskgen.run(
        "qcow2", f"{server.host}/secret/os", "--tls-verify=false", "-o", "os.qcow2", wrap=shell
    )
    assert done.returncode == 0, done.stderr
    found = {path: mode(path) for path in (diskgen.cache, *diskgen.cache.rglob("*"))}
    assert len(found) > 8
    for path, bits in found.items():
        assert bits == (0o700 if path.is_dir() else 0o600), path
    assert mode(diskgen.place / "os.qcow2") == 0o644  # as the umask has it
    diskgen("raw", f"{server.host}/secret/os", "--tls-verify=false", "-o", "os.raw",
            wrap=["/bin/sh", "-c", 'umask 0007; exec "$@"', "-"])  # fmt: skip
    assert mode(diskgen.place / "os.raw") == 0o660


def test_an_old_cache_becomes_private(diskgen: Program, images: Path) -> None:
    (diskgen.cache / "v1/layers").mkdir(parents=True)
    for path in (diskgen.cache, diskgen.cache / "v1", diskgen.cache / "v1/layers"):
        diskgen.own(path)
        path.chmod(0o755)
    diskgen("plan", "raw", f"oci:{bootable(images / 'os')}")
    assert mode(diskgen.cache / "v1") == 0o700


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("docker://ann:s3cret@quay.io/a/b", "docker://ann:***@quay.io/a/b"),
        ("ann:s3cret@quay.io/a/b:1", "ann:***@quay.io/a/b:1"),
        ("docker://ann:s3/cr@et@quay.io:5000/a/b", "docker://ann:***@quay.io:5000/a/b"),
        ("https://ann:s3cret@quay.io/a/b", "https://ann:***@quay.io/a/b"),
        ("docker://s3cret@quay.io/a/b", "docker://***@quay.io/a/b"),
    ],
)
def test_no_reference_holds_a_password(text: str, shown: str) -> None:
    for setting in (None, "target-imgref"):
        with pytest.raises(UsageError) as caught:
            parse(text, setting=setting)
        assert f"'{shown}'" in caught.value.message
        assert "s3" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize(
    "text",
    [f"docker://a:1@{DIGEST}", f"quay.io:5000/a/b:tag@{DIGEST}", "oci:/a@b/c", "oci:a@b/c:d"],
)
def test_what_only_looks_like_one(text: str) -> None:
    assert str(parse(text)).endswith(text.removeprefix("docker://"))
    assert visible(f"no {text}") == f"no {text}"


def test_the_passwords_of_all_urls_are_masked() -> None:
    said = 'Get "http://ann:s3@cret@proxy:3128/v2/": x; http://bob:pw@h/'
    assert visible(said) == 'Get "http://ann:***@proxy:3128/v2/": x; http://bob:***@h/'
    assert visible("see https://t0ken@h/x, http://a/b@c") == "see https://***@h/x, http://a/b@c"


def test_no_command_shows_a_password(diskgen: Program) -> None:
    bad = "docker://ann:s3cret@localhost:1/a/b"
    for words in (
        ("inspect", bad), ("raw", bad), ("plan", "raw", bad, "--progress", "json"),
        ("raw", "oci:x", "--target-imgref", bad), ("iso", "oci:x", "--installer", bad),
    ):  # fmt: skip
        done = diskgen.run(*words)
        assert done.returncode == 2, done.stderr
        assert "s3cret" not in done.stdout + done.stderr
        assert "ann:***@" in done.stderr
    assert subprocess.run(
        ["grep", "-r", "s3cret", diskgen.place], capture_output=True, check=False
    ).returncode == 1  # fmt: skip


@pytest.mark.parametrize("kind", ["hash", "root", "kickstart", "packages", "credentials", "open"])
def test_a_medium_with_secrets_is_private(
    kind: str,
    diskgen: Program,
    images: Path,
) -> None:
    accounts = TarBuilder()
    accounts.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
    accounts.file("etc/group", b"root:x:0:\n")
    accounts.symlink("home", "var/home")
    accounts.symlink("root", "var/roothome")
    installers.machine(images / "os", installers.bootupd(), accounts.finish())
    installers.installer(images / "anaconda", installers.anaconda())
    kickstart = diskgen.place / "x.ks"
    kickstart.write_text("lang C.UTF-8\n")
    diskgen.own(kickstart)
    kickstart.chmod(0o640 if kind == "kickstart" else 0o644)
    authfile = diskgen.place / "auth.json"
    authfile.write_text('{"auths": {"quay.io": {"auth": "YW5uOnMzY3JldA=="}}}')
    diskgen.own(authfile)
    words = {
        "credentials": ("--authfile", str(authfile), "--embed-authfile"),
        "hash": ("--user", "ann", "--user-password-hash", HASH),
        "root": ("--root-password-hash", HASH),
        "packages": ("--packages", "http://ann:s3cret@127.0.0.1:1/"),
    }.get(kind, ("--kickstart", str(kickstart)))
    argv = (*by(images), "--target-imgref", "quay.io/tiny/os:1", *words)
    done = diskgen.run("plan", "iso", *argv, "--json")
    assert "s3cret" not in done.stderr
    assert "YW5uOn" not in done.stdout + done.stderr
    if kind == "packages":
        return
    assert done.returncode == 0, done.stderr
    warnings = json.loads(done.stdout)["warnings"]
    assert any("readable by its owner alone" in text for text in warnings) == (kind != "open")
    if kind in ("hash", "credentials", "open"):
        diskgen("iso", *argv, "-o", "out.iso", "--progress", "none",
                wrap=["/bin/sh", "-c", 'umask 0022; exec "$@"', "-"])  # fmt: skip
        assert mode(diskgen.place / "out.iso") == (0o644 if kind == "open" else 0o600)


def test_the_umask_is_given_back(tmp_path: Path) -> None:
    before = secrecy.output_mode(secret=False)
    with secrecy.private(), secrecy.private():
        (tmp_path / "x").touch()
        assert mode(tmp_path / "x") == 0o600
        assert secrecy.output_mode(secret=False) == before
    assert secrecy.output_mode(secret=False) == before
    assert secrecy.output_mode(secret=True) == 0o600


def test_a_filesystem_that_others_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There modes are not ours to choose, and that is no reason against an output."""

    def chmod(_self: Path, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    output = tmp_path / "out"
    with Workspace(output, force=False) as work:
        for secret in (True, False):
            partial = work.partial("raw")
            partial.write_text("x")
            with monkeypatch.context() as patch:
                patch.setattr(Path, "chmod", chmod)
                if secret:
                    with pytest.raises(HostError, match="would not be its owner's alone"):
                        work.publish(partial, secret=True)
                else:
                    work.publish(partial)
    assert output.read_text() == "x"
