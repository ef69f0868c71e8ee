"""The keys of a blueprint: what each one is, and what becomes of it. Data only.

Rules of the format: osbuild's documentation ("Blueprint reference"), and bootc-image-builder's
where they differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TOP: Final = "customizations"


class Kind(StrEnum):
    """What a value is."""

    TEXT = "text"
    TEXTS = "list of texts"
    NUMBER = "number"
    BOOLEAN = "true or false"
    SIZE = "size"
    MODE = "octal mode"
    OWNER = "name or number"
    SWITCH = "text, true or false"
    ANY = "anything"


class Use(StrEnum):
    """What becomes of a key."""

    DONE = "applied"
    IDLE = "nothing to do"
    UNATTENDED = "applied with --unattended, else left out with a warning"
    WARNED = "left out, with a warning"
    REFUSED = "refused"


class Way(StrEnum):
    """By which a machine is made of a description."""

    DISK = "a disk"
    ANACONDA = "a medium with Anaconda"
    OWN = "a medium with diskgen's own installer"
    PACKAGES = "a system of packages"


MEDIA: Final = (Way.ANACONDA, Way.OWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key; ``[]`` in its path stands for each entry of a list.

    ``disk`` and ``medium`` say what becomes of it there, ``own`` and ``packages`` where diskgen's
    own installer and package mode do otherwise than Anaconda; ``text`` what it does, ``hint`` what
    can be done where it is not taken.
    """

    path: str
    kind: Kind
    text: str
    disk: Use = Use.DONE
    medium: Use = Use.DONE
    own: Use | None = None
    packages: Use | None = None
    required: bool = False  # in its table
    hint: str | None = None

    def use(self, way: Way) -> Use:
        """Return what becomes of it on a way."""
        if way is Way.DISK:
            return self.disk
        other = {Way.OWN: self.own, Way.PACKAGES: self.packages}.get(way)
        return self.medium if other is None else other

    def uses(self, *, medium: bool) -> tuple[Use, ...]:
        """Return what becomes of it on the ways of disks, or of media."""
        return tuple(map(self.use, MEDIA if medium else (Way.DISK,)))

    @property
    def of_media(self) -> bool:
        """Whether it is about a medium, not about the machine."""
        return self.path.removeprefix(f"{TOP}.").startswith(("installer.", "iso."))


def _key(
    path: str,
    kind: Kind,
    text: str,
    disk: Use = Use.DONE,
    medium: Use = Use.DONE,
    own: Use | None = None,
    packages: Use | None = None,
    *,
    required: bool = False,
    hint: str | None = None,
) -> Key:
    return Key(
        path=f"{TOP}.{path}", kind=kind, text=text, disk=disk, medium=medium, own=own,
        packages=packages, required=required, hint=hint,
    )  # fmt: skip


OF_PACKAGES: Final = "of systems that are made of packages"


def _other(path: str, *, top: bool = False) -> Key:
    """Return a key of other kinds of images, which a container image has no use for."""
    return Key(
        path=path if top else f"{TOP}.{path}",
        kind=Kind.ANY,
        text=OF_PACKAGES,
        disk=Use.WARNED,
        medium=Use.WARNED,
    )


def _idle(path: str) -> Key:
    return Key(path=path, kind=Kind.TEXT, text="of the document", disk=Use.IDLE, medium=Use.IDLE)


_N, _T, _TS, _B = Kind.NUMBER, Kind.TEXT, Kind.TEXTS, Kind.BOOLEAN
_BY_OURS: Final = (Use.DONE, Use.WARNED, Use.DONE, Use.WARNED)
_ON_MEDIA: Final = (Use.WARNED, Use.DONE)
_BY_ANACONDA: Final = (Use.WARNED, Use.DONE, Use.WARNED, Use.DONE)
_UNATTENDED: Final = (Use.DONE, Use.UNATTENDED)
_NOWHERE: Final = (Use.WARNED, Use.WARNED)
_NO_LAYOUT: Final = (
    "the layout is diskgen's own: --disk-size and customizations.filesystem give '/' and '/boot' "
    "their sizes, --rootfs their filesystem"
)

