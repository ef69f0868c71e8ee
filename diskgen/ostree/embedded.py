"""What an image says to those who make disks of it: ``config.toml`` and ``disk.yaml`` in it.

Where image-builder looks for them (osbuild.org, "Sources of Configuration"): in
``/usr/lib/image-builder/bootc``, else in the older ``/usr/lib/bootc-image-builder``. A file for the
architecture, such as ``aarch64.yaml``, comes before ``disk.yaml``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ..blueprint import read
from ..blueprint.errors import BlueprintError
from ..blueprint.model import Customizations
from ..documents import DocumentError, load_yaml
from ..errors import SourceError
from ..tree import Directory
from .disktable import DiskTable, Mounted, TableError, read_table
from .lookup import find_text

_PLACES: Final = ("usr/lib/image-builder/bootc", "usr/lib/bootc-image-builder")
_CONFIGS: Final = (("config.toml", "toml"), ("config.json", "json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What was found; None where there is none. Paths from the root on."""

    described: Customizations | None = None  # ``source`` is its path
    table: DiskTable | None = None
    table_path: str | None = None

    @property
    def root_filesystem(self) -> str | None:
        """The root filesystem that the table asks for."""
        return self.table.root_filesystem if self.table is not None else None

    @property
    def mounted(self) -> Mounted | None:
        """Which files the table wants to name what is mounted."""
        return self.table.mounted if self.table is not None else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the table makes no other disk."""
        if self.table is None:
            return ()
        return tuple(f"'{self.table_path}' of the image: {text}" for text in self.table.warnings)


def read_embedded(root: Directory, machine: str) -> Embedded:
    """Return what an image holds for a machine (a name of ``arch.MACHINES``).

    Raises SourceError naming the file that is broken, or asks for what cannot be.
    """
    config = [(path, form, text) for place in _PLACES for name, form in _CONFIGS
              if (text := find_text(root, path := f"{place}/{name}")) is not None]  # fmt: skip
    described = None
    if config:
        path, form, text = config[0]
        beside = [other for other, _form, _text in config[1:]
                  if other.rpartition("/")[0] == path.rpartition("/")[0]]  # fmt: skip
        if beside:
            raise _bad(path, f"'/{beside[0]}' is there as well")
        described = _described(path, form, text)
    for path in _tables(machine):
        text = find_text(root, path)
        if text is not None:
            return Embedded(described=described, table=_table(path, text), table_path=f"/{path}")
    return Embedded(described=described)


def _tables(machine: str) -> Iterator[str]:
    for place in _PLACES:
        yield from (f"{place}/{machine}.yaml", f"{place}/disk.yaml")


def _described(path: str, form: str, text: str) -> Customizations:
    try:
        return read.read(text, form, f"/{path}")
    except BlueprintError as error:
        first = error.problems[0]
        more = f", and {len(error.problems) - 1} more" if len(error.problems) > 1 else ""
        raise SourceError(
            f"{first.message}{more}: the image's own configuration",
            hint=first.hint or "repair it in the image",
        ) from None


def _table(path: str, text: str) -> DiskTable:
    try:
        return read_table(load_yaml(text))
    except (DocumentError, TableError) as error:
        raise _bad(path, str(error)) from None


def _bad(path: str, reason: str) -> SourceError:
    return SourceError(
        f"'/{path}' of the image cannot be obeyed: {reason}", hint="change it in the image"
    )
