"""Asks libselinux for labels, in a process of its own: an image's policy can harm only that.

Argument: the path of a policy's ``file_contexts``. Standard input: ``<mode in octal> <path>``,
each ended by NUL. Standard output, in the same order: the label, or nothing, each ended by NUL.
Format and order of the rules: selabel_file(5).
"""

from __future__ import annotations

import ctypes
import errno
import sys
from typing import Final

_LIBRARY: Final = "libselinux.so.1"
_FILE_BACKEND: Final = 0  # SELABEL_CTX_FILE
_OPTION_VALIDATE: Final = 1  # SELABEL_OPT_VALIDATE
_OPTION_PATH: Final = 3  # SELABEL_OPT_PATH
_VALIDATE_CALLBACK: Final = 2  # SELINUX_CB_VALIDATE


def _take(_context: object) -> int:
    return 0


# Every context is taken: only the image's own kernel knows its policy's types.
_accept = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_take)


class _Option(ctypes.Structure):
    """``struct selinux_opt``."""

    _fields_ = (("type", ctypes.c_int), ("value", ctypes.c_char_p))


def main() -> int:
    """Answer until standard input ends."""
    try:
        library = ctypes.CDLL(_LIBRARY, use_errno=True)
    except OSError:
        sys.stderr.write(f"{_LIBRARY} is not installed\n")
        return 3
    library.selabel_open.restype = ctypes.c_void_p
    library.selabel_lookup_raw.argtypes = (
        ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_char_p, ctypes.c_int,
    )  # fmt: skip
    library.freecon.argtypes = (ctypes.c_void_p,)
    # Validating makes it compile all expressions now; a broken one would stop lookups silently.
    library.selinux_set_callback(_VALIDATE_CALLBACK, _accept)
    options = (_Option * 2)(
        _Option(_OPTION_PATH, sys.argv[1].encode()), _Option(_OPTION_VALIDATE, b"1")
    )
    handle = library.selabel_open(_FILE_BACKEND, options, len(options))
    if not handle:
        sys.stderr.write(f"{errno.errorcode.get(ctypes.get_errno(), 'no reason')}\n")
        return 4
    context = ctypes.c_void_p()
    write = sys.stdout.buffer.write
    for question in sys.stdin.buffer.read().split(b"\0")[:-1]:
        mode, _blank, path = question.partition(b" ")
        status = library.selabel_lookup_raw(handle, ctypes.byref(context), path, int(mode, 8))
        if status == 0:
            write(ctypes.string_at(context.value or 0) + b"\0")
            library.freecon(context)
        elif ctypes.get_errno() == errno.ENOENT:
            write(b"\0")
        else:
            name = errno.errorcode.get(ctypes.get_errno(), "no reason")
            sys.stderr.write(f"no answer for '{path.decode(errors='replace')}': {name}\n")
            return 4
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
