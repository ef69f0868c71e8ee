"""Accounts that are written against those that shadow-utils makes: the same lines, homes, modes."""

from __future__ import annotations

import stat
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from diskgen.blueprint.errors import BlueprintError
from diskgen.blueprint.model import AddedFile, Customizations, Group, User
from diskgen.provision.apply import apply
from diskgen.provision.defaults import Defaults
from diskgen.tree import Directory, File, regular, symlink

from ..fixtures import shadow_utils
from ..fixtures.materialise import materialise
from ..fixtures.shadow_root import shadow_root, tree_of

HASH = "$6$abcdefgh$" + "x" * 86
KEY = "ssh-ed25519 AAAAC3Nza me@x"
TABLES = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
USERS = (
    User(name="ann", groups=("wheel", "adm"), keys=(KEY,), comment="Ann Lee"),
    User(name="ben", password=HASH, shell="/bin/sh", uid=1500),
    User(name="cem", gid=2500, groups=("media", "ann")),
    User(name="eve", home="/var/lib/eve"),
    User(name="shadow"),
    User(name="media"),
    User(name="old", groups=("adm",), shell="/bin/bash"),
    User(name="fay", password=HASH, locked=True, expires=20000),
    User(name="gil", password=HASH, reset=True),
)
ROOT = User(name="root", password=HASH, keys=(KEY,))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return shadow_root(tmp_path / "root")


def written(root: Path, wanted: Customizations, place: Path) -> Path:
    """Return the root with what is wanted written into it, as files."""
    tree = tree_of(root)
    var = tree.entries[b"var"]
    assert isinstance(var, Directory)
    apply(wanted, tree, var, int(time.time()))
    materialise(tree, place)
    return place


def homes(root: Path) -> dict[str, tuple[object, ...]]:
    """Return all that lies in /var, with owner, mode and content."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted((root / "var").rglob("*")):
        info = path.lstat()
        what: object = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            what = path.read_bytes()
        mode = 0 if path.is_symlink() else stat.S_IMODE(info.st_mode)
        found[str(path.relative_to(root))] = (info.st_uid, info.st_gid, mode, what)
    return found


@pytest.mark.root
@pytest.mark.parametrize("groups", [(), (Group(name="media", gid=3000), Group(name="tea"))])
def test_the_same_as_by_shadow_utils(root: Path, groups: tuple[Group, ...], tmp_path: Path) -> None:
    wanted = Customizations(users=(*USERS, ROOT), groups=groups)
    mine = written(root, wanted, tmp_path / "mine")
    shadow_utils.make(root, wanted)
    for name in TABLES:
        assert (mine / "etc" / name).read_text() == (root / "etc" / name).read_text(), name
        assert (mine / "etc" / name).stat().st_mode == (root / "etc" / name).stat().st_mode
    assert homes(mine) == homes(root)


@pytest.mark.root
def test_pwck_and_grpck_are_content(root: Path, tmp_path: Path) -> None:
    (root / "usr/lib/passwd").write_text("core:x:970:970::/var/home/core:/bin/sh\n")
    (root / "usr/lib/group").write_text("wheel:x:10:\n")
    groups = (root / "etc/group").read_text().replace("sudo:x:27:\n", "core:x:970:\n")
    (root / "etc/group").write_text(groups)
    hidden = (root / "etc/gshadow").read_text().replace("sudo:*::", "core:*::")
    (root / "etc/gshadow").write_text(hidden)
    before = {name: _check(root, *name) for name in (("pwck",), ("grpck",))}
    people = [User(name=f"u{number}", groups=("wheel",)) for number in range(200)]
    wanted = Customizations(
        users=(*USERS, ROOT, User(name="core", keys=(KEY,), comment="x"), *people),
        groups=(Group(name="tea"),),
    )
    mine = written(root, wanted, tmp_path / "mine")
    assert "wheel:x:10:ann" in (mine / "etc/group").read_text()
    for name, (_status, said) in before.items():
        status, after = _check(mine, *name)
        assert set(after.splitlines()) <= set(said.splitlines()), after
        assert status == _status


def _check(root: Path, program: str) -> tuple[int, str]:
    done = subprocess.run(
        ["chroot", root, program, "-r"], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_names_and_numbers_that_the_image_gives_away_at_boot(root: Path, tmp_path: Path) -> None:
    (root / "usr/lib/sysusers.d").mkdir()
    (root / "usr/lib/sysusers.d/a.conf").write_text(
        'u podman 1005 "Pods" /var/lib/pods\ng wheel 10\nu dbus -\nu! tss 59:1006 "x"\n"'
    )
    wanted = Customizations(users=(User(name="ann", groups=("wheel",)), User(name="ben")))
    mine = written(root, wanted, tmp_path / "mine")
    numbers = {line.split(":")[0]: line.split(":")[2:4]
               for line in (mine / "etc/passwd").read_text().splitlines()}  # fmt: skip
    assert numbers["ann"][0] == "1006"  # 1005 is podman's
    assert "ann" in (mine / "etc/group").read_text().split("sudo:x:27:")[1].splitlines()[0]
    assert numbers["ben"] == ["1007", "1008"]  # the group 1006 is tss's
    with pytest.raises(BlueprintError, match="makes at boot for itself"):
        written(root, Customizations(users=(User(name="dbus"),)), tmp_path / "x")


@pytest.mark.parametrize(
    ("user", "message"),
    [(User(name="ann", uid=1004), "number '1004', which 'old' has"),
     (User(name="old", home="/home/x"), "its home stays '/home/old'"),
     (User(name="ann", shell="/bin/zsh"), "the shell of 'ann'")],
)  # fmt: skip
def test_what_an_image_cannot_take(root: Path, user: User, message: str, tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match=message):
        written(root, Customizations(users=(user,)), tmp_path / "x")


@pytest.mark.parametrize("link", ["etc", "home", "var/home", "var/home/ann", "var"])
@pytest.mark.parametrize("goal", ["/usr/lib", "../../../../tmp", "/", "usr", "/var/home/ann"])
def test_links_of_an_image_lead_nowhere_else(root: Path, link: str, goal: str) -> None:
    """Whatever an image's links say, nothing but its own /etc and /var is written."""
    tree = tree_of(root)
    var = tree.entries[b"var"]
    assert isinstance(var, Directory)
    if link.startswith("var/"):
        var.add(link.removeprefix("var/"), symlink(goal))
    elif link != "var":
        tree.entries[link.encode()] = symlink(goal)
    else:
        var.entries[b"home"] = symlink("../var/home")
    before = [(path, id(node)) for path, node in tree.walk() if path.startswith(b"usr/")]
    wanted = Customizations(
        users=(replace(USERS[0], groups=()), ROOT), hostname="x",
        files=(AddedFile(path="/home/ann/x", data=b"1"),),
    )  # fmt: skip
    try:
        apply(wanted, tree, var, 0)
    except BlueprintError as error:
        assert error.problems  # noqa: PT017 - either is right, a file elsewhere is not
    after = [(path, id(node)) for path, node in tree.walk() if path.startswith(b"usr/")]
    assert after == before


