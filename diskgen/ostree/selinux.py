"""SELinux labels from the image's own policy, as ostree and bootc give them.

The rules are looked up by libselinux in a process of its own, which needs neither root nor SELinux
on this machine. Paths are those in the commit (ostree's labelling epoch 0): ``/usr/etc/passwd``.
"""

from __future__ import annotations

import os
import re
import signal
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from .. import run
from ..budgets import RULES_BYTES
from ..errors import HostError, SourceError, end_of
from ..image.sums import add_checksums
from ..tree import Directory, File, Node, Xattrs, read
from .lookup import find, find_dir, find_text

XATTR: Final = b"security.selinux"
_CONFIG: Final = "etc/selinux/config"
_ACTIVE: Final = ("enforcing", "permissive")
_SUFFIXES: Final = ("", ".homedirs", ".local", ".subs", ".subs_dist")
_AS: Final = {b"/proc": b"/mnt"}  # a mount point that policies do not label; libostree's rule
_PER_PROCESS: Final = 2000  # questions that make another process worth its start
# Any other signal is the library's answer to what the policy says.
_ENDED_BY_OTHERS: Final = (-signal.SIGTERM, -signal.SIGKILL, -signal.SIGHUP, -signal.SIGINT)
_TYPE: Final = re.compile(r"[\w.+-]+", re.ASCII)

Question = tuple[bytes, int]  # absolute path, st_mode
Answers = Mapping[Question, bytes | None]  # a label without its trailing NUL; None: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The file contexts of an active policy."""

    name: str  # SELINUXTYPE
    files: Mapping[str, bytes]  # by suffix of file_contexts


def policy_of(config: str) -> str | None:
    """Return the name of the policy that a selinux_config(5) has active; None: none is."""
    found = re.findall(
        r"^[ \t]*(SELINUX|SELINUXTYPE)[ \t]*=[ \t]*(\S+)[ \t]*$", config, re.MULTILINE
    )
    values = dict(found)
    name = values.get("SELINUXTYPE", "targeted")
    active = values.get("SELINUX", "").lower() in _ACTIVE and _TYPE.fullmatch(name)
    return name if active else None


def read_policy(root: Directory) -> Policy | None:
    """Return the policy of a commit's tree, None where it has no active one.

    Raises SourceError for one that is active and incomplete.
    """
    name = policy_of(find_text(root, _CONFIG) or "")
    if name is None:
        return None
    binary = find_dir(root, f"etc/selinux/{name}/policy")
    if binary is None or not any(entry.startswith(b"policy.") for entry in binary.entries):
        return None
    files: dict[str, bytes] = {}
    for suffix in _SUFFIXES:
        path = f"etc/selinux/{name}/contexts/files/file_contexts{suffix}"
        node = find(root, path)
        if not isinstance(node, File) or node.content is None:
            continue
        if node.size > RULES_BYTES.limit:
            raise SourceError(f"'/{path}' of the image has {RULES_BYTES.exceeded}")
        files[suffix] = read(node.content)
    if "" not in files:
        raise SourceError(
            f"this image has an active SELinux policy '{name}' without file contexts "
            f"('/etc/selinux/{name}/contexts/files/file_contexts')",
            hint="install the policy's packages again, or set 'SELINUX=disabled' in the image's "
            f"/{_CONFIG}",
        )
    return Policy(name=name, files=files)


