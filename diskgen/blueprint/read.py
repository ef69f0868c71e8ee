"""From a document to what the machine is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from .checks import faults
from .document import Document
from .keys import TOP, Use
from .model import (
    AddedDirectory,
    AddedFile,
    Customizations,
    Firewall,
    Group,
    Installer,
    Services,
    Sshd,
    User,
    Volume,
    Zone,
)

_CRYPTED: Final = re.compile(r"\$(?:6|5|2[abxy]|y|gy)\$")
_MOUNTS: Final = ("/", "/boot")
_KICKSTART: Final = f"{TOP}.installer.kickstart.contents"
_NO_MOUNT: Final = (
    "'/' and '/boot' alone can be given a size: other filesystems are not made; a directory of "
    "/var is on the root filesystem"
)


def read(text: str, form: str, name: str, *, medium: bool = False) -> Customizations:
    """Return what a document of a form (``toml`` or ``json``) says; ``name`` is in messages.

    Raises BlueprintError with all that is wrong with it.
    """
    document = Document(text, form, name)
    values: dict[str, Any] = {}
    for named in document.named:
        uses = named.key.uses(medium=medium)
        if Use.REFUSED in uses:
            document.complain(named.path, f"'{named.path}' cannot be done", named.key.hint)
        elif set(uses) != {Use.WARNED}:
            values[named.path] = named.value
    document.finish()
    made = _made(document, _Values(values))
    _check_kickstart(document, made)
    for fault in faults(made):
        document.complain(fault.path, f"{fault.message} ({fault.path})", fault.hint)
    document.finish()
    return made


class _Values:
    """What a document says, by path below its customizations."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, path: str, default: Any = None) -> Any:  # noqa: ANN401
        """Return the value of a key."""
        return self._values.get(f"{TOP}.{path}", default)

    def rows(self, path: str) -> list[dict[str, Any]]:
        """Return the entries of a list of tables."""
        start = f"{TOP}.{path}["
        found: dict[str, dict[str, Any]] = {}
        for full, value in self._values.items():
            number, _bracket, name = full.removeprefix(start).partition("].")
            if full.startswith(start):
                found.setdefault(number, {})[name] = value
        return list(found.values())


def _made(document: Document, values: _Values) -> Customizations:
    get = values.get
    append = get("kernel.append", "").strip()
    return Customizations(
        users=_users(document, values.rows("sshkey"), values.rows("user")),
        groups=tuple(Group(name=row["name"], gid=row.get("gid")) for row in values.rows("group")),
        hostname=get("hostname"),
        timezone=get("timezone.timezone"),
        ntp_servers=get("timezone.ntpservers", ()),
        languages=get("locale.languages", ()),
        keyboard=get("locale.keyboard"),
        services=Services(
            **{name: get(f"services.{name}", ()) for name in ("enabled", "disabled", "masked")}
        ),
        firewall=_firewall(values),
        sshd=Sshd(**{each.name: get(f"sshd.{each.name}") for each in fields(Sshd)}),
        certificates=get("cacerts.pem_certs", ()),
        files=tuple(
            AddedFile(data=row.get("data", "").encode(), **_place(row, 0o644))
            for row in values.rows("files")
        ),
        directories=tuple(
            AddedDirectory(parents=row.get("ensure_parents", False), **_place(row, 0o755))
            for row in values.rows("directories")
        ),
        kargs=(append,) if append else (),
        fips=get("fips", False),
        ignition=bool(get("ignition.firstboot.empty") or get("ignition.firstboot.url")),
        ignition_url=_url(document, values),
        sudo_nopasswd=get("installer.sudo-nopasswd", ()),
        installer=Installer(
            unattended=get("installer.unattended", False),
            kickstart=get("installer.kickstart.contents"),
            enabled=get("installer.modules.enable", ()),
            disabled=get("installer.modules.disable", ()),
        ),
        volume=Volume(
            label=get("iso.volume_id"),
            application=get("iso.application_id"),
            publisher=get("iso.publisher"),
        ),
        sizes=_sizes(document, values.rows("filesystem")),
        given=tuple(named.path for named in document.named),
        source=document.name,
    )


def _check_kickstart(document: Document, made: Customizations) -> None:
    """Refuse a kickstart beside what would be one of its commands, as bootc-image-builder does."""
    if made.installer.kickstart is None:
        return
    for path, there in (
        ("user", made.users), ("group", made.groups),
        ("installer.unattended", made.installer.unattended),
        ("installer.sudo-nopasswd", made.sudo_nopasswd),
    ):  # fmt: skip
        if there:
            document.complain(
                _KICKSTART,
                f"'{_KICKSTART}' and '{TOP}.{path}' cannot be together",
                "write it into the kickstart, or leave that out",
            )


def _firewall(values: _Values) -> Firewall:
    return Firewall(
        ports=values.get("firewall.ports", ()),
        enabled=values.get("firewall.services.enabled", ()),
        disabled=values.get("firewall.services.disabled", ()),
        zones=tuple(
            Zone(name=row["name"], sources=row.get("sources", ()))
            for row in values.rows("firewall.zones")
        ),
    )


def _place(row: Mapping[str, Any], mode: int) -> dict[str, Any]:
    """Return where something is, and whose; root's where nobody is named."""
    return {
        "path": row["path"],
        "user": row.get("user", 0),
        "group": row.get("group", 0),
        "mode": row.get("mode", mode),
    }


def _users(
    document: Document, keys: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> tuple[User, ...]:
    """Return the accounts; the old form's keys come before the others'."""
    known: dict[str, tuple[str, ...]] = {}
    for row in keys:
        known[row["user"]] = (*known.get(row["user"], ()), *_lines(row["key"]))
    names = [row["name"] for row in rows]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        document.complain(f"{TOP}.user", f"the account '{name}' is there twice")
    made = [User(name=name, keys=lines) for name, lines in known.items() if name not in names]
    for row in rows:
        password = row.get("password") or None
        crypted = password is not None and _CRYPTED.match(password) is not None
        made.append(
            User(
                name=row["name"],
                password=password if crypted else None,
                plain=None if crypted else password,
                keys=(*known.get(row["name"], ()), *_lines(row.get("key", ""))),
                groups=row.get("groups", ()),
                comment=row.get("description"),
                home=row.get("home"),
                shell=row.get("shell"),
                uid=row.get("uid"),
                gid=row.get("gid"),
                expires=row.get("expiredate"),
                reset=row.get("force_password_reset", False),
            )
        )
    return tuple(made)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.split("\n") if line.strip())


def _url(document: Document, values: _Values) -> str | None:
    url: str | None = values.get("ignition.firstboot.url")
    if url is not None and values.get("ignition.firstboot.empty"):
        document.complain(
            f"{TOP}.ignition.firstboot.empty",
            f"'{TOP}.ignition.firstboot' has both 'url' and 'empty'",
            "leave one of them out",
        )
    return url


def _sizes(document: Document, rows: list[dict[str, Any]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for number, row in enumerate(rows):
        path, mount = f"{TOP}.filesystem[{number}]", row["mountpoint"]
        if mount not in _MOUNTS:
            document.complain(f"{path}.mountpoint", f"'{path}' is for '{mount}'", _NO_MOUNT)
        elif mount in sizes:
            document.complain(f"{path}.mountpoint", f"'{mount}' is given two sizes")
        elif ("minsize" in row) == ("size" in row):
            text = "has both 'minsize' and 'size'" if "size" in row else "has no 'minsize'"
            document.complain(f"{path}.minsize", f"'{path}' {text}")
        else:
            sizes[mount] = row["minsize"] if "minsize" in row else row["size"]
    return sizes
