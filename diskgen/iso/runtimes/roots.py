"""An installer's root is changed: files and links get their places, whatever links lead there."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from ...errors import SourceError
from ...ostree.lookup import find_dir
from ...tree import Directory, symlink

# They mount and activate what is on the disks of a machine, which are to be written.
_GENERATORS: Final = ("systemd-gpt-auto-generator", "lvm2-activation-generator")
_NOWHERE: Final = "/dev/null"


@contextmanager
def changes() -> Generator[None]:
    """Turn something that is in the way into words. Raises SourceError."""
    try:
        yield
    except NotADirectoryError as error:
        raise SourceError(
            f"something in '/{error}' of the installer's image is no directory",
            hint="remove it from the image",
            setting="installer",
        ) from error


def directory(root: Directory, path: str) -> Directory:
    """Return the directory that a path means, made where there is none.

    Raises NotADirectoryError.
    """
    found = find_dir(root, path)
    return found if found is not None else root.make_dirs(path)


def start_by(root: Directory, unit: str) -> None:
    """Let a runtime's systemd start a unit, and nothing by itself that is on the disks."""
    units = directory(root, "etc/systemd/system")
    units.add("default.target", symlink(f"/usr/lib/systemd/system/{unit}"))
    mask(root, "system-generators", *_GENERATORS)


def mask(root: Directory, kind: str, *names: str) -> None:
    """Take units or generators out of a runtime; ``kind`` is their directory of systemd's."""
    place = directory(root, f"etc/systemd/{kind}")
    for name in names:
        place.add(name, symlink(_NOWHERE))
