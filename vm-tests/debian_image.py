"""Make a small real bootable container image of Debian, from packages: an OCI layout.

Needs root (package scripts and dracut run in a chroot). What is slow is kept in a cache under the
hash of what it depends on: the base layer takes minutes once, the rest seconds.

    python vm-tests/debian_image.py --cache DIR [--changed]     prints the layout's path
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from bootstrap import SOURCES, bootstrap, cached  # noqa: E402

from tests.fixtures.oci import EPOCH, LABELS, Layout, TarBuilder  # noqa: E402

PACKAGES = (
    "linux-image-cloud-amd64 systemd systemd-sysv systemd-resolved udev dbus dracut ostree"
    " ostree-boot shim-signed grub-efi-amd64-signed grub-efi-amd64-bin grub-pc-bin grub-common"
    " e2fsprogs iproute2 ca-certificates skopeo jq login passwd kmod zstd libcap2-bin attr"
    " libssl3t64 openssh-server"
).split()
# libostree runs semodule in a sandbox when it deploys to a machine with a policy.
SELINUX_PACKAGES = "selinux-policy-default policycoreutils selinux-utils bubblewrap".split()
ROOT_PASSWORD = "diskgen"  # for whoever tries the demo; nothing but the console takes it

DRACUT = (
    "dracut --force --no-hostonly --no-hostonly-cmdline --reproducible --zstd --kver {kernel}"
    " --modules 'systemd systemd-initrd ostree base fs-lib kernel-modules rootfs-block udev-rules"
    " dracut-systemd systemd-udevd systemd-journald systemd-tmpfiles systemd-sysusers shutdown'"
    " --drivers 'virtio_pci virtio_blk virtio_scsi sd_mod nvme ahci ext4 xfs btrfs erofs"
    " overlay loop'"
    " --filesystems 'ext4 xfs btrfs'"
    " /usr/lib/modules/{kernel}/initramfs.img"
)


@dataclass(frozen=True)
class Recipe:
    """A kind of base image."""

    suite: str = "trixie"
    composefs: str = "no"  # as prepare-root.conf has it
    selinux: str | None = None  # as /etc/selinux/config has it

    @property
    def packages(self) -> list[str]:
        return [*PACKAGES, *(SELINUX_PACKAGES if self.selinux else ())]


PLAIN = Recipe()
COMPOSEFS = Recipe(suite="sid", composefs="yes")
VERITY = Recipe(suite="sid", composefs="verity")
SELINUX = Recipe(selinux="enforcing")

TMPFILES = """\
d /var/home 0755 root root -
d /var/roothome 0700 root root -
d /var/opt 0755 root root -
d /var/srv 0755 root root -
d /var/mnt 0755 root root -
d /var/media 0755 root root -
d /var/usrlocal 0755 root root -
d /var/lib/dpkg 0755 root root -
d /var/tmp 1777 root root -
d /var/log 0755 root root -
d /var/cache 0755 root root -
"""
LINKS = {
    "home": "var/home", "root": "var/roothome", "opt": "var/opt", "srv": "var/srv",
    "mnt": "var/mnt", "media": "var/media", "usr/local": "../var/usrlocal",
    "ostree": "sysroot/ostree",
}  # fmt: skip
MASKED = (
    "grub-common.service grub2-common.service apt-daily.timer apt-daily-upgrade.timer"
    " dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer"
    " systemd-pcrlock-make-policy.service"
    # What settles /etc after an update takes minutes where a machine is emulated.
    " ldconfig.service systemd-hwdb-update.service systemd-journal-catalog-update.service"
).split()
VAR_MOUNT = """\
[Unit]
DefaultDependencies=no
RequiresMountsFor=/sysroot
Before=local-fs.target
[Mount]
Where=/var
What=/sysroot/ostree/deploy/default/var
Options=bind,slave,shared
"""
NETWORK = "[Match]\nType=ether\n[Network]\nDHCP=yes\n"
UNIT = """\
[Unit]
Description=Say what this machine is
After=multi-user.target
[Service]
ExecStart=/usr/libexec/diskgen-test/proof
[Install]
WantedBy=multi-user.target
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--changed", action="store_true", help="the image of day 2")
    args = parser.parse_args()
    print(build(args.cache, changed=args.changed))


def default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "diskgen-tests"


def build(cache: Path, recipe: Recipe = PLAIN, *, changed: bool = False) -> Path:
    """Return an OCI layout with the tag ``latest``, made if the cache lacks it."""
    more = () if recipe.selinux is None else (var_layer(),)
    return assemble(base_layer(cache, recipe), *more, changed=changed)


