"""Which options the program's source names: in the settings of errors, and in texts for people."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import diskgen

SOURCE = Path(diskgen.__file__).parent
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]+)")
SAYS = re.compile(r"(?:Error|Problem|Notice|Row|warnings\.append)$")  # what is called with a text
SETTING = "setting"


@dataclass(frozen=True)
class Named:
    where: str  # MODULE.FUNCTION, or the class, or the constant
    option: str
    word: bool  # of a text, not a setting


def named() -> Iterator[Named]:
    """Yield every option that an error is given or that a text names."""
    trees = {_module(path): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}
    takers = {name: at for tree in trees.values() for name, at in _takers(tree)}
    for module, tree in trees.items():
        constants = dict(_constants(tree))
        for node in tree.body:
            if not isinstance(node, ast.Expr):
                where = f"{module}.{name_of(node)}"
                for value in _settings(node, takers, constants):
                    yield Named(where, value, word=False)
                for text in _texts(node):
                    for option in FLAG.findall(text):
                        yield Named(where, option, word=True)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def name_of(node: ast.stmt) -> str:
    """Return what a statement of a module defines; "" where it is nothing."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    return ""


def _takers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield what takes a setting by its place among the arguments, and that place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [one.arg for one in node.args.args if one.arg != "self"]
            if SETTING in names:
                yield node.name, names.index(SETTING)
        elif isinstance(node, ast.ClassDef):
            fields = [name_of(one) for one in node.body if isinstance(one, ast.AnnAssign)]
            if SETTING in fields:
                yield node.name, fields.index(SETTING)


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str() as value)):
                yield name, value


def _settings(
    top: ast.stmt, takers: Mapping[str, int], constants: Mapping[str, str]
) -> Iterator[str]:
    """Yield the settings that a statement gives: as keyword, by place, in a variable or a loop."""
    for node in ast.walk(top):
        match node:
            case ast.keyword(arg="setting", value=value):
                yield from _values(value, constants)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=given):
                at = takers.get(name, len(given))
                if at < len(given) and not any(isinstance(one, ast.Starred) for one in given):
                    yield from _values(given[at], constants)
            case ast.Assign(targets=[ast.Name(id="setting")], value=value):
                yield from _values(value, constants)
            case ast.For(target=target, iter=rows) | ast.comprehension(target=target, iter=rows):
                yield from _looped(target, rows, constants)
            case ast.FunctionDef(args=arguments):
                defaults = zip(reversed(arguments.args), reversed(arguments.defaults), strict=False)
                yield from (value for one, default in defaults if one.arg == SETTING
                            for value in _values(default, constants))  # fmt: skip


def _values(node: ast.expr, constants: Mapping[str, str]) -> Iterator[str]:
    match node:
        case ast.IfExp(body=body, orelse=other):
            yield from _values(body, constants)
            yield from _values(other, constants)
        case ast.Constant(value=str() as value):
            yield value
        case ast.Name(id=name) if name in constants:
            yield constants[name]


def _looped(target: ast.expr, rows: ast.expr, constants: Mapping[str, str]) -> Iterator[str]:
    """Yield what ``for setting, ... in (rows)`` goes through."""
    names = [one.id if isinstance(one, ast.Name) else ""
             for one in (target.elts if isinstance(target, ast.Tuple) else [target])]  # fmt: skip
    if SETTING not in names or not isinstance(rows, ast.Tuple):
        return
    for row in rows.elts:
        match row:
            case ast.Starred(value=ast.GeneratorExp(elt=ast.Tuple(elts=cells))):
                yield from _values(cells[names.index(SETTING)], constants)
            case ast.Tuple(elts=cells):
                yield from _values(cells[names.index(SETTING)], constants)
            case ast.Constant():
                yield from _values(row, constants)


def _texts(top: ast.stmt) -> Iterator[str]:
    """Yield what is written for people: texts of several words, and whatever errors are made of."""
    documented = {
        id(node.body[0].value)
        for node in ast.walk(top)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and isinstance(node.body[0], ast.Expr)
    }
    said = {
        id(part)
        for node in ast.walk(top)
        if isinstance(node, ast.Call) and SAYS.search(ast.unparse(node.func))
        for part in ast.walk(node)
    }
    for node in ast.walk(top):
        match node:
            case ast.Constant(value=str() as text) if id(node) not in documented:
                if " " in text or id(node) in said:
                    yield text
