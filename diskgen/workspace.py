"""Outputs that appear when they are complete, or not at all."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from . import scratch, secrecy
from .errors import HostError, UsageError
from .interrupt import whole

_PLAIN: Final = re.compile(r"[\w ./+=-]+")


class Workspace:
    """Partial files beside the output, and a scratch directory; gone when the block is left.

    Where there are several outputs, all lie on the filesystem of the one that is named.

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
    def publish_all(self, finished: Sequence[tuple[Path, Path]], *, secret: bool = False) -> None:
        """Make finished partial files outputs: all of them, or none where one cannot be.

        They are pairs of a partial file and its output, ``secret`` as in :meth:`publish`.
        Raises UsageError where there is one now.
        """
        with ExitStack() as undo:
            for number, (partial, output) in enumerate(finished):
                was = self._partials / f"was-{number}"
                there = os.path.lexists(output) and not output.is_dir()
                if self._force and len(finished) > 1 and there:
                    _keep(output, was)
                    undo.callback(was.replace, output)
                else:
                    # Entered before: what is there already is not ours to remove.
                    undo.callback(_remove_same, output, partial.stat().st_ino)
                self._publish(partial, output, secret=secret)
            undo.pop_all()

    def publish(self, partial: Path, *, secret: bool = False) -> Path:
        """Make a finished partial file the output. Raises UsageError when there is one now.

        A ``secret`` output is for its owner's eyes alone, others are as the umask has it.

        Nothing is flushed to the medium: what a power cut takes can be built again.
        """
        self.publish_all([(partial, self._output)], secret=secret)
        return self._output

    def _publish(self, partial: Path, output: Path, *, secret: bool) -> None:
        try:
            partial.chmod(secrecy.output_mode(secret=secret))
        except OSError as error:
            if secret:
                raise HostError(
                    f"'{output}' would not be its owner's alone, which it is to be: "
                    f"{error.strerror}",
                    hint="choose a directory on a filesystem that keeps modes",
                    setting="output",
                ) from error
            # Such as a stick or a share that others mounted: the mount decides there.
        if self._force:
            partial.replace(output)
        else:
            try:
                os.link(partial, output)  # unlike rename, never replaces
            except FileExistsError:
                raise UsageError(
                    f"'{output}' exists", hint="--force replaces it", setting="force"
                ) from None
            except OSError:  # a filesystem without hard links
                partial.rename(output)


def _keep(path: Path, name: Path) -> None:
    """Give a file a second name, or where that cannot be, another one."""
    try:
        os.link(path, name, follow_symlinks=False)
    except OSError:  # a filesystem without hard links
        path.rename(name)


def _remove_same(path: Path, inode: int) -> None:
    """Remove a file if it is the one that is meant."""
    if os.path.lexists(path) and path.lstat().st_ino == inode:
        path.unlink()


@contextmanager
def neutral(path: Path) -> Generator[Path]:
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
def writing(place: Path) -> Generator[None]:
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
