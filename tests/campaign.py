"""Hostile inputs and injected faults against the real program, counted: ``make fuzz``.

Everything follows from ``--seed`` but when signals come. A run is wrong when its status is none of
the documented ones, when it leaves an output that is not complete, or when it says nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .oci import Layout, bootable
from .parsers import PARSERS, mutated
from .program import Program, fingerprint, installed

DOCUMENTED = (0, 2, 3, 4, 5, 6, 130)
HANG_SECONDS = 60
RSS_LIMIT = 1_500_000  # KiB
_CALLS = (  # such as Python itself does not make while it starts
    "pwrite64",
    "ftruncate",
    "rename",
    "link",
    "copy_file_range",
    "mkdir",
    "unlink",
    "utimensat",
    "chmod",
    "flock",
)
_ERRORS = ("ENOSPC", "EIO", "EINTR", "EMFILE", "EACCES")


@dataclass
class Tally:
    """What came of the runs so far; ``rss`` in KiB."""

    runs: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    tracebacks: int = 0
    hangs: int = 0
    rss: int = 0

    def text(self) -> str:
        return "\n".join([
            *(f"{kind:<8} {count} runs" for kind, count in sorted(self.runs.items())),
            f"statuses {dict(sorted(self.statuses.items()))}",
            f"wrong {len(self.wrong)}, tracebacks {self.tracebacks}, "
            f"hangs over {HANG_SECONDS} s {self.hangs}, RSS at most {self.rss // 1024} MiB",
            *self.wrong[:20],
        ])  # fmt: skip


class Campaign:
    """The program in a directory of its own, an image, and the disk that is made of it."""

    def __init__(self, program: Program, seed: int) -> None:
        self.program, self.seed, self.tally = program, seed, Tally()
        self.rand = random.Random(seed)
        self.inputs = program.own_directory("inputs")
        self.layout = bootable(self.inputs / "os")
        program("raw", f"oci:{self.layout}", "-o", "good.raw", "--progress", "none")
        self.good = fingerprint(program.place / "good.raw")
        seeds = self.inputs / "seeds"
        seeds.mkdir()
        self.seeds = {
            name: PARSERS[name].seeds(seeds)
            for name in ("tar", "manifest", "config", "gpt", "qcow2", "iso")
        }

    def hostile(self) -> None:
        """Look at, or plan with, something changed."""
        name = self.rand.choice(sorted(self.seeds))
        data = mutated(self.rand.choice(self.seeds[name]), self.rand)
        if name in ("gpt", "qcow2", "iso"):
            path = self.inputs / "file"
            path.write_bytes(data)
            path.chmod(0o644)
            self._run("hostile", ["inspect", path], name)
            return
        place = self.inputs / "changed"
        shutil.rmtree(place, ignore_errors=True)
        layout = Layout(place)
        if name == "tar":
            layout.finish(layout.image([layout.layer(data)]))
        else:
            self._replaced(layout, name, data)
        self._run("hostile", ["plan", "raw", f"oci:{place}"], name)

    def _replaced(self, layout: Layout, name: str, data: bytes) -> None:
        """Copy the image with another manifest or config, digests made to fit."""
        shutil.copytree(self.layout, layout.place, dirs_exist_ok=True)
        index = json.loads((layout.place / "index.json").read_bytes())
        if name == "config":
            manifest = Layout.manifest_of(self.layout)
            manifest["config"] |= {"digest": layout.blob(data), "size": len(data)}
            data = json.dumps(manifest).encode()
        index["manifests"][0] |= {"digest": layout.blob(data), "size": len(data)}
        (layout.place / "index.json").write_text(json.dumps(index))

    def fault(self) -> None:
        """Build while something fails."""
        rand, wrap, kill, kind = self.rand, list[str](), 0, ""
        match rand.randrange(4):
            case 0:
                kind = f"ulimit -f {rand.choice((0, 1, 16, rand.randrange(20_000)))}"
                wrap = ["/bin/sh", "-c", f'{kind}; exec "$@"', "-"]
            case 1:
                kill = rand.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL))
                kind = f"signal {kill}"
            case 2:
                kind = f"ulimit -n {rand.randrange(12, 40)}"
                wrap = ["/bin/sh", "-c", f'{kind}; exec "$@"', "-"]
            case _:
                if shutil.which("strace") is None:
                    return
                call, error = rand.choice(_CALLS), rand.choice(_ERRORS)
                kind = f"inject={call}:error={error}:when={rand.randrange(1, 60)}"
                wrap = [
                    "strace",
                    "-f",
                    "-qqq",
                    "-o",
                    "/dev/null",
                    "-e",
                    f"trace={call}",
                    "-e",
                    kind,
                ]
        words = ["raw", f"oci:{self.layout}", "-o", "out.raw", "--progress", "none", "--force"]
        self._run("faults", words, kind, wrap=wrap, kill=kill)

    def _run(
        self, what: str, words: Sequence[str | Path], kind: str, *, wrap: list[str] | None = None,
        kill: int = 0,
    ) -> None:  # fmt: skip
        out, tally, program = self.program.place / "out.raw", self.tally, self.program
        out.unlink(missing_ok=True)
        child = subprocess.Popen(
            program.command(*words, wrap=wrap or []), env=program.environment(),
            cwd=program.place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        begun, due = time.monotonic(), self.rand.uniform(0, 1.0)
        while True:
            pid, waited, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            spent = time.monotonic() - begun
            if kill and spent > due:
                os.kill(child.pid, kill)
                kill, killed = 0, kill
                kind += f" after {due:.2f} s"
                if killed == signal.SIGKILL:
                    kind += ", killed"
            if spent > HANG_SECONDS:
                tally.hangs += 1
                os.killpg(child.pid, signal.SIGKILL)
                kind += ", hung"
            time.sleep(0.005)
        child.returncode = status = os.waitstatus_to_exitcode(waited)
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)  # what a killed one started may run on
        text = (child.stdout.read() or b"").decode(errors="replace")
        child.stdout.close()
        tally.runs[what] += 1
        tally.statuses[status] += 1
        tally.rss = max(tally.rss, usage.ru_maxrss)
        tally.tracebacks += "Traceback" in text
        early = status == -signal.SIGTERM or status == -signal.SIGHUP  # before there is a Python
        fine = status in DOCUMENTED or kind.endswith("killed") or (early and not text)
        complete = not out.exists() or (status == 0 and fingerprint(out) == self.good)
        silent = not text and status not in (0, -9) and not early
        if not fine or not complete or silent or "Traceback" in text or usage.ru_maxrss > RSS_LIMIT:
            tally.wrong.append(f"{what}: {kind}: status {status}: {text[-600:]}")


def main(argv: list[str] | None = None) -> int:
    """Run for so many seconds; the status says whether anything was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    place = Path(tempfile.mkdtemp(prefix="diskgen-fuzz-", dir="/var/tmp"))
    place.chmod(0o755)
    try:
        program = Program(installed(place), place)
        program.own(place)
        program.home.mkdir()
        program.own(program.home)
        campaign = Campaign(program, args.seed)
        end = time.monotonic() + args.seconds
        while time.monotonic() < end:
            campaign.hostile()
            campaign.hostile()
            campaign.fault()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    sys.stdout.write(campaign.tally.text() + "\n")
    return bool(campaign.tally.wrong)


if __name__ == "__main__":
    sys.exit(main())
