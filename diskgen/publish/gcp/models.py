"""Enums of Compute Engine's own model, for the option table and for what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# Image, version v1 of 2026-11-06: architecture of each of ours, and types of GuestOsFeature.
ARCHITECTURES: Final[Mapping[str, str]] = MappingProxyType({"x86_64": "X86_64", "aarch64": "ARM64"})
UEFI: Final = "UEFI_COMPATIBLE"
USUAL: Final = ("VIRTIO_SCSI_MULTIQUEUE", "GVNIC")  # of any kernel of today
# Machines whose memory is encrypted: processors of x86_64, started by UEFI.
CONFIDENTIAL: Final = (
    "SEV_CAPABLE", "SEV_LIVE_MIGRATABLE", "SEV_LIVE_MIGRATABLE_V2", "SEV_SNP_CAPABLE",
    "SNP_SVSM_CAPABLE", "TDX_CAPABLE",
)  # fmt: skip
FEATURES: Final = tuple(sorted((
    *USUAL, UEFI, *CONFIDENTIAL, "BARE_METAL_LINUX_COMPATIBLE", "BMSAI_CAPABLE", "CCA_CAPABLE",
    "IDPF", "MULTI_IP_SUBNET", "SECURE_BOOT", "SUSPEND_SAFE_FPR",
)))  # fmt: skip
