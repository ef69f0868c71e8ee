"""Options about an installer's medium."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ...config import MODES, PAYLOADS
from ..command import MEDIA
from ..option import Option, Takes
from . import disk

_GROUP: Final = "medium"

OPTIONS: Final = (
    Option(
        name="installer",
        commands=MEDIA,
        group=_GROUP,
        metavar="SRC",
        otherwise="diskgen's own installer, in REF itself",
        help="a vendor's boot ISO or DVD (a file), or a container image that holds Anaconda or can "
        "run diskgen's own installer",
        manual="What installs. A file: an Anaconda boot ISO or DVD of a vendor (Fedora 38, RHEL "
        "9.4 or later, and what is built from them), which keeps its kernel, installer, signed "
        "boot programs and label, and whose own packages, if it has some, are what is offered "
        "beside the image. Or a container image: one that holds Anaconda (with systemd, its "
        "kernel, an initramfs made with dracut's `anaconda` module, shim, and GRUB for media; "
        "with the module `fips` the menu offers FIPS mode; what lorax changes in its runtimes is "
        "changed in it, too), or one in which diskgen's own installer can run. Default: the own "
        "installer, in *REF* itself. It takes systemd, Python 3.11 or later with the modules "
        "parted and zstandard, e2fsprogs, util-linux and kmod, for UEFI dosfstools and mtools, "
        "for BIOS grub-mkimage; what is missing is named. It makes plain partitions on one disk, "
        "and understands the kickstart commands that belong to that; others are refused by name "
        "and line before anything is touched. Network devices are set up as kickstarts say, or by "
        "the kernel argument `ip=` (of `dracut.cmdline`(7)).",
    ),
    Option(
        name="payload",
        commands=MEDIA,
        group=_GROUP,
        choices=PAYLOADS,
        default=PAYLOADS[0],
        help="where the installer gets the image: from the medium, from the registry, or from the "
        "registry and if that fails from the medium",
        manual="Where the installer gets the image: from the medium (`embedded`), from the "
        "registry (`remote`), or from the registry and where that does not answer from the medium "
        "(`both`). Unattended entries take the one on the medium.",
    ),
    Option(
        name="remote-payload",
        commands=MEDIA,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="the same as --payload remote",
        manual="The same as `--payload remote`.",
    ),
    Option(
        name="mode",
        commands=MEDIA,
        group=_GROUP,
        choices=(*MODES, "both"),
        default="both",
        otherwise="both, packages where their source is known",
        help="what the menu offers",
        manual="What the menu offers.",
    ),
    Option(
        name="packages",
        commands=MEDIA,
        group=_GROUP,
        metavar="SRC",
        help="where packages come from: a directory with an RPM tree, an apt repository or .deb "
        "files, which goes onto the medium; or a URL, mirrorlist=URL or metalink=URL",
        manual="Where packages come from: a directory with an RPM tree, an apt repository or "
        ".deb files (which goes onto the medium, so that no network is needed), a URL, "
        "`mirrorlist=`*URL* or `metalink=`*URL*.",
    ),
    Option(
        name="package",
        commands=MEDIA,
        group=_GROUP,
        metavar="NAME",
        repeatable=True,
        help="a package, @group or @^environment of the traditional installation",
        manual="A package, @group or @^environment of the traditional installation.",
    ),
    Option(
        name="label",
        commands=MEDIA,
        group=_GROUP,
        metavar="LABEL",
        otherwise="as the distribution has it",
        help="of the medium",
        manual="Of the medium: up to 32 letters, digits and _ - . +. Default: the label of the "
        "vendor's medium that installs, which other texts on it may name, else as the "
        "distribution's own media have it. Where a container's Anaconda installs, which looks for "
        "its medium by the label alone, its end differs by build. Both installers compare the "
        "kernel argument `diskgen.id` with what is on the medium.",
    ),
    Option(
        name="product",
        commands=MEDIA,
        group=_GROUP,
        metavar="NAME",
        otherwise="its PRETTY_NAME",
        help="what menus call the system",
        manual="What menus call the system.",
    ),
    Option(
        name="embed-authfile",
        commands=MEDIA,
        group=_GROUP,
        takes=Takes.NOTHING,
        help="put the credentials of --authfile for the image's repository onto the medium, where "
        "whoever has it can read them",
        manual="Put the credentials that `--authfile` has for the image's repository onto the "
        "medium, for the installer. Whoever has the medium, or reaches a server that offers its "
        "files, can read them; the medium's file is readable for its owner alone. The installed "
        "machine does not get them. Without this they stay where they are. Other things that make "
        "registries reachable reach the installer by themselves where they are about the registry "
        "that it installs from: the policy of `--signature-policy` and the keys it names, "
        "`--registries-conf`, `--registries-d`, `--tls-verify=false`, and the authorities "
        "(`*.crt`) of `--cert-dir`. A proxy is named by `--karg inst.proxy=`*URL*.",
    ),
    Option(
        name="max-size",
        commands=MEDIA,
        group=_GROUP,
        metavar="SIZE",
        help="refuse to make a larger medium, such as 4.7G",
        manual="Refuse to make a larger medium, such as `4.7G`.",
    ),
    replace(disk.SEED, commands=MEDIA, group=_GROUP),
    Option(
        name="karg",
        commands=MEDIA,
        group=_GROUP,
        metavar="ARG",
        repeatable=True,
        help="add a kernel argument of the installer",
        manual="For `iso`: a kernel argument of the installer. (`inst.ks`, `inst.stage2`, "
        "`diskgen.mode` and `diskgen.id` are those of single entries or of the medium, and "
        "refused). A kickstart on a server is named at the boot menu or by the boot server, and "
        "written by `--write-kickstart`.",
    ),
)
