"""Build a release: sdist, wheel, Debian package and RPM, the same bytes every time.

``python release/make.py [--out DIRECTORY] [sdist|wheel|deb|rpm ...]``; the time in all of them is
SOURCE_DATE_EPOCH, or that of the last commit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from diskgen import __version__  # noqa: E402 - of this checkout

SYSTEM_PYTHON = "/usr/bin/python3"  # packages are for it, whichever Python builds them


@dataclass(frozen=True)
class Work:
    """Where a release is made, where it goes, and the time that all its files bear."""

    place: Path
    out: Path
    epoch: int

    @property
    def sdist(self) -> Path:
        return self.out / f"diskgen-{__version__}.tar.gz"

    @property
    def wheel(self) -> Path:
        return self.out / f"diskgen-{__version__}-py3-none-any.whl"

    @property
    def python(self) -> Path:
        """The system's Python, with a pip of ours: Debian's need not be there."""
        return self.place / "python/bin/python"

    def run(self, *argv: str | Path, cwd: Path | None = None) -> None:
        """Run a program with an environment of a release; end with its complaint if it fails."""
        # Debugging information names a directory of this build, and identifies it.
        env = os.environ | {
            "SOURCE_DATE_EPOCH": str(self.epoch), "CFLAGS": "-g0 -O2",
            "LC_ALL": "C.UTF-8", "TZ": "UTC",
            "PYTHON": str(self.python),
        }  # fmt: skip
        try:
            done = subprocess.run(
                argv, cwd=cwd or self.place, env=env, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            sys.exit(f"error: there is no program '{argv[0]}': .ci/host-packages brings it")
        if done.returncode:
            sys.exit(f"error: '{argv[0]}' failed:\n{(done.stdout + done.stderr)[-4000:]}")


def sdist(work: Work) -> None:
    """Make the source archive."""
    work.run(sys.executable, "-m", "build", "--sdist", "--outdir", work.out, ROOT)


def wheel(work: Work) -> None:
    """Make the wheel from the source archive, as whoever has only that would."""
    work.run(sys.executable, "-m", "build", "--wheel", "--outdir", work.out, _source(work, "wheel"))


def deb(work: Work) -> None:
    """Make the Debian package, for this machine's architecture and Python."""
    source = _source(work, "deb")
    shutil.copytree(source / "release/debian", source / "debian")
    shutil.copytree(_wheels(work), source / "wheels")
    when = formatdate(work.epoch)
    (source / "debian/changelog").write_text(
        f"diskgen ({__version__}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n"
        f" -- The diskgen developers <diskgen@diskgen.example>  {when}\n"
    )
    # -d: what would bring pip is not asked for, as ours is there.
    work.run("dpkg-buildpackage", "-b", "-d", "-us", "-uc", cwd=source)
    for package in source.parent.glob("*.deb"):
        shutil.copy(package, work.out)


def rpm(work: Work) -> None:
    """Make the RPM, and the spec from which others make theirs."""
    spec = work.out / "diskgen.spec"
    text = (ROOT / "release/diskgen.spec").read_text()
    spec.write_text(text.replace("@VERSION@", __version__))
    top = work.place / "rpm"
    sources = top / "SOURCES"
    sources.mkdir(parents=True)
    shutil.copy(work.sdist, sources)
    with tarfile.open(sources / f"diskgen-{__version__}-wheels.tar", "w") as tar:
        tar.add(_wheels(work), "wheels")
    # Where RPM is not the system's own, its database knows none of what is installed.
    work.run("rpmbuild", "-bb", "--nodeps", "--define", f"_topdir {top}", spec)
    for package in (top / "RPMS").rglob("*.rpm"):
        shutil.copy(package, work.out)


def _source(work: Work, name: str) -> Path:
    """Unpack the source archive to a new directory of that name."""
    with tarfile.open(work.sdist) as tar:
        tar.extractall(work.place / name)
    return work.place / name / f"diskgen-{__version__}"


def _wheels(work: Work) -> Path:
    """Return the directory of our wheel and those of the pinned libraries, made once."""
    place = work.place / "wheels"
    if not place.is_dir():
        work.run(SYSTEM_PYTHON, "-m", "venv", work.place / "python")
        work.run(
            work.python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", place,
            "--requirement", ROOT / "release/requirements.txt",
        )  # fmt: skip
        shutil.copy(work.wheel, place)
    return place


PARTS: dict[str, Callable[[Work], None]] = {"sdist": sdist, "wheel": wheel, "deb": deb, "rpm": rpm}


def _epoch() -> int:
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # An unpacked source archive has no history; its files bear its time.
    return int(done.stdout or (ROOT / "pyproject.toml").stat().st_mtime)


def main() -> None:
    """Make the parts that are named, or all of them."""
    parser = argparse.ArgumentParser(description="build a release")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIRECTORY")
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    args = parser.parse_args()
    unknown = sorted(set(args.parts) - set(PARTS))
    if unknown:
        parser.error(f"no part of a release is called '{unknown[0]}': {', '.join(PARTS)}")
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="diskgen-release-") as place:
        work = Work(Path(place), out, _epoch())
        for name in args.parts or PARTS:
            PARTS[name](work)
    for made in sorted(out.iterdir()):
        print(made)


if __name__ == "__main__":
    main()
