"""Mutants: one small change of the program each, of the kinds that a test ought to notice.

A change has a name that outlives moves within its file: the file, the function, what stood there,
what stands there now, and which of its kind it is. The sample is that of the lowest digests of seed
and name: where the program changes, all of the sample that still exists stays.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOMS = ("image", "ostree", "disk", "bootloader", "formats", "iso")
SEED = 13
SIZE = 300

_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change: bytes ``start`` to ``end`` of a file become ``text``."""

    path: str  # below the project's directory
    function: str
    line: int
    lines: frozenset[int]  # where what runs it is seen: its own, and the head of its statement
    start: int
    end: int
    before: str
    text: str
    ordinal: int

    @property
    def name(self) -> str:
        return f"{self.path}:{self.function}: {self.before} => {self.text} #{self.ordinal}"

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]


def sample(root: Path, size: int = SIZE, seed: int = SEED) -> list[Mutant]:
    """Return a sample of all mutants of the rooms, in the order in which they are run."""
    paths = sorted(p for room in ROOMS for p in (root / "diskgen" / room).rglob("*.py"))
    found = [mutant for path in paths for mutant in of_file(path, root)]
    found.sort(key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest())
    return found[:size]


def of_file(path: Path, root: Path) -> list[Mutant]:
    """Return every mutant of a file, in the file's order."""
    source = path.read_bytes()
    starts = [0]
    for row in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    seen: Counter[tuple[str, str, str]] = Counter()
    mutants = []
    for function, node, text, lines in _changes(ast.parse(source), "", frozenset()):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        before = " ".join(ast.unparse(node).split())
        seen[function, before, text] += 1
        mutants.append(
            Mutant(
                path=str(path.relative_to(root)), function=function, line=node.lineno,
                lines=lines | _range(node.lineno, node.end_lineno), start=start, end=end,
                before=before, text=text, ordinal=seen[function, before, text],
            )
        )  # fmt: skip
    return mutants


Located = ast.expr | ast.stmt


def _range(first: int, last: int | None) -> frozenset[int]:
    return frozenset(range(first, (last or first) + 1))


def _changes(
    node: ast.AST, function: str, lines: frozenset[int]
) -> Iterator[tuple[str, Located, str, frozenset[int]]]:
    """Yield the function, the node, its new text and its statement's lines, for each change."""
    # Words for people are held by tests that read them; types are held by the type checkers.
    if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Assert)):
        return
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        function = f"{function}.{node.name}".lstrip(".")
    if isinstance(node, ast.stmt):
        body = getattr(node, "body", None)
        last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno
        lines = _range(node.lineno, last)
    if isinstance(node, (ast.expr, ast.stmt)):
        for text in _texts(node):
            yield function, node, text, lines
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "args") and not isinstance(
            node, ast.Call
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _changes(child, function, lines)


def _texts(node: Located) -> Iterator[str]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _SWAPPED:
            swapped = ast.Compare(node.left, [_SWAPPED[type(op)]()], node.comparators)  # type: ignore[list-item]
            yield f"({ast.unparse(swapped)})"
        case ast.BoolOp(op=op):
            yield f"({ast.unparse(ast.BoolOp(_SWAPPED[type(op)](), node.values))})"  # type: ignore[arg-type]
        case ast.BinOp(op=op) if type(op) in _SWAPPED and not _is_text(node):
            yield f"({ast.unparse(ast.BinOp(node.left, _SWAPPED[type(op)](), node.right))})"  # type: ignore[arg-type]
        case ast.UnaryOp(op=ast.Not()):
            yield f"({ast.unparse(node.operand)})"
        case ast.Constant(value=bool() as value):
            yield str(not value)
        case ast.Constant(value=int() as value):
            yield str(value + 1)
        case ast.Constant(value=str() as value) if value and " " not in value:
            yield repr(f"X{value}")
        case ast.Constant(value=bytes() as value) if value:
            yield repr(b"X" + value)
        case ast.Break():
            yield "continue"
        case ast.Continue():
            yield "break"
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return None"
        case ast.Expr(value=ast.Call()):
            yield "pass"
        case _:
            return


def _is_text(node: ast.BinOp) -> bool:
    """Say whether an operation puts strings or types together, where its opposite cannot be."""
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, (str, bytes, type(None))))
        for side in (node.left, node.right)
    )
