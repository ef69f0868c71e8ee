"""Values as a kickstart can hold them: words, names and devices, or why they cannot be there.

What passes means the same to every installer, and ends no line and no quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from ... import keymap, resources
from ...accounts import name_fault
from ...errors import UsageError
from ...link import Link, Way, is_mac

_ROOM: Final = "kickstart"
_PLACEHOLDER: Final = re.compile(r"(?<!@)@([A-Z]+)@(?!@)")
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:/+-]*", re.ASCII)
_HASH: Final = re.compile(r"\$[A-Za-z0-9./$,=_-]+")  # crypt(5)
_PLAIN: Final = re.compile(r"[^'\"\\$`\n\0]+")


def device(link: Link) -> Iterator[str]:
    """Yield the words of a device's line, which mean the same to every installer."""
    device = link.device or "link"
    yield f"network --device={device} --activate --onboot={'on' if link.on_boot else 'off'}"
    if is_mac(device):
        yield "--bindto=mac"
    v4, v6 = link.v4, link.v6
    if v4.address is not None:
        yield f"--bootproto=static --ip={v4.address.ip} --netmask={v4.address.netmask}"
    else:
        yield "--noipv4" if v4.way is Way.OFF else "--bootproto=dhcp"
    if v6.address is not None:
        yield f"--ipv6={v6.address}"
    elif v6.way is not Way.AUTO:
        yield "--noipv6" if v6.way is Way.OFF else "--ipv6=dhcp"
    for option, value in (
        ("gateway", v4.gateway),
        ("ipv6gateway", v6.gateway),
        ("nameserver", ",".join(map(str, link.servers))),
        ("mtu", link.mtu),
        ("ipv4-dns-search", ",".join(v4.search)),
        ("ipv6-dns-search", ",".join(v6.search)),
    ):
        if value:
            yield f"--{option}={value}"


def fill(name: str, **values: str) -> str:
    """Return a fragment with its placeholders replaced; all of them, and no others."""
    template = resources.text(_ROOM, name)
    found = set(_PLACEHOLDER.findall(template))
    if found != values.keys():
        raise ValueError(f"{name} has the placeholders {found}")
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template).rstrip("\n")


def _matching(pattern: re.Pattern[str], text: str, setting: str | None) -> str:
    if not pattern.fullmatch(text):
        raise UsageError(f"'{text}' cannot be written into a kickstart", setting=setting)
    return text


def word(text: str, setting: str | None = None) -> str:
    """Return a word without blanks and quotes, or a path. Raises UsageError.

    ``setting`` is the option that it comes from, None where the image says it.
    """
    return _matching(_WORD, text, setting) if not text.startswith("/") else "/" + _matching(
        _WORD, text[1:], setting
    )  # fmt: skip


def server(text: str, setting: str) -> str:
    """Return the name of a server, or its address. Raises UsageError."""
    try:
        return str(IPv6Address(text)) if "%" not in text else word(text, setting)
    except AddressValueError:
        return word(text, setting)


def account_name(text: str, setting: str) -> str:
    """Return the name of an account or a group. Raises UsageError."""
    return valid(name_fault(text), text, setting)


def keyboard(text: str) -> str:
    """Return what ``keyboard`` takes. Raises UsageError."""
    found = keymap.split(text)
    if found is None:
        hint = "write it as us, de-nodeadkeys or us(intl)"
        raise UsageError(f"'{text}' is no keyboard", hint=hint, setting="keyboard")
    layout, variant = found
    return layout if variant is None else f"--xlayouts='{layout} ({variant})'"


def valid(fault: str | None, text: str, setting: str) -> str:
    """Return a text that has no fault. Raises UsageError with the fault."""
    if fault is not None:
        raise UsageError(
            f"'{text}' cannot be written into a kickstart", hint=fault, setting=setting
        )
    return text


def plain(text: str, setting: str) -> str:
    """Return a text that needs no quotes but double ones. Raises UsageError."""
    return _matching(_PLAIN, text, setting)


def reference(text: str) -> str:
    """Return the reference of an image. Raises UsageError."""
    return _matching(_REFERENCE, text, "target-imgref")


def url(text: str) -> str:
    """Return a URL of packages. Raises UsageError."""
    return _matching(re.compile(r"(https?|ftp|file)://[^\s'\"\\`]+"), text, "packages")


def package_name(text: str) -> str:
    """Return what stands in a section %packages. Raises UsageError."""
    return _matching(re.compile(r"-?@?\^?[A-Za-z0-9][A-Za-z0-9._+*-]*"), text, "package")


def crypted(text: str, setting: str) -> str:
    """Return a password as crypt(5) has it. Raises UsageError."""
    return _matching(_HASH, text, setting)
