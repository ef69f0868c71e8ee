"""``diskgen publish``, and the commands that build a disk and publish it at once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from .. import build
from ..arch import machine as machine_row
from ..build import Artifact
from ..config import AccessOptions, Request
from ..errors import UsageError
from ..events import notice
from ..formats.reading import format_of
from ..place import PLACES
from ..publish.pace import Pace
from ..publish.publication import Call, Destination, DiskFile, Means, Published
from ..reference import parse
from ..ui import renderer
from ..units import parse_size
from .option import Option
from .printing import print_json, print_text
from .table import aws, azure, gcp


def publish(args: argparse.Namespace) -> int:
    """Publish a file and print what it is called there, or what would be done."""
    if not args.file.is_file():
        raise UsageError(f"'{args.file}' is no file", hint="build one, such as by diskgen ami REF")
    destination = _DESTINATIONS[args.place](args)
    disk = _file_of(args)
    with renderer(args.progress) as emit:
        destination.check(emit)
        done = None if args.dry_run else destination.publish(disk, _means(args, emit))
    if done is None:
        _print_calls(args, destination.calls(disk))
    else:
        _print(args, done, args.file)
    return 0


def asked(args: argparse.Namespace) -> Destination | None:
    """Return where a disk goes that is to be built, or None.

    Raises UsageError for options of a place without the one that names what is made there.
    """
    if args.command not in _BUILT:
        return None
    name, rows, destination = _BUILT[args.command]
    if getattr(args, name.replace("-", "_")) is not None:
        return destination(args)
    rate = ("limit-rate", args.limit_rate)
    given = [rate, *((row.name, getattr(args, row.name.replace("-", "_"))) for row in rows)]
    defaults = {row.name: row.default for row in rows}
    for setting, value in given:
        if value and value != defaults.get(setting):
            raise UsageError(
                f"--{setting} is about publishing, and nothing is to be published",
                hint="name what is to be made",
                setting=name,
            )
    return None


def refuse_farm(destination: Destination | None) -> None:
    """Refuse to publish what a farm builds. Raises UsageError."""
    if destination is not None:
        raise UsageError(
            "what a farm builds is published by a command of its own",
            hint=f"leave that out; then diskgen publish {destination.name} FILE",
            setting="farm",
        )


def build_and_publish(args: argparse.Namespace, request: Request, destination: Destination) -> int:
    """Ask the place, build, publish, and print what it is called there."""
    with renderer(args.progress) as emit:
        means = _means(args, emit)
        destination.check(emit)
        artifact = build.build(request, emit)
        notice(emit, f"the disk is '{artifact.path}'")
        published = destination.publish(built(artifact), means)
    _print(args, published, artifact.path)
    return 0


def _file_of(args: argparse.Namespace) -> DiskFile:
    """Return what is known of the file that is to be published."""
    if args.place in _AS_IT_IS:
        return DiskFile(path=args.file, format=format_of(args.file), size=args.file.stat().st_size)
    return disk_file(args.file, args.arch)


def disk_file(path: Path, arch: str | None) -> DiskFile:
    """Return what is known of a disk file: ``arch`` overrides what it says. Raises DiskgenError."""
    from ..inspection.disk import outline

    facts = outline(path, archives=True)
    found = facts["architecture"]
    return DiskFile(
        path=path,
        format=facts["format"],
        size=facts["size"],
        arch=machine_row(arch).name if arch else found,
        sector_size=facts["sector_size"],
        firmware=frozenset(way["name"] for way in facts["ways"] if way["works"]),
    )


def built(artifact: Artifact) -> DiskFile:
    """Return a disk that was just built."""
    plan = artifact.plan
    return DiskFile(
        path=artifact.path,
        format=artifact.format,
        size=artifact.virtual_size,
        arch=plan.image.arch,
        sector_size=plan.layout.sector_size,
        firmware=frozenset(way.name for way in plan.image.ways if way.works),
    )


def _means(args: argparse.Namespace, emit: Any) -> Means:  # noqa: ANN401
    rate = getattr(args, "limit_rate", None)
    pace = Pace(parse_size(rate, setting="limit-rate") if rate else None)
    return Means(emit=emit, pace=pace)


def _print(args: argparse.Namespace, published: Published, file: Path) -> None:
    if args.json:
        print_json(published.to_json(file), indent=2)
    else:
        print_text(published.id)


def _print_calls(args: argparse.Namespace, calls: list[Call]) -> None:
    if args.json:
        print_json({"version": 1, "requests": [one.to_json() for one in calls]}, indent=2)
        return
    lines: list[str] = []
    for one in calls:
        times = f"  ({one.times} times)" if one.times != 1 else ""
        lines.append(f"{one.name}  {one.where}{times}")
        lines += [f"  {key}: {_shown(value)}" for key, value in one.says.items()]
    print_text("\n".join(lines))


def _shown(value: object) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _stem(file: Path) -> str:
    """Return a file's name without the suffix that its format gives it."""
    suffixes = sorted((row.suffix for row in PLACES.values()), key=len, reverse=True)
    found = next((one for one in suffixes if file.name.endswith(f".{one}")), None)
    return file.name.removesuffix(f".{found}") if found else file.stem


