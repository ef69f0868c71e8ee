"""Firmware for virtual machines, found the way QEMU publishes it.

Format: QEMU's ``docs/interop/firmware.json``: every package of firmware brings a descriptor; the
first that fits, ordered by file name, is the distribution's choice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..documents import load_object
from ..errors import HostError
from ..hosttools import distribution_hint

KINDS: Final = ("uefi", "secureboot")  # QEMU brings all others itself
_PACKAGES: Final = {
    "x86_64": {"debian": "ovmf", "fedora": "edk2-ovmf", "archlinux": "edk2-ovmf"},
    "aarch64": {
        "debian": "qemu-efi-aarch64", "fedora": "edk2-aarch64", "archlinux": "edk2-aarch64",
    },
}  # fmt: skip
_ROOTS: Final = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))


@dataclass(frozen=True, slots=True)
class Firmware:
    """UEFI firmware in two flash files; ``variables`` is a template to be copied."""

    code: Path
    code_format: str
    variables: Path
    variables_format: str
    needs_smm: bool


def find(arch: str, kind: str) -> Firmware:
    """Return UEFI firmware for an architecture; ``kind`` is ``uefi`` or ``secureboot``.

    ``secureboot`` means Microsoft's keys enrolled and verification on. Raises HostError.
    """
    wanted = kind == "secureboot"
    fitting = [f for value in _descriptors() if (f := _fitting(value, arch, enrolled=wanted))]
    if fitting:
        return min(fitting, key=lambda f: f.needs_smm is not wanted)  # the first of the simplest
    raise HostError(
        f"this machine has no {'Secure Boot' if wanted else 'UEFI'} firmware for '{arch}' guests",
        hint=distribution_hint(**_PACKAGES[arch]) if arch in _PACKAGES else None,
        setting="firmware",
    )


def _descriptors() -> Iterator[dict[str, Any]]:
    """Yield all descriptors in the order of their names; earlier directories hide later ones."""
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    found: dict[str, Path] = {}
    for root in (Path(config) / "qemu/firmware", *_ROOTS):
        for path in root.glob("*.json"):
            found.setdefault(path.name, path)
    for _name, path in sorted(found.items()):
        try:
            yield load_object(path.read_bytes())
        except (OSError, ValueError):
            continue  # an empty file masks a descriptor


def _fitting(value: dict[str, Any], arch: str, *, enrolled: bool) -> Firmware | None:
    try:
        mapping = value["mapping"]
        features = value["features"]
        if (
            "uefi" not in value["interface-types"]
            or mapping["device"] != "flash"
            or mapping.get("mode", "split") != "split"
            or arch not in {target["architecture"] for target in value["targets"]}
            or ("enrolled-keys" in features) is not enrolled
            or (enrolled and "secure-boot" not in features)
        ):
            return None
        code, variables = mapping["executable"], mapping["nvram-template"]
        made = Firmware(
            Path(code["filename"]), code["format"],
            Path(variables["filename"]), variables["format"], "requires-smm" in features,
        )  # fmt: skip
    except (KeyError, TypeError):
        return None
    return made if made.code.is_file() and made.variables.is_file() else None
