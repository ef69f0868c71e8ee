"""What the owner of a machine wants it to have: one type for disks, media and installers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from ..link import Link

ROOT: Final = "root"
Owner = str | int  # of a file: a name of the machine, or a number


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account. A new one without password is locked, one of the image keeps what it has.

    ``password`` is crypted (crypt(5)); ``plain`` is one that is not, and is in no text. ``expires``
    counts days since 1970. ``locked`` lets no password open it, whatever it has.
    """

    name: str
    password: str | None = None
    plain: str | None = field(default=None, repr=False)
    keys: tuple[str, ...] = ()  # for ssh
    groups: tuple[str, ...] = ()
    comment: str | None = None
    home: str | None = None
    shell: str | None = None
    uid: int | None = None
    gid: int | None = None
    expires: int | None = None
    reset: bool = False  # a new password is asked for at the first login
    locked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group; without a number it gets the next one."""

    name: str
    gid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedFile:
    """A file to write; ``mode`` are permission bits."""

    path: str
    data: bytes = field(default=b"", repr=False)
    user: Owner = 0
    group: Owner | None = None  # None: the user's own
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedDirectory:
    """A directory to make, or one that is there and gets another owner and mode."""

    path: str
    user: Owner = 0
    group: Owner | None = None
    mode: int = 0o755
    parents: bool = False  # are made where they are missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Units of systemd by their names; ``.service`` may be left out."""

    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A zone of firewalld, and the networks that are in it."""

    name: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """What firewalld lets in; ``ports`` as ``80:tcp``, ``disabled`` are services it keeps out."""

    ports: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    zones: tuple[Zone, ...] = ()
    trusted: tuple[str, ...] = ()  # network devices from which all is let in


@dataclass(frozen=True, slots=True, kw_only=True)
class Sshd:
    """Settings of sshd_config(5); None leaves the image's."""

    password_authentication: bool | None = None
    kbd_interactive_authentication: bool | None = None
    client_alive_interval: int | None = None
    permit_root_login: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """What a description says of how its medium installs.

    ``kickstart`` is a whole one; None says nothing, an empty one that people are asked. Modules are
    Anaconda's, by their names on D-Bus.
    """

    unattended: bool = False  # onto the one disk that a machine has
    kickstart: str | None = field(default=None, repr=False)
    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """What the descriptor of a medium says (ECMA-119, 8.4); None: as without a description."""

    label: str | None = None
    application: str | None = None
    publisher: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customizations:
    """All that a machine is given of its own; None and empty leave it to the image.

    ``given`` are the keys of the document that it comes from, ``source`` is what that is called.
    """

    users: tuple[User, ...] = ()  # "root" among them
    groups: tuple[Group, ...] = ()
    hostname: str | None = None
    timezone: str | None = None
    ntp_servers: tuple[str, ...] = ()
    ntp: bool = True  # what sets the clock by the network may run
    languages: tuple[str, ...] = ()
    keyboard: str | None = None
    links: tuple[Link, ...] = ()
    services: Services = Services()
    firewall: Firewall = Firewall()
    sshd: Sshd = Sshd()
    selinux: str | None = None  # its mode: enforcing, permissive or disabled
    certificates: tuple[str, ...] = ()  # PEM
    files: tuple[AddedFile, ...] = ()
    directories: tuple[AddedDirectory, ...] = ()
    kargs: tuple[str, ...] = ()
    fips: bool = False
    ignition: bool = False  # its first boot is to come, whatever the image says
    ignition_url: str | None = None
    sudo_nopasswd: tuple[str, ...] = ()  # accounts, and groups behind %
    installer: Installer = Installer()
    volume: Volume = Volume()
    sizes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # least, bytes
    given: tuple[str, ...] = ()
    source: str | None = None
    overridden: tuple[str, ...] = ()  # options that won over the document

    @property
    def people(self) -> tuple[User, ...]:
        """The accounts but root."""
        return tuple(user for user in self.users if user.name != ROOT)

    @property
    def root(self) -> User | None:
        """What is said of root."""
        return next((user for user in self.users if user.name == ROOT), None)

    @property
    def lets_in(self) -> bool:
        """Whether somebody can log in by what is given here: with a key, or a password."""
        return any(user.keys or user.password or user.plain for user in self.users)

    @property
    def language(self) -> str | None:
        """The language that programs speak."""
        return self.languages[0] if self.languages else None


def is_many(value: object) -> bool:
    """Say whether a field's value is a list of others."""
    return isinstance(value, tuple)