def ask(policy: Policy, questions: Iterable[Question], scratch: Path) -> Answers:
    """Return the labels of paths, by libselinux's ``selabel_lookup_raw``.

    ``scratch`` is a directory for the rules. Raises SourceError for rules that libselinux cannot
    read, HostError where there is no libselinux.
    """
    unique = sorted({(path, stat.S_IFMT(mode)) for path, mode in questions})
    rules = scratch / "file_contexts"
    for suffix, data in policy.files.items():
        rules.with_name(rules.name + suffix).write_bytes(data)
    count = max(1, min(os.cpu_count() or 1, len(unique) // _PER_PROCESS))
    parts = [unique[at::count] for at in range(count)]
    answers: dict[Question, bytes | None] = {}
    files = [scratch / f"questions.{number}" for number in range(count)]
    for part, path in zip(parts, files, strict=True):
        questions_text = (b"%o %s\0" % (mode, _AS.get(name, name)) for name, mode in part)
        path.write_bytes(b"".join(questions_text))
    for part, output in zip(parts, _lookup(policy, rules, files), strict=True):
        labels = output.split(b"\0")[:-1]
        if len(labels) != len(part):
            raise _broken(policy, "libselinux gave up")
        answers |= {key: label or None for key, label in zip(part, labels, strict=True)}
    return answers


def _lookup(policy: Policy, rules: Path, files: Sequence[Path]) -> list[bytes]:
    """Run one process for each file of questions, side by side; return what each wrote."""
    argv, env = run.own_module("diskgen.ostree.selinux_worker")
    outputs = [path.with_suffix(f"{path.suffix}.labels") for path in files]
    errors = [path.with_suffix(f"{path.suffix}.errors") for path in files]
    with run.together() as start:
        children: list[run.Child] = []
        for path, output, error in zip(files, outputs, errors, strict=True):
            with path.open("rb") as stdin, output.open("wb") as stdout, error.open("wb") as stderr:
                children.append(
                    start(
                        [*argv, rules], env=env,
                        stdin=stdin.fileno(), stdout=stdout.fileno(), stderr=stderr.fileno(),
                    )
                )  # fmt: skip
        for child, error in zip(children, errors, strict=True):
            status = run.wait(child)
            said = error.read_text(errors="replace").strip()
            if status == 3:
                raise HostError(
                    f"this image has SELinux labels, and {said}",
                    hint="install it (Debian: libselinux1, Fedora: libselinux)",
                )
            if status in _ENDED_BY_OTHERS:
                raise HostError(f"a process that looks labels up {end_of(status)}")
            if status:
                raise _broken(policy, said.splitlines()[-1] if said else f"status {status}")
    return [path.read_bytes() for path in outputs]


def _broken(policy: Policy, reason: str) -> SourceError:
    return SourceError(
        f"the SELinux policy '{policy.name}' of the image cannot be read: {reason}",
        hint=f"look at /etc/selinux/{policy.name}/contexts/files in the image",
    )


def questions_of(root: Directory, prefix: bytes = b"/") -> Iterable[Question]:
    """Yield what to ask for a tree whose root has the path ``prefix``."""
    yield prefix, root.mode
    base = prefix.rstrip(b"/")
    for path, node in root.walk():
        yield base + b"/" + path, node.mode


def relabel(
    trees: Sequence[Directory], answers: Answers, advance: Callable[[int], None]
) -> list[Directory]:
    """Return copies of trees of the same commit with the labels of their paths, and no others.

    Files that were one inode stay one where their labels agree, across trees too. ``advance`` gets
    the bytes of contents as they are hashed again.
    """
    made: dict[tuple[int, bytes | None], File] = {}

    def labelled(node: Node, path: bytes) -> Node:
        label = answers[path, stat.S_IFMT(node.mode)]
        if isinstance(node, Directory):
            base = path.rstrip(b"/") + b"/"
            children = {name: labelled(child, base + name) for name, child in node.entries.items()}
            return replace(node, xattrs=with_label(node.xattrs, label), entries=children)
        key = id(node), label
        if key not in made:
            xattrs = with_label(node.xattrs, label)
            same = xattrs == node.xattrs
            made[key] = node if same else replace(node, xattrs=xattrs, checksum=None)
        return made[key]

    results = [labelled(tree, b"/") for tree in trees]
    add_checksums(made.values(), advance)
    return [result for result in results if isinstance(result, Directory)]


def with_label(xattrs: Xattrs, label: bytes | None) -> Xattrs:
    """Return extended attributes with this label in place of any other."""
    others = tuple(pair for pair in xattrs if pair[0] != XATTR)
    return others if label is None else tuple(sorted((*others, (XATTR, label + b"\0"))))
