"""Hostile inputs and injected faults against the real program, counted: ``make fuzz``.

Everything follows from ``--seed`` but when signals come. A run breaks a rule of ``verdicts``, or it
is right. One process for each processor forks most runs from an interpreter that has imported the
program (see ``warm``), and starts the rest as its users do.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from .fixtures import faults, vendor_iso, warm
from .fixtures.faults import Fault, Library
from .fixtures.hostile_inputs import Inputs
from .fixtures.oci import bootable
from .fixtures.program import NOBODY, ROOT, Program, fingerprint, installed
from .fixtures.registry import registry
from .fixtures.remaster import payload
from .fixtures.warm import Attack
from .oracles.verdicts import GOOD, Outcome, Tally, state

_OLD = b"what was there before"
_STARTED = 0.04  # of all runs are really started
_LINES = 12_000  # of those that are traced while a small disk is made
_TRIES = 100  # to remove what a run left, a tenth of a second each
_PER_ROUND = 2  # hostile inputs for each fault


class Campaign:
    """The program in a directory of its own, images, and what it makes of them undisturbed."""

    def __init__(self, program: Program, seed: int, library: Path, stack: ExitStack) -> None:
        self.program, self.tally = program, Tally()
        self._rand, self._library, self._path = random.Random(seed), Library(library), library
        self._small = program.place.parent / "small"
        inputs = program.place.parent / "inputs"
        inputs.mkdir()
        layout, medium = bootable(inputs / "os"), inputs / "medium"
        medium.mkdir()
        server = stack.enter_context(registry(inputs / "registry"))
        server.push(layout, "tiny/os")
        vendors = vendor_iso.lorax_x86_64(medium)
        machine = payload(medium / "os", "x86_64")
        local = [f"oci:{layout}"]
        remote = [f"{server.host}/tiny/os", "--tls-verify=false"]
        quiet = ["--progress", "none"]
        self.makes = {  # the words of each command; the output's name comes behind them
            "raw": ["raw", *local, *quiet], "raw remote": ["raw", *remote, *quiet],
            "qcow2": ["qcow2", *local, *quiet],
            "iso": ["iso", f"oci:{machine}", "--target-imgref", "registry.example/os:1",
                    "--installer", str(vendors), *quiet],
            "plan": ["plan", "raw", *local], "plan remote": ["plan", "raw", *remote],
            "inspect": ["inspect", *local], "inspect disk": ["inspect", str(inputs / "disk.raw")],
            "cache ls": ["cache", "ls"], "cache prune": ["cache", "prune", "--all"],
        }  # fmt: skip
        self.good: dict[str, str | bytes] = {}
        self.good = {name: self._undisturbed(name, inputs / "disk.raw") for name in self.makes}
        self._inputs = Inputs(inputs, layout, inputs / "disk.raw", self._rand)

    def _undisturbed(self, name: str, disk: Path) -> str | bytes:
        out = self.program.place / "out"
        out.unlink(missing_ok=True)
        attack = Attack(limits={}, environment={})
        outcome = warm.forked(self.program, self._words(name, out), attack)
        if outcome.status != 0:
            raise RuntimeError(f"'{name}' fails undisturbed: {outcome.text}")
        said = outcome.printed
        if not self._makes_file(name):
            return said
        if name == "raw":
            subprocess.run(["cp", "--sparse=always", out, disk], check=True)
            disk.chmod(0o644)
        return fingerprint(out)

    def _words(self, name: str, out: Path) -> list[str]:
        more = ["-o", str(out), "--force"] if self._makes_file(name) else []
        return [*self.makes[name], *more]

    @staticmethod
    def _makes_file(name: str) -> bool:
        return name.startswith(("raw", "qcow2", "iso"))

    def hostile(self) -> None:
        """Look at, plan with or build from something changed."""
        attack, rand = Attack(limits={}, environment={}), self._rand
        out = self.program.place / "out"
        out.unlink(missing_ok=True)
        number = sum(self.tally.runs.values())
        if rand.random() < 0.5:
            kind, path = self._inputs.file()
            words = ["inspect", str(path)]
        else:
            kind, path = self._inputs.image()
            verb = rand.choice(("plan", "plan", "inspect", "raw"))
            if kind == "toml" and verb == "raw":
                verb = "plan"  # it may ask for xfs, which takes a machine without KVM a minute
            more = {"plan": ["raw"], "inspect": [], "raw": []}[verb]
            words = [verb, *more, f"oci:{path}"]
            words += ["-o", str(out)] if verb == "raw" else []
        outcome = self._run(words, attack)
        if words[0] == "raw":
            outcome.made = GOOD if outcome.status == 0 and out.exists() else state(out, None, "")
        outcome.left = self._left(out)
        self.tally.count("hostile", f"{words[0]} {kind}", f"number {number}: {words}", outcome)
        if self.tally.wrong and outcome.status not in (0, 3):
            self._keep(path)

    def _keep(self, path: Path) -> None:
        """Keep an input that went wrong, where that is asked for."""
        place = os.environ.get("DISKGEN_FUZZ_KEEP")
        if place:
            copy = Path(place, f"{os.getpid()}-{len(self.tally.wrong)}")
            if not copy.exists():
                subprocess.run(["cp", "-a", path, copy], check=False)

    def fault(self) -> None:
        """Carry out a command while something fails."""
        fault = self._fault()
        self.faulty(self._rand.choice(sorted(self.makes)), fault)

    def _fault(self) -> Fault:
        rand, place = self._rand, self.program.place
        small = faults.full if os.geteuid() == 0 else faults.file_size
        match rand.randrange(16):
            case 0 | 1 | 2 | 3:
                return self._library.injection(rand, place)
            case 4:
                return faults.injection_by_start(rand, place, self._path)
            case 5 | 6:
                return faults.line(rand, _LINES)
            case 7 | 8:
                return faults.moment(rand)
            case 9 | 10 | 11:
                return faults.children(rand)
            case 12:
                return small(rand)
            case number:
                return (faults.file_size, faults.files, faults.deaf)[number - 13](rand)

    def faulty(self, name: str, fault: Fault) -> None:
        """Carry out a command under a fault, and judge what became of it."""
        with ExitStack() as stack:
            place = self.program.place
            if fault.small:
                place = self._mounted(fault.small, stack)
            out = place / "out"
            before = self._rand.random() < 0.5
            out.unlink(missing_ok=True)
            if before:
                out.write_bytes(_OLD)
                self.program.own(out)
            if fault.cold or self._rand.random() < 0.3:
                shutil.rmtree(self.program.cache, ignore_errors=True)
            if fault.small:
                fault.attack.environment |= {"TMPDIR": str(place), "DISKGEN_CACHE": f"{place}/c"}
            started = "LD_PRELOAD" in fault.attack.environment
            outcome = self._run(self._words(name, out), fault.attack, started=started)
            outcome.hit, outcome.heard = fault.hit(), fault.heard
            outcome.signalled, outcome.killed = fault.signalled, fault.killed and outcome.hit
            if self._makes_file(name):
                outcome.made = state(out, _OLD if before else None, self.good[name])
            elif not name.startswith("cache"):
                outcome.answer = outcome.printed == self.good[name]
            if fault.cleans and not fault.small:
                outcome.left = self._left(out)
            if outcome.left or outcome.killed or not fault.cleans:
                self._cleared()
            words = f"{name}: {fault.kind}: {fault.name}"
            self.tally.count("faults", fault.kind, words, outcome)

    def _run(self, words: Sequence[str], attack: Attack, *, started: bool = False) -> Outcome:
        started = started or (attack.inside is None and self._rand.random() < _STARTED)
        return (warm.started if started else warm.forked)(self.program, words, attack)

    def _left(self, out: Path) -> list[str]:
        return [name for name in self.program.left_behind() if name != out.name]

    def _cleared(self) -> None:
        """Remove what a run left that could not do so.

        What a killed one has started ends when it finds that out, and writes until then.
        """
        left: list[Path] = []
        for _ in range(_TRIES):
            left = [path for path in self.program.place.iterdir() if path != self.program.home]
            for path in left:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
            if not left:
                return
            time.sleep(0.1)
        raise RuntimeError(f"somebody still writes to {[str(path) for path in left]}")

    def _mounted(self, size: int, stack: ExitStack) -> Path:
        """Give a filesystem with room for ``size`` MiB."""
        self._small.mkdir(exist_ok=True)
        options = f"size={size}M,uid={NOBODY},gid={NOBODY},mode=755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self._small], check=True)
        stack.callback(lambda: subprocess.run(["umount", "-l", self._small], check=True))
        return self._small


def part(args: argparse.Namespace) -> Tally:
    """Be one of the processes: a campaign until the time is over or all runs are done."""
    warm.imported()
    with ExitStack() as stack:
        top = Path(tempfile.mkdtemp(prefix="part-", dir=args.place))
        top.chmod(0o755)
        program = Program(args.program, top / "run")
        for path in (program.place, program.home):
            path.mkdir()
            program.own(path)
        campaign = Campaign(program, args.seed, args.place / "injected.so", stack)
        end = time.monotonic() + args.seconds
        begun, rounds, told = _processor(), 0, 0
        while time.monotonic() < end and rounds != args.rounds:
            for _ in range(_PER_ROUND):
                campaign.hostile()
            campaign.fault()
            rounds += 1
            for wrong in campaign.tally.wrong[told:]:
                sys.stderr.write(f"wrong: {wrong}\n")
            told = len(campaign.tally.wrong)
        campaign.tally.processor = _processor() - begun
        return campaign.tally


def _processor() -> float:
    """Return the seconds of a processor that this process and its children had."""
    return sum(os.times()[:4])


def whole(args: argparse.Namespace) -> Tally:
    """Run a part for each processor and add up what came of them."""
    place = Path(tempfile.mkdtemp(prefix="diskgen-fuzz-", dir="/var/tmp"))
    place.chmod(0o755)
    parts: list[subprocess.Popen[str]] = []
    try:
        library, program = Library.compiled(place / "injected.so"), installed(place)
        for number in range(args.parts):
            words = [
                "--seed", f"{args.seed * 1000 + number}", "--seconds", f"{args.seconds}",
                "--rounds", f"{args.rounds}", "--place", str(place), "--program", str(program),
            ]  # fmt: skip
            parts.append(subprocess.Popen(
                [sys.executable, "-m", "tests.campaign", *words], cwd=ROOT, text=True,
                stdout=subprocess.PIPE, env={**os.environ, "LD_PRELOAD": str(library)},
            ))  # fmt: skip
        tally = Tally()
        for child in parts:
            said, _none = child.communicate()
            if child.returncode:
                raise RuntimeError(f"a part of the campaign ended with {child.returncode}")
            made = json.loads(said)
            for name in ("runs", "kinds", "hits", "statuses", "broken"):
                made[name] = Counter(made[name])
            tally.add(Tally(**made))
        return tally
    finally:
        for child in parts:
            child.terminate()
        shutil.rmtree(place, ignore_errors=True)


def main(argv: list[str] | None = None) -> int:
    """Run for so many seconds; the status says whether anything was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rounds", type=int, default=-1, help="at most, in each part")
    parser.add_argument("--parts", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--program", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.place is not None:
        sys.stdout.write(json.dumps(vars(part(args))))
        return 0
    tally = whole(args)
    sys.stdout.write(tally.text() + "\n")
    return bool(tally.wrong)


if __name__ == "__main__":
    sys.exit(main())
