"""Units enabled, disabled and masked: the links that systemctl makes in the same root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from diskgen.blueprint.errors import BlueprintError
from diskgen.blueprint.model import Customizations, Services
from diskgen.provision.apply import apply
from diskgen.tree import Directory, symlink

from ..fixtures.materialise import materialise
from ..fixtures.shadow_root import tree_of

UNITS = {
    "usr/lib/systemd/system/plain.service": "[Install]\nWantedBy=multi-user.target a.target\n",
    "usr/lib/systemd/system/both.service":
        "[Install]\nRequiredBy=multi-user.target\nAlias=other.service dbus-x.service\n",
    "usr/lib/systemd/system/also.service":
        "[Service]\nWantedBy=not.target\n[Install]\n# WantedBy=x\nAlso=plain.service also.socket\n",
    "usr/lib/systemd/system/also.socket": "[Install]\nWantedBy=sockets.target\n",
    "usr/lib/systemd/system/tpl@.service":
        "[Install]\nWantedBy=multi-user.target \\\n  %p.target\nDefaultInstance=one\n",
    "usr/lib/systemd/system/bare@.service": "[Install]\nWantedBy=inst-%i.target\n",
    "usr/lib/systemd/system/drop.service": "[Install]\nWantedBy=one.target\n",
    "etc/systemd/system/drop.service.d/a.conf": "[Install]\nWantedBy=\nWantedBy=two.target\n",
    "etc/systemd/system/mine.service": "[Install]\nWantedBy=multi-user.target\n",
    "usr/lib/systemd/system/up.timer": "[Install]\nWantedBy=timers.target\nUpheldBy=x.service\n",
    "usr/lib/systemd/system/real.service":
        "[Install]\nWantedBy=multi-user.target\nAlias=old.service\n",
    "usr/lib/systemd/system/static.service": "[Service]\nExecStart=/bin/true\n",
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for path, text in UNITS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "var").mkdir()
    (root / "usr/lib/systemd/system/old.service").symlink_to("real.service")
    (root / "usr/lib/systemd/system/gone.service").symlink_to("/dev/null")
    (root / "etc/machine-id").write_text("")
    return root


def links(root: Path) -> dict[str, str]:
    """Return the links of a root's configuration, by path."""
    top = root / "etc/systemd/system"
    return {
        str(path.relative_to(top)): _plain(str(path.readlink()))
        for path in sorted(top.rglob("*"))
        if path.is_symlink()
    }


def _plain(goal: str) -> str:
    return "/" + goal.lstrip("/").removeprefix("usr/") if goal.startswith("/") else goal


def written(root: Path, services: Services, place: Path) -> tuple[Path, tuple[str, ...]]:
    tree = tree_of(root)
    var = tree.entries[b"var"]
    assert isinstance(var, Directory)
    warnings = apply(Customizations(services=services), tree, var, 0)
    materialise(tree, place)
    return place, warnings


def systemctl(root: Path, verb: str, *units: str) -> Path:
    subprocess.run(["systemctl", f"--root={root}", "-q", verb, *units], check=True)
    return root


@pytest.mark.parametrize(
    "units",
    [("plain",), ("both",), ("also.service",), ("tpl@.service",), ("tpl@two.service",),
     ("bare@x",), ("drop",), ("mine",), ("old",), ("up.timer",), ("static",),
     ("plain", "both", "also", "tpl@a", "tpl@b")],
)  # fmt: skip
def test_units_are_enabled_as_by_systemctl(
    root: Path, units: tuple[str, ...], tmp_path: Path
) -> None:
    mine, warnings = written(root, Services(enabled=units), tmp_path / "mine")
    if units == ("static",):
        assert "is started" in warnings[0]
    theirs = links(systemctl(root, "enable", *units))
    found = links(mine)
    if units == ("up.timer",):  # systemd 252 does not know UpheldBy= yet
        assert found.pop("x.service.upholds/up.timer")
    assert found == theirs
    # And off again: nothing is left of them, as after systemctl.
    root_again = root
    shutil.rmtree(mine)
    off, _warnings = written(root_again, Services(disabled=units), mine)
    assert links(off) == links(systemctl(root_again, "disable", *units))


def test_units_are_masked(root: Path, tmp_path: Path) -> None:
    mine, _none = written(root, Services(masked=("plain", "up.timer", "no-such")), tmp_path / "m")
    assert links(mine) == links(systemctl(root, "mask", "plain", "up.timer", "no-such.service"))


@pytest.mark.parametrize(
    ("services", "message"),
    [(Services(enabled=("none",)), "the image has none"),
     (Services(enabled=("gone",)), "the image masks it"),
     (Services(masked=("mine",)), "the image has it in"),
     (Services(enabled=("evil",)), "which is no name"),
     (Services(enabled=("loop",)), "no name|has none")],
)  # fmt: skip
def test_units_that_cannot_be(root: Path, services: Services, message: str, tmp_path: Path) -> None:
    units = root / "usr/lib/systemd/system"
    (units / "evil.service").write_text("[Install]\nWantedBy=../../../../tmp/x\n")
    (units / "loop.service").symlink_to("loop.service")
    with pytest.raises(BlueprintError, match=message):
        written(root, services, tmp_path / "mine")


def test_what_is_disabled_and_not_there(root: Path, tmp_path: Path) -> None:
    _mine, warnings = written(root, Services(disabled=("none",)), tmp_path / "mine")
    assert warnings == ("the system has no unit 'none.service' that could be disabled",)


@pytest.mark.parametrize(
    ("machine_id", "kept"),
    [(None, True), ("uninitialized\n", True), ("", False), ("a" * 32, False)],
)
def test_a_first_boot_keeps_what_was_chosen(
    root: Path, machine_id: str | None, kept: bool, tmp_path: Path
) -> None:
    """A first boot presets all units: it is told; see machine-id(5) on which boot is one."""
    (root / "etc/machine-id").unlink()
    if machine_id is not None:
        (root / "etc/machine-id").write_text(machine_id)
    services = Services(enabled=("plain",), disabled=("both",))
    mine, _warnings = written(root, services, tmp_path / "mine")
    preset = mine / "etc/systemd/system-preset/00-diskgen.preset"
    assert preset.exists() == kept
    if kept:
        assert preset.read_text() == "enable plain.service\ndisable both.service\n"
        (root / "usr/lib/systemd/system-preset").mkdir()
        (root / "usr/lib/systemd/system-preset/99.preset").write_text("disable *\n")
        before = links(mine)
        systemctl(mine, "preset", "plain", "both")
        assert links(mine) == before


@pytest.mark.parametrize("place", ["etc/systemd", "etc/systemd/system", "etc/systemd/system/m.d"])
def test_a_link_out_of_the_configuration(root: Path, place: str) -> None:
    tree = tree_of(root)
    tree.add(place, symlink("/usr/lib"))
    var = tree.entries[b"var"]
    assert isinstance(var, Directory)
    services = Services(enabled=("plain",), masked=("x",))
    before = [path for path, _node in tree.walk() if path.startswith(b"usr/")]
    if place.endswith("m.d"):
        apply(Customizations(services=services), tree, var, 0)
    else:
        with pytest.raises(BlueprintError, match="is a part of the image"):
            apply(Customizations(services=services), tree, var, 0)
    assert [path for path, _node in tree.walk() if path.startswith(b"usr/")] == before
