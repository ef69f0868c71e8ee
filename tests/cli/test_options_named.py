"""Every option that a message names is one of the command that says it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from diskgen.cli.command import COMMANDS, FARM
from diskgen.cli.table import options_of
from diskgen.image import complaints
from diskgen.place import PLACES

from ..oracles.naming import SOURCE, Named, name_of, named

DISKS = frozenset(PLACES)
MEDIA = frozenset({"iso"})
BOOT = frozenset({"boot"})
AWS = frozenset({"ami", "publish aws"})
AZURE = frozenset({"vhd", "publish azure"})
GOOGLE = frozenset({"gce", "publish gcp"})
PUBLISHING = AWS | AZURE | GOOGLE  # whatever publishes
BUILDS = DISKS | MEDIA
ALL = BUILDS | {"inspect"}  # whatever reads an image
FARMED = DISKS | {"build"}
TAKE_FILES = frozenset(name for name in BUILDS if "config" in {o.name for o in options_of(name)})
# Where not all of ALL come to, by the longest name that fits: MODULE or MODULE.FUNCTION.
WHERE = {
    "arch": ALL | BOOT | {"doctor"},
    "composer": FARMED,
    "composer.address": FARMED | FARM,
    "composer.client": frozenset(),  # it names commands
    "composer.login": FARMED | FARM,
    "composer.tokens": FARMED | FARM,
    "composer.wire": FARMED | FARM,
    "cli.farms": FARMED,
    "cli.farms.client_of": FARMED | FARM,
    "cli.farming": frozenset({"farm download"}),
    "blueprint": TAKE_FILES | BUILDS,
    "blueprint.keys._NO_LAYOUT": DISKS,
    "blueprint.keys.KEYS": MEDIA,
    "blueprint.keys.Use": MEDIA,
    "blueprint.summary.left_out": MEDIA,
    "bib": frozenset(),  # whose words are its own
    "bootloader": DISKS,  # of media they are only looked for
    "build": DISKS,
    "decision.completed._laid_out": DISKS,
    "disk_contents": DISKS,
    "disk_writer": DISKS,
    "build_iso": MEDIA,
    "medium_fit": MEDIA,
    "medium_sources": MEDIA,
    "medium_writer": MEDIA,
    "cli.booting": BOOT,
    "cli.planning": frozenset({"plan iso"}),
    "cli.request.iso_request_of": MEDIA,
    "cli.request.request_of": DISKS,
    "cli.request._installer": MEDIA,
    "cli.request._outputs": frozenset({"build"}),
    "blueprint.checks._files": DISKS,
    "blueprint.merge._files": DISKS,
    "config._check_customizations": BUILDS,
    "cli.users": BUILDS,
    "cli.described": BUILDS,
    "cli.described.added": DISKS,
    "described": BUILDS,
    "provision": DISKS,
    "config._check_karg": DISKS,
    "config.ArtifactRequest": BUILDS,
    "config.Request": DISKS,
    "config.IsoRequest": MEDIA,
    "decision": BUILDS,
    "decision.setup": MEDIA,
    "decision.suited": DISKS,
    "decision.unmet._OF_DISK": DISKS,
    "decision.unmet._OF_MEDIUM": MEDIA,
    "decision.unmet.on_anaconda": MEDIA,
    "decision.unmet.sealed": DISKS,
    "decision.answers.decide": frozenset(),  # it has a name for each of both
    "disk": DISKS,
    "iso": MEDIA,
    "kickstart": MEDIA,
    "layout": DISKS,
    "link": BUILDS,
    "ostree.kargs": DISKS,  # media say which option theirs are of
    "preflight": BUILDS,
    "preflight.check_request": DISKS,
    "preflight._disk_size": DISKS,
    "preflight.check_plan": DISKS,
    "preflight.check_iso_request": MEDIA,
    "preflight.check_iso_plan": MEDIA,
    "preflight.check_iso_size": MEDIA,
    "preflight._installer": MEDIA,
    "publish": PUBLISHING,
    "publish.aws": AWS,
    "publish.azure": AZURE,
    "publish.gcp": GOOGLE,
    "publish.registry": frozenset({"publish registry"}),
    "publish.libvirt": frozenset({"publish libvirt"}),
    "cli.publishing": PUBLISHING,
    "cli.publishing.refuse_farm": frozenset({"ami", "gce", "vhd"}),
    "cli.publishing._aws": AWS,
    "cli.publishing._azure": AZURE,
    "cli.publishing._gcp": GOOGLE,
    "cli.publishing._registry": frozenset({"publish registry"}),
    "cli.publishing._libvirt": frozenset({"publish libvirt"}),
    "vm": BOOT,
    "workspace": BUILDS,
}
# Written for programs, not for people; and what a machine that installs says.
WRITTEN = ("arch", "install", "bootloader.grub_config", "iso.kickstarts.accounts",
           "iso.kickstarts.kickstart",
           "iso.kickstarts.merging", "iso.kickstarts.partitions", "iso.kickstarts.values",
           "iso.menus.menu", "iso.menus.netboot", "kickstart", "cli.table",
           "cli.parser", "bib")  # fmt: skip
# Options of other programs and of kickstarts that our words name; ours of `diskgen plan` alone.
FOREIGN = {
    "__main__._failed": {"verbose"},
    "cli.farming": {"wait"},
    "composer.starting": {"wait"},
    "config.IsoRequest": {"write-kickstart"},
    "decision.setup._accounts": {"uid", "homedir"},
    "decision.setup._groups": {"gid"},
    "decision.setup._scripts": {"interpreter"},
    "decision.suited": {"add-drivers"},
    "disk.ext4.inventory": {"rootfs"},
    "image.fetch": {"format"},
    "image.manifest": {"format", "platform", "architecture", "decryption-key",
                       "compression-format"},
    "image.tarstream": {"sparse"},
    "iso.sources.debs": {"info"},
    "iso.kickstarts.described": {"name", "gid", "ntp-server"},
    "iso.kickstarts.probe": {"wait"},
    # Of AWS's own program.
    "publish.aws": {"snapshot-id", "image-id", "bucket", "key", "upload-id", "import-task-id"},
    # Of the program az.
    "publish.azure": {
        "namespace", "tenant", "name", "yes", "account-name", "container-name", "ids",
    },
    "publish.libvirt": {"all"},  # of virsh
    "ostree.kernel": {"force", "no-hostonly", "add"},
}  # fmt: skip

# Of which no command but one can say something wrong.
OF_ONE = {"compression": "qcow2", "subformat": "vmdk"}


def options() -> dict[str, set[str]]:
    """Return the options of each command, without their dashes."""
    return {command.name: {row.name for row in options_of(command.name)} for command in COMMANDS}


def commands_of(where: str, option: str) -> frozenset[str]:
    if option in OF_ONE:
        return frozenset({OF_ONE[option]})
    fitting = [name for name in WHERE if f"{where}.".startswith(f"{name}.")]
    return WHERE[max(fitting, key=len)] if fitting else ALL


def is_foreign(found: Named) -> bool:
    return any(
        found.where.startswith(name) and found.option in words for name, words in FOREIGN.items()
    )


def test_every_option_that_is_named_is_there() -> None:
    have = options()
    wrong = []
    seen = 0
    for found in named():
        if found.word and (found.where.startswith(WRITTEN) or is_foreign(found)):
            continue
        seen += 1
        lacking = sorted(
            c for c in commands_of(found.where, found.option) if found.option not in have[c]
        )
        if lacking:
            wrong.append((found.where, found.option, lacking))
    assert wrong == []
    assert seen > 150  # of a source that is found, and read


def test_options_are_found_however_they_are_given() -> None:
    found = {(one.where, one.option, one.word) for one in named()}
    assert found >= {
        ("iso.access.access._certificates", "cert-dir", False),  # by its place
        ("iso.access.access._certificates", "cert-dir", True),  # a word of its own
        ("image.complaints.ROWS", "tls-verify", False),  # a row's field
        ("cli.booting._keys", "user-key", False),  # a variable
        ("cli.request.access_of", "registries-d", False),  # a loop
        ("iso.assembly.remasterable._problem", "installer", False),  # a default
        ("link._error", "network", False),  # a constant
    }  # fmt: skip


def test_what_is_said_of_registries_names_options_of_all() -> None:
    have = options()
    rows = [
        row
        for value in vars(complaints).values()
        for row in (value.values() if isinstance(value, dict) else
                    value if isinstance(value, tuple) else ())
        if isinstance(row, complaints.Row)
    ]  # fmt: skip
    settings = {row.setting for row in rows if row.setting}
    assert settings
    assert all(settings <= have[command] for command in ALL)


def test_every_place_is_one_of_the_source() -> None:
    """A function that was renamed would leave its row without a meaning."""
    names = set(_places())
    assert sorted(set(WHERE) - names) == []
    assert sorted(set(FOREIGN) - names) == []


def _places() -> Iterator[str]:
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        for end in range(1, len(parts) + 1):
            yield ".".join(parts[:end])
        for node in ast.parse(path.read_text()).body:
            yield f"{'.'.join(parts)}.{name_of(node)}"