def test_ten_thousand_accounts(root: Path) -> None:
    tree = tree_of(root)
    var = tree.entries[b"var"]
    assert isinstance(var, Directory)
    people = tuple(User(name=f"u{number}", groups=("sudo",)) for number in range(10_000))
    with pytest.raises(BlueprintError, match="no subordinate numbers left for 'u9154'") as caught:
        apply(Customizations(users=people), tree_of(root), Directory(), 0)
    assert len(caught.value.problems) == 20
    (root / "etc/subuid").unlink()
    (root / "etc/subgid").unlink()
    tree = tree_of(root)
    var = tree.entries[b"var"]
    assert isinstance(var, Directory)
    started = time.process_time()
    apply(Customizations(users=people), tree, var, 0)
    assert time.process_time() - started < 60
    home = var.get_dir("home")
    assert home is not None
    assert len(home.entries) == 10_000


def test_odd_lines_of_an_image_stay(root: Path, tmp_path: Path) -> None:
    odd = b"# a comment\n+::::::\nb\xe4d:x:77:77:\xff:/:/bin/sh\n\nshort:x\n"
    (root / "etc/passwd").write_bytes((root / "etc/passwd").read_bytes() + odd)
    mine = written(root, Customizations(users=(User(name="ann"),)), tmp_path / "mine")
    assert odd in (mine / "etc/passwd").read_bytes()


def test_what_is_there_keeps_its_mode(root: Path) -> None:
    tree = tree_of(root)
    tree.add("etc/hostname", regular(b"x\n", mode=0o600))
    var = tree.entries[b"var"]
    assert isinstance(var, Directory)
    apply(Customizations(users=(User(name="ann"),)), tree, var, 0)
    shadow = tree.get_file("etc/shadow")
    assert shadow is not None
    assert stat.S_IMODE(shadow.mode) == 0o640


def test_a_skeleton_with_directories(root: Path) -> None:
    tree = tree_of(root)
    tree.add("etc/skel/.config/a", regular(b"1", mode=0o640))
    tree.add("etc/skel/.here", symlink("/etc/skel/.config"))
    folder = tree.get_dir("etc/skel/.config")
    var = tree.entries[b"var"]
    assert folder is not None
    assert isinstance(var, Directory)
    folder.mode = stat.S_IFDIR | 0o750
    apply(Customizations(users=(User(name="ann"),)), tree, var, 0)
    made = {path: node for path, node in var.walk() if path.startswith(b"home/ann")}
    assert {(node.uid, node.gid) for node in made.values()} == {(1005, 1005)}
    modes = {path: stat.S_IMODE(node.mode) for path, node in made.items()}
    assert modes[b"home/ann"] == 0o700
    assert modes[b"home/ann/.config"] == 0o750
    assert modes[b"home/ann/.config/a"] == 0o640
    link = made[b"home/ann/.here"]
    assert isinstance(link, File)
    assert link.target == b"/home/ann/.config"


def test_numbers_below_zero_are_none() -> None:
    names = ("UID_MIN", "UID_MAX", "SYS_GID_MIN", "UMASK", "HOME_MODE", "SUB_UID_MIN")
    odd = Defaults(dict.fromkeys(names, "-1") | {"PASS_MAX_DAYS": "-1"}, {})
    usual = Defaults({}, {})
    assert (odd.users, odd.system_groups, odd.home_mode) == (
        usual.users, usual.system_groups, usual.home_mode,
    )  # fmt: skip
    assert odd.number("SUB_UID_MIN", 5) == 5
    assert odd.ages == ("", "", "")
