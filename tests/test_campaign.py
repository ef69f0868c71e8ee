"""A short part of ``make fuzz``, and that what is wrong there is seen and counted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .fixtures import warm
from .fixtures.program import ROOT, Program
from .oracles.verdicts import BEFORE, GOOD, OTHER, RSS_LIMIT, RULES, Outcome, Tally, state

PLANTED = {
    "it hangs": Outcome(status=-9, hung=True),
    "a traceback": Outcome(status=4, text="Traceback (most recent call last):"),
    "a status that is not documented": Outcome(status=70, text="a bug"),
    "success without its output": Outcome(status=0, made=BEFORE),
    "success with a wrong answer": Outcome(status=0, answer=False),
    "an output that is not complete": Outcome(status=-9, killed=True, made=OTHER),
    "an output although it failed": Outcome(status=5, text="error", made=GOOD),
    "silence": Outcome(status=3),
    "files are left": Outcome(status=130, text="interrupted", left=[".diskgen-x.scratch"]),
    "too much memory": Outcome(status=0, rss=RSS_LIMIT + 1),
}
RIGHT = (
    Outcome(status=0, made=GOOD),
    Outcome(status=4, text="error: no space left", made=BEFORE),
    Outcome(status=-9, killed=True, made=BEFORE, left=[".diskgen-x.scratch"]),
    Outcome(status=-15, signalled=True, made=BEFORE),
)


def test_some_of_the_campaign() -> None:
    argv = [sys.executable, "-m", "tests.campaign", "--parts", "1", "--rounds", "5", "--seed", "7"]
    done = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "faults   5 runs\nhostile  10 runs\n" in done.stdout
    assert "wrong 0, tracebacks 0, hangs over 60 s 0" in done.stdout


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_can_be_broken(rule: str) -> None:
    tally = Tally()
    tally.count("faults", "planted", "raw", PLANTED[rule])
    assert tally.broken[rule] == 1
    assert len(tally.wrong) == 1
    assert rule in tally.text()


def test_what_is_right_breaks_no_rule() -> None:
    tally = Tally()
    for outcome in RIGHT:
        tally.count("faults", "none", "raw", outcome)
    assert tally.wrong == []
    assert tally.runs["faults"] == len(RIGHT)


def _half() -> int:
    Path("out").write_text("half")
    sys.stderr.write("error: no space left\n")
    return 4


def _bug() -> int:
    raise RuntimeError("planted")


def _endless() -> int:
    time.sleep(60)
    return 0


def _silent() -> int:
    return 3


@pytest.mark.parametrize(
    ("main", "rule"),
    [(_half, "an output that is not complete"), (_bug, "a traceback"), (_endless, "it hangs"),
     (_silent, "silence")],
)  # fmt: skip
def test_a_program_that_is_wrong(
    main: object, rule: str, diskgen: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted in a run that is forked, as most of the campaign's are."""
    monkeypatch.setattr("diskgen.__main__.main", main)
    monkeypatch.setattr(warm, "HANG_SECONDS", 2.0)
    outcome = warm.forked(diskgen, ["raw"], warm.Attack(limits={}, environment={}))
    outcome.made = state(diskgen.place / "out", None, "a fingerprint")
    tally = Tally()
    tally.count("faults", "planted", "raw", outcome)
    assert tally.broken[rule] == 1
    assert len(tally.wrong) == 1


@pytest.mark.parametrize(
    ("status", "where", "early"),
    [(1, "<frozen site>", True), (-2, "/x/diskgen/__main__.py", True),
     (-2, "/x/diskgen/ui.py", False), (1, "/x/diskgen/__main__.py", False)],
)  # fmt: skip
def test_a_signal_that_python_itself_gets_while_it_starts(
    status: int, where: str, early: bool
) -> None:
    text = f'Traceback:\n  File "{where}", line 3, in <module>\nKeyboardInterrupt\n'
    tally = Tally()
    outcome = Outcome(status=status, text=text, signalled=True)
    tally.count("faults", "signals", "raw", outcome)
    assert bool(tally.wrong) is not early


def test_a_forked_run_is_the_program(diskgen: Program) -> None:
    """It says what the program says, and has no more rights than an ordinary user."""
    attack = warm.Attack(limits={}, environment={})
    made = [how(diskgen, ["plan", "raw", "oci:none"], attack)
            for how in (warm.forked, warm.started)]  # fmt: skip
    assert made[0].status == made[1].status == 3
    assert made[0].text == made[1].text != ""
    if os.geteuid() == 0:
        secret = diskgen.place / "secret.raw"
        secret.write_bytes(bytes(4096))
        secret.chmod(0o600)
        assert "Permission denied" in warm.forked(diskgen, ["inspect", str(secret)], attack).text
