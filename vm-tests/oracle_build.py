"""Build `ostree-container`, the published library behind bootc and rpm-ostree, for Debian.

Built in a chroot of the release it runs on, so that it links the guest's libostree; kept in the
cache under the hash of its sources. Needs root once.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from bootstrap import bootstrap, cached

SOURCES = Path(__file__).resolve().parent / "oracle"
SUITE = "trixie"
PACKAGES = (
    "cargo rustc libostree-dev libssl-dev libzstd-dev pkgconf gcc libc6-dev ca-certificates"
).split()


def build(cache: Path) -> Path:
    """Return the program, built if the cache lacks it."""
    files = sorted(path for path in SOURCES.rglob("*") if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    program = cache / f"ostree-container-{digest}"

    def make(root: Path, result: Path) -> None:
        bootstrap(root, SUITE, PACKAGES, "minbase", "--dpkgopt=path-exclude=/usr/share/doc/*")
        # The network as this machine reaches it
        for name in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
            shutil.copy(Path("/", name), root / name)
        shutil.copytree(SOURCES, root / "src")
        script = (
            f"mount -t proc proc {root}/proc && mount --bind /dev {root}/dev && "
            f"HOME=/root CARGO_HOME=/cargo exec chroot {root} "
            "sh -c 'cd /src && cargo build --release --locked --quiet'"
        )
        _run("unshare", "--mount", "sh", "-c", script)
        shutil.copy(root / "src/target/release/ostree-container", result)

    return cached(program, make)


def _run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
