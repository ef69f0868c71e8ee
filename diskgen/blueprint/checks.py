"""What the values of a description may be, whoever wrote it: a document or options.

What passes can be written into the files of a system: it ends no line and no field.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, TypeVar

from .. import keymap
from ..accounts import home_fault, is_crypted, key_fault, name_fault
from ..link import host_fault, is_device, is_mac
from . import of_media
from .keys import TOP
from .model import ROOT, AddedDirectory, AddedFile, Customizations, User

_Value = TypeVar("_Value", str, int)
_LARGEST_ID: Final = 2**32 - 2  # the last one is nobody's: chown(2)
_LARGEST_INT: Final = 2**31 - 1  # days since 1970, and seconds
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", re.ASCII)
_LOCALE: Final = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_-]+)?(@[A-Za-z0-9_]+)?", re.ASCII)
_PORT: Final = re.compile(r"(?:[a-z][a-z0-9-]*|(\d{1,5})(?:-(\d{1,5}))?):(?:tcp|udp|sctp|dccp)",
                           re.ASCII)  # fmt: skip
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*:[^\s\"'$\\`{};]+", re.ASCII)
_PEM: Final = re.compile(
    r"\s*(-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----\s*)+"
)
_ROOT_LOGINS: Final = ("yes", "no", "prohibit-password", "forced-commands-only")
_SELINUX_MODES: Final = ("enforcing", "permissive", "disabled")
_ROOT_HOMES: Final = ("/root", "/var/roothome")
# Written by what is said of accounts and of the disk, and by nobody else.
_TAKEN: Final = tuple(f"/etc/{name}" for name in (
    "passwd", "shadow", "group", "gshadow", "subuid", "subgid", "fstab",
))  # fmt: skip
_WORDS: Final = re.compile(r'(?:[^\s"]|"[^"]*"?)+')  # of the kernel, as it separates them
OSTREE: Final = "ostree= selects the deployment and is written by diskgen"
_MOST: Final = 10_000  # accounts, groups, files: more are a mistake, or an attack


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a value cannot be; ``setting`` is the option that it may come from."""

    path: str
    message: str
    hint: str | None
    setting: str


def faults(wanted: Customizations) -> Iterator[Fault]:
    """Yield all that is wrong with what a machine is to be given."""
    for part in (_counts, _users, _groups, _names, _units, _firewall, _sshd, _files, _others):
        yield from part(wanted)
    for found in of_media.faults(wanted):
        yield _fault(found.path, found.message, found.hint)


def chooses_deployment(kargs: str) -> bool:
    """Say whether kernel arguments have one by which a deployment is found."""
    words = _WORDS.findall(kargs)
    return any(word.replace('"', "").partition("=")[0] == "ostree" for word in words)


def path_fault(path: str) -> str | None:
    """Return why no file can be written at a path; None: one can."""
    # normpath leaves two slashes at the beginning: POSIX gives them a meaning of their own.
    if not path.startswith("/") or path.startswith("//") or path == "/" or (
        posixpath.normpath(path) != path
    ):  # fmt: skip
        return "name it from the root on, without '.' and '..'"
    if any(not char.isprintable() for char in path):
        return "use characters that can be shown"
    if any(len(name.encode()) > 255 for name in path.split("/")):
        return "a name in it has more than 255 bytes"
    if path in _TAKEN:
        return "it is written by what is said of accounts, and of the disk"
    return None


def _fault(path: str, message: str, hint: str | None, setting: str = "config") -> Fault:
    return Fault(path=f"{TOP}.{path}", message=message, hint=hint, setting=setting)


def _counts(wanted: Customizations) -> Iterator[Fault]:
    for path, rows in (("user", wanted.users), ("group", wanted.groups),
                       ("files", wanted.files), ("directories", wanted.directories)):  # fmt: skip
        if len(rows) > _MOST:
            yield _fault(path, f"it has {len(rows)} entries", f"give it up to {_MOST}")


def _users(wanted: Customizations) -> Iterator[Fault]:
    names = [user.name for user in wanted.users]
    numbers = [user.uid for user in wanted.users if user.uid is not None]
    for name in _twice(names):
        yield _fault("user", f"'{name}' is created twice", None, "user")
    for number in _twice(numbers):
        yield _fault("user", f"two accounts are to have the number '{number}'", None, "user")
    for at, user in enumerate(wanted.users):
        place = f"user[{at}]"
        if (fault := name_fault(user.name)) is not None:
            message = f"no account can be called '{user.name}'"
            yield _fault(f"{place}.name", message, fault, "user")
        for group in user.groups:
            if (fault := name_fault(group)) is not None:
                message = f"no group can be called '{group}'"
                yield _fault(f"{place}.groups", message, fault, "user-groups")
        for key in user.keys:
            if (fault := key_fault(key)) is not None:
                option = "root-key" if user.name == ROOT else "user-key"
                message = f"'{key[:40]}' is no public key: {fault}"
                yield _fault(f"{place}.key", message, "name the .pub file", option)
        yield from _fields(place, user)


