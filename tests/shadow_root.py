"""A small root in which shadow-utils and systemctl of this machine run. Tests only."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from diskgen.tree import Data, Directory, File, symlink

_PROGRAMS = (
    "useradd", "usermod", "groupadd", "chpasswd", "chage", "sh", "bash", "getent", "mkdir", "cat",
    "chmod", "chown", "cut", "grep", "pwck", "grpck", "systemctl", "ln", "rm", "ls", "install",
)  # fmt: skip
LOGIN = (
    "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\nSYS_GID_MIN 201\nSYS_GID_MAX 999\n"
    "SUB_UID_MIN 100000\nSUB_UID_MAX 600100000\nSUB_UID_COUNT 65536\nSUB_GID_MIN 100000\n"
    "SUB_GID_MAX 600100000\nSUB_GID_COUNT 65536\nUSERGROUPS_ENAB yes\nHOME_MODE 0700\nUMASK 022\n"
    "PASS_MAX_DAYS 99999\nPASS_MIN_DAYS 0\nPASS_WARN_AGE 7\nCREATE_HOME yes\n"
)


def shadow_root(root: Path) -> Path:
    """Make a root like an image's, with /home and /root where a machine keeps them."""
    for place in ("etc/default", "etc/skel", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64",
                  "var/home", "var/roothome", "tmp", "dev", "proc"):  # fmt: skip
        (root / place).mkdir(parents=True)
    for link, goal in (("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"),
                       ("lib64", "usr/lib64"), ("home", "var/home"),
                       ("root", "var/roothome")):  # fmt: skip
        (root / link).symlink_to(goal)
    for name in _PROGRAMS:
        _program(root, name)
    for path, text in {
        "passwd": "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                  "old:x:1004:1004::/home/old:/bin/sh\n",
        "shadow": "root:*:19000::::::\ndaemon:*:19000:0:99999:7:::\nold:!:19000:0:99999:7:::\n",
        "group": "root:x:0:\ndaemon:x:1:\nadm:x:4:daemon\nsudo:x:27:\n"
                 "old:x:1004:\nshadow:x:42:\nusers:x:100:\n",
        "gshadow": "root:*::\ndaemon:*::\nadm:*::daemon\nsudo:*::\n"
                   "old:!::\nshadow:*::\nusers:*::\n",
        "subuid": "old:100000:65536\n", "subgid": "old:100000:65536\n", "login.defs": LOGIN,
        "default/useradd": "GROUP=100\nHOME=/home\nINACTIVE=-1\nEXPIRE=\nSHELL=/bin/bash\n"
                           "SKEL=/etc/skel\nCREATE_MAIL_SPOOL=no\n",
        "skel/.bashrc": "# mine\n",
    }.items():  # fmt: skip
        (root / "etc" / path).write_text(text)
    for name in ("shadow", "gshadow"):
        (root / "etc" / name).chmod(0o640)
    (root / "etc/skel/.link").symlink_to(".bashrc")
    return root


def tree_of(place: Path) -> Directory:
    """Return a directory of this machine as a tree."""
    status = place.stat()
    made = Directory(mode=status.st_mode, uid=status.st_uid, gid=status.st_gid)
    for path in sorted(place.iterdir()):
        name = os.fsencode(path.name)
        if path.is_symlink():
            made.entries[name] = symlink(str(path.readlink()))
        elif path.is_dir():
            made.entries[name] = tree_of(path)
        else:
            info = path.stat()
            made.entries[name] = File(
                info.st_mode, info.st_uid, info.st_gid, content=Data(path.read_bytes())
            )
    return made


def _program(root: Path, name: str) -> None:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert found is not None, name
    shutil.copy(found, root / "usr/bin" / name)
    listed = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
    for word in listed.split():
        there = root / word.lstrip("/")
        if word.startswith("/") and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, there)
