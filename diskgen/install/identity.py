"""What an installed system is given of its own: by the kickstart, and by what its medium carries.

It is written as in builds. Into an image before that is on the disk, see ``image_mode``; into a
system of packages here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

from ..blueprint.checks import faults
from ..blueprint.merge import merge
from ..blueprint.model import Customizations
from ..errors import PreflightError, Problem
from ..kickstart.described import customizations
from ..kickstart.recipe import Recipe
from ..provision.apply import apply
from ..provision.passwords import crypted
from .mounted import Mounted
from .target import Target


def given(recipe: Recipe, carried: Customizations | None = None) -> Customizations:
    """Return what a machine is given; what a kickstart says wins over what the medium carries.

    Passwords are crypted, on each machine otherwise.
    """
    asked = customizations(recipe)
    wanted = merge(carried, asked) if carried is not None else asked
    return crypted(wanted, str(uuid4()))


def check(recipe: Recipe, carried: Customizations | None = None) -> None:
    """Refuse what no machine can be given. Raises PreflightError with all of it."""
    found = list(faults(given(recipe, carried)))
    if found:
        raise PreflightError(
            Problem(code="described", message=fault.message, hint=fault.hint) for fault in found
        )


def set_up(target: Target, wanted: Customizations, warn: Callable[[str], None]) -> tuple[str, ...]:
    """Give a system of packages what its machine is given; return the paths of what was made.

    ``warn`` is told what the system does not have, and can do without. Raises DiskgenError.
    """
    mounted = Mounted(target.root)
    for text in apply(wanted, mounted.tree, None, int(time.time())):
        warn(text)
    return mounted.save()
