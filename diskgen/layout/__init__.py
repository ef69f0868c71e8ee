"""Where everything lies on the disk: partitions by role and sizes in, byte offsets out."""

from __future__ import annotations

from .making import make_layout
from .model import (
    BIOS_SECTOR,
    BOOT_SIZE,
    DEFAULT_DISK_SIZE,
    ESP_SIZE,
    GRAIN,
    MOST_DEPLOYMENTS,
    Content,
    Filesystem,
    Layout,
    Partition,
    Role,
    serial_text,
)
from .table import check_multiple, check_sizes, fixed_size_doubts, least_size, preferred_size

__all__ = [
    "make_layout",
    "serial_text",
    "least_size",
    "preferred_size",
    "check_multiple",
    "check_sizes",
    "fixed_size_doubts",
    "Content",
    "Filesystem",
    "Layout",
    "Partition",
    "Role",
    "BIOS_SECTOR",
    "BOOT_SIZE",
    "DEFAULT_DISK_SIZE",
    "ESP_SIZE",
    "GRAIN",
    "MOST_DEPLOYMENTS",
]
