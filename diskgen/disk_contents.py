"""The trees of a disk, laid out: the sysroot with its deployment, /boot, and the ESP's files."""

from __future__ import annotations

from dataclasses import dataclass

from .bootloader.loader import Bootloader, ForDisk
from .config import Request
from .decision import Decision
from .decision.mounting import mounts, with_mounts
from .disk import fatnames, filesystems, room
from .events import Emit, step
from .image.store import Store
from .layout import Content, Filesystem
from .ostree import commit, deploy, labelling
from .ostree.deploy import Sysroot
from .plan import Identity
from .provision.apply import provision
from .provision.passwords import crypted
from .sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """What the partitions of a disk hold."""

    sysroot: Sysroot
    esp: dict[str, bytes]  # by path
    kargs: tuple[str, ...]  # without ostree=
    warnings: tuple[str, ...]  # of what the machine is given

    def content(self, kind: Filesystem) -> Content:
        """Return what it takes, with a root filesystem of that kind."""
        return Content(
            root=filesystems.KINDS[kind].size(self.sysroot.root),
            boot=room.of_boot(self.sysroot.boot),
            esp=room.of_esp(self.esp),
        )


def lay_out(
    request: Request,
    source: Source,
    loader: Bootloader,
    decided: Decision,
    identity: Identity,
    store: Store,
    emit: Emit,
) -> LaidOut:
    """Deploy the image and add what its boot loader takes; all of it labelled.

    Raises BlueprintError for what the image cannot take of what the machine is given.
    """
    tree = source.tree
    wanted = crypted(request.customizations, source.image.digest)
    if tree.embedded.table is not None:
        found = mounts(tree.embedded.table, decided, identity, request.machine, tree.composefs)
        wanted = with_mounts(wanted, decided.mounted, tuple(found))
    kargs = decided.kernel_arguments(str(identity.root_uuid), str(identity.boot_uuid))
    for_disk = ForDisk(
        title=tree.title,
        boot_uuid=str(identity.boot_uuid),
        timestamp=commit.image_timestamp(source.image),
        name_uuid=decided.name_boot_uuid,
        ignition=tree.ignition,
        ignition_url=wanted.ignition_url,
    )
    with step(emit, "deploy", "Laying out the deployment"):
        sysroot = _deployed(source, loader, decided, kargs, for_disk)
        warnings = provision(sysroot, tree, wanted, for_disk.timestamp, strict=request.strict)
        loader.check(sysroot.boot, tree.title, sysroot.options)
        loader.add_to_boot(sysroot.boot, for_disk)
        if tree.policy is not None:
            with store.scratch() as scratch:
                labelling.label_sysroot(sysroot, decided.stateroot, tree.policy, scratch)
        esp = loader.esp_files(for_disk)
        fatnames.check(esp)
    return LaidOut(sysroot=sysroot, esp=esp, kargs=kargs, warnings=warnings)


def _deployed(
    source: Source,
    loader: Bootloader,
    decided: Decision,
    kargs: tuple[str, ...],
    for_disk: ForDisk,
) -> Sysroot:
    return deploy.deploy(
        deploy.DeployRequest(
            image=source.image,
            target=decided.target,
            origin=decided.origin,
            stateroot=decided.stateroot,
            timestamp=for_disk.timestamp,
            kargs=kargs,
            boot_uuid=for_disk.boot_uuid,
            boot_spec=decided.boot_spec if decided.mounted is None else "",
            bootloader=loader.hook,
            etc=loader.etc,
        ),
        source.tree,
        source.root,
        source.stacked.layers,
        source.stacked.base,
    )