KEYS: Final = (
    _idle("name"),
    _idle("description"),
    _idle("version"),
    *(_other(path, top=True) for path in (
        "packages", "modules", "enabled_modules", "groups", "containers", "distro", "architecture",
    )),
    _key("hostname", _T, "name of the machine"),
    _key("user[].name", _T, "account to create, or one of the image to change", required=True),
    _key("user[].description", _T, "comment (GECOS)"),
    _key("user[].password", _T, "crypted ($6$, $5$, $2b$, $y$), or plain, which is hashed"),
    _key("user[].key", _T, "public keys for ssh, one a line"),
    _key("user[].home", _T, "home directory"),
    _key("user[].shell", _T, "login shell"),
    _key("user[].groups", _TS, "groups to join; wheel and sudo are one"),
    _key("user[].uid", _N, "number of the account"),
    _key("user[].gid", _N, "number of its group"),
    _key("user[].expiredate", _N, "days since 1970 when the account ends"),
    _key("user[].force_password_reset", _B, "ask for a new password at login"),
    _key("sshkey[].user", _T, "account that a key opens (old form)", required=True),
    _key("sshkey[].key", _T, "its public key", required=True),
    _key("group[].name", _T, "group to create", required=True),
    _key("group[].gid", _N, "its number"),
    _key("timezone.timezone", _T, "such as Europe/Berlin"),
    _key("timezone.ntpservers", _TS, "for chrony, or systemd-timesyncd"),
    _key("locale.languages", _TS, "such as de_DE.UTF-8; the first one counts"),
    _key("locale.keyboard", _T, "such as de or us(intl)"),
    _key("services.enabled", _TS, "units to enable"),
    _key("services.disabled", _TS, "units to disable"),
    _key("services.masked", _TS, "units to mask"),
    _key("firewall.ports", _TS, "to open, such as 80:tcp"),
    _key("firewall.services.enabled", _TS, "services of firewalld to let in"),
    _key("firewall.services.disabled", _TS, "services to keep out"),
    _key("firewall.zones[].name", _T, "zone of firewalld", required=True),
    _key("firewall.zones[].sources", _TS, "networks that are in it"),
    _key("sshd.password_authentication", _B, "let passwords in by ssh"),
    _key("sshd.kbd_interactive_authentication", _B, "let dialogues in by ssh"),
    _key("sshd.client_alive_interval", _N, "seconds"),
    _key("sshd.permit_root_login", Kind.SWITCH, "as sshd_config(5) has it"),
    _key("cacerts.pem_certs", _TS, "certificates to trust"),
    _key("files[].path", _T, "file to write, below /etc or /var", required=True),
    _key("files[].data", _T, "its text"),
    _key("files[].user", Kind.OWNER, "its owner"),
    _key("files[].group", Kind.OWNER, "its group"),
    _key("files[].mode", Kind.MODE, "such as 0640 (default: 0644)"),
    _key("files[].uri", _T, "", Use.REFUSED, Use.REFUSED, hint="write the text as 'data'"),
    _key("directories[].path", _T, "directory to make", required=True),
    _key("directories[].user", Kind.OWNER, "its owner"),
    _key("directories[].group", Kind.OWNER, "its group"),
    _key("directories[].mode", Kind.MODE, "such as 0750 (default: 0755)"),
    _key("directories[].ensure_parents", _B, "make the directories above it"),
    _key("kernel.append", _T, "kernel arguments to add"),
    _key("kernel.name", _T, "the image has its kernel", *_NOWHERE),
    _key("filesystem[].mountpoint", _T, "'/' or '/boot'", *_UNATTENDED, required=True),
    _key("filesystem[].minsize", Kind.SIZE, "least size, such as 20 GiB", *_UNATTENDED),
    _key("filesystem[].size", Kind.SIZE, "the same, in the old form", *_UNATTENDED),
    _key("disk", Kind.ANY, "", Use.REFUSED, Use.REFUSED, hint=_NO_LAYOUT),
    _key("fips", _B, "start in FIPS mode"),
    _key("ignition.firstboot.url", _T, "configuration that Ignition fetches", *_BY_OURS),
    _key("ignition.firstboot.empty", _B, "let Ignition run without one", *_BY_OURS),
    _key("ignition.embedded", Kind.ANY, "left out", *_NOWHERE),
    _key("bootloader", Kind.ANY, "the boot menu's console is diskgen's to set", *_NOWHERE),
    _key("installer.unattended", _B, "install without a question onto the one disk that a machine "
         "has; --unattended names it", *_ON_MEDIA),
    _key("installer.sudo-nopasswd", _TS, "accounts, and groups behind %, that sudo asks for no "
         "password", *_ON_MEDIA),
    _key("installer.kickstart.contents", _T, "a kickstart, as --kickstart has it, which wins; "
         "empty: people are asked", *_ON_MEDIA),
    _key("installer.modules.enable", _TS, "modules of Anaconda to run", *_BY_ANACONDA),
    _key("installer.modules.disable", _TS, "modules not to run, whatever enables them",
         *_BY_ANACONDA),
    _key("installer.bootloader", Kind.ANY, "the menu of media is diskgen's", *_NOWHERE),
    _key("installer.payload", Kind.ANY, "the image is the payload", *_NOWHERE),
    _key("iso.volume_id", _T, "the medium's label; --label wins", *_ON_MEDIA),
    _key("iso.application_id", _T, "what made it, in its descriptor (default: DISKGEN)",
         *_ON_MEDIA),
    _key("iso.publisher", _T, "who publishes it, in its descriptor", *_ON_MEDIA),
    *(_other(path) for path in (
        "installation_device", "partitioning_mode", "fdo", "openscap", "repositories", "rpm",
        "rhsm", "containers-storage", "firstboot", "dnf",
    )),
)  # fmt: skip
