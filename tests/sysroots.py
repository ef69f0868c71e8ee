"""Disks by other tools: a sysroot of the real libostree, tables of sfdisk. Tests only."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from diskgen.units import MIB

ORIGIN = "ostree-image-signed:docker://q.io/day:2"
ROOT_TYPE = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"


@dataclass(frozen=True)
class Sysroot:
    """A machine after an update; ``commits`` from the newest deployment to the oldest."""

    place: Path
    commits: tuple[str, ...]


def call(*argv: str | Path) -> str:
    env = {**os.environ, "OSTREE_SYSROOT_DEBUG": "mutable-deployments,no-xattrs"}
    done = subprocess.run(argv, check=True, capture_output=True, text=True, env=env)
    return done.stdout.strip()


def day_two(place: Path) -> Sysroot:
    """Return what ``ostree admin deploy`` leaves after an update: two deployments."""
    tree, sysroot = place / "tree", place / "sysroot"
    for name in ("usr/lib/modules/6.1.2", "usr/etc", "boot", "sysroot", "var"):
        (tree / name).mkdir(parents=True)
    (tree / "usr/lib/modules/6.1.2/vmlinuz").write_text("kernel")
    (tree / "usr/lib/modules/6.1.2/initramfs.img").write_text("initramfs")
    (tree / "usr/lib/os-release").write_text('ID=day\nPRETTY_NAME="Day Two"\nVERSION_ID=2\n')
    (tree / "usr/etc/os-release").symlink_to("../usr/lib/os-release")
    (tree / "usr/etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nsshd:x:74:74::/:/bin/false\n"
        "bob:x:1001:1001::/var/home/bob:/bin/sh\neve:x:1002:1002::/home/eve:/bin/sh\n"
    )
    (tree / "usr/etc/shadow").write_text("root:!locked::\nbob:$6$salt$hash::\neve:::\n")
    sysroot.mkdir()
    call("ostree", "admin", "init-fs", sysroot)
    call("ostree", "admin", "os-init", f"--sysroot={sysroot}", "fedora")
    home = sysroot / "ostree/deploy/fedora/var/home/bob/.ssh"
    home.mkdir(parents=True)
    (home / "authorized_keys").write_text("# mine\nssh-ed25519 AAAA bob\nssh-ed25519 BBBB bob\n")
    origin = place / "origin"
    origin.write_text(f"[origin]\ncontainer-image-reference={ORIGIN}\n")
    commits = []
    for number in (1, 2):
        (tree / "usr/lib/number").write_text(str(number))
        commits.append(
            call("ostree", f"--repo={sysroot}/ostree/repo", "commit", "-b", "one",
                 f"--tree=dir={tree}", "--owner-uid=0", "--owner-gid=0",
                 f"--add-metadata-string=ostree.manifest-digest=sha256:{number}",
                 f"--add-metadata-string=version=41.{number}")
        )  # fmt: skip
        call("ostree", "admin", "deploy", f"--sysroot={sysroot}", "--os=fedora",
             "--karg=root=LABEL=root", f"--karg=number={number}", f"--origin-file={origin}",
             commits[-1])  # fmt: skip
    return Sysroot(sysroot, tuple(reversed(commits)))


def disk_of(disk: Path, *partitions: tuple[str, list[str | Path]], size: int = 96 * MIB) -> Path:
    """Make a raw disk by sfdisk: each partition has a type, and the program that fills it.

    The program gets a file of the partition's size behind its words.
    """
    each = (size - 2 * MIB) // len(partitions) // MIB
    with disk.open("wb") as file:
        file.truncate(size)
    table = "label: gpt\n" + "".join(f"size={each}MiB, type={kind}\n" for kind, _ in partitions)
    subprocess.run(["sfdisk", "-q", disk], input=table, text=True, check=True, capture_output=True)
    for number, (_kind, argv) in enumerate(partitions):
        part = disk.with_name(f"{disk.name}-{number}")
        with part.open("wb") as file:
            file.truncate(each * MIB)
        if argv:
            call(*argv, part)
        subprocess.run(
            ["dd", f"if={part}", f"of={disk}", "bs=1M", f"seek={1 + number * each}",
             "conv=notrunc,sparse", "status=none"], check=True,
        )  # fmt: skip
        part.unlink()
    return disk
