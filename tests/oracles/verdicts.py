"""What came of one run under attack, what is wrong with it, and the sum of all. Tests only."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..fixtures.program import fingerprint

DOCUMENTED = (0, 2, 3, 4, 5, 6, 130)
RSS_LIMIT = 1_500_000  # KiB
# A line of the program's, behind those that its first module begins with.
_OURS = re.compile(r'/diskgen/(?!__(main|init)__\.py", line [0-9]+, in <module>)[a-z_/]+\.py"')
_EARLY = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)  # before there is a handler

# What became of the output: as it was before, as an undisturbed run makes it, or neither.
BEFORE, GOOD, OTHER = "before", "good", "other"


@dataclass(kw_only=True)
class Outcome:
    """One run; ``rss`` in KiB. ``made`` is None where a run makes no file."""

    status: int
    text: str = ""  # of standard error
    printed: bytes = b""
    made: str | None = None
    answer: bool = True  # what it printed is right, where that is known
    left: list[str] = field(default_factory=list)  # files that nobody asked for
    killed: bool = False  # by SIGKILL, from us
    signalled: bool = False
    heard: bool = True  # what it says can be read
    hung: bool = False
    rss: int = 0
    hit: bool = True  # what was to fail did


def state(out: Path, before: bytes | None, good: str | bytes) -> str:
    """Say what became of an output; ``good`` is the fingerprint of an undisturbed run's."""
    if not out.exists():
        return BEFORE if before is None else OTHER
    if before is not None and out.stat().st_size == len(before) and out.read_bytes() == before:
        return BEFORE
    return GOOD if fingerprint(out) == good else OTHER


def _early(outcome: Outcome) -> bool:
    """Say whether a signal came before the program could have a handler for it.

    While Python itself is starting: what it says then names no module of the program's.
    """
    words = outcome.text.rstrip()
    if not outcome.signalled or (words and not words.endswith("KeyboardInterrupt")):
        return False
    failed = outcome.status == 1 and "<frozen site>" in words  # its site could not be imported
    return not _OURS.search(words) and (outcome.status in _EARLY or failed)


# Each of these is something that must never be.
RULES: dict[str, Callable[[Outcome], bool]] = {
    "it hangs": lambda o: o.hung,
    "a traceback": lambda o: (
        ("Traceback" in o.text or "Exception ignored" in o.text) and not _early(o)
    ),
    "a status that is not documented": lambda o: (
        o.status not in DOCUMENTED and not (o.killed or o.hung or _early(o))
    ),
    "success without its output": lambda o: o.status == 0 and o.made not in (GOOD, None),
    "success with a wrong answer": lambda o: o.status == 0 and not o.answer,
    "an output that is not complete": lambda o: o.made == OTHER,
    "an output although it failed": lambda o: (
        o.made == GOOD and o.status != 0 and not o.killed and o.heard
    ),
    "silence": lambda o: (
        o.status != 0 and not o.text.strip() and o.heard and not (o.killed or o.hung or _early(o))
    ),
    "files are left": lambda o: bool(o.left) and not o.killed,
    "too much memory": lambda o: o.rss > RSS_LIMIT,
}


@dataclass
class Tally:
    """What came of the runs so far; ``rss`` in KiB, ``processor`` in seconds."""

    runs: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)  # rules
    wrong: list[str] = field(default_factory=list)
    rss: int = 0
    processor: float = 0.0  # seconds, of the runs and of making their inputs and judging them

    def count(self, what: str, kind: str, name: str, outcome: Outcome) -> None:
        """Judge a run: ``what`` is "hostile" or "faults", ``name`` says how to do it again."""
        self.runs[what] += 1
        self.kinds[f"{what}: {kind}"] += 1
        self.hits[f"{what}: {kind}"] += outcome.hit
        self.statuses[str(outcome.status)] += 1
        self.rss = max(self.rss, outcome.rss)
        broken = [rule for rule, breaks in RULES.items() if breaks(outcome)]
        self.broken.update(broken)
        if broken:
            left = f", left {outcome.left}" if outcome.left else ""
            self.wrong.append(
                f"{what}: {name}: {', '.join(broken)}: status {outcome.status}{left}, "
                f"output {outcome.made}: {outcome.text[-900:]}"
            )

    def add(self, other: Tally) -> None:
        for name in ("runs", "kinds", "hits", "statuses", "broken"):
            getattr(self, name).update(getattr(other, name))
        self.wrong += other.wrong
        self.rss = max(self.rss, other.rss)
        self.processor += other.processor

    def text(self) -> str:
        runs = sum(self.runs.values())
        return "\n".join([
            *(f"{kind:<8} {count} runs" for kind, count in sorted(self.runs.items())),
            *(f"  {kind}: {count}, of which {self.hits[kind]} took effect"
              for kind, count in sorted(self.kinds.items())),
            f"statuses {dict(sorted(self.statuses.items()))}",
            f"wrong {len(self.wrong)}, tracebacks {self.broken['a traceback']}, "
            f"hangs over 60 s {self.broken['it hangs']}, RSS at most {self.rss // 1024} MiB",
            f"{runs / max(self.processor, 0.001):.2f} runs per second of a processor",
            *self.wrong[:20],
        ])  # fmt: skip
