"""Settings of programs that most machines have: sshd, the clock's servers, FIPS, trust.

Formats: sshd_config(5), sudoers(5), selinux_config(5), chrony.conf(5), timesyncd.conf(5),
crypto-policies(7), update-ca-trust(8), update-ca-certificates(8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..blueprint.model import Sshd
from ..tree import File
from .files import Files, RefusalError

_SSHD: Final = "etc/ssh/sshd_config"
_SSHD_OWN: Final = "etc/ssh/sshd_config.d/00-diskgen.conf"
_SSHD_INCLUDES: Final = re.compile(
    r'Include[ \t=]+"?(?:/etc/ssh/)?sshd_config\.d/\*(?:\.conf)?"?', re.IGNORECASE
)
_SUDO: Final = "etc/sudoers"
SUDO_OWN: Final = "etc/sudoers.d/90-diskgen"  # the last line that fits counts; no dots in names
SUDO_MODE: Final = 0o440
_SELINUX: Final = "etc/selinux/config"
_SELINUX_MODE: Final = re.compile(r"^[ \t]*SELINUX=.*$", re.MULTILINE)
_CHRONY: Final = ("etc/chrony.conf", "etc/chrony/chrony.conf")
_CHRONY_SERVER: Final = re.compile(r"^[ \t]*(server|pool|peer)[ \t].*\n?", re.MULTILINE)
# Each sets the clock by the network.
CLOCKS: Final = ("chronyd.service", "chrony.service", "systemd-timesyncd.service", "ntpd.service",
                 "ntpsec.service")  # fmt: skip
_TIMESYNCD: Final = "usr/lib/systemd/systemd-timesyncd"
_TIMESYNCD_OWN: Final = "etc/systemd/timesyncd.conf.d/00-diskgen.conf"
_POLICIES: Final = "usr/share/crypto-policies"
_POLICY: Final = "etc/crypto-policies"
_OVERLAY: Final = "usr/lib/systemd/system/fips-crypto-policy-overlay.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """Where a family of systems keeps what it trusts: its own additions, and what is read."""

    anchors: str
    bundles: tuple[str, ...]
    program: str  # makes the bundles from the anchors


_STORES: Final = (
    _Store(
        anchors="etc/pki/ca-trust/source/anchors",
        bundles=(
            "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
            "etc/pki/tls/certs/ca-bundle.crt",
        ),
        program="update-ca-trust",
    ),
    _Store(
        anchors="etc/pki/trust/anchors",
        bundles=("var/lib/ca-certificates/ca-bundle.pem", "etc/ssl/ca-bundle.pem"),
        program="update-ca-certificates",
    ),
    _Store(
        anchors="etc/ca-certificates/trust-source/anchors",
        bundles=(
            "etc/ca-certificates/extracted/tls-ca-bundle.pem",
            "etc/ssl/certs/ca-certificates.crt",
        ),
        program="update-ca-trust",
    ),
    _Store(
        anchors="usr/local/share/ca-certificates",
        bundles=("etc/ssl/certs/ca-certificates.crt",),
        program="update-ca-certificates",
    ),
)


def sshd(files: Files, wanted: Sshd) -> None:
    """Write settings of sshd before all others, of which the first counts. Raises RefusalError."""
    lines = sshd_text(wanted)
    if not lines:
        return
    text = files.text(_SSHD)
    if text is None:
        raise RefusalError(
            "the image has no sshd ('/etc/ssh/sshd_config'), which settings are given for",
            "leave them out, or install openssh-server in the image",
        )
    if _is_first(files, text):
        files.make(_SSHD_OWN.rpartition("/")[0])
        files.write(_SSHD_OWN, lines, mode=0o600)
    else:
        files.write(_SSHD, lines + text)


def sshd_text(wanted: Sshd) -> str:
    """Return settings as sshd_config(5) has them, empty without any."""
    return "".join(
        f"{name} {_word(value)}\n"
        for name, value in (
            ("PasswordAuthentication", wanted.password_authentication),
            ("KbdInteractiveAuthentication", wanted.kbd_interactive_authentication),
            ("ClientAliveInterval", wanted.client_alive_interval),
            ("PermitRootLogin", wanted.permit_root_login),
        )
        if value is not None
    )


def _is_first(files: Files, text: str) -> bool:
    """Say whether a file of our name would be read before all that sshd_config and others say."""
    said = (line.strip() for line in text.splitlines())
    first = next((line for line in said if line and not line.startswith("#")), "")
    folder, _slash, own = _SSHD_OWN.rpartition("/")
    there = files.directory(folder)
    before = [name for name in (there.entries if there is not None else ())
              if name.endswith(b".conf") and name < own.encode()]  # fmt: skip
    return _SSHD_INCLUDES.fullmatch(first) is not None and not before


def selinux(files: Files, mode: str | None) -> None:
    """Set the mode in which SELinux begins, where the image has it. Raises RefusalError."""
    text = files.text(_SELINUX)
    if mode is not None and text is not None:
        line = f"SELINUX={mode}"
        made, count = _SELINUX_MODE.subn(line, text)
        files.write(_SELINUX, made if count else f"{line}\n{text}")


def clock(files: Files, servers: Sequence[str], warn: Callable[[str], None]) -> None:
    """Name time servers to whatever sets the machine's clock. Raises RefusalError."""
    if not servers:
        return
    path = next((path for path in _CHRONY if files.find(path) is not None), None)
    if path is not None:
        rest = _CHRONY_SERVER.sub("", files.text(path) or "")
        files.write(path, "".join(f"server {name} iburst\n" for name in servers) + rest)
    elif isinstance(files.find(_TIMESYNCD), File):
        files.make(_TIMESYNCD_OWN.rpartition("/")[0])
        files.write(_TIMESYNCD_OWN, f"[Time]\nNTP={' '.join(servers)}\n", mode=0o644)
    else:
        warn(
            "time servers are given, and the image has neither chrony nor systemd-timesyncd: its "
            "clock has its own"
        )


