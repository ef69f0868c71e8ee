"""What an installer's medium says of itself, as far as starting a machine from it needs that."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..arch import MACHINES
from ..errors import SourceError
from ..iso.reading import reader
from ..tree import File, read

_MARK: Final = b"CD001"
_MARK_AT: Final = 16 * 2048 + 1  # ECMA-119, 8.1.2
_LINE: Final = 2  # of .discinfo: the architecture
_MAX_INFO: Final = 4096


def is_medium(path: Path) -> bool:
    """Say whether a file is an ISO 9660 image."""
    with path.open("rb") as file:
        file.seek(_MARK_AT)
        return file.read(len(_MARK)) == _MARK


def architecture(path: Path) -> str | None:
    """Return what a medium is for (a name of ``arch.MACHINES``), None where it does not say.

    Raises SourceError for a damaged image.
    """
    node = reader.read(path).root.get(".discinfo")
    if not isinstance(node, File) or node.content is None or node.size > _MAX_INFO:
        return None
    try:
        lines = read(node.content).decode(errors="replace").splitlines()
    except OSError as error:
        raise SourceError(f"'{path}' cannot be read: {error}") from error
    name = lines[_LINE].strip() if len(lines) > _LINE else ""
    return name if name in MACHINES else None
