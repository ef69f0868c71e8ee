"""`make demo`: the main job before your eyes.

Without an argument: make a small bootable image of Debian, serve it from a registry on this
machine, turn it into a disk as an ordinary user, boot the disk, show its login prompt and what it
says of its deployment. With one, the same for that image reference.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import debian_image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from guest import Guest, GuestError, guest

from tests.fixtures.program import ROOT, Program, installed
from tests.fixtures.registry import registry

DISK = ROOT / "build/demo.qcow2"
_ESCAPES = re.compile(r"\x1b(\[[0-9;?!]*[A-Za-z]|.)")
_KERNEL = re.compile(r"\[ *\d+\.\d+\]")


def main() -> int:
    with ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="diskgen-demo-", dir="/var/tmp"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        place.chmod(0o755)
        diskgen = Program(installed(place), place)
        for path in (place, diskgen.home):
            path.mkdir(exist_ok=True)
            diskgen.own(path)
        words: list[str | Path] = ["--progress", "plain", "-o", place / "demo.qcow2"]
        requests = {}
        if sys.argv[1:]:
            reference = sys.argv[1]
        else:
            say("making a bootable image of Debian (a few minutes the first time, then cached)")
            layout = make_image()
            server = stack.enter_context(registry(place / "registry"))
            server.push(layout, "os", "1")
            reference = f"{server.host}/os:1"
            words += ["--tls-verify=false", "--target-imgref", f"10.0.2.2:{server.port}/os:1"]
            requests = {"nonce": "demo", "action": "none"}
        command = diskgen.command("qcow2", reference, *words)
        who = "nobody" if os.geteuid() == 0 else "you"
        say(f"as {who}: diskgen {' '.join(map(str, command[command.index(diskgen.path) + 1 :]))}")
        done = subprocess.run(command, env=diskgen.environment(), cwd=place, check=False)
        if done.returncode:
            return done.returncode
        DISK.parent.mkdir(exist_ok=True)
        shutil.copyfile(place / "demo.qcow2", DISK)
        say("booting it under UEFI in QEMU; its serial line follows")
        with guest(DISK, requests=requests) as machine, watching(machine):
            try:
                machine.wait_for("login:", seconds=900)
                proof = machine.proof(seconds=900) if requests else {}
            except GuestError as error:
                print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
                return 1
        print()
        say("it booted")
        for key, text in (
            ("booted", "deployment"), ("originfile", "updates from"), ("state", "systemd says"),
            ("fsck", "ostree fsck"),
        ):  # fmt: skip
            if key in proof:
                print(f"    {text:<14}{proof[key]}")
        ours = Path(sys.executable).with_name("diskgen")
        print(f"    boot it yourself: {ours} boot {DISK.relative_to(ROOT)}")
        if requests:
            print(f"    log in as root with the password '{debian_image.ROOT_PASSWORD}'")
    return 0


def make_image() -> Path:
    """Return the image's layout. Making it needs root, once."""
    cache = debian_image.default_cache()
    if os.geteuid() == 0:
        return debian_image.build(cache)
    argv = ["sudo", sys.executable, debian_image.__file__, "--cache", str(cache)]
    return Path(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip())


@contextmanager
def watching(machine: Guest) -> Iterator[None]:
    """Copy what the guest says to the terminal, but for the kernel's own lines."""
    ended = threading.Event()

    def copy() -> None:
        shown = 0
        while not ended.wait(0.3):
            text = machine.log
            lines = text[shown:].rpartition("\n")[0]
            shown += len(lines) + 1 if lines else 0
            for line in lines.splitlines():
                clean = "".join(c for c in _ESCAPES.sub("", line) if c.isprintable()).strip()
                if clean and ("PROOF" in clean or not _KERNEL.match(clean)):
                    print(f"    | {clean[:120]}", flush=True)

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
