"""What a killed run leaves goes when a later one comes; what a running one has stays."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diskgen import scratch
from diskgen.errors import HostError
from diskgen.image.layers import _sweep
from diskgen.image.store import Store

from .fixtures.oci import bootable
from .fixtures.program import Program
from .fixtures.registry import Registry


def scratches(diskgen: Program) -> list[Path]:
    return [p for p in diskgen.place.rglob(".diskgen-*.scratch") if p.is_dir()]


def test_the_next_run_removes_what_a_killed_one_left(diskgen: Program, images: Path) -> None:
    layout = bootable(images / "os")
    held = images / "mke2fs"
    held.write_text("#!/bin/sh\nexec sleep 2\n")
    held.chmod(0o755)
    path = f"{images}:/usr/bin:/bin:/usr/sbin"
    child = diskgen.start("raw", f"oci:{layout}", "-o", "a.raw", env={"PATH": path})
    deadline = time.monotonic() + 60
    while len(scratches(diskgen)) < 3:  # beside the output, and two in TMPDIR
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert len(scratches(diskgen)) == 3
    diskgen("raw", f"oci:{layout}", "-o", "b.raw")
    assert diskgen.left_behind() == ["b.raw"]


def test_what_is_in_use_stays(diskgen: Program, images: Path) -> None:
    """Not the number of a process tells, but the lock: here it is another process's."""
    layout = bootable(images / "os")
    used = diskgen.own_directory(".diskgen-aaaaaaaa.scratch")
    (used / "disk").write_bytes(b"x" * 100_000)
    mine = diskgen.own_directory("diskgen-notes.scratch")  # a name of the user's
    fd = os.open(used, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    diskgen("raw", f"oci:{layout}", "-o", "out.raw")
    assert (used / "disk").stat().st_size == 100_000
    os.close(fd)
    diskgen("raw", f"oci:{layout}", "-o", "out.raw", "--force")
    assert not used.exists()
    assert mine.exists()


@pytest.mark.parametrize(
    ("host", "boot", "old", "goes"),
    [("ours", "ours", False, True), ("other", "ours", False, True),  # a container has other names
     ("other", "other", True, False), ("ours", "other", True, True),
     ("ours", "other", False, False)],  # a machine that was cloned, and runs
)  # fmt: skip
def test_other_hosts_keep_theirs_where_locks_are_each_hosts_own(
    host: str, boot: str, old: bool, goes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody holds a lock here, as it looks on a share for what another host uses."""
    ours = scratch.owner()
    words = [own if who == "ours" else "0" * 8
             for own, who in zip(ours, (host, boot), strict=True)]  # fmt: skip
    made = tmp_path / f".diskgen-{words[0]}.{words[1]}.abc.scratch"
    made.mkdir()
    statistics = tmp_path / "stat"
    statistics.write_text(f"cpu 1\nbtime {int(time.time()) + (1000 if old else -1000)}\n")
    monkeypatch.setattr(scratch, "_STATISTICS", statistics)
    scratch.sweep(tmp_path)
    assert made.exists() is not goes


def test_names_say_whose_they_are(tmp_path: Path) -> None:
    with scratch.directory(tmp_path) as place:
        assert place.name.startswith(".diskgen-" + ".".join(scratch.owner()) + ".")
        assert scratch._may_be_ours(place)


def test_prune_removes_what_killed_builds_left(diskgen: Program) -> None:
    for path in ("v1/tmp/old", "v1/tmp/.diskgen-x.scratch/sub", "v1/layers", "v1/images",
                 "v1/initramfs"):  # fmt: skip
        (diskgen.cache / path).mkdir(parents=True)
    for name in ("v1/tmp/old/f", "v1/tmp/.diskgen-x.scratch/sub/f", "v1/layers/.tmp-1-abc",
                 "v1/layers/.tmp-1-abc.idx", "v1/images/a.1.partial",
                 "v1/initramfs/a.1.partial"):  # fmt: skip
        (diskgen.cache / name).write_bytes(b"x" * 5000)
    for made in (diskgen.cache, *diskgen.cache.rglob("*")):
        diskgen.own(made)
    diskgen("cache", "prune")
    files = [str(p.relative_to(diskgen.cache)) for p in diskgen.cache.rglob("*") if p.is_file()]
    assert files == ["v1/lock"]
    assert list((diskgen.cache / "v1/tmp").iterdir()) == []


def test_a_worker_elsewhere_keeps_what_it_has_in_hand(tmp_path: Path) -> None:
    """One in another container may have the number of one of ours."""
    child = subprocess.Popen(["true"])
    child.wait()
    for name in ("mine", "theirs"):
        (tmp_path / f".tmp-{child.pid}-{name}").touch()
        (tmp_path / f".tmp-{child.pid}-{name}.idx").touch()
    with (tmp_path / "theirs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _sweep(tmp_path, [child])
    left = {path.name for path in tmp_path.glob(".tmp-*")}
    assert left == {f".tmp-{child.pid}-theirs", f".tmp-{child.pid}-theirs.idx"}


def test_scratch_of_many_at_once(tmp_path: Path) -> None:
    """Directories come and go while others sweep: none is taken from its owner."""
    code = (
        "import sys; from pathlib import Path; from diskgen import scratch\n"
        "for _ in range(60):\n"
        "    with scratch.directory(Path(sys.argv[1])) as place:\n"
        "        (place / 'f').write_text('x'); assert (place / 'f').read_text() == 'x'\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    children = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(c.communicate()[1], c.returncode) for c in children] == [("", 0)] * 3
    assert list(tmp_path.iterdir()) == []


def test_no_place_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in []")

    monkeypatch.setattr("tempfile.gettempdir", none)
    with pytest.raises(HostError, match="temporary files") as caught, scratch.directory():
        pass
    assert "TMPDIR" in str(caught.value.hint)


# Signals before there is anything to clean up


def test_a_signal_during_start_up(diskgen: Program, images: Path) -> None:
    layout = bootable(images / "os")
    seen = set()
    for number in range(12):
        child = diskgen.start("plan", "raw", f"oci:{layout}", "--progress", "none")
        while not _hears(child.pid) and child.poll() is None:
            time.sleep(0.0005)
        time.sleep(number * 0.02)
        child.send_signal(signal.SIGTERM if number % 2 else signal.SIGINT)
        out, err = child.communicate(timeout=60)
        assert "Traceback" not in err, err
        assert (child.returncode, "interrupted" in err) in ((130, True), (0, False)), err + out
        seen.add(child.returncode)
    assert 130 in seen


def _hears(pid: int) -> bool:
    """Say whether a process has a handler for SIGTERM, and is Python already."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        name = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return b"python" in name and bool(int(caught.split()[1], 16) & 1 << signal.SIGTERM - 1)


# Other things in place of a cache's entries


def _replace(path: Path, kind: str, diskgen: Program) -> None:
    path.unlink()
    if kind == "directory":
        (path / "sub").mkdir(parents=True)
        diskgen.own(path / "sub")
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        subprocess.run(
            [sys.executable, "-c",
             "import os, socket, sys; os.chdir(sys.argv[1]); socket.socket(1).bind(sys.argv[2])",
             path.parent, path.name], check=True,
        )  # fmt: skip
    elif kind == "link":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"x")
        path.chmod(0)
    if kind != "link":
        diskgen.own(path)


@pytest.mark.parametrize("kind", ["directory", "FIFO", "socket", "link", "unreadable"])
def test_what_is_no_entry_is_dropped(
    kind: str, diskgen: Program, images: Path, server: Registry
) -> None:
    server.push(bootable(images / "os"), "kinds/os")
    words = ("plan", "raw", f"{server.host}/kinds/os", "--tls-verify=false")
    before = diskgen(*words)
    files = [path for path in diskgen.cache.rglob("*") if path.is_file()]
    assert len(files) >= 5
    for path in files:
        _replace(path, kind, diskgen)
    assert "kinds/os" not in diskgen("cache", "ls")
    assert diskgen(*words) == before
    assert all(path.is_file() and not path.is_symlink() for path in files)
    for path in files:
        _replace(path, kind, diskgen)
    diskgen("cache", "prune", "--all")
    assert [p.name for p in diskgen.cache.rglob("*") if not p.is_dir()] == ["lock"]


@pytest.mark.parametrize("name", ["v1", "v1/blobs", "v1/layers", "v1/images", "v1/tmp"])
def test_what_is_no_directory_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "cache" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    os.mkfifo(path)
    with pytest.raises(HostError, match="cache") as caught, Store(tmp_path / "cache").session():
        pass
    assert str(path) in caught.value.message
