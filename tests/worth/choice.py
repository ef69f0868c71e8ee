"""Which tests a mutant is shown to, and in which order.

The rule: tests that run its line, as measured; for a value that is made when a module is imported,
those that run a line which names it, anywhere in the program, else whoever uses the file, as for a
line that only programs of unknown tests ran. The quickest first, where a test of another room
counts as four times as long. Tests of more than ``LONG`` seconds only where nothing else runs the
line. As many as fit into a bound of seconds.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from .measured import Known
from .mutants import Mutant

LONG = 20.0
ELSEWHERE = 4


class Chooser:
    def __init__(self, tree: Path, known: Known) -> None:
        self._known = known
        self._sources = {
            str(path.relative_to(tree)): path.read_text()
            for path in sorted((tree / "diskgen").rglob("*.py"))
        }

    def tests(self, mutant: Mutant, bound: float) -> list[str]:
        """Return tests that take up to ``bound`` seconds together, but one at least."""
        ordered = sorted(
            self.covering(mutant) & self._known.times.keys(),
            key=lambda test: (self._known.times[test] * _distance(test, mutant), test),
        )
        quick = [test for test in ordered if self._known.times[test] <= LONG]
        chosen: list[str] = []
        cost = 0.0
        for test in quick or ordered:
            cost += self._known.times[test]
            if chosen and cost > bound:
                break
            chosen.append(test)
        return chosen

    def covering(self, mutant: Mutant) -> set[str]:
        lines = self._known.lines.get(mutant.path, {})
        found: set[str] = set().union(*(lines.get(line, ()) for line in mutant.lines))
        # Programs that are started with an environment of their own do not say for which test.
        named = found - {"start"}
        if named and _is_in_function(self._sources[mutant.path], mutant.line):
            return named
        if "start" in found:
            found = self._of_names(mutant) or set().union(*lines.values())
        return found - {"start"}

    def _of_names(self, mutant: Mutant) -> set[str]:
        """Return the tests that run a line with a name that a mutant's statement gives a value."""
        names = _assigned(self._sources[mutant.path], mutant.line)
        if not names:
            return set()
        word = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
        found: set[str] = set()
        for path, lines in self._known.lines.items():
            for number, text in enumerate(self._sources[path].splitlines(), 1):
                if word.search(text):
                    found |= lines.get(number, set())
        return found - {"start"}


def _distance(test: str, mutant: Mutant) -> int:
    room = mutant.path.split("/")[1]
    return 1 if test.startswith(f"tests/{room}/") else ELSEWHERE


def _is_in_function(source: str, line: int) -> bool:
    """Say whether a line is of a function's body, which no import runs."""
    return any(
        isinstance(node, ast.FunctionDef)
        and node.body[0].lineno <= line <= (node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(source))
    )


def _assigned(source: str, line: int) -> set[str]:
    """Return the names to which the statement at a line, of a module or a class, gives a value."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and (
            node.lineno <= line <= (node.end_lineno or node.lineno)
        ):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                names |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names
