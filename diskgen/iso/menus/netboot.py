"""Starting an installer from the network: the menu of its medium as a script of iPXE.

A server offers the medium's files as they are. iPXE names what it loads, which is how our own
installer's initramfs finds its runtime; Anaconda's fetches the runtime by itself.
Language: iPXE's documentation, "Command reference" and "Configuration settings".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from . import menu
from .menu import Choices, Entry, Submenu

SCRIPT: Final = "boot.ipxe"
EXAMPLE: Final = "pxe-example.cfg"
RUNTIME: Final = "install.img"  # as our own initramfs looks for it
_STAGE2: Final = "inst.stage2=${base}"  # the server's directory that has images/install.img
# What a machine without the medium cannot do.
_MEDIUM: Final = frozenset({"rd.live.check"})


def script(choices: Choices, paths: tuple[str, str], stage2: str, *, own: bool) -> str | None:
    """Return the script, or None where nothing can be installed without the medium.

    It is to be fetched from the directory below the medium's root. ``paths`` are those of kernel
    and initramfs on the medium, ``stage2`` the runtime's.
    """
    kernel, initrd = (f"/{path}" for path in paths)
    offered = _without_medium(choices, own=own)
    if not offered.modes:
        return None
    made = menu.make(offered, kernel=kernel, initrd=initrd, bios=False)
    entries = list(_entries(made.entries))
    lines = [
        "#!ipxe",
        "# Serve the files of the medium by HTTP and let iPXE chain this one.",
        "set base ${cwduri}..",
        ":menu",
        f"menu {choices.product}",
        *(f"item entry{number} {entry.title}" for number, entry in enumerate(entries)),
        f"choose --timeout {made.timeout * 1000} --default entry0 chosen && goto ${{chosen}} || "
        "goto menu",
    ]
    name = PurePosixPath(initrd).name
    for number, entry in enumerate(entries):
        words = " ".join([f"initrd={name}", *([] if own else [_STAGE2]), *entry.arguments])
        lines += [f":entry{number}", f"kernel ${{base}}{kernel} {words}", "goto load"]
    lines += [":load", f"initrd ${{base}}{initrd}"]
    if own:
        lines.append(f"initrd ${{base}}/{stage2} {RUNTIME}")
    lines.append("boot")
    return "\n".join(lines) + "\n"


def example(choices: Choices, paths: tuple[str, str], stage2: str, *, own: bool) -> str:
    """Return what another boot server than iPXE has to say, for people to copy from."""
    lines = [
        f"# For starting this installer from the network. iPXE takes {SCRIPT} as it is, others",
        "# need these. Without the medium, image mode takes the image from its registry.",
        f"# kernel: {paths[0]}    initramfs: {paths[1]}",
    ]
    if own:
        lines += [
            f"# A second initramfs brings the runtime, {stage2}, as '/{RUNTIME}'. GRUB:",
            f"#   initrd /{paths[1]} newc:{RUNTIME}:/{stage2}",
            "# Others load a file that is made once, in the directory of the runtime:",
            f"#   echo {RUNTIME} | cpio -o -H newc >install.cpio",
        ]
    else:
        lines.append(f"# Serve {stage2} (and product.img beside it) at the URL of inst.stage2.")
    common = [*([] if own else ["inst.stage2=http://SERVER/PATH"]), *choices.kargs]
    modes = (*choices.modes, *["ask"] * (len(choices.modes) > 1))
    lines += [" ".join([*common, f"diskgen.mode={mode}"]) for mode in modes]
    return "\n".join(lines) + "\n"


def _without_medium(choices: Choices, *, own: bool) -> Choices:
    near = choices.packages and (choices.packages_need_network or not own)
    return replace(choices, stage2=False, packages=near, unattended=())


def _entries(entries: tuple[Entry | Submenu, ...]) -> Iterator[Entry]:
    for entry in entries:
        if isinstance(entry, Submenu):
            yield from _entries(entry.entries)
        elif entry.command is None and not _MEDIUM.intersection(entry.arguments):
            yield entry