def sudo(files: Files, names: Sequence[str], warn: Callable[[str], None]) -> None:
    """Let accounts, and groups behind %, become root without a password. Raises RefusalError."""
    if not names:
        return
    if files.text(_SUDO) is None:
        warn("sudo is to ask for no password, and the image does not have it")
        return
    files.make(SUDO_OWN.rpartition("/")[0])
    files.write(SUDO_OWN, sudo_text(names), mode=SUDO_MODE)


def sudo_text(names: Sequence[str]) -> str:
    """Return the lines of sudoers(5) for it, empty without names."""
    return "".join(f"{name}\tALL=(ALL)\tNOPASSWD: ALL\n" for name in names)


def fips(files: Files, warn: Callable[[str], None]) -> None:
    """Let programs keep to what FIPS allows; the kernel's argument is the deployment's.

    Newer images do so by themselves when the kernel does (fips-crypto-policy-overlay).
    """
    if files.find(_OVERLAY) is not None:
        return
    backends = files.directory(f"{_POLICIES}/FIPS")
    if backends is None or files.directory(_POLICY) is None:
        warn(
            "FIPS is wanted, and the image has no policy for it (crypto-policies): the kernel "
            "alone is told"
        )
        return
    files.write(f"{_POLICY}/config", "FIPS\n")
    files.make(f"{_POLICY}/state")
    files.write(f"{_POLICY}/state/current", "FIPS\n")
    files.make(f"{_POLICY}/back-ends")
    for raw in sorted(backends.entries):
        name = raw.decode(errors="surrogateescape")
        if name.endswith(".txt"):
            target = f"/{_POLICIES}/FIPS/{name}"
            files.link(f"{_POLICY}/back-ends/{name.removesuffix('.txt')}.config", target)


def trust(files: Files, certificates: Sequence[str], warn: Callable[[str], None]) -> None:
    """Add certificates to what programs trust: to the sources, and to what was made of them.

    Raises RefusalError.
    """
    if not certificates:
        return
    store = next((s for s in _STORES if files.directory(s.anchors) is not None), None) or next(
        (s for s in _STORES if any(files.find(path) is not None for path in s.bundles)), None
    )
    if store is None:
        raise RefusalError(
            "certificates are to be trusted, and the image has no place for them",
            "install ca-certificates in the image",
        )
    try:
        files.make(store.anchors)
        for number, text in enumerate(certificates, 1):
            path = f"{store.anchors}/diskgen-{number}.crt"
            files.write(path, f"{text.strip()}\n", mode=0o644)
    except RefusalError:
        warn(
            f"'/{store.anchors}' is a part of the image, so certificates to trust are added to "
            f"what was made of it alone: '{store.program}' on the machine would drop them"
        )
    added = "".join(f"{text.strip()}\n" for text in certificates)
    for path in {files.where(path): path for path in store.bundles}:
        bundle = files.text(path)
        if bundle is not None:
            files.write(path, f"{bundle.rstrip()}\n{added}")


def _word(value: bool | int | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