def assemble(base: Path, *more: bytes, changed: bool, arch: str = "amd64") -> Path:
    """Return an OCI layout beside a base layer: that, some ``more``, and those that are tested.

    ``arch`` is what the image says it is for (GOARCH).
    """
    name = "changed" if changed else "first"
    sources = hashed(Path(__file__), *sorted((HERE / "image").iterdir()))
    layout = base.with_name(f"{base.stem}-{name}-{sources}")

    def make(_scratch: Path, result: Path) -> None:
        made = Layout(result)
        layers = [
            made.layer(base.read_bytes()),
            *(made.layer(layer) for layer in more),
            made.layer(doomed_layer()),
            made.layer(derived_layer(), "zstd"),
            made.layer(agent_layer("1"), "none"),
        ]
        if changed:
            layers.append(made.layer(version_layer("2")))
        labels = LABELS | {"org.opencontainers.image.version": "2" if changed else "1"}
        made.finish(made.image(layers, labels=labels, arch=arch))

    return cached(layout, make)


def base_layer(cache: Path, recipe: Recipe = PLAIN) -> Path:
    """Return the base root filesystem as a tar, its kernel and initramfs in place."""
    makes = repr(
        (recipe, SOURCES[recipe.suite], recipe.packages, DRACUT, TMPFILES, LINKS, MASKED, NETWORK,
         ROOT_PASSWORD, 6 if recipe.selinux else 5)
    )  # fmt: skip
    tar = cache / f"base-{hashlib.sha256(makes.encode()).hexdigest()[:16]}.tar"

    def make(root: Path, result: Path) -> None:
        _say("installing packages")
        _install(root, recipe)
        _say("making the initramfs")
        _make_initramfs(root, recipe)
        arrange(root, recipe)
        _run(
            "tar", "--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner",
            "--sort=name", f"--mtime=@{EPOCH}", "-C", root, "-cf", result, ".",
        )  # fmt: skip

    return cached(tar, make)


def _install(root: Path, recipe: Recipe) -> None:
    options = ("--architectures=amd64", *dpkg_options())
    bootstrap(root, recipe.suite, recipe.packages, "minbase", *options)


def dpkg_options() -> list[str]:
    """Return mmdebstrap's options that leave out what no test reads."""
    excluded = ("man", "doc", "locale", "info", "bash-completion", "lintian")
    return [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in excluded]


def write_prepare_root(root: Path, recipe: Recipe) -> None:
    write(
        root,
        "usr/lib/ostree/prepare-root.conf",
        f"[composefs]\nenabled = {recipe.composefs}\n[sysroot]\nreadonly = true\n",
    )


def _make_initramfs(root: Path, recipe: Recipe) -> None:
    write_prepare_root(root, recipe)
    kernel = kernel_release(root)
    for name in ("vmlinuz",):
        (root / f"boot/{name}-{kernel}").rename(root / f"usr/lib/modules/{kernel}/{name}")
    script = (
        f"mount -t proc proc {root}/proc && mount -t sysfs sys {root}/sys && "
        f"mount --bind /dev {root}/dev && mount -t tmpfs tmp {root}/var/tmp && "
        f"chroot {root} {DRACUT.format(kernel=kernel)}"
    )
    _run("unshare", "--mount", "sh", "-c", script)


