"""A farm watched: one process and 2,000 composes that it waits for, beside a stand-in.

    python bench/farm.py [--composes 2000] [--seconds 120]

CPU and memory are those of ``diskgen farm status ... --wait`` alone. Writes its part of RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from tests.fixtures.farm import StandIn, by_socket  # noqa: E402

RESULTS = ROOT / "bench/RESULTS.md"
MARK = "\n## Farms\n"
NEXT = "\n## Formats\n"  # by formats.py
DISKGEN = Path(sys.executable).with_name("diskgen")
REQUEST = {"image_request": {"image_type": "guest-image", "architecture": "x86_64"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--composes", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=120, help="until the last one ends")
    args = parser.parse_args()
    rows = []
    for name, lists in (("by the farm's list", True), ("one by one", False)):
        figures = run(args.composes, args.seconds, lists=lists)
        rows.append(f"| {args.composes} composes, {name} | {figures} |")
        sys.stderr.write(rows[-1] + "\n")
    text, formats, figures = RESULTS.read_text().partition(NEXT)
    text = text.partition(MARK)[0]
    RESULTS.write_text(text + MARK + HEAD.format(platform.machine(), platform.release())
                       + "\n".join(rows) + "\n" + formats + figures)  # fmt: skip


HEAD = """
2 cores, {}, Linux {}. `diskgen farm status ID... --wait` until the last compose has ended; the
stand-in of the tests is another process. The limits are 5 % of one core and 100 MB.

| case | wall s | CPU s | of one core | peak MiB | requests |
| --- | ---: | ---: | ---: | ---: | ---: |
"""


def run(composes: int, seconds: int, *, lists: bool) -> str:
    """Return wall time, CPU time, their ratio, the peak of memory, and how many requests came."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "farm.socket"
        with by_socket(path) as farm:
            if not lists:
                farm.state.listed = lambda *_page: None  # type: ignore[method-assign]
            ids = [farm.state.start(REQUEST).id for _ in range(composes)]
            over = threading.Thread(target=end, args=(farm, ids, seconds), daemon=True)
            began = time.monotonic()
            child = subprocess.Popen(
                [DISKGEN, "farm", "status", "--wait", "--progress", "none", "--farm",
                 f"unix:{path}", *ids],
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            over.start()
            _pid, status, used = os.wait4(child.pid, 0)
            wall = time.monotonic() - began
            assert status == 0, status
            asked = len(farm.requests)
    cpu = used.ru_utime + used.ru_stime
    share = f"{100 * cpu / wall:.1f} %"
    return f"{wall:.0f} | {cpu:.2f} | {share} | {used.ru_maxrss / 1024:.0f} | {asked}"


def end(farm: StandIn, ids: list[str], seconds: int) -> None:
    """Have composes end one after the other."""
    for name in ids:
        time.sleep(seconds / len(ids))
        farm.state.finish(farm.state.composes[name])


if __name__ == "__main__":
    main()