def _named(given: str | None, args: argparse.Namespace, name_of: Callable[[str], str]) -> str:
    """Return the name that an option gives, or one made of the file's."""
    return name_of(_stem(args.file)) if given is None else given


def _aws(args: argparse.Namespace) -> Destination:
    from ..publish.aws.destination import Aws
    from ..publish.aws.wanted import Wanted, name_of

    return Aws(
        Wanted(
            name=_named(args.ami_name, args, name_of),
            region=args.region,
            profile=args.profile,
            description=args.description or "",
            tags=tuple(args.tag),
            boot_mode=args.boot_mode,
            tpm=args.tpm,
            imds_v1=args.imds == "optional",
            encrypted=args.encrypted,
            kms_key=args.kms_key,
            share_with=tuple(args.share_with),
            copy_to=tuple(dict.fromkeys(args.copy_to)),
            bucket=args.bucket,
            role=args.import_role,
        )
    )


def _azure(args: argparse.Namespace) -> Destination:
    from ..publish.azure.access import storage_keys
    from ..publish.azure.destination import Azure
    from ..publish.azure.wanted import Wanted, name_of, region_of

    file = getattr(args, "file", None)  # none yet where it is built
    if args.resource_group is None:
        raise UsageError(
            "no resource group is named", hint="az group list shows them", setting="resource-group"
        )
    subscription = args.subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
    if not subscription:
        raise UsageError(
            "no subscription is named",
            hint="az account list shows those of a log-in; or set AZURE_SUBSCRIPTION_ID",
            setting="subscription",
        )
    if args.direct and args.storage_account is not None:
        raise UsageError(
            f"a managed disk is not in the storage account '{args.storage_account}'",
            hint="leave one of them out",
            setting="direct",
        )
    account = None if args.direct else args.storage_account or storage_keys(os.environ).account
    return Azure(
        Wanted(
            name=_named(args.azure_image, args, name_of),
            group=args.resource_group,
            subscription=subscription,
            location=region_of(args.location) if args.location is not None else None,
            gallery=args.gallery,
            version=args.image_version,
            identifier=args.identifier,
            copy_to=tuple(dict.fromkeys(map(region_of, args.copy_to))),
            replicas=args.replicas,
            generation=args.generation,
            tags=tuple(args.tag),
            storage_account=account,
            container=args.container,
        ),
        file=file,
    )


def _gcp(args: argparse.Namespace) -> Destination:
    from ..publish.gcp.destination import Gcp
    from ..publish.gcp.wanted import Wanted, name_of

    file = getattr(args, "file", None)  # none yet where it is built
    if args.bucket is None:
        raise UsageError(
            "no bucket is named, and Google makes images of what lies in one",
            hint="make one: gcloud storage buckets create gs://NAME",
            setting="bucket",
        )
    return Gcp(
        Wanted(
            name=_named(args.gcp_image, args, name_of),
            bucket=args.bucket,
            project=args.project,
            description=args.description or "",
            family=args.family,
            labels=tuple(args.label),
            location=args.storage_location,
            features=tuple(dict.fromkeys(args.guest_os_feature)),
            keep_object=args.keep_object,
        ),
        file=file,
    )


def _registry(args: argparse.Namespace) -> Destination:
    from ..publish.registry import Registry

    if args.to is None:
        raise UsageError("no name is given", hint="such as registry.example/disk:1", setting="to")
    target = parse(args.to, setting="to")
    if not target.is_registry or target.digest is not None:
        raise UsageError(f"'{args.to}' is no name to push to", hint="HOST/NAME:TAG", setting="to")
    access = AccessOptions(
        authfile=args.authfile, tls_verify=args.tls_verify, cert_dir=args.cert_dir
    )
    return Registry(target=target, access=access, force=args.force)


def _libvirt(args: argparse.Namespace) -> Destination:
    from ..publish.libvirt import Libvirt

    volume = args.volume or args.file.name
    if "/" in volume or volume in (".", "..") or not volume.isprintable():
        raise UsageError(f"'{volume}' is no name of a volume", setting="volume")
    return Libvirt(volume=volume, pool=args.pool, uri=args.connect)


_Made = Callable[[argparse.Namespace], Destination]
_DESTINATIONS: Final[Mapping[str, _Made]] = MappingProxyType(
    {"aws": _aws, "azure": _azure, "gcp": _gcp, "registry": _registry, "libvirt": _libvirt}
)
_AS_IT_IS: Final = frozenset({"registry", "libvirt"})  # take a file whatever its disk is for
# Of a command that builds: which option names what is made, all options of the place, the place.
_BUILT: Final[Mapping[str, tuple[str, tuple[Option, ...], _Made]]] = MappingProxyType(
    {
        "ami": (aws.NAME, aws.OPTIONS, _aws),
        "gce": (gcp.NAME, gcp.OPTIONS, _gcp),
        "vhd": (azure.NAME, azure.OPTIONS, _azure),
    }
)
