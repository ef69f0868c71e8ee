"""Options of what becomes a volume of libvirt."""

from __future__ import annotations

from typing import Final

from ..option import Option

COMMANDS: Final = frozenset({"publish libvirt"})
_GROUP: Final = "publishing to libvirt"

OPTIONS: Final = (
    Option(
        name="connect",
        commands=COMMANDS,
        group=_GROUP,
        metavar="URI",
        otherwise="as virsh has it",
        help="the daemon, such as qemu:///session or qemu+ssh://HOST/system",
        manual="The daemon, such as `qemu:///session` or `qemu+ssh://HOST/system`. Default: "
        "`LIBVIRT_DEFAULT_URI`, or what `virsh`(1) takes.",
    ),
    Option(
        name="pool",
        commands=COMMANDS,
        group=_GROUP,
        metavar="NAME",
        default="default",
        help="of the storage pool, which is active",
        manual="The storage pool, which is active.",
    ),
    Option(
        name="volume",
        commands=COMMANDS,
        group=_GROUP,
        metavar="NAME",
        otherwise="the file's",
        help="of the volume",
        manual="Name of the volume. Default: the file's.",
    ),
)
