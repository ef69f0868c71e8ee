"""Units of systemd, enabled, disabled and masked by the links that ``systemctl`` makes.

Formats: systemd.unit(5), "[Install] Section Options"; systemd.preset(5); machine-id(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..blueprint.model import Services
from ..decision.setup import units_of
from ..decision.system import NOWHERE
from ..tree import Directory, File
from .files import Files, RefusalError

CONFIG: Final = "etc/systemd/system"
# Where units are, and the name of that place in links; etc comes first.
_PLACES: Final = (
    CONFIG, "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system",
)  # fmt: skip
_KINDS: Final = {"WantedBy": "wants", "RequiredBy": "requires", "UpheldBy": "upholds"}
_FOLDERS: Final = tuple(f".{kind}".encode() for kind in _KINDS.values())
_PRESETS: Final = "etc/systemd/system-preset/00-diskgen.preset"
_NOWHERE: Final = NOWHERE.encode()
_MOST_NAMES: Final = 40  # that lead to each other, as links may
_MOST: Final = 1000  # units that one leads to by Also=
_SPECIFIER: Final = re.compile(r"%(.)")


@dataclass(slots=True)
class Unit:
    """A unit file as it counts: ``path`` from the root on, ``name`` with its instance."""

    name: str
    file: str
    path: str
    install: dict[str, list[str]] = field(default_factory=dict)


def apply(files: Files, services: Services, warn: Callable[[str], None]) -> None:
    """Set units up in a machine's /etc. Raises RefusalError."""
    done: set[str] = set()
    for name in services.enabled:
        _enable(files, full_name(name), done, warn)
    for name in services.disabled:
        _disable(files, full_name(name), warn)
    for name in services.masked:
        mask(files, full_name(name))
    _keep_at_first_boot(files, services)


def full_name(name: str) -> str:
    """Return a unit's name with its suffix."""
    return name if units_of(name)[0] == name else f"{name}.service"


def mask(files: Files, name: str) -> None:
    """Mask a unit, which no one can start then. Raises RefusalError."""
    folder = files.directory(CONFIG)
    there = folder.entries.get(name.encode()) if folder is not None else None
    if there is not None and not (isinstance(there, File) and there.is_symlink):
        raise RefusalError(
            f"the unit '{name}' is to be masked, and the image has it in '/{CONFIG}'",
            "put it into '/usr/lib/systemd/system' in the image's build, or remove it there",
        )
    files.link(f"{CONFIG}/{name}", NOWHERE)


def find_unit(files: Files, name: str, seen: frozenset[str] = frozenset()) -> Unit | None:
    """Return a unit, or the template that it is an instance of; None where there is none.

    Raises RefusalError for one that is masked.
    """
    for file in units_of(name):
        for place in _PLACES:
            folder = files.directory(place)
            node = folder.entries.get(file.encode()) if folder is not None else None
            if not isinstance(node, File):
                continue
            if not isinstance(files.find(f"{place}/{file}"), File) and node.target != _NOWHERE:
                continue
            if node.is_symlink and node.target == _NOWHERE:
                raise RefusalError(
                    f"the unit '{name}' is to be enabled, and the image masks it",
                    "leave it out, or unmask it in the image",
                )
            real = node.target.rpartition(b"/")[2].decode(errors="replace")
            if node.is_symlink and real != file:  # an alias: the other name is enabled
                if real in seen or real in units_of(name) or len(seen) > _MOST_NAMES:  # a circle
                    return None
                return find_unit(files, real, seen | {file})
            shown = "usr/lib/systemd/system" if place == "lib/systemd/system" else place
            unit = Unit(name=name, file=file, path=f"/{shown}/{file}")
            for text in (files.text(f"{place}/{file}") or "", *_drop_ins(files, file)):
                _parse(text.encode(errors="surrogateescape").decode(errors="replace"), unit.install)
            return unit
    return None


def is_there(files: Files, name: str) -> bool:
    """Say whether there is a unit that could run."""
    try:
        return find_unit(files, name) is not None
    except RefusalError:
        return False


def _enable(files: Files, name: str, done: set[str], warn: Callable[[str], None]) -> None:
    """Enable a unit and those that go with it, as far as they say by which links."""
    todo = [name]
    while todo:
        unit = find_unit(files, current := todo.pop(0))
        if current in done:
            continue
        done.add(current)
        if len(done) > _MOST:
            raise RefusalError(f"the unit '{name}' leads to more than {_MOST} others")
        if unit is None:
            if current == name:
                raise RefusalError(
                    f"the unit '{name}' is to be enabled, and the image has none",
                    "leave it out, or install it in the image",
                )
            continue
        unit = _instance(unit)
        if not unit.install and current == name:
            warn(
                f"the unit '{name}' says by nothing when it is started ([Install]): enabling it "
                "changes nothing"
            )
        for key, kind in _KINDS.items():
            for word in unit.install.get(key, ()):
                target = _expand(word, unit)
                _check(target, unit)
                files.make(f"{CONFIG}/{target}.{kind}")
                files.link(f"{CONFIG}/{target}.{kind}/{unit.name}", unit.path)
        for word in unit.install.get("Alias", ()):
            alias = _expand(word, unit)
            _check(alias, unit)
            if alias.rpartition("/")[2] != unit.name:
                files.make(f"{CONFIG}/{alias}".rpartition("/")[0])
                files.link(f"{CONFIG}/{alias}", unit.path)
        todo += [_expand(word, unit) for word in unit.install.get("Also", ())]


