"""Kernel command lines: what a kernel would cut off is told before any of it is lost."""

from __future__ import annotations

from .errors import Problem


def cut_off(line: str, most: int, *, setting: str, entry: str | None = None) -> Problem | None:
    """Return that a kernel would lose the end of a line; ``most`` are its bytes with a final zero.

    ``setting`` is the option that gives some, ``entry`` the title of what is started.
    """
    size = len(line.encode())
    if size < most:
        return None
    of = f" of '{entry}'" if entry is not None else ""
    return Problem(
        code="kargs",
        message=f"the kernel arguments{of} have '{size}' bytes, the kernel takes '{most - 1}'",
        hint="give fewer or shorter ones",
        setting=setting,
    )
