"""The first deployment, as a tree: all that ``ostree admin deploy`` and bootc leave on a disk.

The layout is libostree's (``ostree-sysroot-deploy.c``) with bootc's repository configuration:
a ``bare`` repository whose objects are hard links of the deployment, boot links, origin, BLS
entry, the writable copy of /etc and the stateroot's /var.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ..fsverity import seal
from ..image.model import Image
from ..reference import ImageRef, escape_ref
from ..tree import Directory, File, regular, symlink
from . import composefs, signing
from .bls import ENTRY, boot_files, entry
from .commit import canonical_json, layer_commit, merge_commit
from .encapsulated import Base
from .facts import TreeFacts
from .kernel import Kernel, boot_checksum
from .objects import ObjectSet
from .prepare_root import Composefs
from .repository import checkout, copy, repository
from .stack import digest_of

_VAR_DIRECTORIES: Final = (("tmp", 0o1777), ("lib", 0o755), ("log", 0o755))
_VAR_LINKS: Final = (("run", "../run"), ("lock", "../run/lock"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest:
    """What a deployment is made of beside the trees."""

    image: Image
    target: ImageRef  # what the machine updates from
    origin: str  # the same with the rule for its signatures
    stateroot: str
    timestamp: int  # of the commits, seconds since 1970
    kargs: tuple[str, ...]  # without ostree=
    boot_uuid: str | None  # of the filesystem at /boot; None: /boot is on the root filesystem
    boot_spec: str | None = None  # what fstab(5) names it by, empty: no line; None: by boot_uuid
    bootloader: str = "none"  # what ostree calls at updates; see ostree.repo-config(5)
    etc: Mapping[str, bytes] = field(default_factory=dict[str, bytes])  # files to add to /etc


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysroot:
    """The trees of both filesystems, and the names that came out."""

    root: Directory
    boot: Directory  # empty where /boot is on the root filesystem
    stateroot: str
    commit: str  # hex
    boot_checksum: str  # hex; names the kernel's directory
    ostree_karg: str
    options: str  # the whole kernel command line
    entry: str  # file name of the boot loader entry
    content_bytes: int  # of all distinct files


def deploy(
    request: DeployRequest,
    facts: TreeFacts,
    merged: Directory,
    layers: Sequence[Directory],
    base: Base | None = None,
) -> Sysroot:
    """Return the trees of a machine's first deployment.

    ``layers`` are the ordinary ones of the image, which come after those of ``base``.

    Nothing that is passed in is changed; the trees share its files, which have seals where
    fs-verity is to guard them. Raises SourceError for an image whose manifest no reader would take,
    and for a root that is another one than was signed.
    """
    image = request.image
    stateroot = request.stateroot
    objects = ObjectSet()
    parent = base.commit if base is not None else b""
    commit = merge_commit(objects, merged, image, request.timestamp, parent).hex()
    refs = _refs(objects, request, commit, layers, base)
    bootcsum = boot_checksum(facts.kernel)
    karg = f"ostree=/ostree/boot.1/{stateroot}/{bootcsum}/0"
    options = " ".join([*request.kargs, karg])

    cfs = _composefs(facts.composefs, merged, base)
    root = _root(request, facts, merged, objects, refs, commit, bootcsum, cfs)
    # On one filesystem the kernel is the repository's own inode; on two it is a copy.
    separate = request.boot_uuid is not None
    boot = root.make_dirs("boot")
    if separate:
        boot = Directory()
    entry_text = entry(facts.kernel, facts.title, f"ostree/{stateroot}-{bootcsum}", options)
    folder = boot.make_dirs(f"ostree/{stateroot}-{bootcsum}")
    _fill_boot(boot, folder, facts, entry_text, None if separate else objects)
    return Sysroot(
        root=root,
        boot=boot if separate else Directory(),
        stateroot=stateroot,
        commit=commit,
        boot_checksum=bootcsum,
        ostree_karg=karg,
        options=options,
        entry=ENTRY,
        content_bytes=objects.content_bytes,
    )


def _root(
    request: DeployRequest,
    facts: TreeFacts,
    merged: Directory,
    objects: ObjectSet,
    refs: Mapping[str, str],
    commit: str,
    bootcsum: str,
    composefs_image: File | None,
) -> Directory:
    """Return the physical root: the repository, the stateroot with its deployment, links to it."""
    stateroot = request.stateroot
    root = Directory()
    root.add(
        "ostree/repo",
        repository(
            objects,
            refs,
            bootloader=request.bootloader,
            bls_append_except_default=facts.config.bls_append_except_default,
            sealed=facts.composefs.sealed,
        ),
    )
    root.add(
        f"ostree/boot.1.1/{stateroot}/{bootcsum}/0",
        symlink(f"../../../deploy/{stateroot}/deploy/{commit}.0"),
    )
    root.add("ostree/boot.1", symlink("boot.1.1"))
    place = root.make_dirs(f"ostree/deploy/{stateroot}")
    _deployment(
        place,
        f"{commit}.0",
        request,
        merged,
        objects,
        composefs_image,
    )
    _var(place.make_dirs("var"), merged, has_tmpfiles=facts.has_tmpfiles)
    root.add(
        ".bootc-aleph.json", regular(_aleph(request, "enabled" if facts.policy else "disabled"))
    )
    return root


def _refs(
    objects: ObjectSet,
    request: DeployRequest,
    commit: str,
    layers: Sequence[Directory],
    base: Base | None,
) -> dict[str, str]:
    """Add the commits of layers; return what names each, as ostree-ext finds them again."""
    image = request.image
    refs = {
        f"ostree/container/image/{escape_ref(str(request.target))}": commit,
        "ostree/1/1/0": commit,
    }
    # The same blob may be stacked twice: the first one has the ref.
    blobs = (f"ostree/container/blob/{escape_ref(layer.digest)}" for layer in image.layers)
    if base is not None:
        refs[next(blobs)] = _add_base(objects, base)
        for tree in base.chunks:
            refs[next(blobs)] = objects.add_commit(tree, timestamp=0, metadata={}).hex()
    for ref, tree in zip(blobs, layers, strict=True):
        if ref not in refs:
            refs[ref] = layer_commit(objects, tree, request.timestamp).hex()
    return refs


def _fill_boot(
    boot: Directory, folder: Directory, facts: TreeFacts, text: bytes, objects: ObjectSet | None
) -> None:
    """Add the kernel in its folder and its entry; ``objects`` share the kernel's inode."""
    boot.add("boot", symlink("."))
    boot.add("loader", symlink("loader.1"))
    boot.add(f"loader.1/entries/{ENTRY}", regular(text))
    boot.make_dirs("efi")
    _kernel(folder, facts.kernel, objects)


