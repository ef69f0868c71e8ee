"""The first deployment, as a tree: all that ``ostree admin deploy`` and bootc leave on a disk.

The layout is libostree's (``ostree-sysroot-deploy.c``) with bootc's repository configuration:
a ``bare`` repository whose objects are hard links of the deployment, boot links, origin, BLS
entry, the writable copy of /etc and the stateroot's /var.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..reference import ImageRef, escape_ref
from ..tree import Directory, Node, regular, symlink
from .facts import TreeFacts
from .kernel import Kernel, boot_checksum
from .objects import ObjectSet

IMPORTER_VERSION: Final = "0.15.3"  # of the ostree-ext whose metadata keys these are
_LEGACY_VAR: Final = (("tmp", 0o1777), ("lib", 0o755), ("log", 0o755))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest:
    """What a deployment is made of beside the trees."""

    digest: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    layer_digests: tuple[str, ...]
    source: ImageRef
    target: ImageRef
    timestamp: int
    kargs: tuple[str, ...]
    boot_uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysroot:
    """The trees of both filesystems, and the names that came out."""

    root: Directory
    boot: Directory
    commit: str
    boot_checksum: str
    ostree_karg: str
    content_bytes: int


def deploy(
    request: DeployRequest, facts: TreeFacts, merged: Directory, layers: Sequence[Directory]
) -> Sysroot:
    """Return the physical root filesystem and /boot of a machine's first deployment."""
    stateroot = facts.config.stateroot
    objects = ObjectSet()
    commit = objects.add_commit(
        merged, timestamp=request.timestamp, metadata=_metadata(request)
    ).hex()
    blobs = {
        digest: objects.add_commit(
            layer,
            timestamp=request.timestamp,
            metadata={"ostree.importer.version": IMPORTER_VERSION},
        ).hex()
        for digest, layer in zip(request.layer_digests, layers, strict=True)
    }
    bootcsum = boot_checksum(facts.kernel)
    ostree_karg = f"ostree=/ostree/boot.1/{stateroot}/{bootcsum}/0"

    root = Directory()
    root.make_dirs("boot")
    root.add(
        f"ostree/boot.1.1/{stateroot}/{bootcsum}/0",
        symlink(f"../../../deploy/{stateroot}/deploy/{commit}.0"),
    )
    root.add("ostree/boot.1", symlink("boot.1.1"))
    refs = {
        f"ostree/container/image/{escape_ref(str(request.target))}": commit,
        "ostree/1/1/0": commit,
    } | {f"ostree/container/blob/{escape_ref(digest)}": sum_ for digest, sum_ in blobs.items()}
    _repository(root.make_dirs("ostree/repo"), objects, refs, facts)
    _stateroot(
        root.make_dirs(f"ostree/deploy/{stateroot}"), commit, request, facts, merged, objects
    )
    root.add(".bootc-aleph.json", regular(_aleph(request)))

    boot = _boot(facts.kernel, stateroot, bootcsum)
    options = " ".join([*request.kargs, ostree_karg])
    boot.add(
        "loader.1/entries/ostree-1.conf",
        regular(_entry(facts, stateroot, bootcsum, options)),
    )
    return Sysroot(
        root=root,
        boot=boot,
        commit=commit,
        boot_checksum=bootcsum,
        ostree_karg=ostree_karg,
        content_bytes=sum(file.size for file in objects.files.values() if file.is_regular),
    )


def _metadata(request: DeployRequest) -> dict[str, str]:
    return {
        "ostree.container.image-config": _canonical_json(request.config),
        "ostree.importer.version": IMPORTER_VERSION,
        "ostree.manifest": _canonical_json(request.manifest),
        "ostree.manifest-digest": request.digest,
    }


def _canonical_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _repository(
    repo: Directory, objects: ObjectSet, refs: Mapping[str, str], facts: TreeFacts
) -> None:
    settings = ["[core]", "repo_version=1", "mode=bare", ""]
    settings += ["[sysroot]", "bootloader=none", "bootprefix=true", "readonly=true"]
    if facts.config.bls_append_except_default:
        settings.append(f"bls-append-except-default={facts.config.bls_append_except_default}")
    repo.add("config", regular(("\n".join(settings) + "\n").encode()))
    repo.add(".lock", regular(b"", mode=0o660))
    for name in ("extensions", "state", "tmp/cache", "refs/heads", "refs/mirrors", "refs/remotes"):
        repo.make_dirs(name)
    for ref, commit in refs.items():
        repo.add(f"refs/heads/{ref}", regular(f"{commit}\n".encode()))
    store = repo.make_dirs("objects")
    buckets = {f"{number:02x}": Directory() for number in range(256)}
    for kind, found in (
        ("dirtree", objects.dirtrees), ("dirmeta", objects.dirmetas), ("commit", objects.commits),
    ):  # fmt: skip
        for checksum, data in found.items():
            name = checksum.hex()
            buckets[name[:2]].entries[f"{name[2:]}.{kind}".encode()] = regular(data)
    for checksum, file in objects.files.items():
        name = checksum.hex()
        buckets[name[:2]].entries[f"{name[2:]}.file".encode()] = file
    for name, bucket in buckets.items():
        if bucket.entries:
            store.entries[name.encode()] = bucket


