"""What a machine is given, for plans: names and paths, no password and no key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .keys import KEYS, MEDIA, Use, Way
from .model import Customizations, Firewall, Sshd
from .paths import plain


def to_json(wanted: Customizations) -> dict[str, Any]:
    """Return it as JSON values; the keys are a contract."""
    return {
        "config": wanted.source,
        "accounts": [user.name for user in wanted.users],
        "groups": [group.name for group in wanted.groups],
        "hostname": wanted.hostname,
        "timezone": wanted.timezone,
        "languages": list(wanted.languages),
        "keyboard": wanted.keyboard,
        "network": [link.device for link in wanted.links],
        "units": {
            "enabled": list(wanted.services.enabled),
            "disabled": list(wanted.services.disabled),
            "masked": list(wanted.services.masked),
        },
        "files": [file.path for file in wanted.files],
        "directories": [directory.path for directory in wanted.directories],
        "settings": [*_settings(wanted)],
        "overridden": list(wanted.overridden),
    }


def to_text(wanted: Customizations) -> Iterator[str]:
    """Yield it as lines, each with a title; nothing where nothing is given."""
    made = to_json(wanted)
    units = [f"{name} {verb}" for verb, names in made["units"].items() for name in names]
    for title, words in (
        ("described", [made["config"]] if made["config"] else []),
        ("accounts", made["accounts"]),
        ("groups", made["groups"]),
        ("name", [made["hostname"]] if made["hostname"] else []),
        ("place", [word for word in (made["timezone"], *made["languages"], made["keyboard"])
                   if word]),
        ("network", [device or "the wired device" for device in made["network"]]),
        ("units", units),
        ("files", [*made["directories"], *made["files"]]),
        ("settings", made["settings"]),
    ):  # fmt: skip
        if words:
            yield f"{title:<11} {', '.join(words)}"
    if made["overridden"]:
        yield f"{'options':<11} win over '{made['config']}': {', '.join(made['overridden'])}"


def left_out(
    wanted: Customizations,
    ways: Sequence[Way] = (Way.DISK,),
    *,
    unattended: bool = False,
    everywhere: bool = False,
) -> Iterator[str]:
    """Yield what of a document is not taken on some of the ways, one warning for each key.

    With ``everywhere`` only what is taken on none of them. ``unattended`` says that a medium
    installs without a question.
    """
    by_path = {key.path: key for key in KEYS}
    for path in wanted.given:
        key = by_path[plain(path)]
        without = [way for way in ways if key.use(way) is Use.WARNED]
        if without and (not everywhere or len(without) == len(ways)):
            who = "a medium" if not {*MEDIA} - {*without} else without[0]
            yield f"'{path}' of '{wanted.source}' is left out: {who} does not take it ({key.text})"
        elif not unattended and any(key.use(way) is Use.UNATTENDED for way in ways):
            yield (
                f"'{path}' of '{wanted.source}' is left out: whoever installs says how the disk is "
                "partitioned; --unattended names one that is taken as it is described"
            )


def _settings(wanted: Customizations) -> Iterator[str]:
    for name, there in (
        ("firewall", wanted.firewall != Firewall()),
        ("sshd", wanted.sshd != Sshd()),
        ("time servers", wanted.ntp_servers),
        ("certificates", wanted.certificates),
        ("FIPS", wanted.fips),
        ("Ignition", wanted.ignition),
        ("sudo without passwords", wanted.sudo_nopasswd),
    ):
        if there:
            yield name
