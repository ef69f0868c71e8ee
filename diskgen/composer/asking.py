"""From what is asked of us to what is asked of a farm. Pure: what is sent can be shown before."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..blueprint.model import ROOT, AddedDirectory, AddedFile, Customizations, User
from ..config import Request
from ..errors import UsageError
from ..provision.passwords import crypted
from ..units import KIB, MIB
from .capability import IMAGE_TYPES
from .starting import named
from .values import Bootc, ComposeRequest, ImageRequest, UploadTarget

_MASK: Final = "***"
_DRY: Final = "0" * 16  # for the name that each request gets as it is sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A compose to start, and where its file goes; without ``output`` it stays where it is."""

    request: ComposeRequest
    format: str
    arch: str
    output: Path | None = None


def asked(
    requests: Sequence[Request], targets: Sequence[UploadTarget], *, dry: bool = False
) -> list[Wanted]:
    """Return a compose for each format of each request, which are of one architecture each.

    The interface takes one image a compose, but where koji has it made.
    """
    found: list[Wanted] = []
    for request in requests:
        for output in request.outputs:
            made = compose_request(request.alone(output), targets)
            here = any(target.type == "local" for target in targets)
            found.append(
                Wanted(
                    request=named(made, _DRY if dry else None),
                    format=output.format,
                    arch=request.arch,
                    output=placed(output.path, request.arch, many=len(requests) > 1)
                    if here and output.path is not None
                    else None,
                )
            )
    return found


def shown(request: ComposeRequest) -> dict[str, Any]:
    """Return a request for people: what not everybody may read is masked."""
    made = request.to_json()
    blueprint = made.get("blueprint", {})
    wanted = dict(blueprint.get("customizations", {}))
    for key, rows, secret in (
        ("user", wanted.get("user", ()), "password"),
        ("files", wanted.get("files", ()), "data"),
    ):
        if rows:
            wanted[key] = [{**row, secret: _MASK} if _is_secret(row) else row for row in rows]
    if wanted:
        made["blueprint"] = {**blueprint, "customizations": wanted}
    return made


def _is_secret(row: dict[str, Any]) -> bool:
    return "password" in row or ("data" in row and not int(row["mode"], 8) & stat.S_IROTH)


def placed(path: Path, arch: str, *, many: bool) -> Path:
    """Return the name of a file, with the architecture in it where there are several."""
    if not many:
        return path
    stem, dot, suffix = path.name.partition(".")
    return path.with_name(f"{stem}-{arch}{dot}{suffix}")


def compose_request(request: Request, targets: Sequence[UploadTarget]) -> ComposeRequest:
    """Return what a farm is asked for a disk, which ``capability.check`` has let through."""
    customizations = _customizations(request)
    blueprint: dict[str, Any] = {"name": "diskgen"}
    if customizations:
        blueprint["customizations"] = customizations
    if request.format not in IMAGE_TYPES:
        raise UsageError(f"a farm makes no '{request.format}'")
    return ComposeRequest(
        bootc=Bootc(reference=request.source.short),
        blueprint=blueprint,
        image=ImageRequest(
            architecture=request.arch,
            image_type=IMAGE_TYPES[request.format],
            size=request.disk_size,
            targets=tuple(targets),
        ),
    )


def _customizations(request: Request) -> dict[str, Any]:
    wanted = crypted(request.customizations, str(request.source))
    append = " ".join((*wanted.kargs, *request.kargs))
    sizes = [{"mountpoint": mount, "minsize": _size(size)} for mount, size in wanted.sizes.items()]
    return _filled(
        kernel={"append": append} if append else None,
        user=[_user(user) for user in wanted.users],
        group=[_filled(name=group.name, gid=group.gid) for group in wanted.groups],
        filesystem=sizes,
        files=[_file(file) for file in wanted.files],
        directories=[_directory(each) for each in wanted.directories],
        ignition=_ignition(wanted),
    )


def _user(user: User) -> dict[str, Any]:
    home = user.home or ("/var/roothome" if user.name == ROOT and user.keys else None)
    return _filled(
        name=user.name,
        description=user.comment,
        password=user.password,
        key="\n".join(user.keys) or None,
        home=home,
        shell=user.shell,
        groups=list(user.groups),
        uid=user.uid,
        gid=user.gid,
    )


def _file(file: AddedFile) -> dict[str, Any]:
    return {**_owned(file), "data": file.data.decode()}


def _directory(directory: AddedDirectory) -> dict[str, Any]:
    parents = {"ensure_parents": True} if directory.parents else {}
    return {**_owned(directory), **parents}


def _owned(entry: AddedFile | AddedDirectory) -> dict[str, Any]:
    group = entry.user if entry.group is None else entry.group
    return {
        "path": entry.path,
        "mode": f"{entry.mode:04o}",
        # The interface takes names and numbers; 0 is what it takes by itself.
        **({"user": entry.user} if entry.user != 0 else {}),
        **({"group": group} if group != 0 else {}),
    }


def _ignition(wanted: Customizations) -> dict[str, Any] | None:
    if wanted.ignition_url is None:
        return None
    return {"firstboot": {"url": wanted.ignition_url}}


def _size(size: int) -> str:
    """Return a size in the words of the interface, which has no bytes: rounded up to KiB."""
    return f"{size // MIB} MiB" if size % MIB == 0 else f"{-(-size // KIB)} KiB"


def _filled(**values: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: value for name, value in values.items() if value not in (None, [], {}, "")}
