"""Enums of EC2's own model: what botocore does not check of what it sends."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# RegisterImage, version 2016-11-15: Architecture of each of ours, and BootMode.
ARCHITECTURES: Final[Mapping[str, str]] = MappingProxyType({"x86_64": "x86_64", "aarch64": "arm64"})
BOOT_MODES: Final = ("uefi-preferred", "uefi", "legacy-bios")
