"""Outputs that appear when they are complete, or not at all."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from . import scratch, secrecy
from .errors import HostError, UsageError
from .interrupt import whole

_PLAIN: Final = re.compile(r"[\w ./+=-]+")


class Workspace:
    """Partial files beside the output, and a scratch directory; gone when the block is left.

    Use as a context manager. An output that was not published leaves nothing.
    """

    def __init__(self, output: Path, *, force: bool) -> None:
        self._output = output
        self._force = force
        self._open = ExitStack()
        self._partials = self._scratch = Path()

    @whole
    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._scratch = stack.enter_context(scratch.directory())
            self._partials = stack.enter_context(scratch.directory(self._output.parent))
            self._open = stack.pop_all()
        return self

    @whole
    def __exit__(self, *_error: object) -> None:
        self._open.close()

    @property
    def scratch(self) -> Path:
        """A private directory for small files."""
        return self._scratch

    def partial(self, name: str) -> Path:
        """Return the path of a new file on the output's filesystem, to be created."""
        path = self._partials / name
        path.unlink(missing_ok=True)
        return path

    @whole
    def publish(self, partial: Path, *, secret: bool = False) -> Path:
        """Make a finished partial file the output. Raises UsageError when there is one now.

        A ``secret`` output is for its owner's eyes alone, others are as the umask has it.

        Nothing is flushed to the medium: what a power cut takes can be built again.
        """
        try:
            partial.chmod(secrecy.output_mode(secret=secret))
        except OSError as error:
            if secret:
                raise HostError(
                    f"'{self._output}' would not be its owner's alone, which it is to be: "
                    f"{error.strerror}",
                    hint="choose a directory on a filesystem that keeps modes",
                    setting="output",
                ) from error
            # Such as a stick or a share that others mounted: the mount decides there.
        if self._force:
            partial.replace(self._output)
        else:
            try:
                os.link(partial, self._output)  # unlike rename, never replaces
            except FileExistsError:
                raise UsageError(
                    f"'{self._output}' exists", hint="--force replaces it", setting="force"
                ) from None
            except OSError:  # a filesystem without hard links
                partial.rename(self._output)
        return self._output


@contextmanager
def neutral(path: Path) -> Iterator[Path]:
    """Give a name of an existing file or directory in which no program sees anything but a name.

    ``?``, ``;``, ``@@``, ``:`` and ``,`` in paths are the beginning of options for one program or
    another (libext2fs, mtools, skopeo, QEMU). Only a path that has such gets another name: skopeo
    reads podman's storage in a user namespace of its own, from which ours in /proc is out of reach.
    """
    absolute = path.absolute()
    if _PLAIN.fullmatch(str(absolute)):
        yield absolute
        return
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{fd}")
    finally:
        os.close(fd)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn a full disk while the block writes below ``place`` into words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise HostError(
                f"no space left in '{place}'",
                hint="free some space or choose another directory",
                setting="output",
            ) from error
        if error.filename is None and not isinstance(error, BrokenPipeError):
            raise HostError(
                f"reading or writing for '{place}' failed: {error.strerror or error}",
                hint="the kernel's log may tell more; choose another directory",
                setting="output",
            ) from error
        raise