def _stateroot(
    place: Directory,
    commit: str,
    request: DeployRequest,
    facts: TreeFacts,
    merged: Directory,
    objects: ObjectSet,
) -> None:
    deployment = _checkout(merged, objects)
    deployment.immutable = True
    # An empty /etc of the commit gives way to the copy of /usr/etc.
    source = merged.get_dir("usr/etc")
    assert source is not None
    etc = deployment.entries[b"etc"] = _copy(source)
    etc.entries.pop(b".updated", None)
    etc.entries[b"fstab"] = regular(f"UUID={request.boot_uuid} /boot auto ro 0 0\n".encode())
    origin = f"[origin]\ncontainer-image-reference={request.target.origin}\n"
    name = f"{commit}.0"
    place.make_dirs("deploy").entries[name.encode()] = deployment
    place.add(f"deploy/{name}.origin", regular(origin.encode()))
    backing = place.make_dirs("backing", mode=0o700)
    work = backing.make_dirs(f"{name}/root-transient", mode=0o700)
    work.entries[b"upper"] = Directory(mode=merged.mode)
    work.entries[b"work"] = Directory(mode=stat.S_IFDIR | 0o700)
    _var(place.make_dirs("var"), facts, merged)


def _var(var: Directory, facts: TreeFacts, merged: Directory) -> None:
    initial = merged.get_dir("var")
    if initial is not None:
        var.entries.update(_copy(initial).entries)
    if not facts.has_tmpfiles and not var.entries:
        for name, mode in _LEGACY_VAR:
            var.make_dirs(name, mode=mode)
        var.add("run", symlink("../run"))
        var.add("lock", symlink("../run/lock"))
    var.entries.pop(b".updated", None)
    var.add(".ostree-selabeled", regular(b""))


def _checkout(tree: Directory, objects: ObjectSet) -> Directory:
    """Return a tree whose files are the repository's own inodes, but for empty ones."""
    entries: dict[bytes, Node] = {}
    for name, node in tree.entries.items():
        if isinstance(node, Directory):
            entries[name] = _checkout(node, objects)
        elif node.is_regular and not node.size:
            entries[name] = replace(node)  # shared by too many names to be one inode
        else:
            entries[name] = objects.canonical(node)
    return replace(tree, entries=entries)


def _copy(tree: Directory) -> Directory:
    """Return a full copy: every file an inode of its own."""
    return replace(
        tree,
        entries={
            name: _copy(node) if isinstance(node, Directory) else replace(node, checksum=None)
            for name, node in tree.entries.items()
        },
    )


def _boot(kernel: Kernel, stateroot: str, bootcsum: str) -> Directory:
    boot = Directory()
    boot.add("boot", symlink("."))
    boot.add("loader", symlink("loader.1"))
    boot.make_dirs("efi")
    place = boot.make_dirs(f"ostree/{stateroot}-{bootcsum}")
    names = {
        f"vmlinuz-{kernel.release}": kernel.vmlinuz,
        f"initramfs-{kernel.release}.img": kernel.initramfs,
        f".vmlinuz-{kernel.release}.hmac": kernel.hmac,
        f"devicetree-{kernel.release}": kernel.devicetree,
    }
    for name, file in names.items():
        if file is not None:
            # Dense: boot loaders that go by block lists read these.
            place.add(name, replace(file, xattrs=(), checksum=None, dense=True))
    if kernel.dtb is not None:
        place.entries[b"dtb"] = _copy(kernel.dtb)
    return boot


def _entry(facts: TreeFacts, stateroot: str, bootcsum: str, options: str) -> bytes:
    """Return the boot loader entry (UAPI Group, "Boot Loader Specification", type 1)."""
    place = f"/boot/ostree/{stateroot}-{bootcsum}"
    kernel = facts.kernel
    lines = [f"title {facts.title} (ostree:0)", "version 1", f"options {options}"]
    if kernel.devicetree is not None:
        lines.append(f"devicetree {place}/devicetree-{kernel.release}")
    lines += [
        f"linux {place}/vmlinuz-{kernel.release}",
        f"initrd {place}/initramfs-{kernel.release}.img",
    ]
    if kernel.dtb is not None:
        lines.append(f"fdtdir {place}/dtb")
    return ("\n".join(lines) + "\n").encode()


def _aleph(request: DeployRequest) -> bytes:
    labels = dict((request.config.get("config") or {}).get("Labels") or {})
    version = labels.get("org.opencontainers.image.version", labels.get("version"))
    value: dict[str, Any] = {
        "image": request.source.name,
        "digest": request.digest,
        "target-image": request.target.name,
        "version": version,
        "timestamp": labels.get("org.opencontainers.image.created"),
        "kernel": "diskgen",  # nothing ran: there is no kernel of an installer
        "selinux": "disabled",
    }
    if labels:
        value["labels"] = labels
    return (_canonical_json(value) + "\n").encode()
