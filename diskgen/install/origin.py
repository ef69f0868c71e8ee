"""Where an installed machine's updates come from, read back from its disk at the very end.

Format: an ostree origin is a key file; the grammar of its reference is ostree-ext's.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Final

from ..errors import UsageError, VerifyError
from ..events import Emit, notice
from ..reference import parse
from .image_mode import Deployed

_KEY: Final = "container-image-reference"
_IN_REGISTRY: Final = re.compile(
    r"(?:ostree-(?:unverified-registry|remote-registry:(?P<remote>[^:/]+)):"
    r"|ostree-(?:unverified-image|(?P<signed>image-signed)|remote-image:(?P<other>[^:/]+)):"
    r"(?:docker://|registry:))"
    r"(?P<name>.+)"
)


def verify(root: Path, deployed: Deployed, emit: Emit) -> str:
    """Return the reference that the machine on ``root`` updates from.

    A script may have chosen another one, as long as that is in a registry and verified as well.
    Raises VerifyError.
    """
    place = deployed.deployment
    return judge(
        root / place.with_name(f"{place.name}.origin"), deployed.prepared.plan.origin, emit
    )


def judge(path: Path, wanted: str, emit: Emit) -> str:
    """Return the reference that an origin file names.

    Raises VerifyError where that is none, or where another rule than ``wanted`` has is to verify
    it: only what nothing verified may become something that is. ``wanted`` is what was written
    there before the scripts ran.
    """
    found = _read(path)
    match = _IN_REGISTRY.fullmatch(found)
    try:
        name = parse(f"docker://{match['name']}").name if match is not None else None
    except UsageError:
        name = None
    if name is None:
        raise VerifyError(
            f"the machine would not update from '{wanted}': its origin says '{found}'",
            hint=f"a %post script changed it; '{path}' must name an image in a registry",
        )
    rule, was = _rule(found), _rule(wanted)
    if was and rule != was:
        raise VerifyError(
            f"the machine would not verify its updates by the rule of '{wanted}': its origin says "
            f"'{found}'",
            hint=f"a %post script changed it; '{path}' must have the same rule",
        )
    if found != wanted:
        notice(emit, f"a script chose other updates: from '{found}', not '{wanted}'")
    return name


def _rule(reference: str) -> str:
    """Return what verifies an image: a policy, a remote by its name, or nothing."""
    match = _IN_REGISTRY.fullmatch(reference)
    if match is None:
        return ""
    remote = match["remote"] or match["other"]
    return f"remote {remote}" if remote else match["signed"] or ""


class _KeyFile(configparser.RawConfigParser):
    """GLib's kind of such files: nothing is inherited, and names are what they are."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def _read(path: Path) -> str:
    parser = _KeyFile(
        interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#",),
        default_section="",
    )  # fmt: skip
    try:
        if path.is_symlink() or not path.is_file():  # a pipe would be read for ever
            raise OSError("it is no file")
        parser.read_string(path.read_text(encoding="utf-8"))
        return parser["origin"][_KEY]
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError) as error:
        raise VerifyError(
            f"the machine does not know where its updates come from: '{path}' has no '{_KEY}'",
            hint="a %post script removed or damaged it; see the log",
        ) from error
