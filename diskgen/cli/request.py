"""What the parsed arguments ask for: a request of a disk or of a medium."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..arch import machine as machine_row
from ..config import MODES, SUBFORMATS, AccessOptions, IsoRequest, Output, Request, default_output
from ..errors import UsageError
from ..iso.mastering.names import check_label
from ..place import PLACES
from ..reference import ImageRef, parse
from ..units import parse_size
from .described import customizations_of


def request_of(args: argparse.Namespace) -> Request:
    """Return what a build or plan command asks for. Raises UsageError."""
    source = parse(args.reference)
    planned = args.command == "plan"
    first, *others = _outputs(args, source)
    return Request(
        format=first.format,
        also=tuple(others),
        source=source,
        target=parse(args.target_imgref, setting="target-imgref") if args.target_imgref else None,
        bound_images=args.bound_images,
        signature=args.target_signature,
        arch=machine_row(args.arch).name,
        variant=machine_row(args.arch).variant,
        output=first.path,
        force=False if planned else args.force,
        disk_size=parse_size(args.disk_size, setting="disk-size") if args.disk_size else None,
        sector_size=args.sector_size,
        root_filesystem=args.rootfs,
        kargs=tuple(args.karg),
        karg_deletes=tuple(args.karg_delete),
        no_encryption=args.no_encryption,
        customizations=customizations_of(args, medium=False),
        strict=args.strict,
        console=not args.no_console,
        compression=getattr(args, "compression", None),
        subformat=getattr(args, "subformat", SUBFORMATS[0]),
        seed=args.seed,
        access=access_of(args),
        cache=args.cache_dir,
    )


def _outputs(args: argparse.Namespace, source: ImageRef) -> list[Output]:
    """Return what a disk is to become. Raises UsageError."""
    planned = args.command == "plan"
    name = args.planned if planned else args.command
    if name != "build":
        return [Output(name, None if planned else args.output or default_output(source, name))]
    names = [part.strip() for text in args.format for part in text.split(",")]
    if not names:
        raise UsageError(
            "no format is named", hint="name one or more by --format", setting="format"
        )
    place = Path() if planned else args.output or Path()
    for each in names:
        if each not in PLACES:
            raise UsageError(
                f"'{each}' is not a format",
                hint="known are: " + ", ".join(PLACES),
                setting="format",
            )
    return [
        Output(each, None if planned else place / default_output(source, each))
        for each in dict.fromkeys(names)
    ]


def iso_request_of(args: argparse.Namespace) -> IsoRequest:
    """Return the medium that an iso or plan command asks for. Raises UsageError."""
    source = parse(args.reference)
    planned = args.command == "plan"
    if args.label is not None:
        check_label(args.label)
    if args.kickstart is not None and not args.kickstart.is_file():
        raise UsageError(f"'{args.kickstart}' is no file", setting="kickstart")
    return IsoRequest(
        source=source,
        target=parse(args.target_imgref, setting="target-imgref") if args.target_imgref else None,
        bound_images=args.bound_images,
        signature=args.target_signature,
        signature_key=args.target_signature_key,
        embed_authfile=args.embed_authfile,
        arch=machine_row(args.arch).name,
        variant=machine_row(args.arch).variant,
        output=None if planned else args.output or default_output(source, "iso"),
        force=False if planned else args.force,
        installer=_installer(args.installer),
        label=args.label,
        product=args.product,
        payload="remote" if args.remote_payload else args.payload,
        modes=MODES if args.mode == "both" else (args.mode,),
        packages=args.packages,
        package_names=tuple(args.package),
        kickstart=args.kickstart,
        unattended=args.unattended,
        kickstart_version=args.kickstart_version,
        max_size=parse_size(args.max_size, setting="max-size") if args.max_size else None,
        seed=args.seed,
        kargs=tuple(args.karg),
        install_kargs=tuple(args.install_karg),
        no_encryption=args.no_encryption,
        customizations=customizations_of(args, medium=True),
        strict=args.strict,
        access=access_of(args),
        cache=args.cache_dir,
    )


def _installer(text: str | None) -> ImageRef | Path | None:
    """Return what an installer is taken from: a file that exists or looks like one, or an image."""
    if text is None:
        return None
    path = Path(text)
    if text.endswith(".iso") or path.is_file() or path.is_block_device():
        return path
    return parse(text, setting="installer")


def access_of(args: argparse.Namespace) -> AccessOptions:
    """Return how registries are to be reached. Raises UsageError for files that are not there."""
    for setting in ("authfile", "signature-policy", "registries-conf", "registries-d", "cert-dir"):
        path: Path | None = getattr(args, setting.replace("-", "_"))
        if path is not None and not path.exists():
            raise UsageError(f"'{path}' does not exist", setting=setting)
    return AccessOptions(
        authfile=args.authfile,
        tls_verify=args.tls_verify,
        cert_dir=args.cert_dir,
        policy=args.signature_policy,
        registries_conf=args.registries_conf,
        registries_d=args.registries_d,
    )
