"""Which lines and branches the fast tests run, in every process they start, and by which test.

``python -m tests.worth.measure [TESTS ...]``: makes ``build/coverage`` anew and prints what is not
covered. Fails below the share in pyproject.toml, or where a test fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from .measured import write_state

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build/coverage"
HOOK = "diskgen_measured"  # a module and a .pth file beside the libraries, while tests run


def run_tests(tests: list[str], place: Path = PLACE) -> int:
    """Run tests with coverage in all their processes; the data go to ``place``."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    place.chmod(0o1777)  # programs run as another user
    write_state(place, ROOT, [word for word in tests if word.startswith("tests/")])
    beside = Path(sysconfig.get_path("purelib"))
    module, start = beside / f"{HOOK}.py", beside / f"{HOOK}.pth"
    shutil.copy(Path(__file__).with_name("startup.py"), module)
    start.write_text(
        f"import {HOOK}; {HOOK}.begin({str(ROOT / 'pyproject.toml')!r}, {str(place)!r})\n"
    )
    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "tests.worth.plugin", *tests],
            cwd=ROOT, env=os.environ | {"DISKGEN_TEST": "start", "DISKGEN_COVERAGE": str(place)},
            check=False,
        ).returncode  # fmt: skip
    finally:
        start.unlink()
        module.unlink()


def combine(place: Path = PLACE) -> None:
    """Put together what all processes wrote."""
    env = os.environ | {"DISKGEN_COVERAGE": str(place)}
    subprocess.run(
        [sys.executable, "-m", "coverage", "combine", "-q", place], cwd=ROOT, env=env, check=True
    )


def report(place: Path = PLACE) -> int:
    """Print the report of a measurement."""
    env = os.environ | {"DISKGEN_COVERAGE": str(place)}
    coverage = [sys.executable, "-m", "coverage"]
    return subprocess.run([*coverage, "report"], cwd=ROOT, env=env, check=False).returncode


def main() -> int:
    status = run_tests(sys.argv[1:] or ["-n", "2", "--dist", "loadfile", "tests"])
    combine()
    return report() or status


if __name__ == "__main__":
    sys.exit(main())
