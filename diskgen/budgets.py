"""What an image may ask of this machine: every limit on hostile input, counted in one way.

Each is far above what images need that people made, and low enough that whatever stays below all
of them is read in minutes and in less than 1.5 GB of memory. Errors name the budget; the man page
has this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .errors import SourceError
from .units import GIB, KIB, MIB, TIB, format_size

BYTES: Final = "bytes"
Refuse = Callable[[str], SourceError]  # makes the error of whatever is refused from a reason


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit: ``limit`` of ``unit``; ``of`` says what is counted."""

    name: str
    limit: int
    unit: str
    of: str

    @property
    def shown(self) -> str:
        """The limit for people: ``64 MiB``, ``200 levels``."""
        return format_size(self.limit) if self.unit == BYTES else f"{self.limit:,} {self.unit}"

    @property
    def exceeded(self) -> str:
        """What an error says of it: ``more than 200 levels (budget 'path-depth')``."""
        return f"more than {self.shown} (budget '{self.name}')"


class Tally:
    """Counts against one budget."""

    __slots__ = ("_budget", "_refuse", "_what", "count")

    def __init__(self, budget: Budget, refuse: Refuse, what: str) -> None:
        self._budget = budget
        self._refuse = refuse
        self._what = what
        self.count = 0

    def add(self, amount: int) -> None:
        """Count so much more. Raises what ``refuse`` makes where that is too much."""
        self.count += amount
        if self.count > self._budget.limit:
            raise self._refuse(f"{self._what} {self._budget.exceeded}")


# Manifests, configurations and other documents.
MANIFEST_BYTES: Final = Budget("manifest-bytes", 4 * MIB, BYTES, "a manifest or an index")
CONFIG_BYTES: Final = Budget("config-bytes", 8 * MIB, BYTES, "the config of an image")
DOCUMENT_BYTES: Final = Budget(
    "document-bytes", MIB, BYTES, "any other JSON or TOML file of an image"
)
YAML_BYTES: Final = Budget("yaml-bytes", 128 * KIB, BYTES, "a YAML file of an image")
DOCUMENT_DEPTH: Final = Budget(
    "document-depth", 64, "levels", "lists, tables and dotted names of JSON and TOML in each other"
)
DOCUMENT_DIGITS: Final = Budget("document-digits", 100, "digits", "a number in JSON or TOML")
LAYERS: Final = Budget("layers", 500, "layers", "an image")
# Layers.
ENTRIES: Final = Budget(
    "entries", 1_100_000, "entries", "all layers of an image, directories counted that are implied"
)
PATH_BYTES: Final = Budget("path-bytes", 4096, BYTES, "a path, or the target of a link")
PATH_DEPTH: Final = Budget("path-depth", 200, "levels", "directories in each other")
NAME_BYTES: Final = Budget("name-bytes", 255, BYTES, "one name")
ALL_NAMES_BYTES: Final = Budget(
    "all-names-bytes", 192 * MIB, BYTES, "paths and link targets of all layers"
)
HEADER_BYTES: Final = Budget("header-bytes", MIB, BYTES, "a pax header or a long name of a tar")
HEADERS: Final = Budget("headers", 16, "headers", "pax headers and long names before one entry")
KEYS: Final = Budget("keys", 1000, "keys", "a pax header")
GLOBAL_KEYS: Final = Budget("global-keys", 64, "keys", "all global pax headers of a layer")
ATTRIBUTES_BYTES: Final = Budget("attributes-bytes", MIB, BYTES, "extended attributes of an entry")
ALL_ATTRIBUTES_BYTES: Final = Budget(
    "all-attributes-bytes", 64 * MIB, BYTES,
    "extended attributes of all layers, those that are alike counted once",
)  # fmt: skip
FILE_BYTES: Final = Budget("file-bytes", 16 * TIB, BYTES, "a file")
LAYER_BYTES: Final = Budget("layer-bytes", TIB, BYTES, "a layer, unpacked")
EXPANSION: Final = Budget(
    "expansion", 100, "times", "what layers above 4 GiB unpack to, holes and zeros counted too"
)
EXPANSION_FLOOR: Final = 4 * GIB  # below it nothing is a bomb, whatever its ratio
ZSTD_WINDOW_BYTES: Final = Budget(
    "zstd-window-bytes", 128 * MIB, BYTES, "the window of a zstd blob"
)
# Encapsulated commits and SELinux.
OBJECT_BYTES: Final = Budget(
    "object-bytes", 10 * MIB, BYTES, "a commit, a directory or attributes of an encapsulated commit"
)
COMMIT_BYTES: Final = Budget("commit-bytes", 256 * MIB, BYTES, "all such objects of an image")
COMMIT_ENTRIES: Final = Budget("commit-entries", 1_000_000, "entries", "the tree of such a commit")
COMMIT_DEPTH: Final = Budget("commit-depth", 128, "levels", "directories of such a commit")
RULES_BYTES: Final = Budget("rules-bytes", 64 * MIB, BYTES, "a file of SELinux rules")
SEALED_BYTES: Final = Budget(
    "sealed-bytes", 32 * GIB, BYTES, "all files of an image that fs-verity is to guard"
)
# Boot files.
INITRAMFS_BYTES: Final = Budget("initramfs-bytes", 2 * GIB, BYTES, "an initramfs, unpacked")
INITRAMFS_ENTRIES: Final = Budget("initramfs-entries", 200_000, "entries", "an initramfs")
ESP_FILES: Final = Budget("esp-files", 10_000, "files", "the EFI system partition")
ESP_FOLDERS: Final = Budget("esp-folders", 500, "directories", "the EFI system partition")
# Disks that are looked into.
INSPECTED_BYTES: Final = Budget(
    "inspected-bytes", 512 * MIB, BYTES, "all that is read of a disk to show what it holds"
)
CLUSTER_BYTES: Final = Budget("cluster-bytes", 2 * MIB, BYTES, "a cluster of a qcow2, unpacked")
# Farms.
FARM_BYTES: Final = Budget(
    "farm-bytes", 64 * MIB, BYTES, "an answer of a farm, but logs and files that are passed on"
)
# Programs.
IDLE_SECONDS: Final = Budget(
    "idle-seconds", 300, "seconds", "a program that neither reads, writes nor starts another"
)
TOOL_SECONDS: Final = Budget("tool-seconds", 120, "seconds", "a program that has little to do")
BOOT_SECONDS: Final = Budget(
    "boot-seconds", 1800, "seconds", "a machine that is started, until one can log in"
)

ALL: Final = tuple(value for value in tuple(globals().values()) if isinstance(value, Budget))