def arrange(root: Path, recipe: Recipe) -> None:
    """Turn an ordinary root filesystem into the shape of a bootable container."""
    for path in (root / "boot").iterdir():
        path.unlink()
    for name in ("vmlinuz", "vmlinuz.old", "initrd.img", "initrd.img.old"):
        (root / name).unlink(missing_ok=True)
    (root / "usr/lib/sysimage").mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg").rename(root / "usr/lib/sysimage/dpkg")
    if recipe.selinux is not None:
        # The modules of the policy are part of the image, as Fedora has it.
        for path in (root / "var/lib/selinux/default").iterdir():
            path.rename(root / "etc/selinux/default" / path.name)
        conf = root / "etc/selinux/semanage.conf"
        conf.write_text(conf.read_text() + "\nstore-root=/etc/selinux\n")
    for path in (root / "var").iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name in ("run", "tmp", "dev"):
        for path in (root / name).iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (root / "sysroot").mkdir()
    for name, target in LINKS.items():
        if recipe.selinux and name == "usr/local":
            continue  # few domains of Debian's policy may read a link of that name
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.symlink_to(target)
    write(root, "usr/lib/tmpfiles.d/diskgen-test.conf", TMPFILES)
    write(root, "etc/machine-id", "")
    write(root, "etc/hostname", "diskgen\n")
    write(root, "etc/fstab", "")
    write(root, "etc/systemd/network/20-wired.network", NETWORK)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for unit in ("systemd-networkd.service", "systemd-resolved.service"):
        if not (wants / unit).is_symlink():
            (wants / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")
    for unit in MASKED:
        path = root / "etc/systemd/system" / unit
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/null")
    crypted = subprocess.run(
        ["openssl", "passwd", "-6", "-salt", "diskgen", ROOT_PASSWORD],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    shadow = root / "etc/shadow"
    lines = shadow.read_text().splitlines()
    shadow.write_text(
        "".join(
            f"root:{crypted}:20000:0:99999:7:::\n" if line.startswith("root:") else f"{line}\n"
            for line in lines
        )
    )
    if recipe.selinux is not None:
        write(
            root,
            "etc/selinux/config",
            f"SELINUX={recipe.selinux}\nSELINUXTYPE=default\n",
        )
        write(
            root,
            "usr/lib/bootc/kargs.d/20-selinux.toml",
            'kargs = ["security=selinux", "selinux=1"]\n',
        )
    write(root, "usr/lib/bootc/kargs.d/10-test.toml", 'kargs = ["printk.devkmsg=on", "panic=-1"]\n')
    write(
        root,
        "usr/lib/bootc/install/00-test.toml",
        '[install.filesystem.root]\ntype = "ext4"\n[install]\nkargs = ["mitigations=off"]\n',
    )
    for old in ("usr/lib/modules/*/source", "usr/lib/modules/*/build"):
        for path in root.glob(old):
            path.unlink()


def doomed_layer() -> bytes:
    """Return a layer most of which the next one takes away."""
    tar = TarBuilder()
    place = "usr/share/diskgen-test"
    tar.directory(place)
    for name in ("gone", "gone-dir/inside", "opaque/old", "replaced"):
        tar.file(f"{place}/{name}", b"first\n")
    return tar.finish()


def derived_layer() -> bytes:
    """Return a layer with everything that a merge must get right."""
    tar = TarBuilder()
    place = "usr/share/diskgen-test"
    tar.directory(place)
    tar.file(f"{place}/replaced", b"second\n")
    tar.file(f"{place}/link-a", b"linked\n")
    tar.hardlink(f"{place}/link-b", f"{place}/link-a")
    # VFS_CAP_REVISION_2, cap_net_raw permitted and effective
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    tar.file(
        f"{place}/capable", b"#!/bin/sh\n", mode=0o755, xattrs={"security.capability": capability}
    )
    tar.file(f"{place}/attributed", b"x\n", xattrs={"user.diskgen": b"value"})
    tar.file(f"{place}/sparse", bytes(20 * 1024 * 1024 - 4) + b"end\n")
    tar.file(f"{place}/suid", b"#!/bin/sh\n", mode=0o4755, uid=1234, gid=1234)
    tar.symlink(f"{place}/dangling", "/no/such/place")
    tar.file(f"{place}/größe", b"name\n")
    tar.file(f"{place}/{'n' * 200}", b"name\n")
    for name in (".wh.gone", ".wh.gone-dir", "opaque/.wh..wh..opq", "opaque/new"):
        tar.file(f"{place}/{name}", b"")
    return tar.finish()


def agent_layer(version: str) -> bytes:
    tar = TarBuilder()
    place = "usr/share/diskgen-test"
    tar.file(f"{place}/.wh.never-there", b"")
    tar.directory("usr/libexec/diskgen-test")
    for name in ("proof", "update"):
        data = (HERE / "image" / name).read_bytes()
        tar.file(f"usr/libexec/diskgen-test/{name}", data, mode=0o755)
    tar.file(f"{place}/version", f"{version}\n".encode())
    unit = "usr/lib/systemd/system/diskgen-proof.service"
    tar.file(unit, UNIT.encode())
    tar.symlink("etc/systemd/system/multi-user.target.wants/diskgen-proof.service", f"/{unit}")
    return tar.finish()


def var_layer() -> bytes:
    """Return a layer that mounts /var: Debian's policy denies it to ostree-system-generator."""
    tar = TarBuilder()
    place = "usr/lib/systemd/system"
    tar.file(f"{place}/var.mount", VAR_MOUNT.encode())
    tar.symlink(f"{place}/local-fs.target.requires/var.mount", "../var.mount")
    return tar.finish()


def version_layer(version: str) -> bytes:
    tar = TarBuilder()
    tar.file("usr/share/diskgen-test/version", f"{version}\n".encode())
    tar.file("usr/share/diskgen-test/.wh.dangling", b"")
    tar.symlink("usr/share/diskgen-test/dangling", "/still/no/such/place")
    return tar.finish()


def kernel_release(root: Path) -> str:
    (release,) = (path.name for path in (root / "usr/lib/modules").iterdir())
    return release


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def hashed(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _run(*argv: str | Path) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {argv[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
