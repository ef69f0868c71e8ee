"""Layers as they come: every tar dialect and compression, before Python's tarfile as the judge."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diskgen.errors import SourceError
from diskgen.gvariant import file_header
from diskgen.image.index import Entry, Kind, LayerIndex
from diskgen.image.worker import read_layer
from diskgen.tree import read

from ..fixtures.layers import ignore, indexed
from ..fixtures.oci import TarBuilder


def sample(dialect: int) -> bytes:
    """Return a tar with names, sizes and numbers at the edges of what a dialect holds."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=dialect) as tar:
        long = "d" * 90 if dialect == tarfile.USTAR_FORMAT else "d" * 150
        for number, (path, data) in enumerate(
            [
                ("./", None), ("./usr", None), (f"usr/{long}", None),
                (f"usr/{long}/{'f' * 60}", b"x" * 511), ("usr/empty", b""), ("usr/one", b"1"),
                ("usr/block", b"b" * 512), ("usr/page", b"p" * 4096),
                ("usr/zeros", bytes(3_000_000)), ("usr/mixed", bytes(200_000) + b"end"),
                ("/absolute", b"a"), ("usr//twice", b"t"),
            ]
        ):  # fmt: skip
            info = tarfile.TarInfo(path)
            info.uid, info.gid, info.mtime, info.mode = number * 1000, number, 1 + number, 0o640
            if data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        for path, kind, target in (
            ("usr/hard", tarfile.LNKTYPE, "./usr/one"), ("usr/soft", tarfile.SYMTYPE, "/etc/x"),
            ("usr/far", tarfile.SYMTYPE, "t" * (90 if dialect == tarfile.USTAR_FORMAT else 300)),
        ):  # fmt: skip
            info = tarfile.TarInfo(path)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return out.getvalue()