def _add_base(objects: ObjectSet, base: Base) -> str:
    """Keep the encapsulated commit as it is; return its checksum in hex."""
    objects.add_tree(base.tree)
    objects.dirtrees |= base.dirtrees
    objects.dirmetas |= base.dirmetas
    objects.commits[base.commit] = base.commit_data
    if base.commitmeta is not None:
        objects.commitmetas[base.commit] = base.commitmeta
    return base.commit.hex()


def _deployment(
    place: Directory,
    name: str,
    request: DeployRequest,
    merged: Directory,
    objects: ObjectSet,
    composefs_image: File | None,
) -> None:
    """Check the commit out, and put beside it what belongs to this deployment alone."""
    deployment = checkout(merged, objects)
    deployment.immutable = True
    if composefs_image is not None:
        deployment.add(composefs.NAME, composefs_image)
    defaults = merged.get_dir("usr/etc")
    assert defaults is not None
    etc = deployment.entries[b"etc"] = copy(defaults)
    etc.entries.pop(b".updated", None)
    spec = f"UUID={request.boot_uuid}" if request.boot_spec is None else request.boot_spec
    if request.boot_uuid is not None and spec:
        etc.entries[b"fstab"] = regular(f"{spec} /boot auto ro 0 0\n".encode())
    for file_name, data in request.etc.items():
        etc.entries[file_name.encode()] = regular(data)
    place.add(f"deploy/{name}", deployment)
    origin = f"[origin]\ncontainer-image-reference={request.origin}\n"
    place.add(f"deploy/{name}.origin", regular(origin.encode()))
    overlay = place.make_dirs(f"backing/{name}/root-transient", mode=0o700)
    overlay.entries[b"upper"] = Directory(mode=merged.mode)
    overlay.entries[b"work"] = Directory(mode=stat.S_IFDIR | 0o700)


def _composefs(mode: Composefs, merged: Directory, base: Base | None) -> File | None:
    """Return the composefs image of a deployment, if it has one.

    Raises SourceError where it is not the one that is signed.
    """
    if mode is Composefs.NO:
        return None
    if not mode.sealed:
        return regular(composefs.image(merged))
    data = composefs.image(merged, digest_of)
    made = regular(data)
    made.seal = seal(data)
    if mode is Composefs.SIGNED:
        signing.check_digest(base, made.seal.digest)
    return made


def _var(var: Directory, merged: Directory, *, has_tmpfiles: bool) -> None:
    initial = merged.get_dir("var")
    if initial is not None:
        var.entries.update(copy(initial).entries)
    if not has_tmpfiles:  # nothing would make them at boot
        for name, mode in _VAR_DIRECTORIES:
            var.entries.setdefault(name.encode(), Directory(mode=stat.S_IFDIR | mode))
        for name, target in _VAR_LINKS:
            var.entries.setdefault(name.encode(), symlink(target))
    var.entries.pop(b".updated", None)
    var.add(".ostree-selabeled", regular(b""))


def kernels(kernel: Kernel) -> Directory:
    """Return the tree of a /boot with one deployment's kernel and no boot loader's files."""
    boot = Directory()
    _kernel(boot.make_dirs("ostree/kernel"), kernel, None)
    return boot


def _kernel(place: Directory, kernel: Kernel, objects: ObjectSet | None) -> None:
    """Put the kernel's files into their directory of /boot; with objects, as hard links."""
    names = boot_files(kernel)
    files = {
        names["linux"]: kernel.vmlinuz,
        names["initrd"]: kernel.initramfs,
        f".{names['linux']}.hmac": kernel.hmac,
    }
    if kernel.devicetree is not None:
        files[names["devicetree"]] = kernel.devicetree
    for name, file in files.items():
        if file is None:
            continue
        if objects is not None and file.size:
            place.add(name, objects.canonical(file))
        else:  # dense: a boot loader may read these by lists of blocks
            place.add(name, replace(file, xattrs=(), checksum=None, dense=True, seal=None))
    if kernel.dtb is not None:
        place.add("dtb", copy(kernel.dtb, attributes=False))


def _aleph(request: DeployRequest, selinux: str) -> bytes:
    """Return bootc's note of what the disk was first made of. Nothing reads it but people."""
    image = request.image
    labels = image.labels
    value: dict[str, Any] = {
        "digest": image.digest,
        "target-image": request.target.name,
        "version": labels.get("org.opencontainers.image.version", labels.get("version")),
        "timestamp": labels.get("org.opencontainers.image.created"),
        "kernel": "diskgen",  # nothing ran: there is no kernel of an installer
        "selinux": selinux,
    }
    if image.ref.is_registry:  # a path of the build host means nothing on the machine
        value["image"] = image.ref.name
    if labels:
        value["labels"] = labels
    return canonical_json(value).encode()
