"""What the image says to those who make disks of it, where the user says nothing: one answer.

Who is asked first: options, then the file that the user names, then the image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from ..blueprint.merge import merge
from ..blueprint.model import Customizations
from ..config import IsoRequest, Request
from ..errors import SourceError, UsageError
from ..layout import Role
from ..layout.table import specs
from ..ostree.embedded import Embedded
from ..ostree.facts import TreeFacts

_Asked = TypeVar("_Asked", Request, IsoRequest)


def completed(request: _Asked, tree: TreeFacts | None) -> _Asked:
    """Return what is asked for, with what the image says of its own disks.

    Raises UsageError, SourceError for what cannot be together.
    """
    embedded = tree.embedded if tree is not None else Embedded()
    wanted = _described(request, embedded)
    if wanted is not request.customizations:
        request = replace(request, customizations=wanted)
    if embedded.table is None or isinstance(request, IsoRequest):
        return request
    return _laid_out(request, embedded)


def _described(request: Request | IsoRequest, embedded: Embedded) -> Customizations:
    """Return what a machine is given: of a user's own file sizes alone may be missing."""
    wanted, found = request.customizations, embedded.described
    if found is None:
        return wanted
    if wanted.source is None:
        return merge(found, wanted)
    return wanted if wanted.sizes or not found.sizes else replace(wanted, sizes=found.sizes)


def _laid_out(request: Request, embedded: Embedded) -> Request:
    """Return a request with the sizes and identifiers of the image's table."""
    table, path = embedded.table, embedded.table_path
    assert table is not None
    if table.sector_size not in (None, request.sector_size) and not request.installed:
        raise UsageError(
            f"'{path}' of the image is for sectors of {table.sector_size} bytes",
            hint=f"give the disk those: --sector-size {table.sector_size}",
            setting="sector-size",
        )
    usual = [spec.role for spec in specs(request.machine, sector_size=request.sector_size)]
    # A disk of large sectors that is there is started by no BIOS, whatever the table is for.
    idle = {Role.BIOS_BOOT} - {*usual} if request.installed else set[Role]()
    if table.roles and [role for role in table.roles if role not in idle] != usual:
        raise SourceError(
            f"'{path}' of the image cannot be obeyed: it asks for the partitions "
            f"{', '.join(table.roles)}, and disks of {request.arch} have {', '.join(usual)}",
            hint="change it in the image",
        )
    wanted = request.customizations
    floors = dict(wanted.sizes)
    if table.root_size:
        floors.setdefault("/", table.root_size)
    sizes = {str(role): size for role, size in table.sizes.items()}
    if Role.BOOT in table.sizes:
        sizes[Role.BOOT] = max(table.sizes[Role.BOOT], floors.pop("/boot", 0))
    return replace(
        request,
        customizations=replace(wanted, sizes=floors),
        sizes={**sizes, **request.sizes},
        least_size=table.size,
        identifiers=table.identifiers,
        laid_out_by=(*request.laid_out_by, *([path] if path else [])),
    )
