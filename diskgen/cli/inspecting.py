"""The command that shows what an image, a disk or a medium holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from ..arch import machine as machine_row
from ..errors import SourceError, UsageError
from ..place import PLACES
from ..reference import parse
from ..ui import renderer
from .printing import print_json, print_text
from .request import access_of

_FILE_SUFFIXES: Final = ("iso", "img", *(place.suffix for place in PLACES.values()))


def inspect(args: argparse.Namespace) -> int:
    """Print what an image or a disk file holds."""
    from ..inspection import image, of_file, text  # what they import takes a while

    path = Path(args.reference)
    facts: dict[str, Any]
    with renderer(args.progress) as emit:
        if path.is_file() or path.is_block_device():
            facts = of_file(path)
        else:
            _refuse_missing(path, args.reference)
            facts = image.of_image(
                parse(args.reference), machine_row(args.arch), access_of(args), emit
            )
    if args.json:
        print_json(facts, indent=2)
    else:
        print_text(text.to_text(facts))
    return 0


def _refuse_missing(path: Path, reference: str) -> None:
    """Refuse what can only be meant as a file. Raises UsageError, SourceError."""
    suffixes = tuple(f".{suffix}" for suffix in _FILE_SUFFIXES)
    meant = reference.startswith(("/", "./", "../", "~")) or reference.endswith(suffixes)
    if path.is_dir():
        raise UsageError(
            f"'{reference}' is a directory",
            hint=f"an image in it is called oci:{reference} or dir:{reference}",
        )
    if meant and path.exists():
        raise SourceError(f"'{reference}' is neither a file nor a disk")
    bare = not set(":/@") & set(reference)
    if meant or bare:
        raise SourceError(
            f"there is no file '{reference}'",
            hint="name a disk or a medium, or an image with its registry (quay.io/project/os:1) "
            "or its transport (oci:DIRECTORY)",
        )
