"""The commands that make a disk or a medium."""

from __future__ import annotations

import argparse

from .. import build
from ..config import Request
from ..ui import renderer
from . import farms, publishing
from .printing import print_json, print_path
from .request import iso_request_of, request_of


def make(args: argparse.Namespace) -> int:
    """Build a disk, or have a farm do it, and print its path.

    Or publish it as soon as it is built, and print what it is called there.
    """
    destination = publishing.asked(args)
    if farms.is_asked(args):
        publishing.refuse_farm(destination)
        return farms.build(args)
    request = request_of(args)
    if destination is not None:
        return publishing.build_and_publish(args, request, destination)
    return _made(args, request)


def make_several(args: argparse.Namespace) -> int:
    """Build a disk in several formats and print their paths, or all that is known as JSON."""
    if farms.is_asked(args):
        return farms.build(args)
    return _made(args, request_of(args))


def _made(args: argparse.Namespace, request: Request) -> int:
    with renderer(args.progress) as emit:
        artifacts = build.build_all(request, emit)
    if getattr(args, "json", False):
        print_json(build.results(artifacts), indent=2)
    else:
        for artifact in artifacts:
            print_path(artifact.path)
    return 0


def make_iso(args: argparse.Namespace) -> int:
    """Make an installer medium and print its path."""
    from .. import build_iso  # what it imports takes a while

    request = iso_request_of(args)
    with renderer(args.progress) as emit:
        artifact = build_iso.build_iso(request, emit)
    print_path(artifact.path)
    return 0
