"""Published tools at work in a sid of their own: what they make of an image is the measure."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import oracle_build
import sid
from derive import encapsulated_meta

_MOUNTS = (
    "mount --bind {work} {root}/w && mount -t proc proc {root}/proc && "
    "mount --bind /dev {root}/dev && mount -t tmpfs tmp {root}/tmp && "
    "mount -t tmpfs run {root}/run && mount -t tmpfs tmp {root}/var/tmp && "
    'exec chroot {root} sh -euc "cd /w && $1"'
)


@dataclass(frozen=True)
class Oracle:
    """Runs commands in sid; ``work`` is a directory of ours that is ``/w`` there."""

    root: Path
    work: Path

    def __call__(self, script: str) -> str:
        """Run a shell script; return what it prints."""
        inside = _MOUNTS.format(work=self.work, root=self.root)
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-euc", inside, "sh", script],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def encapsulate(self, tar: Path, name: str, *, components: int = 7, policy: bool) -> Path:
        """Commit a root filesystem and encapsulate the commit; return the image's OCI layout."""
        (self.work / f"{name}.tar").hardlink_to(tar)
        labelling = ""
        if policy:
            place = self.work / f"{name}-policy"
            place.mkdir()
            subprocess.run(
                ["tar", "-C", place, "-xf", tar, "./etc/selinux"], check=True, capture_output=True
            )
            labelling = f"--selinux-policy=/w/{name}-policy"
        self(
            f"ostree init --repo={name}-repo --mode=bare-user; "
            f"ostree commit --repo={name}-repo --branch=os --tree=tar={name}.tar "
            "--tar-autocreate-parents --tar-pathname-filter='^etc/,usr/etc/' --no-bindings "
            f"--timestamp='2026-11-01 00:00:00 +0000' --add-metadata-string=version=1 {labelling}; "
            f"ostree ls --repo={name}-repo -R -C os > {name}.listing"
        )
        listing = (self.work / f"{name}.listing").read_text()
        (self.work / f"{name}.json").write_text(encapsulated_meta(listing, components))
        self(
            f"ostree-container container encapsulate --repo={name}-repo --compression-fast "
            "--label containers.bootc=1 --label ostree.bootable=1 "
            f"--contentmeta {name}.json os oci:/w/{name}:latest"
        )
        shutil.rmtree(self.work / f"{name}-repo")
        return self.work / name

    def deploy(self, image: str, target: str) -> Path:
        """Let ostree-ext deploy an image (a directory below work) into a new sysroot."""
        sysroot = self.work / f"{image}-sysroot"
        sysroot.mkdir()
        repo = f"{sysroot.name}/ostree/repo"
        self(
            f"ostree admin init-fs --modern {sysroot.name}; "
            f"ostree admin os-init --sysroot={sysroot.name} default; "
            f"ostree config --repo={repo} set sysroot.bootloader none; "
            f"ostree config --repo={repo} set sysroot.bootprefix true; "
            f"ostree config --repo={repo} set sysroot.readonly true; "
            f"chmod -R a+rX {image}; "
            f"ostree-container container image deploy --sysroot {sysroot.name} "
            f"--stateroot default --imgref ostree-unverified-image:oci:/w/{image}:latest "
            f"--target-imgref ostree-unverified-registry:{target} --karg=rw"
        )
        # Deployments are immutable, for root too, and this one is to be removed.
        deployments = sysroot.glob("ostree/deploy/*/deploy/*.0")
        subprocess.run(["chattr", "-i", *deployments], check=True)
        return sysroot


def make(cache: Path, work: Path) -> Oracle:
    """Return the tools, made if the cache lacks them."""
    root = sid.tools(cache)
    program = oracle_build.build(cache)
    inside = root / "usr/bin/ostree-container"
    if not inside.is_file():
        shutil.copy(program, inside)
    (root / "w").mkdir(exist_ok=True)
    work.chmod(0o755)
    return Oracle(root, work)
