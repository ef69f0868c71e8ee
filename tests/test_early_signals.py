"""A signal at any moment of our start: our own status and words, and never Python's."""

from __future__ import annotations

import os
import subprocess
import sys

from diskgen import __main__, errors

from .fixtures.program import ROOT

# Forks a start of ours for each n-th event of an import, which gets a signal at just that moment.
SWEEP = """
import os, signal, sys
step = int(sys.argv[1])
sys.argv = ["diskgen", "cache", "ls"]

def start(at, number):
    left = at
    def hook(event, _arguments):
        nonlocal left
        if event == "import":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), number)
    # What a handler of signals needs is there: before that a signal finds Python's own start.
    from diskgen.__main__ import main
    sys.addaudithook(hook)
    sys.exit(main())

at = 1
while True:
    out = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(out[1], 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        start(at, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[at % 3])
    os.close(out[1])
    said = open(out[0], "rb").read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(at, status, said.decode().strip(), sep="\\t")
    if status == 0:
        break
    at += step
"""


def test_at_any_import() -> None:
    done = subprocess.run(
        ["/usr/bin/env", "--default-signal=INT,HUP", sys.executable, "-c", SWEEP, "31"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *stopped, last = [line.split("\t") for line in done.stdout.splitlines()]
    assert last[1] == "0"
    assert len(stopped) > 3
    for at, status, said in stopped:
        assert (status, said) == ("130", "interrupted: nothing was left behind"), at


def test_little_is_imported_before_signals_are_heard() -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules); "
    script += "import diskgen.__main__; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    ours = {name for name in done.stdout.split() if name.startswith("diskgen")}
    assert ours == {"diskgen", "diskgen.__main__"}
    assert not {"typing", "argparse", "dataclasses", "subprocess"} & set(done.stdout.split())
    assert __main__._EXIT_INTERRUPT == errors.EXIT_INTERRUPT
