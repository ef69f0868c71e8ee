"""What shadow-utils of the image goes by: login.defs(5) and /etc/default/useradd, useradd(8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .files import Files

_LOGIN: Final = "etc/login.defs"
_USERADD: Final = "etc/default/useradd"
_FALLBACK_GROUP: Final = 100  # "users", where nobody says another


@dataclass(frozen=True, slots=True)
class Defaults:
    """Their values; what is not set has the default of the sources of shadow-utils."""

    login: dict[str, str]
    useradd: dict[str, str]

    def number(self, name: str, default: int, *, least: int = 0) -> int:
        """Return a number of login.defs; of one that is less than it may be, the default."""
        text = self.login.get(name, "")
        try:
            value = int(text, 0) if not text.startswith("0") or text == "0" else int(text, 8)
        except ValueError:
            return default
        return value if least <= value < 2**32 else default

    @property
    def users(self) -> range:
        return self._range("UID", 1000, 60000)

    @property
    def groups(self) -> range:
        return self._range("GID", 1000, 60000)

    @property
    def system_groups(self) -> range:
        highest = self.number("SYS_GID_MAX", self.groups.start - 1)
        return range(self.number("SYS_GID_MIN", 101), highest + 1)

    @property
    def user_groups(self) -> bool:
        """Whether each account gets a group of its own."""
        return self.login.get("USERGROUPS_ENAB", "no").lower() == "yes"

    @property
    def group(self) -> str:
        """The group of accounts that get none of their own: a name or a number."""
        return self.useradd.get("GROUP") or str(_FALLBACK_GROUP)

    @property
    def ages(self) -> tuple[str, str, str]:
        """The fields of shadow(5) that say how long passwords are good."""
        names = ("PASS_MIN_DAYS", "PASS_MAX_DAYS", "PASS_WARN_AGE")
        low, high, warn = (self.number(name, -1, least=-1) for name in names)
        return tuple("" if days < 0 else str(days) for days in (low, high, warn))  # type: ignore[return-value]

    @property
    def inactive(self) -> str:
        text = self.useradd.get("INACTIVE", "-1")
        return text if text.isascii() and text.isdigit() else ""

    @property
    def expires(self) -> str:
        text = self.useradd.get("EXPIRE", "")
        return text if text.isascii() and text.isdigit() else ""

    @property
    def home_mode(self) -> int:
        mask = self.number("UMASK", 0o22)
        return self.number("HOME_MODE", 0o777 & ~mask) & 0o7777

    def _range(self, kind: str, low: int, high: int) -> range:
        return range(self.number(f"{kind}_MIN", low), self.number(f"{kind}_MAX", high) + 1)


def read_defaults(files: Files) -> Defaults:
    """Return what the image sets. Raises RefusalError for files that are none."""
    login: dict[str, str] = {}
    for line in (files.text(_LOGIN) or "").splitlines():
        words = line.split()
        if len(words) >= 2 and not words[0].startswith("#"):
            login[words[0]] = words[1].strip('"')
    useradd: dict[str, str] = {}
    for line in (files.text(_USERADD) or "").splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            useradd[name] = value.strip().strip('"')
    return Defaults(login, useradd)
