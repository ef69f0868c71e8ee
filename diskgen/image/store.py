"""The cache: blobs, layers, packed installers, and a note of which image used which when.

    v1/blobs/sha256/<digest>   as fetched, shared by all images
    v1/layers/<diff_id>.*      pack and index of a layer that was read
    v1/initramfs/<sum>.json    what an initramfs says, by its content
    v1/runtimes/<name>.<sum>   packed installers, by what they are made of and what they are
    v1/images/<digest>.json    one per image: reference, blobs, layers; its mtime is the last use
    v1/tmp/                    scratch of running builds

Running builds hold a shared lock; pruning takes it exclusively, so it never removes what is in use.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .. import scratch, secrecy
from ..documents import load_object
from ..errors import HostError
from ..interrupt import whole
from ..packsums import DamagedEntry
from . import entries, private
from .model import Image

_TOLD: Final = (".idx", ".pack", ".sums", ".seals")  # whoever reads them says that they are damaged
_DAY: Final = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Row:
    """One cached thing; ``size`` in bytes, ``last_used`` in seconds since 1970."""

    kind: str  # blob, layer, initramfs or runtime
    digest: str
    size: int
    last_used: float
    images: tuple[str, ...]
    paths: tuple[Path, ...]


class Store:
    """A cache directory. Nothing is created before the first session."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute() / "v1"
        self.blobs = self.root / "blobs"
        self.layers = self.root / "layers"
        self.initramfs = self.root / "initramfs"
        self._runtimes = self.root / "runtimes"
        self._images = self.root / "images"
        self._scratch = self.root / "tmp"
        self._entry_rooms = (
            self.blobs / "sha256", self.layers, self.initramfs, self._runtimes, self._images,
        )  # fmt: skip

    @contextmanager
    def session(self) -> Generator[Store]:
        """Use the cache: it exists and nothing is pruned from it while the block runs.

        What is written meanwhile, inside it or elsewhere, is readable by its owner alone.
        """
        with secrecy.private(), self._locked():
            yield self

    @contextmanager
    def _locked(self) -> Generator[None]:
        try:
            rooms = (*self._entry_rooms, self._scratch)
            for path in rooms:
                path.mkdir(parents=True, exist_ok=True)
            private.require(self.root.parent, (self.root, self.blobs, *rooms))
            self.root.chmod(0o700)  # older ones were for everybody to read
            lock = entries.lock_file(self.root / "lock")
            for path in self._entry_rooms:
                entries.drop_others(path, but=_TOLD)
            scratch.sweep(self._scratch)
        except OSError as error:
            named = f": '{os.fsdecode(error.filename)}'" if error.filename is not None else ""
            raise HostError(
                f"the cache directory '{self.root.parent}' cannot be written{named}: "
                f"{error.strerror}",
                hint="choose another one",
                setting="cache-dir",
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    @contextmanager
    @whole
    def scratch(self) -> Generator[Path]:
        """Give a private directory on the cache's filesystem, removed when the block is left."""
        with scratch.directory(self._scratch) as path:
            yield path

    def blob(self, digest: str) -> Path:
        """Return where the blob of a digest is or would be."""
        return self.blobs / digest.replace(":", "/", 1)

    def runtime(self, name: str) -> Path | None:
        """Return a packed installer, and note that it was used now; None where there is none.

        ``name`` is a digest (hex). No power cut and no bad disk goes onto a medium: raises
        DamagedEntry for one that is not as it was packed, or not ours.
        """
        for path in self._runtimes.glob(f"{name}.*"):
            status = path.lstat()
            whole = stat.S_ISREG(status.st_mode) and private.is_ours(status)
            if not whole or path.suffix != f".{_sum(path)}":
                raise DamagedEntry(path)
            os.utime(path)
            return path
        return None

    def keep_runtime(self, name: str, image: Path) -> Path:
        """Move a packed installer, a file of :meth:`scratch`, to its place; return that."""
        place = self._runtimes / f"{name}.{_sum(image)}"
        image.replace(place)
        return place

    def drop_blob(self, digest: str) -> bool:
        """Remove a blob that turned out to be damaged; say whether it was ours."""
        path = self.blob(digest)
        if not path.is_file():
            return False
        path.unlink()
        return True

    def drop(self, damaged: Path) -> bool:
        """Remove a packed installer, or the layer that a pack is of; say whether it was ours."""
        if damaged.parent == self._runtimes:
            paths = [damaged]
        elif damaged.parent == self.layers:
            paths = [damaged.with_suffix(suffix) for suffix in (".pack", ".idx", ".sums", ".seals")]
        else:
            return False
        for path in paths:
            private.make_room(path)
            path.unlink(missing_ok=True)
        return True

    def record(self, image: Image) -> None:
        """Note that an image was used now."""
        note = {
            "reference": image.ref.short,
            "blobs": [layer.digest for layer in image.layers],
            "layers": [layer.diff_id for layer in image.layers],
        }
        path = self._images / f"{image.digest.removeprefix('sha256:')}.json"
        partial = path.with_suffix(f".{time.monotonic_ns()}.partial")
        partial.write_text(json.dumps(note))
        partial.rename(path)
        for blob in (self.blobs / "sha256").iterdir():  # skopeo lets everybody read them
            with suppress(FileNotFoundError, PermissionError):  # gone by now, or another user's
                blob.chmod(secrecy.OWNER_ONLY)

    def usage(self) -> list[Row]:
        """Return what is cached; empty where there is no cache."""
        users: dict[str, set[str]] = {}
        used: dict[str, float] = {}
        for path, status in entries.found(self._images):
            if path.suffix != ".json":
                continue
            try:
                note = load_object(path.read_bytes())
            except (OSError, ValueError):
                continue
            for digest in (*note.get("blobs", ()), *note.get("layers", ())):
                users.setdefault(digest, set()).add(note.get("reference", "?"))
                used[digest] = max(used.get(digest, 0), status.st_mtime)
        groups: dict[tuple[str, str], list[tuple[Path, os.stat_result]]] = {}
        for kind, directory in (
            ("blob", self.blobs / "sha256"),
            ("layer", self.layers),
            ("initramfs", self.initramfs),
            ("runtime", self._runtimes),
        ):
            for path, status in entries.found(directory):
                if not path.name.startswith(".tmp-"):
                    key = kind, f"sha256:{path.name if kind == 'blob' else path.stem}"
                    groups.setdefault(key, []).append((path, status))
        return [
            Row(
                kind,
                digest,
                sum(status.st_blocks * 512 for _path, status in files),
                used.get(digest, max(status.st_mtime for _path, status in files)),
                tuple(sorted(users.get(digest, ()))),
                tuple(path for path, _status in files),
            )
            for (kind, digest), files in sorted(groups.items())
        ]

    def prune(self, *, older_than_days: int) -> int:
        """Remove what no build used for so many days, and what crashes left; return bytes freed.

        Raises HostError when a build is running.
        """
        if not self.root.is_dir():
            return 0
        with entries.lock_file(self.root / "lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HostError(
                    f"a build uses the cache '{self.root.parent}'", hint="try again when it is done"
                ) from None
            limit = time.time() - older_than_days * _DAY
            freed = 0
            for row in self.usage():
                if row.last_used <= limit or older_than_days == 0:
                    freed += row.size
                    for path in row.paths:
                        path.unlink(missing_ok=True)
            for directory in self._entry_rooms:
                freed += entries.drop_others(directory)
            for place, pattern in ((self.layers, ".tmp-*"), (self._images, "*.partial"),
                                   (self.initramfs, "*.partial"),
                                   (self._scratch, "*"), (self._scratch, ".*")):  # fmt: skip
                for path in place.glob(pattern):  # of killed builds: there is no other now
                    freed += entries.drop(path)
            for path, status in entries.found(self._images):
                if status.st_mtime <= limit or older_than_days == 0:
                    path.unlink(missing_ok=True)
        return freed


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