def _fields(place: str, user: User) -> Iterator[Fault]:
    root = user.name == ROOT
    if user.password is not None and not is_crypted(user.password):
        option = "root-password-hash" if root else "user-password-hash"
        hint = "'openssl passwd -6' makes one"
        yield _fault(f"{place}.password", "a password is not crypted as crypt(5) has it", hint,
                     option)  # fmt: skip
    if user.home is not None:
        fault = home_fault(user.home)
        if root:
            fault = None if user.home in _ROOT_HOMES else "root's is " + " or ".join(_ROOT_HOMES)
        if fault is not None:
            yield _fault(f"{place}.home", f"'{user.home}' cannot be a home directory", fault)
    for name, text in (("description", user.comment), ("shell", user.shell)):
        if text is not None and (":" in text or any(not char.isprintable() for char in text)):
            hint = "use characters that can be shown, and no ':'"
            yield _fault(f"{place}.{name}", f"'{text}' cannot be written into passwd", hint)
    if user.shell is not None and not user.shell.startswith("/"):
        yield _fault(f"{place}.shell", f"'{user.shell}' is no shell", "name its path")
    for name, number in (("uid", user.uid), ("gid", user.gid)):
        if number is not None and (number > _LARGEST_ID or (number == 0 and not root)):
            yield _fault(f"{place}.{name}", f"'{number}' is no number for '{user.name}'", None)
    if root and (user.uid or user.gid or user.groups):
        yield _fault(place, "root keeps its numbers and groups", "leave them out")
    if user.expires is not None and user.expires > _LARGEST_INT:
        yield _fault(f"{place}.expiredate", f"'{user.expires}' is no day", "count days since 1970")


def _groups(wanted: Customizations) -> Iterator[Fault]:
    for name in _twice([group.name for group in wanted.groups]):
        yield _fault("group", f"the group '{name}' is created twice", None)
    for number in _twice([group.gid for group in wanted.groups if group.gid is not None]):
        yield _fault("group", f"two groups are to have the number '{number}'", None)
    for at, group in enumerate(wanted.groups):
        if (fault := name_fault(group.name)) is not None:
            message = f"no group can be called '{group.name}'"
            yield _fault(f"group[{at}].name", message, fault)
        if group.gid is not None and not 0 < group.gid <= _LARGEST_ID:
            yield _fault(f"group[{at}].gid", f"'{group.gid}' is no number for a group", None)


def _names(wanted: Customizations) -> Iterator[Fault]:
    if wanted.hostname is not None and (fault := host_fault(wanted.hostname)) is not None:
        message = f"no machine can be called '{wanted.hostname}'"
        yield _fault("hostname", message, fault, "hostname")
    if wanted.timezone is not None and not _ZONE.fullmatch(wanted.timezone):
        message = f"'{wanted.timezone}' is no time zone"
        yield _fault("timezone.timezone", message, "such as Europe/Berlin", "timezone")
    for server in wanted.ntp_servers:
        if host_fault(server) is not None and not _is_address(server):
            message = f"'{server}' is no time server"
            yield _fault("timezone.ntpservers", message, "give its name or address")
    for language in wanted.languages:
        if not _LOCALE.fullmatch(language):
            message = f"'{language}' is no language"
            yield _fault("locale.languages", message, "such as de_DE.UTF-8", "language")
    if wanted.keyboard is not None and keymap.split(wanted.keyboard) is None:
        hint = "write it as us, de-nodeadkeys or us(intl)"
        yield _fault("locale.keyboard", f"'{wanted.keyboard}' is no keyboard", hint, "keyboard")


def _units(wanted: Customizations) -> Iterator[Fault]:
    lists = {name: getattr(wanted.services, name) for name in ("enabled", "disabled", "masked")}
    for name, units in lists.items():
        for unit in units:
            if not _UNIT.fullmatch(unit) or unit.strip(".") == "":
                hint = "name it as systemctl does, such as sshd.service"
                yield _fault(f"services.{name}", f"'{unit}' is no unit", hint)
    for name in ("disabled", "masked"):
        for unit in lists["enabled"]:
            if unit.removesuffix(".service") in {u.removesuffix(".service") for u in lists[name]}:
                message = f"'{unit}' is to be enabled and {name}"
                yield _fault(f"services.{name}", message, "leave it out of one of them")


