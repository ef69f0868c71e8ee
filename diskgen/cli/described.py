"""What the machine is given: the description that a user names, and options, which win over it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final

from .. import described
from ..blueprint.merge import merge
from ..blueprint.model import ROOT, AddedFile, Customizations, User
from ..errors import UsageError
from ..link import parse as parse_link
from ..units import MIB, format_size
from .users import key_of, users_of

_MOST: Final = 64 * MIB  # bytes of a file: what is larger belongs into an image
_ADDED: Final = re.compile(
    r"(?P<file>.+?):(?P<path>/[^:]*)(?::(?P<mode>[0-7]{3,4})(?::(?P<owner>[^:]+))?)?"
)


def customizations_of(args: argparse.Namespace, *, medium: bool) -> Customizations:
    """Return what a machine is given. Raises UsageError, BlueprintError."""
    users = users_of(args.accounts)
    keys = tuple(key_of(path, "root-key") for path in args.root_key)
    if args.root_password_hash is not None or keys:
        users = (*users, User(name=ROOT, password=args.root_password_hash, keys=keys))
    options = Customizations(
        users=users,
        links=tuple(parse_link(text) for text in args.network),
        hostname=args.hostname,
        languages=(args.language,) if args.language else (),
        keyboard=args.keyboard,
        timezone=args.timezone,
        files=() if medium else tuple(added(text) for text in args.add),
    )
    if args.config is None:
        return options
    return merge(described.load(args.config, medium=medium), options)


def added(text: str) -> AddedFile:
    """Return the file that ``FILE:PATH[:MODE[:OWNER]]`` names. Raises UsageError."""
    match = _ADDED.fullmatch(text)
    if match is None:
        raise UsageError(
            f"'{text}' is no file to add",
            hint="write it as FILE:/PATH, or FILE:/PATH:0640:OWNER",
            setting="add",
        )
    try:
        with Path(match["file"]).open("rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise UsageError(
            f"'{match['file']}' cannot be read: {error.strerror}", setting="add"
        ) from error
    if len(data) > _MOST:
        raise UsageError(
            f"'{match['file']}' has more than {format_size(_MOST)}",
            hint="put it into the image's build",
            setting="add",
        )
    owner = match["owner"] or "0"
    return AddedFile(
        path=match["path"],
        data=data,
        user=int(owner) if re.fullmatch(r"[0-9]{1,10}", owner) else owner,
        mode=int(match["mode"] or "644", 8),
    )
