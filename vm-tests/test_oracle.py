"""Encapsulated images, tree by tree against what ostree-ext and libostree deploy of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import debian_image
import oracle as oracle_module
import pytest
from debian_image import PLAIN, SELINUX, Recipe
from derive import derive

from tests.fixtures.program import Program

pytestmark = pytest.mark.root

HERE = Path(__file__).resolve().parent
TARGET = "quay.io/example/os:1"
_DEPLOYMENT = re.compile(r"ostree/deploy/default/deploy/([0-9a-f]{64})\.0")

Row = dict[str, Any]


@pytest.fixture(scope="module")
def oracle(cache: Path, diskgen: Program) -> oracle_module.Oracle:
    work = diskgen.place / "oracle"
    work.mkdir()
    return oracle_module.make(cache, work)


def scan(*words: str | Path) -> dict[str, Row]:
    argv = ["unshare", "--mount", sys.executable, HERE / "scan.py", *words]
    found: dict[str, Row] = json.loads(subprocess.check_output(argv))
    return found


def commit_of(rows: dict[str, Row]) -> str:
    (commit,) = {match[1] for path in rows if (match := _DEPLOYMENT.fullmatch(path))}
    return commit


def neutral(rows: dict[str, Row]) -> dict[str, Row]:
    """Return rows whose merge commit has the same name, and hard links the same number."""
    commit = commit_of(rows)
    groups: dict[str, str] = {}
    result = {}
    for path in sorted(rows):
        row = dict(rows[path])
        name = path.replace(commit, "COMMIT")
        if row["group"] and not name.startswith("boot/"):  # it may be a filesystem of its own
            row["group"] = groups.setdefault(row["group"], name)
        row["data"] = row["data"].replace(commit, "COMMIT")
        result[name] = row
    return result


# What differs, by path, and why.
_OURS_ALONE = re.compile(
    r"\.bootc-aleph\.json"  # of bootc, which is not asked here
    r"|lost\+found|boot/lost\+found"  # of a filesystem
    r"|boot/(efi|grub)(/.*)?"  # of the boot loader
)
_THEIRS_ALONE = re.compile(
    # libostree 2026.4 writes it where prepare-root.conf has it disabled, too; nothing reads it then
    r"ostree/deploy/default/deploy/COMMIT\.0/\.ostree\.cfs"
)
_LABELLED = re.compile(
    r"ostree/repo/objects/.*\.file|ostree/deploy/default/deploy/COMMIT\.0/(?!etc).*"
)
_OTHER = re.compile(
    r"boot/loader\.1/entries/ostree-1\.conf"  # kernel arguments of a disk
    r"|ostree/deploy/default/deploy/COMMIT\.0/etc/fstab"  # /boot is a filesystem of its own
    r"|\.|boot"  # the top of a filesystem
)


def differences(theirs: dict[str, Row], ours: dict[str, Row], *, selinux: bool) -> Iterator[str]:
    for path in sorted(set(theirs) | set(ours)):
        if path.endswith(".commit"):
            continue  # timestamps and the parent; their trees are compared
        if path not in theirs:
            if not _OURS_ALONE.fullmatch(path):
                yield f"only ours: {path}"
        elif path not in ours:
            if not _THEIRS_ALONE.fullmatch(path):
                yield f"only theirs: {path}"
        elif not _OTHER.fullmatch(path):
            for key in theirs[path]:
                if key == "mtime" and not _is_object(path, ours[path]):
                    continue  # libostree's copies have the time of the deployment, ours none
                if key == "xattrs" and selinux and not _LABELLED.fullmatch(path):
                    continue  # on this machine, which has no SELinux, libostree leaves them alone
                if key == "group" and path.startswith("boot/"):
                    continue  # copies on a filesystem of their own
                if key == "data" and "/refs/heads/ostree/container/blob/" in path:
                    continue  # commits of derived layers carry the time they were made
                if theirs[path][key] != ours[path][key]:
                    yield f"{path}: {key} {theirs[path][key]!r} != {ours[path][key]!r}"


def _is_object(path: str, row: Row) -> bool:
    return path.endswith(".file") and "/objects/" in path and bool(row["mode"].startswith("10"))


@pytest.mark.parametrize("derived", [False, True], ids=["base", "derived"])
@pytest.mark.parametrize(
    ("name", "recipe"), [("plain", PLAIN), ("selinux", SELINUX)], ids=["plain", "selinux"]
)
def test_ostree_ext_deploys_the_same(
    oracle: oracle_module.Oracle,
    diskgen: Program,
    cache: Path,
    name: str,
    recipe: Recipe,
    derived: bool,
) -> None:
    image = oracle.work / name
    if not image.is_dir():
        tar = debian_image.base_layer(cache, recipe)
        oracle.encapsulate(tar, name, policy=recipe.selinux is not None)
    if derived:
        image = derive(
            image,
            oracle.work / f"{name}-derived",
            debian_image.doomed_layer(),
            debian_image.derived_layer(),
            debian_image.agent_layer("1"),
        )
    theirs = neutral(scan(oracle.deploy(image.name, TARGET)))
    disk = diskgen.place / f"{image.name}.raw"
    diskgen("raw", f"oci:{image}", "--target-imgref", TARGET, "-o", disk)
    ours = neutral(scan(disk, "root", "boot"))
    found = list(differences(theirs, ours, selinux=recipe.selinux is not None))
    assert not found, "\n".join(found[:50])
    objects = sum(path.startswith("ostree/repo/objects/") for path in ours)
    assert objects > 7000
    disk.unlink()
