"""What the cache keeps besides layers: its owner's alone, and noted as used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from diskgen.errors import SourceError
from diskgen.image import manifest, private
from diskgen.image.index import FORMAT, is_claimed
from diskgen.image.store import Store

NAME = "ab" * 32


def test_a_packed_installer_is_noted_as_used(tmp_path: Path) -> None:
    with Store(tmp_path / "cache").session() as store:
        with store.scratch() as place:
            image = place / "image"
            image.write_bytes(b"packed")
            kept = store.keep_runtime(NAME, image)
        os.utime(kept, (1, 1))
        assert store.runtime("cd" * 32) is None
        assert store.runtime(NAME) == kept
        assert kept.stat().st_mtime > 1_000_000
        assert kept.read_bytes() == b"packed"


def test_what_is_no_file_of_ours_leaves_nothing_open(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    assert private.read(tmp_path) is None
    (tmp_path / "link").symlink_to(tmp_path)
    assert private.read(tmp_path / "link") is None
    os.mkfifo(tmp_path / "fifo")
    assert private.read(tmp_path / "fifo") is None
    (tmp_path / "file").write_bytes(b"x")
    assert private.read(tmp_path / "file") == b"x"
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_which_index_is_claimed_to_be_there(tmp_path: Path) -> None:
    """One of another version of ours is no damage, and is not spoken of."""
    path = tmp_path / "idx"
    assert not is_claimed(path)
    path.write_bytes(b"diskgen layer index 1 " + b"0" * 64)
    assert not is_claimed(path)
    path.write_bytes(f"diskgen layer index {FORMAT} damaged".encode())
    assert is_claimed(path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert is_claimed(path)


def test_what_is_cached_is_told_by_its_kind(tmp_path: Path) -> None:
    with Store(tmp_path / "cache").session() as store:
        places = {
            "blob": store.blob(f"sha256:{NAME}"), "layer": store.layers / f"{NAME}.pack",
            "initramfs": store.initramfs / f"{NAME}.json",
        }  # fmt: skip
        for path in places.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        with store.scratch() as place:
            (place / "image").write_bytes(b"packed")
            places["runtime"] = store.keep_runtime(NAME, place / "image")
        found = {row.kind: (row.digest, row.paths) for row in store.usage()}
    assert found == {kind: (f"sha256:{NAME}", (path,)) for kind, path in places.items()}


@pytest.mark.parametrize(("size", "fits"), [(0, True), (2**50 - 1, True), (2**50, False)])
def test_sizes_that_a_blob_may_have(size: int, fits: bool) -> None:
    value = {"mediaType": "t", "digest": f"sha256:{NAME}", "size": size}
    if fits:
        assert manifest._descriptor(value, "os").size == size
        return
    with pytest.raises(SourceError, match="malformed descriptor"):
        manifest._descriptor(value, "os")
