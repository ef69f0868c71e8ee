"""Every key of install configuration is obeyed or named: by diskgen and on Anaconda's way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diskgen.arch import MACHINES
from diskgen.config import IsoRequest, Request
from diskgen.decision import Decision, Route, Wishes, decide, wishes
from diskgen.errors import UsageError
from diskgen.image.index import Entry
from diskgen.ostree.facts import TreeFacts, examine
from diskgen.ostree.installconfig import KEYS
from diskgen.reference import parse

from ..fixtures.ostree_samples import LABELS, f, merged
from ..fixtures.program import ROOT

TARGET = parse("registry.example/os:1")
X86 = MACHINES["x86_64"]
# One line of [install] for each key that asks for something unusual.
SAMPLES = {
    "kargs": 'kargs = ["asked=1"]',
    "karg-deletes": 'karg-deletes = ["base=1"]',
    "match-architectures": 'match-architectures = ["aarch64"]\nkargs = ["asked=1"]',
    "block": 'block = ["tpm2-luks"]',
    "filesystem.root.type": 'filesystem.root.type = "btrfs"',
    "root-fs-type": 'root-fs-type = "xfs"',
    "ostree.bls-append-except-default": 'ostree.bls-append-except-default = "quiet"',
    "stateroot": 'stateroot = "other"',
    "root-mount-spec": 'root-mount-spec = ""',
    "boot-mount-spec": 'boot-mount-spec = "LABEL=boot"',
    "bootloader": 'bootloader = "none"',
    "bootupd.skip-boot-uuid": "bootupd.skip-boot-uuid = true",
    "discoverable-partitions": "discoverable-partitions = true",
    "enforce-container-sigpolicy": "enforce-container-sigpolicy = true",
}
BASE = f("usr/lib/bootc/kargs.d/1.toml", b'kargs = ["base=1"]\n')
SIGNED = f("etc/containers/policy.json", b'{"default": [{"type": "reject"}]}')


def image(line: str = "", *more: Entry) -> TreeFacts:
    config = f("usr/lib/bootc/install/1.toml", f"[install]\n{line}\n".encode())
    return examine(merged(BASE, SIGNED, config, *more), LABELS, "x86_64")


def decided(tree: TreeFacts, route: Route = Route.DISKGEN, wish: Wishes | None = None) -> Decision:
    return decide(wish or Wishes(target=TARGET), tree, X86, route)


def told(made: Decision) -> str:
    return "\n".join((*made.warnings, *(problem.message for problem in made.problems)))


def answers(made: Decision) -> tuple[object, ...]:
    plain = replace(made, warnings=(), problems=())
    return plain, plain.kernel_arguments("R", "B")


@pytest.mark.parametrize("route", Route)
def test_every_key_is_obeyed_or_named(route: Route) -> None:
    assert SAMPLES.keys() == KEYS.keys()
    usual = decided(image(), route)
    assert told(usual) == ""
    for name, line in SAMPLES.items():
        key = KEYS[name]
        made = decided(image(line), route)
        named = key.anaconda if route is Route.ANACONDA else key.diskgen
        if name == "discoverable-partitions" and route is Route.DISKGEN:
            assert "started by BIOS" in told(made)  # it is obeyed, and may be a mistake
        elif named is not None:
            assert name in told(made), name
        else:
            assert told(made) == "", name
            obeyed = name == "match-architectures"  # here: that the file does not count
            assert (answers(made) == answers(usual)) is obeyed, name
    other = decide(Wishes(target=TARGET), examine(
        merged(BASE, SIGNED, f("usr/lib/bootc/install/1.toml",
               f"[install]\n{SAMPLES['match-architectures']}\n".encode())), LABELS, "aarch64"
    ), MACHINES["aarch64"], route)  # fmt: skip
    assert "asked=1" in other.kernel_arguments("R", "B")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('root-mount-spec = ""', ("rw", "boot=UUID=B")),
        ('root-mount-spec = "LABEL=x"', ("root=LABEL=x", "rw", "boot=UUID=B")),
        ('boot-mount-spec = ""', ("root=UUID=R", "rw")),
        ('boot-mount-spec = "LABEL=y"', ("root=UUID=R", "rw", "boot=LABEL=y")),
        ("discoverable-partitions = true", ("rw", "boot=UUID=B")),
        ("discoverable-partitions = false", ("root=UUID=R", "rw", "boot=UUID=B")),
        ('discoverable-partitions = true\nroot-mount-spec = "LABEL=x"',
         ("root=LABEL=x", "rw", "boot=UUID=B")),
    ],
)  # fmt: skip
def test_what_root_and_boot_are_named_by(line: str, wanted: tuple[str, ...]) -> None:
    made = decided(image(line)).kernel_arguments("R", "B")
    assert made[: len(wanted)] == wanted
    assert made[len(wanted)] == "base=1"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('root-mount-spec = "LABEL=root"', True),
        ('root-mount-spec = "PARTLABEL=root"', True),
        ('root-mount-spec = "/dev/disk/by-label/any"', True),  # of which nothing is known
        ('root-mount-spec = "LABEL=boot"', False),
        ('root-mount-spec = "UUID=910678ff-f77e-4a7d-8d53-86f2ac47a823"', False),
        ('boot-mount-spec = "LABEL=boot"', True),
        ('boot-mount-spec = "PARTUUID=x"', False),
    ],
)
def test_names_that_no_filesystem_has(line: str, found: bool) -> None:
    key = line.partition(" ")[0]
    said = told(decided(image(line)))
    assert (f"{key} = " in said and "will not be mounted" in said) is not found
    assert "will not be mounted" not in told(decided(image(line), Route.ANACONDA))


def test_a_root_is_found_by_its_type_where_that_works() -> None:
    """As bootc, we leave root= out; what has no UEFI would never find its root."""
    tree = image("discoverable-partitions = true")
    made = decide(Wishes(target=TARGET), tree, MACHINES["s390x"], Route.DISKGEN)
    assert "root=UUID=R" in made.kernel_arguments("R", "B")
    assert "discoverable-partitions = true: root= names it all the same" in told(made)
    for route in Route:
        named = image('discoverable-partitions = true\nroot-mount-spec = "LABEL=root"')
        said = told(decided(named, route))
        assert "discoverable-partitions" not in said
        assert ("root-mount-spec" in said) is (route is Route.ANACONDA)


@pytest.mark.parametrize("medium", [False, True])
def test_the_way_out_is_one_of_the_command(medium: bool) -> None:
    wish = Wishes(target=TARGET, medium=medium)
    for line in ("rootflags=subvol=root", "rootflags=subvolid=5"):
        kind = "btrfs" if "id" in line else "ext4"
        tree = image(f'root-fs-type = "{kind}"\nkargs = ["{line}"]')
        (problem,) = decided(tree, wish=wish).problems
        assert problem.hint is not None
        assert ("--karg-delete" in problem.hint) is not medium
        assert ("--kickstart" in problem.hint) is medium
    with pytest.raises(UsageError, match="unclosed quote") as caught:
        decided(image(), wish=replace(wish, kargs=('a="b',)))
    assert caught.value.setting == ("install-karg" if medium else "karg")


@pytest.mark.parametrize(
    ("line", "problem", "warning"),
    [
        ('block = ["tpm2-luks"]', True, True),
        ('block = ["tpm2-luks", "direct"]', True, True),
        ('block = ["direct", "tpm2-luks"]', False, False),
        ("block = []", False, False),
    ],
)
def test_encryption_is_not_left_out_by_accident(line: str, problem: bool, warning: bool) -> None:
    tree = image(line)
    assert [found.setting for found in decided(tree).problems] == ["no-encryption"] * problem
    made = decided(tree, wish=Wishes(target=TARGET, no_encryption=True))
    assert made.problems == ()
    assert ("block" in "\n".join(made.warnings)) is warning


@pytest.mark.parametrize(
    ("how", "refused"),
    [
        ({"unattended": "vda"}, {Route.DISKGEN, Route.ANACONDA}),
        ({}, {Route.DISKGEN}),  # people choose in Anaconda
        ({"unattended": "vda", "no_encryption": True}, set()),
    ],
)
def test_encryption_on_media(how: dict[str, object], refused: set[Route]) -> None:
    tree = image('block = ["tpm2-luks"]')
    request = IsoRequest(source=TARGET, arch="x86_64", **how)  # type: ignore[arg-type]
    found = {
        route for route in Route if decided(tree, route, wishes(request, route)).problems
    }  # fmt: skip
    assert found == refused


@pytest.mark.parametrize(
    ("kargs", "kind", "subvolume", "problem"),
    [
        ("rootflags=subvol=root", "btrfs", "root", ""),
        ("rootflags=compress=zstd:1,subvol=/sys/@", "btrfs", "sys/@", ""),
        ("rootflags=subvol=a rootflags=noatime,subvol=b", "btrfs", "b", ""),
        ("rootflags=subvol=/", "btrfs", None, ""),
        ("rootflags=noatime", "btrfs", "root", ""),
        ("rootflags=noatime", "xfs", None, ""),
        ("rootflags=subvol=root", "ext4", None, "is for btrfs, and the root filesystem is ext4"),
        ("rootflags=subvol=root", "xfs", None, "is for btrfs, and the root filesystem is xfs"),
        ("rootflags=subvolid=256", "btrfs", "root", "cannot make the subvolume"),
        ("rootflags=subvol=../x", "btrfs", "../x", "cannot make the subvolume"),
    ],
)
def test_the_root_is_where_the_kernel_looks(
    kargs: str, kind: str, subvolume: str | None, problem: str
) -> None:
    """Whether the image or the user says so."""
    asking = image(f'root-fs-type = "{kind}"\nkargs = ["{kargs}"]')
    user = Wishes(target=TARGET, root_filesystem=kind, kargs=(kargs,))
    for made in (decided(asking), decided(image(), wish=user)):
        assert made.subvolume == subvolume
        (message,) = [found.message for found in made.problems] or [""]
        assert problem in message
        assert bool(problem) == bool(message)
    without = Wishes(target=TARGET, karg_deletes=("rootflags",))
    assert decided(asking, wish=without).problems == ()


def test_files_that_are_each_machines_own() -> None:
    fstab = f("etc/fstab", b"# a comment\n\n/dev/sdb1 /srv ext4\ntmpfs /x tmpfs\n")
    filled = f("etc/machine-id", b"0123456789abcdef0123456789abcdef\n")
    for route in Route:
        (first, second) = decided(image("", fstab, filled), route).warnings
        assert "'/etc/fstab' has 2 lines of its own ('/dev/sdb1 /srv ext4'): the machine" in first
        assert "has its own instead" in first
        assert "'/etc/machine-id' is filled, and stays" in second
    (kept,) = decided(image('boot-mount-spec = ""', fstab)).warnings
    assert "keeps them" in kept


def test_what_cannot_be_given_to_anaconda() -> None:
    tree = image('kargs = [\'a="b c"\', "$x", "plain=1", "b=\\u0007"]\nkarg-deletes = [\'rw\']')
    made = decided(tree, Route.ANACONDA)
    assert "plain=1" in made.appended
    assert not any("b c" in word or "$" in word for word in made.appended)
    possible = [word for word in made.words if "\a" not in word]
    assert made.completed == ("-rw", *(f"+{word}" for word in possible))
    assert {'a="b c"', "$x", "plain=1"} < set(possible) < set(made.words)
    (warning,) = made.warnings
    assert r"'b=\x07' has characters of control" in warning
    assert decided(image('kargs = ["plain=1"]'), Route.ANACONDA).completed == ()


def test_ignition_is_not_anacondas() -> None:
    """Its first boot is prepared by diskgen, and by its own installer."""
    configured = f("usr/lib/ignition/base.d/00.ign", b"{}")
    (warning,) = decided(image("", configured), Route.ANACONDA).warnings
    assert "configured by Ignition at its first boot, which Anaconda does not prepare" in warning
    made = decided(image("", configured))
    assert told(made) == ""
    assert "ignition.platform.id=" in " ".join(made.kernel_arguments("R", "B"))


def test_every_wish_of_a_request_counts() -> None:
    request = Request(
        format="raw", source=TARGET, arch="x86_64", root_filesystem="xfs", kargs=("a",),
        karg_deletes=("b",), stateroot="mine", console=False, no_encryption=True,
        signature="ostree-image-signed",
    )  # fmt: skip
    assert wishes(request, Route.DISKGEN) == Wishes(
        target=TARGET, root_filesystem="xfs", kargs=("a",), karg_deletes=("b",), stateroot="mine",
        console=False, no_encryption=True, signature="ostree-image-signed",
    )  # fmt: skip


def test_the_man_page_has_every_key() -> None:
    text = (ROOT / "docs/diskgen.1").read_text().replace("\\-", "-")
    assert [name for name in KEYS if name not in text] == []
