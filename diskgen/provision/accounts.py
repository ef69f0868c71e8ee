"""Accounts and groups, as ``useradd``, ``usermod``, ``groupadd`` and ``chage`` would leave them.

Semantics: shadow-utils 4.17, ``src/useradd.c``, ``lib/find_new_gid.c``, ``lib/subordinateio.c``.
A line of /usr/lib's tables is copied into /etc's when it changes, as nss-altfiles wants it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..blueprint.model import ROOT, Group, User
from ..decision.setup import joined
from .defaults import Defaults, read_defaults
from .files import Files, RefusalError
from .known import Known, sysusers
from .numbers import Numbers, free, ranges
from .passwords import kept
from .tables import FIELDS, Table, number_of

_MODES: Final = {"shadow": 0o000, "gshadow": 0o000}  # of files that the image does not have
_SHELLS: Final = ("/bin/bash", "/bin/sh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An account as it came out; ``new`` says that its home has to be made."""

    user: User
    uid: int
    gid: int
    home: str
    new: bool


class Accounts:
    """The accounts of one machine while they change. ``day`` counts from 1970."""

    def __init__(self, files: Files, day: int) -> None:
        self._files = files
        self._day = day
        self._defaults: Defaults = read_defaults(files)
        self._tables = {name: Table(name, files.text(f"etc/{name}")) for name in FIELDS}
        self._vendor = {name: Table(name, files.text(f"usr/lib/{name}"))
                        for name in ("passwd", "group")}  # fmt: skip
        self._later: Known = sysusers(files)
        self._uids, self._gids = Numbers(self._defaults.users), Numbers(self._defaults.groups)
        for numbers, name, later in (
            (self._uids, "passwd", self._later.users), (self._gids, "group", self._later.groups),
        ):  # fmt: skip
            for table in (self._tables[name], self._vendor[name]):
                for fields in table:
                    numbers.add(number_of(fields[2]), fields[0])
            for owner, number in later.items():
                numbers.reserve(number, owner)
        self._ranges = {name: ranges(self._tables[name]) for name in ("subuid", "subgid")}
        self._next_sub: dict[str, int] = {}
        self._asked: set[str] = set()  # groups that are wanted by name

    def add_group(self, group: Group) -> None:
        """Create a group, or keep the one that is there. Raises RefusalError."""
        self._asked.add(group.name)
        found = self._line("group", group.name)
        if found is not None:
            if group.gid is not None and found[2] != str(group.gid):
                raise RefusalError(
                    f"the group '{group.name}' is to have the number '{group.gid}', and it has "
                    f"'{found[2]}' in the image",
                    "leave the number out",
                )
            return
        self._new_group(group.name, self._group_number(group.name, group.gid))

    def add_user(self, user: User) -> Person:
        """Create an account, or change the one that is there. Raises RefusalError."""
        if self._line("passwd", user.name) is not None:
            return self._change(user)
        if user.name in self._later.users:
            raise RefusalError(
                f"the account '{user.name}' is one that the image makes at boot for itself",
                "give it another name",
            )
        if user == User(name=ROOT, locked=True):  # as it is
            return Person(user=user, uid=0, gid=0, home="/root", new=False)
        if user.name == ROOT:
            raise RefusalError(
                "root is to be changed, and the image has no line for it in '/etc/passwd'",
                "have the image's build make one",
            )
        groups = self._joined(user)
        uid = self._user_number(user)
        gid = self._primary(user, uid)
        defaults = self._defaults
        home = user.home or f"{defaults.useradd.get('HOME', '/home')}/{user.name}"
        shell = user.shell or self._shell()
        self._tables["passwd"].put(
            user.name, "x" if self._has_shadow else kept(user, user.password or "!"),
            str(uid), str(gid), user.comment or "", home, shell,
        )  # fmt: skip
        self._uids.add(uid, user.name)
        self._shadow(user, new=True)
        for group in groups:
            self._join(group, user.name)
        self._subordinate(user, uid)
        return Person(user=user, uid=uid, gid=gid, home=home, new=True)

    def write(self) -> None:
        """Write the tables that changed. Raises RefusalError."""
        for name, table in self._tables.items():
            if table.changed:
                mode = None if table.exists else _MODES.get(name, 0o644)
                self._files.write(f"etc/{name}", table.text, mode=mode)

    def owner(self, name: str | int) -> tuple[int, int | None]:
        """Return the number of an account, and of its group. Raises RefusalError."""
        if isinstance(name, int):
            found = next((line for line in self._all("passwd") if line[2] == str(name)), None)
            return name, number_of(found[3]) if found is not None else None
        line = self._line("passwd", name)
        uid = number_of(line[2]) if line is not None else self._later.users.get(name)
        if uid is None:
            raise RefusalError(f"a file is to be '{name}'s, and the machine has no such account")
        return uid, number_of(line[3]) if line is not None else None

    def group(self, name: str | int) -> int:
        """Return the number of a group. Raises RefusalError."""
        if isinstance(name, int):
            return name
        line = self._line("group", name)
        gid = number_of(line[2]) if line is not None else self._later.groups.get(name)
        if gid is None:
            raise RefusalError(f"a file is to be the group '{name}'s, and the machine has none")
        return gid

    @property
    def defaults(self) -> Defaults:
        return self._defaults

    @property
    def _has_shadow(self) -> bool:
        return self._tables["shadow"].exists

    def _all(self, table: str) -> list[list[str]]:
        return [*self._tables[table], *self._vendor[table]]

    def _line(self, table: str, name: str) -> list[str] | None:
        vendor = self._vendor.get(table)
        return self._tables[table].get(name) or (vendor.get(name) if vendor is not None else None)

    def _change(self, user: User) -> Person:
        """Change an account of the image, as ``usermod`` does."""
        line = [*(self._line("passwd", user.name) or ())]
        name, home = user.name, line[5]
        if user.home is not None and self._files.where(user.home) != self._files.where(home):
            raise RefusalError(
                f"the account '{name}' is the image's own, and its home stays '{home}'",
                "leave 'home' out",
            )
        if user.uid is not None and line[2] != str(user.uid):
            self._refuse_taken(user.uid)
            self._uids.add(user.uid, name)
            line[2] = str(user.uid)
        if user.gid is not None:
            line[3] = str(self._existing(user.gid, name))
        line[4] = line[4] if user.comment is None else user.comment
        line[6] = user.shell or line[6]
        if user.password is not None:  # as chpasswd: what passwd says of one counts before shadow
            line[1] = "x" if self._has_shadow else user.password
        if not self._has_shadow:
            line[1] = kept(user, line[1])
        adopted = False
        if line != self._line("passwd", name):
            adopted = name not in self._tables["passwd"]
            self._tables["passwd"].put(*line)
        self._shadow(user, new=adopted)
        for group in self._joined(user):
            self._join(group, name)
        uid, gid = number_of(line[2]), number_of(line[3])
        if uid is None or gid is None:
            raise RefusalError(f"the line of '{name}' in the image's passwd has no numbers")
        return Person(user=user, uid=uid, gid=gid, home=home, new=False)

    def _shadow(self, user: User, *, new: bool) -> None:
        """Write what an account has of passwords: useradd, then chpasswd and chage."""
        if not self._has_shadow:
            return
        table = self._tables["shadow"]
        line = table.get(user.name)
        touched = user.password is not None or user.reset or user.expires is not None or user.locked
        if line is None:
            if not new and not touched:
                return
            low, high, warn = self._defaults.ages
            line = [user.name, "!", str(self._day), low, high, warn, self._defaults.inactive,
                    self._defaults.expires, ""]  # fmt: skip
        if user.password is not None:
            line[1], line[2] = user.password, str(self._day)
        line[1] = kept(user, line[1])
        if user.reset:
            line[2] = "0"
        if user.expires is not None:
            line[7] = str(user.expires)
        table.put(*line)

    def _shell(self) -> str:
        if (shell := self._defaults.useradd.get("SHELL")) and self._files.find(shell) is not None:
            return shell
        found = (shell for shell in _SHELLS if self._files.find(shell) is not None)
        return next(found, _SHELLS[-1])

    def _primary(self, user: User, uid: int) -> int:
        """Return the number of a new account's own group, which is made."""
        if user.gid is not None:
            return self._existing(user.gid, user.name)
        if user.name in self._asked:
            return self.group(user.name)
        # A group of the image that happens to have the name may be allowed more.
        if self._line("group", user.name) is not None or not self._defaults.user_groups:
            return self._shared()
        fits = uid in self._defaults.groups and uid not in self._gids.owners
        gid = uid if fits else self._group_number(user.name, None)
        self._new_group(user.name, gid)
        return gid

    def _shared(self) -> int:
        name = self._defaults.group
        number = number_of(name)
        return number if number is not None else self.group(name)

    def _existing(self, gid: int, name: str) -> int:
        """Return a group's number; the group is made under a name where there is none."""
        if gid not in self._gids.owners:
            if self._line("group", name) is not None:
                raise RefusalError(
                    f"the group '{name}' is to have the number '{gid}', and it has another",
                    "leave 'gid' out",
                )
            self._new_group(name, gid)
        return gid

    def _new_group(self, name: str, gid: int) -> None:
        shadowed = self._tables["gshadow"].exists
        self._tables["group"].put(name, "x" if shadowed else "!", str(gid), "")
        if shadowed:
            self._tables["gshadow"].put(name, "!", "", "")
        self._gids.add(gid, name)

    def _joined(self, user: User) -> Sequence[str]:
        """Return the groups that an account joins; of the administrators' the one there is."""
        names = joined(user.groups, lambda name: self._line("group", name) is not None)
        for name in names:
            if self._line("group", name) is None:
                self._new_group(name, self._system_number(name))
        return names

    def _join(self, group: str, name: str) -> None:
        line = [*(self._line("group", group) or ())]
        line[3] = _with(line[3], name)
        adopted = group not in self._tables["group"]
        self._tables["group"].put(*line)
        shadow = self._tables["gshadow"]
        hidden = shadow.get(group)
        if hidden is None and adopted and shadow.exists:
            hidden = [group, "!", "", ""]
        if hidden is not None:
            hidden[3] = _with(hidden[3], name)
            shadow.put(*hidden)

    def _user_number(self, user: User) -> int:
        if user.uid is not None:
            self._refuse_taken(user.uid)
            return user.uid
        return self._next(self._uids, self._defaults.users, f"the account '{user.name}'")

    def _group_number(self, name: str, wanted: int | None) -> int:
        if wanted is not None:
            owner = self._gids.owners.get(wanted)
            if owner is not None:
                raise RefusalError(
                    f"the group '{name}' is to have the number '{wanted}', which '{owner}' has",
                    "give it another number",
                )
            return wanted
        later = self._later.groups.get(name)
        if later is not None:
            return later
        return self._next(self._gids, self._defaults.groups, f"the group '{name}'")

    def _system_number(self, name: str) -> int:
        """Return a number for a group of the system's: from the highest on, downwards."""
        later = self._later.groups.get(name)
        if later is not None:
            return later
        numbers = self._defaults.system_groups
        used = [n for n in self._gids.owners if n in numbers]
        number = min(used, default=numbers.stop) - 1
        if number in numbers:
            return number
        return next((n for n in reversed(numbers) if n not in self._gids.owners), numbers.start)

    @staticmethod
    def _next(taken: Numbers, numbers: range, what: str) -> int:
        """Return the number behind the highest one in use; at the end, the lowest free one."""
        number = max(taken.highest + 1, numbers.start)
        while number in taken.owners:
            number += 1
        if number in numbers:
            return number
        found = next((number for number in numbers if number not in taken.owners), None)
        if found is None:
            raise RefusalError(f"there is no number left for {what}")
        return found

    def _refuse_taken(self, uid: int) -> None:
        owner = self._uids.owners.get(uid)
        if owner is not None:
            raise RefusalError(
                f"an account is to have the number '{uid}', which '{owner}' has",
                "give it another number",
            )

    def _subordinate(self, user: User, uid: int) -> None:
        """Give an account the numbers that its containers take."""
        if uid not in self._defaults.users or user.name == ROOT:
            return
        for table, kind in (("subuid", "SUB_UID"), ("subgid", "SUB_GID")):
            count = self._defaults.number(f"{kind}_COUNT", 65536)
            if not self._tables[table].exists or count <= 0:
                continue
            lowest = self._defaults.number(f"{kind}_MIN", 100000)
            highest = self._defaults.number(f"{kind}_MAX", 600100000)
            begin = free(self._ranges[table], self._next_sub.get(table, lowest), count)
            if begin + count - 1 > highest:
                raise RefusalError(
                    f"there are no subordinate numbers left for '{user.name}'",
                    f"'{kind}_MAX' of the image's login.defs is the last one",
                )
            self._tables[table].put(user.name, str(begin), str(count))
            self._next_sub[table] = begin + count


def _with(members: str, name: str) -> str:
    """Return the names of a group's line with one more."""
    if not members or f",{name}," in f",{members},":
        return members or name
    return f"{members},{name}"