def check(index: LayerIndex, tar: bytes) -> None:
    """Compare an index with what tarfile reads."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as judge:
        members = judge.getmembers()
        assert len(members) == len(index.entries)
        for entry, member in zip(index.entries, members, strict=True):
            path = "/".join(p for p in member.name.split("/") if p not in ("", "."))
            assert entry.path == path.encode()
            if entry.kind is not Kind.HARDLINK:
                assert (entry.uid, entry.gid) == (member.uid, member.gid)
                assert entry.mode & 0o7777 == (0o777 if member.issym() else member.mode)
            if entry.kind is Kind.FILE:
                file = judge.extractfile(member)
                assert file is not None
                data = file.read()
                assert entry.content is not None
                assert read(entry.content) == data
                header = file_header(entry.mode, entry.uid, entry.gid, b"", entry.xattrs)
                assert entry.checksum == hashlib.sha256(header + data).digest()
            elif entry.kind is Kind.SYMLINK:
                assert entry.target == member.linkname.encode()


@pytest.mark.parametrize("dialect", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect(dialect: int, tmp_path: Path) -> None:
    tar = sample(dialect)
    check(indexed(tmp_path, tar), tar)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "gzip members": lambda tar: b"".join(
        gzip.compress(tar[at : at + 70_001]) for at in range(0, len(tar), 70_001)
    ),
    "gzip padded": lambda tar: gzip.compress(tar) + bytes(512),
    "zstd": lambda tar: zstandard.ZstdCompressor(3).compress(tar),
    "zstd frames": lambda tar: b"".join(
        zstandard.ZstdCompressor(1).compress(tar[at : at + 70_001])
        for at in range(0, len(tar), 70_001)
    ),
    "zstd long": lambda tar: zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27)
    ).compress(tar),
}


@pytest.mark.parametrize("packer", PACKERS)
def test_every_compression(packer: str, tmp_path: Path) -> None:
    tar = sample(tarfile.PAX_FORMAT)
    check(indexed(tmp_path, tar, PACKERS[packer](tar)), tar)


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_layer_cut_short_is_refused(packer: str, cut: int, tmp_path: Path) -> None:
    """Consistent digests, but the compressed stream or the archive ends too early."""
    tar = sample(tarfile.PAX_FORMAT)
    if packer == "none":
        short, blob = tar[: -cut - 20_000], tar[: -cut - 20_000]
    else:
        short, blob = tar, PACKERS[packer](tar)[:-cut]
        if packer == "gzip padded":
            blob = blob[:-512]
    with pytest.raises(SourceError, match="layer 'sha256:"):
        indexed(tmp_path, short, blob)
    assert not list(tmp_path.glob(".tmp-*"))


def test_xattrs_and_times(tmp_path: Path) -> None:
    tar = TarBuilder()
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    tar.file("usr/a", b"x", xattrs={"user.b": b"2\0", "security.capability": capability})
    entry = indexed(tmp_path, tar.finish()).entries[0]
    assert entry.xattrs == ((b"security.capability", capability), (b"user.b", b"2\0"))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../x", "outside"), ("usr/../../x", "outside"), ("usr/..", ""), ("usr/" + "n" * 256, ""),
        ("d/" * 300 + "x", ""),
    ],
)  # fmt: skip
def test_paths_that_are_refused(path: str, reason: str, tmp_path: Path) -> None:
    tar = TarBuilder()
    tar.file(path, b"x")
    with pytest.raises(SourceError, match="is refused") as caught:
        indexed(tmp_path, tar.finish())
    assert reason in caught.value.message or "'" in caught.value.message


def test_wrong_digests_are_found(tmp_path: Path) -> None:
    tar = sample(tarfile.PAX_FORMAT)
    blob = gzip.compress(tar)
    (tmp_path / "blob").write_bytes(blob)
    right = {
        "directory": str(tmp_path), "diff_id": f"sha256:{hashlib.sha256(tar).hexdigest()}",
        "blob": str(tmp_path / "blob"), "size": len(blob),
        "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}",
    }  # fmt: skip
    for key, text in (("digest", "is broken"), ("diff_id", "diff_id")):
        with pytest.raises(SourceError, match=text):
            read_layer(right | {key: "sha256:" + "0" * 64}, ignore)
    with pytest.raises(SourceError, match="is broken"):
        read_layer(right | {"size": len(blob) + 1}, ignore)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 20_000), value=st.integers(0, 255), stretch=st.integers(1, 600))
def test_no_damage_is_a_crash(at: int, value: int, stretch: int, tmp_path: Path) -> None:
    """A tar with a run of bytes overwritten is read or refused, and never anything else."""
    tar = bytearray(sample(tarfile.PAX_FORMAT)[:30_000])
    tar[at : at + stretch] = bytes([value]) * len(tar[at : at + stretch])
    place = tmp_path / f"{at}-{value}-{stretch}"
    try:
        found = indexed(place, bytes(tar), bytes(tar))
    except SourceError:
        return
    for entry in found.entries:
        assert isinstance(entry, Entry)
        assert b".." not in entry.path.split(b"/")
        assert not entry.path.startswith(b"/")


_SKIPPABLE = [
    bytes((first,)) + b"\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data
    for first, data in ((0x50, b""), (0x5E, b"a comment"), (0x5F, bytes(300_000)))
]


@pytest.mark.parametrize("skipped", [[0], [1], [2], [0, 1, 2]])
def test_zstd_frames_that_are_skipped(skipped: list[int], tmp_path: Path) -> None:
    """RFC 8878, section 3.1.2: they may stand anywhere between frames."""
    tar = sample(tarfile.PAX_FORMAT)
    between = b"".join(_SKIPPABLE[number] for number in skipped)
    zstd = zstandard.ZstdCompressor(3)
    halves = zstd.compress(tar[:100_000]), zstd.compress(tar[100_000:])
    check(indexed(tmp_path, tar, between + halves[0] + between + halves[1] + between), tar)


def test_a_hard_link_before_its_target(tmp_path: Path) -> None:
    tar = TarBuilder()
    tar.hardlink("b", "a")
    tar.file("a", b"data")
    assert [entry.path for entry in indexed(tmp_path, tar.finish()).entries] == [b"b", b"a"]


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_devices_and_fifos_are_told_apart(kind: bytes, tmp_path: Path) -> None:
    tar = TarBuilder()
    tar.special("dev/null", kind)  # where a machine mounts its own
    tar.special("usr/x", kind)
    (entry,) = indexed(tmp_path, tar.finish()).entries
    assert (entry.path, entry.kind, entry.content, entry.checksum) == (
        b"usr/x", Kind.SPECIAL, None, None,
    )  # fmt: skip
