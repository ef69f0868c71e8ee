"""Print every inode below a directory, or of the filesystems of a disk, as JSON. Needs root.

python scan.py DIRECTORY
python scan.py DISK root boot        partitions by name, the second one at boot/ of the first
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

SMALL = 64 * 1024


def scan(top: Path) -> dict[str, dict[str, object]]:
    """Return the inodes by path; ``group`` is equal for the names of one inode."""
    found = {}
    for place, folders, files in os.walk(top):
        for name in ["", *folders, *files] if place == str(top) else [*folders, *files]:
            path = Path(place, name)
            status = path.lstat()
            data: str = ""
            if stat.S_ISLNK(status.st_mode):
                data = str(path.readlink())
            elif stat.S_ISREG(status.st_mode):
                raw = path.read_bytes()
                data = hashlib.sha256(raw).hexdigest()
                if len(raw) < SMALL and ("/refs/" in str(path) or path.suffix == ".origin"):
                    data = raw.decode()
            names = os.listxattr(path, follow_symlinks=False)
            found[str(path.relative_to(top))] = {
                "mode": f"{status.st_mode:o}",
                "owner": f"{status.st_uid}:{status.st_gid}",
                "xattrs": {
                    key: os.getxattr(path, key, follow_symlinks=False).hex() for key in names
                },
                "data": data,
                "group": "" if stat.S_ISDIR(status.st_mode) else f"{status.st_dev}.{status.st_ino}",
                "mtime": int(status.st_mtime),
            }
    return found


def mounted(disk: Path, *names: str) -> dict[str, dict[str, object]]:
    """Mount partitions of a raw disk read-only, where nobody else sees it, and scan them."""
    table = json.loads(subprocess.check_output(["sfdisk", "--json", disk]))["partitiontable"]
    places = {
        part["name"]: (part["start"] * 512, part["size"] * 512) for part in table["partitions"]
    }
    found: dict[str, dict[str, object]] = {}
    for name in names:
        start, size = places[name]
        with tempfile.TemporaryDirectory() as top:
            options = f"ro,loop,offset={start},sizelimit={size}"
            subprocess.run(["mount", "-o", options, disk, top], check=True)
            try:
                rows = scan(Path(top))
            finally:
                subprocess.run(["umount", top], check=True)
        for path, row in rows.items():
            if row["group"]:  # the next filesystem may come to the same device
                row["group"] = f"{name} {row['group']}"
            below = path if name == names[0] else f"{name}/{path}"
            found[below.removesuffix("/.")] = row
    return found


if __name__ == "__main__":
    where = Path(sys.argv[1])
    print(json.dumps(scan(where) if where.is_dir() else mounted(where, *sys.argv[2:])))
