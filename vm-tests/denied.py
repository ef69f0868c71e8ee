"""Run a program that may not mount, unshare, or use loop devices or KVM: the kernel refuses.

    python vm-tests/denied.py PROGRAM [ARGUMENT...]

What some machines lack is taken away here, so that a test on any machine proves that it is not
used: a seccomp filter makes every such system call fail with EPERM (seccomp(2), x86_64 numbers).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_EPERM, _ENOSYS = 1, 38
_CLONE_NEW = 0x7E020000  # all namespaces: user, mount, uts, ipc, pid, net, cgroup
_REFUSED = {
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "swapon": 167,
    "unshare": 272, "setns": 308, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsmount": 432, "mount_setattr": 442, "mknod": 133, "mknodat": 259, "ptrace": 101,
}  # fmt: skip
_CLONE, _CLONE3, _IOCTL = 56, 435, 16
_IOCTL_TYPES = (0x4C, 0xAE)  # loop devices, KVM

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_LOAD, _EQUAL, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARGUMENT_0, _ARGUMENT_1 = 0, 16, 24


def program() -> bytes:
    """Return the filter in classic BPF."""
    steps: list[tuple[int, int, int, int]] = [(_LOAD, 0, 0, _NUMBER)]
    for number in _REFUSED.values():
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    # clone3 hides its flags behind a pointer: without it, C libraries take clone
    steps += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    steps += [
        (_EQUAL, 0, 4, _CLONE),
        (_LOAD, 0, 0, _ARGUMENT_0),
        (_ANY_BIT, 0, 1, _CLONE_NEW),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    steps += [(_EQUAL, 0, 5, _IOCTL), (_LOAD, 0, 0, _ARGUMENT_1), (_AND, 0, 0, 0xFF00)]
    steps += [
        (_EQUAL, 1, 0, _IOCTL_TYPES[0] << 8),
        (_EQUAL, 0, 1, _IOCTL_TYPES[1] << 8),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def main() -> None:
    code = ctypes.create_string_buffer(program())
    length = (len(code) - 1) // 8

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    libc = ctypes.CDLL(None, use_errno=True)
    wanted = Filter(length, ctypes.addressof(code))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, 2, ctypes.byref(wanted)
    ):
        sys.exit(f"error: no seccomp: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
