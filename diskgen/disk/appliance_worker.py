"""Fills a partition through libguestfs, run by whichever Python of this machine has its binding.

Standard library only, and no import of ours: that Python knows nothing of diskgen. Argument: a job
as JSON (see appliance.py). Standard input: the tar stream of the filesystem. Without an argument it
prints the version of libguestfs.
"""

import json
import os
import sys
from typing import Any

import guestfs  # pyright: ignore[reportMissingModuleSource] - of the other Python

_CACHE = "/var/tmp"  # noqa: S108 - of the appliance itself: libguestfs's own choice, whatever TMPDIR is
_TOLD = 4096  # characters of an error
_MEMORY = 1024  # MiB; xfs_repair wants more than libguestfs gives by itself


def main() -> int:
    """Do the job; the status is 3 where the appliance did not start, 4 for all that follows."""
    g = guestfs.GuestFS(python_return_dict=True)
    if len(sys.argv) == 1:
        version = g.version()
        sys.stdout.write(f"{version['major']}.{version['minor']}.{version['release']}\n")
        return 0
    job = json.loads(sys.argv[1])
    stage = 3
    try:
        g.set_backend("direct")
        g.set_tmpdir(job["scratch"])
        if "LIBGUESTFS_CACHEDIR" not in os.environ:
            g.set_cachedir(_CACHE)
        if not job["accelerated"]:
            g.set_backend_settings(["force_tcg"])
        g.set_memsize(max(g.get_memsize(), _MEMORY))
        g.add_drive_opts(
            job["disk"], format="raw", cachemode="unsafe", discard="besteffort",
            blocksize=job["sector_size"],
        )  # fmt: skip
        g.launch()
        stage = 4
        _fill(g, job)
        g.shutdown()
    except RuntimeError as error:
        sys.stderr.write(str(error)[-_TOLD:])  # no more than a pipe takes at once
        return stage
    g.close()
    return 0


def _fill(g: guestfs.GuestFS, job: dict[str, Any]) -> None:
    place = f"/dev/sda{job['partition']}"
    kind = job["filesystem"]
    g.mkfs(kind, place)
    g.set_uuid(place, job["uuid"])
    g.set_label(place, job["label"])
    g.mount(place, "/")
    if job["subvolume"]:
        parent, _slash, _name = job["subvolume"].rpartition("/")
        g.mkdir_p("/" + parent)
        g.btrfs_subvolume_create("/" + job["subvolume"])
        g.umount_all()
        g.mount_options(f"subvol={job['subvolume']}", place, "/")
    g.tar_in("/dev/stdin", "/", xattrs=True, selinux=True, acls=True)
    for path in job["immutable"]:
        g.set_e2attrs(path, "i")
    g.umount_all()
    g.btrfs_fsck(place)


if __name__ == "__main__":
    sys.exit(main())
