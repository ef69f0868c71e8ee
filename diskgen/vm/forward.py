"""Ports of this machine behind which a guest's are: QEMU's ``hostfwd``."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final

from ..errors import HostError, UsageError

LOOPBACK: Final = "127.0.0.1"
_PROTOCOLS: Final = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_FORM: Final = re.compile(
    r"(?:(?P<address>[^/]*):)?(?P<host>\d{1,5}):(?P<guest>\d{1,5})(?:/(?P<protocol>[a-z]+))?",
    re.ASCII,
)
_HIGHEST: Final = 65535


@dataclass(frozen=True, slots=True)
class Forward:
    """What comes to a port of this machine's IPv4 ``address`` goes to a port of the guest."""

    host: int
    guest: int
    address: str = LOOPBACK
    protocol: str = "tcp"

    @property
    def rule(self) -> str:
        """QEMU's option of a user network."""
        return f"hostfwd={self.protocol}:{self.address}:{self.host}-:{self.guest}"


def parse(text: str) -> Forward:
    """Return what ``[ADDR:]PORT:PORT[/udp]`` means. Raises UsageError."""
    match = _FORM.fullmatch(text)
    ports = [int(match[name]) for name in ("host", "guest")] if match else []
    protocol = (match["protocol"] if match else None) or "tcp"
    if not match or protocol not in _PROTOCOLS or not all(0 < p <= _HIGHEST for p in ports):
        raise UsageError(
            f"'{text}' names no ports",
            hint="write HOST:GUEST, such as 8080:80, 0.0.0.0:8080:80 or 5353:53/udp",
            setting="forward",
        )
    address = match["address"] if match["address"] is not None else LOOPBACK
    try:
        address = str(ipaddress.IPv4Address(LOOPBACK if address == "localhost" else address))
    except ValueError as error:
        raise UsageError(
            f"'{address}' is no IPv4 address of this machine", setting="forward"
        ) from error
    return Forward(ports[0], ports[1], address, protocol)


def check(forward: Forward) -> None:
    """Raise HostError where nobody can listen on a port that is to be forwarded."""
    try:
        with socket.socket(socket.AF_INET, _PROTOCOLS[forward.protocol]) as listener:
            if forward.protocol == "tcp":  # as QEMU has it; of udp it would let two listen
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((forward.address, forward.host))
    except OSError as error:
        raise HostError(
            f"port {forward.host} of '{forward.address}' cannot be forwarded: {error.strerror}",
            hint="name another",
            setting="forward",
        ) from error


def to(guest: int) -> Forward:
    """Return a forward from a port that is free now, on the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((LOOPBACK, 0))
        return Forward(listener.getsockname()[1], guest)