def _firewall(wanted: Customizations) -> Iterator[Fault]:
    firewall = wanted.firewall
    for port in firewall.ports:
        found = _PORT.fullmatch(port)
        numbers = [int(number) for number in found.groups() if number] if found else []
        if (
            found is None
            or any(not 0 < number < 65536 for number in numbers)
            or (numbers != sorted(numbers))
        ):
            message = f"the firewall's port '{port}' is none"
            yield _fault("firewall.ports", message, "write it as 80:tcp or 6000-6010:udp")
    for name, words in (("enabled", firewall.enabled), ("disabled", firewall.disabled)):
        for word in words:
            if not _WORD.fullmatch(word):
                message = f"'{word}' is no service of firewalld"
                yield _fault(f"firewall.services.{name}", message, "such as http")
    for device in firewall.trusted:
        if not is_device(device):
            yield _fault("firewall.trusted", f"'{device}' is no network device", "such as enp1s0")
    for at, zone in enumerate(firewall.zones):
        if not _WORD.fullmatch(zone.name):
            yield _fault(f"firewall.zones[{at}].name", f"'{zone.name}' is no zone", None)
        for source in zone.sources:
            if not _is_network(source) and not is_mac(source.lower()):
                message = f"'{source}' is no network"
                yield _fault(f"firewall.zones[{at}].sources", message, "such as 192.0.2.0/24")


def _sshd(wanted: Customizations) -> Iterator[Fault]:
    login = wanted.sshd.permit_root_login
    interval = wanted.sshd.client_alive_interval
    if interval is not None and interval > _LARGEST_INT:
        message = f"'{interval}' is no number of seconds that sshd takes"
        yield _fault("sshd.client_alive_interval", message, f"it takes up to {_LARGEST_INT}")
    if login is not None and login not in _ROOT_LOGINS:
        hint = "known are: " + ", ".join(_ROOT_LOGINS)
        yield _fault("sshd.permit_root_login", f"'{login}' is no such setting", hint)


def _files(wanted: Customizations) -> Iterator[Fault]:
    both: tuple[tuple[str, Sequence[AddedFile | AddedDirectory]], ...] = (
        ("files", wanted.files), ("directories", wanted.directories),
    )  # fmt: skip
    for name, rows in both:
        for path in _twice([row.path for row in rows]):
            yield _fault(name, f"'{path}' is written twice", None, "add")
        for at, row in enumerate(rows):
            place = f"{name}[{at}]"
            if (fault := path_fault(row.path)) is not None:
                yield _fault(f"{place}.path", f"'{row.path}' cannot be written", fault, "add")
            for field, owner in (("user", row.user), ("group", row.group)):
                wrong = owner > _LARGEST_ID if isinstance(owner, int) else (
                    owner is not None and name_fault(owner) is not None
                )  # fmt: skip
                if wrong:
                    message = f"'{owner}' is no {field} that could own a file"
                    yield _fault(f"{place}.{field}", message, None, "add")


def _others(wanted: Customizations) -> Iterator[Fault]:
    for text in wanted.certificates:
        if not _PEM.fullmatch(text):
            hint = "give it as PEM, from BEGIN CERTIFICATE to END CERTIFICATE"
            yield _fault("cacerts.pem_certs", "a certificate is none", hint)
    if wanted.selinux not in (None, *_SELINUX_MODES):
        hint = "known are: " + ", ".join(_SELINUX_MODES)
        yield _fault("selinux", f"'{wanted.selinux}' is no mode of SELinux", hint)
    url = wanted.ignition_url
    if url is not None and not _URL.fullmatch(url):
        message = f"'{url}' is no URL that Ignition could be given"
        yield _fault("ignition.firstboot.url", message, "such as https://example.org/a.ign")
    for karg in wanted.kargs:
        if any(not char.isprintable() for char in karg):
            message = f"'{karg}' cannot be a kernel argument"
            yield _fault("kernel.append", message, "write them on one line")
        elif chooses_deployment(karg):
            yield _fault("kernel.append", f"'{karg}' cannot be set: {OSTREE}", "leave it out")


def _is_address(text: str) -> bool:
    if "%" in text:  # the name of a device behind it may be anything
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    if "%" in text:
        return False
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _twice(values: Sequence[_Value]) -> list[_Value]:
    counted = Counter(values)
    return [value for value, count in counted.items() if count > 1]