def _disable(files: Files, name: str, warn: Callable[[str], None]) -> None:
    """Remove the links that enable a unit, and those that go with it."""
    try:
        unit = find_unit(files, name)
    except RefusalError:  # masked: it is as good as disabled
        return
    if unit is None:
        warn(f"the system has no unit '{name}' that could be disabled")
    names, todo = {name}, [name] if unit is None else [name, unit.name]
    while todo:
        names.add(current := todo.pop())
        try:
            found = find_unit(files, current)
        except RefusalError:
            continue
        more = [word for word in (found.install.get("Also", ()) if found is not None else ())
                if word not in names and len(names) < _MOST]  # fmt: skip
        todo += more
    folder = files.directory(CONFIG)
    if folder is not None:
        _unlink(files.own_directory(CONFIG), {each.encode() for each in names}, top=True)


def _unlink(folder: Directory, names: set[bytes], *, top: bool) -> None:
    for entry, node in list(folder.entries.items()):
        if isinstance(node, Directory):
            if top and entry.endswith(_FOLDERS):
                _unlink(node, names, top=False)
                if not node.entries:
                    del folder.entries[entry]
        elif node.is_symlink and node.target != _NOWHERE:
            goal = node.target.rpartition(b"/")[2]
            if {entry, goal} & names:
                del folder.entries[entry]


def _keep_at_first_boot(files: Files, services: Services) -> None:
    """Tell the first boot, which presets all units, what was chosen."""
    if not (services.enabled or services.disabled):
        return
    text = files.text("etc/machine-id")
    if text is not None and text.strip() != "uninitialized":  # an empty one is no first boot
        return
    lines = [f"{word} {full_name(name)}\n"
             for word, names in (("enable", services.enabled), ("disable", services.disabled))
             for name in names]  # fmt: skip
    files.write(_PRESETS, "".join(lines), mode=0o644)


def _instance(unit: Unit) -> Unit:
    """Return a template with the instance that it has by default."""
    if "@." not in unit.name:
        return unit
    default = unit.install.get("DefaultInstance", [])
    if not default:
        return unit
    return Unit(
        name=unit.name.replace("@.", f"@{default[-1]}.", 1), file=unit.file, path=unit.path,
        install=unit.install,
    )  # fmt: skip


def _drop_ins(files: Files, file: str) -> Iterator[str]:
    found: dict[str, str] = {}
    for place in reversed(_PLACES):
        folder = files.directory(f"{place}/{file}.d")
        for name in sorted(folder.entries) if folder is not None else ():
            if name.endswith(b".conf"):
                found[name.decode(errors="replace")] = f"{place}/{file}.d"
    for path in sorted(found):
        yield files.text(f"{found[path]}/{path}") or ""


def _parse(text: str, install: dict[str, list[str]]) -> None:
    """Add what [Install] says; an empty value takes back what was said before."""
    section = ""
    for line in re.sub(r"\\\n[ \t]*", " ", text).splitlines():
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or not stripped:
            continue
        if stripped.startswith("["):
            section = stripped
            continue
        key, equals, value = stripped.partition("=")
        if section != "[Install]" or not equals:
            continue
        words = value.split()
        known = install.setdefault(key.strip(), [])
        if words:
            known += words
        else:
            known.clear()


def _expand(word: str, unit: Unit) -> str:
    """Replace the specifiers that a link's name can have."""
    stem, _dot, suffix = unit.name.rpartition(".")
    prefix, _at, instance = stem.partition("@")
    values = {"n": unit.name, "N": stem, "p": prefix, "i": instance, "%": "%",
              "j": prefix.rpartition("-")[2]}  # fmt: skip
    return _SPECIFIER.sub(lambda found: values.get(found[1], found[0]), word) or suffix


def _check(target: str, unit: Unit) -> None:
    """Refuse names by which a link would lie elsewhere."""
    parts: Sequence[str] = target.split("/")
    plain = len(parts) == 1 or (len(parts) == 2 and parts[0].encode().endswith(_FOLDERS))
    if not plain or any(part in ("", ".", "..") for part in parts) or not target.isprintable():
        raise RefusalError(
            f"the unit '{unit.file}' is to be linked as '{target}', which is no name"
        )
