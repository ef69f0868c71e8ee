"""What a machine is told at its start: keys, passwords and other credentials of systemd's.

They reach it by strings of its firmware (SMBIOS type 11), so that no byte of its disk is changed.
Names: systemd.system-credentials(7). Strings: smbios-type-11(7), from systemd 252 on.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..accounts import key_fault
from ..errors import UsageError
from ..units import KIB, format_size

# As systemd takes names of credentials: printable, one component of a path, no ':'; and no '='.
_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[!-.0-9;<>-~]{1,255}", re.ASCII)
_CRYPTED: Final = re.compile(r"[!-9;-~]+", re.ASCII)  # a field of shadow(5)
_STRINGS_BYTES: Final = 56 * KIB  # tables of SMBIOS have 64 KiB, some of which QEMU needs
_FROM_FILE: Final = "@"
_TMPFILES: Final = "tmpfiles.extra"
_KEYS: Final = "/root/.ssh/authorized_keys"
_PASSWORD: Final = "passwd.hashed-password.root"  # noqa: S105 - a name
_UNIT: Final = "diskgen-root-password.service"
# firstboot and sysusers obey the credential for accounts that they make. Where the image has root
# already, this unit sets the hash: systemd 256 and newer take units as credentials.
_SET_PASSWORD: Final = f"""\
[Unit]
Description=Set the password of root that this start was given
DefaultDependencies=no
After=local-fs.target ostree-remount.service systemd-sysusers.service systemd-firstboot.service
Before=sysinit.target systemd-user-sessions.service
[Service]
Type=oneshot
LoadCredential={_PASSWORD}
ExecStart=/bin/sh -c '{{ printf root:; cat %d/{_PASSWORD}; echo; }} | chpasswd -e'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who gets into a machine that is started, and what else it is told.

    ``keys`` are lines of root's authorized_keys, ``password`` is root's, crypted (crypt(5));
    ``given`` are credentials by name. Raises UsageError for what cannot be one.
    """

    keys: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)
    given: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for line in self.keys:
            if fault := key_fault(line):
                raise UsageError(
                    f"'{line[:40]}' is no public key: {fault}",
                    hint="name the .pub file",
                    setting="user-key",
                )
        if self.password is not None and not _CRYPTED.fullmatch(self.password):
            raise UsageError(
                "the password is no hash of crypt(5)",
                hint="make one: openssl passwd -6",
                setting="root-password-hash",
            )


def parse(text: str) -> tuple[str, bytes]:
    """Return name and value of ``NAME=VALUE``, or of ``NAME=@FILE``. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' is no credential's name" if equals else "a credential has no value",
            hint="write NAME=VALUE, or NAME=@FILE; names: systemd.system-credentials(7)",
            setting="credential",
        )
    if not value.startswith(_FROM_FILE):
        return name, value.encode(errors="surrogateescape")
    path = Path(value.removeprefix(_FROM_FILE))
    try:
        return name, path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"'{path}' cannot be read: {error.strerror}", setting="credential"
        ) from error


def of(access: Access) -> dict[str, bytes]:
    """Return the credentials by which a machine lets its user in. Raises UsageError."""
    found = dict(access.given)
    if access.keys:
        own = _tmpfiles(access.keys)
        theirs = found.get(_TMPFILES)
        found[_TMPFILES] = own if theirs is None else theirs.rstrip(b"\n") + b"\n" + own
    if access.password is not None:
        ours = {
            _PASSWORD: access.password,
            f"systemd.extra-unit.{_UNIT}": _SET_PASSWORD,
            "systemd.unit-dropin.sysinit.target": f"[Unit]\nWants={_UNIT}\n",
        }
        for name in ours.keys() & found.keys():
            raise UsageError(
                f"the credential '{name}' is what a password of root is handed over by",
                hint="leave out one of --root-password-hash and --credential",
                setting="credential",
            )
        found |= {name: text.encode() for name, text in ours.items()}
    return found


def _tmpfiles(keys: Sequence[str]) -> bytes:
    """Return lines of tmpfiles.d(5) that add keys to what root has.

    ``ssh.authorized_keys.root`` is not used: its file is left alone where there is one, and it
    needs a line in the image. Lines of an image for the same paths win over ours, but for the last
    ones, which adjust what is there.
    """
    text = "".join(f"\n{key}" for key in keys) + "\n"
    encoded = base64.b64encode(text.encode()).decode()
    return (
        "d /root/.ssh 0700 root root -\n"
        f"f {_KEYS} 0600 root root -\n"
        f"w+~ {_KEYS} - - - - {encoded}\n"
        "z /root/.ssh 0700 root root -\n"
        f"z {_KEYS} 0600 root root -\n"
    ).encode()


def strings(credentials: Mapping[str, bytes]) -> list[str]:
    """Return the strings of SMBIOS type 11 that carry credentials. Raises UsageError for too much.

    The values are in base64: they may hold any byte.
    """
    made = [
        f"io.systemd.credential.binary:{name}={base64.b64encode(value).decode()}"
        for name, value in sorted(credentials.items())
    ]
    size = sum(len(one) + 1 for one in made)
    if size > _STRINGS_BYTES:
        raise UsageError(
            f"the credentials take {format_size(size)} of the machine's firmware, which has "
            f"{format_size(_STRINGS_BYTES)} for them",
            hint="hand over fewer or shorter ones",
            setting="credential",
        )
    return made
