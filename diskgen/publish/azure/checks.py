"""What Azure is asked before anything is done: access, rights, names, regions, and room."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...documents import is_list, is_table
from ...errors import Problem, PublishError
from . import blob, image
from .arm import Manager, RefusedError
from .models import COMPUTE, DEFINE, GALLERIES, GROUPS, LOCATIONS, PERMISSIONS, counted, rights
from .wanted import Wanted, region_of


def location_of(manager: Manager, wanted: Wanted) -> str:
    """Return where the image is made. Raises PublishError, also for a group that is not there."""
    said = manager.ask("looking for the resource group", manager.of_group(), GROUPS)
    if said is None:
        raise PublishError(
            f"there is no resource group '{wanted.group}'",
            hint="az group create makes one",
            setting="resource-group",
        )
    return wanted.location or region_of(str(said.get("location", "")))


def problems(manager: Manager, wanted: Wanted, location: str, *, begun: bool) -> list[Problem]:
    """Return all reasons why it cannot work. With ``begun`` its name is an earlier run's.

    Raises PublishError where Azure cannot be asked.
    """
    found = _regions(manager, wanted, location)
    if location in wanted.copy_to:  # which is known now if it is the resource group's
        found.append(Problem(
            code="region-twice", message=f"'{location}' gets the version itself",
            setting="copy-to",
        ))  # fmt: skip
    try:
        found += _names(manager, wanted, begun=begun)
    except RefusedError as error:
        found.append(Problem.of("no-access", error))
    found += _rights(manager, wanted)
    found += _room(manager, wanted, location)
    if wanted.storage_account is not None:
        account = blob.account_of(manager, wanted)
        found += blob.problems(account, wanted, location, manager.patience)
    return found


def _regions(manager: Manager, wanted: Wanted, location: str) -> list[Problem]:
    """Return which regions the subscription lacks, as far as the identity may ask."""
    path = manager.of_subscription("/locations")
    try:
        rows = manager.all_of("asking for the regions", path, LOCATIONS)
    except RefusedError as error:
        if error.setting is not None:  # there is no such subscription
            raise
        return []
    known = {str(row["name"]) for row in rows if "name" in row}
    return [
        Problem(
            code="no-region",
            message=f"the subscription has no region '{region}'",
            setting="location" if region == location else "copy-to",
            hint="az account list-locations shows those that it has",
        )
        for region in (location, *wanted.copy_to)
        if region not in known
    ]


def _names(manager: Manager, wanted: Wanted, *, begun: bool) -> list[Problem]:
    if wanted.gallery is not None:
        path = manager.of_compute(f"galleries/{wanted.gallery}")
        if manager.ask("looking for the gallery", path, GALLERIES) is None:
            return [Problem(
                code="no-gallery", setting="gallery",
                message=f"the resource group '{wanted.group}' has no gallery '{wanted.gallery}'",
                hint="az sig create makes one",
            )]  # fmt: skip
    if begun or not image.taken(manager, wanted):
        return []
    if wanted.gallery is None:
        return [Problem(
            code="name-taken", message=f"an image '{wanted.name}' exists in '{wanted.group}'",
            hint="choose another name, or delete that one", setting="azure-image",
        )]  # fmt: skip
    return [Problem(
        code="name-taken", message=f"'{wanted.name}' has a version '{wanted.version}'",
        hint="choose another one", setting="image-version",
    )]  # fmt: skip


def _rights(manager: Manager, wanted: Wanted) -> list[Problem]:
    """Return the rights that the identity lacks, as far as it may ask for them."""
    path = manager.of_group("/providers/Microsoft.Authorization/permissions")
    try:
        rows = manager.all_of("asking for the rights", path, PERMISSIONS)
    except RefusedError:
        return []
    needed = rights(direct=wanted.storage_account is None, gallery=wanted.gallery is not None)
    if wanted.gallery is not None and not image.is_defined(manager, wanted):
        needed += (DEFINE,)
    lacking = [right for right in needed if not allowed(rows, right)]
    if not lacking:
        return []
    return [Problem(
        code="no-right",
        message=f"the identity lacks rights in '{wanted.group}': {', '.join(lacking)}",
        hint="the manual lists what is needed, and the roles that have it",
    )]  # fmt: skip


def allowed(rows: Iterable[Mapping[str, Any]], right: str) -> bool:
    """Say whether one of the rows of permissions has a right: patterns, and exceptions."""
    return any(
        _matches(row.get("actions"), right) and not _matches(row.get("notActions"), right)
        for row in rows
    )


def _matches(patterns: object, right: str) -> bool:
    if not is_list(patterns):
        return False
    words: Sequence[str] = [str(one) for one in patterns]
    return any(
        re.fullmatch(".*".join(map(re.escape, one.split("*"))), right, re.IGNORECASE)
        for one in words
    )


def _room(manager: Manager, wanted: Wanted, location: str) -> list[Problem]:
    """Return of what the subscription has as many as it may, as far as the identity may ask."""
    path = manager.of_subscription(f"/providers/Microsoft.Compute/locations/{location}/usages")
    try:
        rows = manager.all_of("asking for the quotas", path, COMPUTE)
    except RefusedError:
        return []
    needed = counted(direct=wanted.storage_account is None, gallery=wanted.gallery is not None)
    return [
        Problem(
            code="quota",
            message=f"the subscription has {row.get('currentValue')} of {row.get('limit')} "
            f"{name} in {location}",
            hint="remove what is not needed there, or ask for a larger quota",
        )
        for row in rows
        if (name := _usage(row)) in needed and _full(row)
    ]


def _usage(row: Mapping[str, Any]) -> str:
    name = row.get("name")
    return str(name.get("value", "")) if is_table(name) else ""


def _full(row: Mapping[str, Any]) -> bool:
    now, limit = row.get("currentValue"), row.get("limit")
    return isinstance(now, int) and isinstance(limit, int) and now >= limit >= 0
