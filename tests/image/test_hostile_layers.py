"""Layers made to take all memory or time: refused soon, in little, by the budget's name."""

from __future__ import annotations

import hashlib
import json
import stat
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from diskgen.errors import SourceError
from diskgen.image import tarstream
from diskgen.image.counts import Counts

from ..fixtures.measured import measured
from ..fixtures.oci import Layout, bootable_tar

_SIZE, _MTIME, _SUM = slice(124, 136), slice(136, 148), slice(148, 156)
_FIELDS = {"mode": slice(100, 108), "uid": slice(108, 116), "gid": slice(116, 124), "size": _SIZE}
_ZEROS = bytes(1024 * 1024)
_NO_NUMBER = r"for a number|has the number -"


@dataclass(frozen=True)
class Outcome:
    answer: dict[str, str]
    peak: int  # bytes of memory
    seconds: float  # of processors


def packed(place: Path, tar: Iterator[bytes]) -> dict[str, object]:
    """Write a layer as a zstd blob; return a worker's job."""
    place.mkdir(parents=True, exist_ok=True)
    packer = zstandard.ZstdCompressor(1).compressobj()
    inside, blob = hashlib.sha256(), place / "blob"
    with blob.open("wb") as file:
        for piece in tar:
            inside.update(piece)
            file.write(packer.compress(piece))
        file.write(packer.flush())
    with blob.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "directory": str(place), "blob": str(blob), "size": blob.stat().st_size,
        "digest": f"sha256:{digest}", "diff_id": f"sha256:{inside.hexdigest()}",
    }  # fmt: skip


def worked(place: Path, tar: Iterator[bytes]) -> Outcome:
    """Let a worker of its own read a layer."""
    return answered(packed(place, tar))


def answered(job: dict[str, object]) -> Outcome:
    """Give a job to a worker of its own."""
    argv = [sys.executable, "-m", "diskgen.image.worker"]
    done = measured(argv, json.dumps(job).encode() + b"\n")
    assert done.status == 0
    return Outcome(json.loads(done.output.splitlines()[-1]), done.peak, done.seconds)


def head(path: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(path[:100])
    info.type, info.size = kind, size
    return info.tobuf(tarfile.USTAR_FORMAT)[:512]


def summed(block: bytearray) -> bytes:
    block[_SUM] = b" " * 8
    block[_SUM] = b"%06o\0 " % sum(block)
    return bytes(block)


def meta(kind: bytes, data: bytes) -> bytes:
    return (head("meta", kind, len(data))) + data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _attributes() -> Iterator[bytes]:
    for number in range(200):
        value = b"%d" % number + b"v" * 1_000_000
        yield meta(b"x", record(b"SCHILY.xattr.user.a", value)) + head(f"f{number}")


def _long_paths() -> Iterator[bytes]:
    long = "/".join(["d" * 200] * 19)
    for number in range(60_000):
        yield meta(b"L", f"{long}/{number:0150}".encode()) + head("f")


def _long_targets() -> Iterator[bytes]:
    for number in range(60_000):
        yield meta(b"K", b"%04000d" % number) + head(f"f{number}", tarfile.SYMTYPE)


def _global_keys() -> Iterator[bytes]:
    for number in range(60):
        keys = (record(b"k%d" % key, b"v") for key in range(number * 1000, number * 1000 + 1000))
        yield meta(b"g", b"".join(keys))
    for number in range(10_000):
        yield (head(f"f{number}"))


def _keys() -> Iterator[bytes]:
    for number in range(500):
        yield meta(b"x", record(b"k", b"") * 100_000) + head(f"f{number}")


def _headers() -> Iterator[bytes]:
    for _ in range(1000):
        yield meta(b"x", record(b"comment", b"x"))


def _implied() -> Iterator[bytes]:
    for number in range(40_000):
        yield head(f"{number:05}" + "/d" * 45)


def _entries() -> Iterator[bytes]:
    block = bytearray(head("e"))
    block[156:157] = tarfile.DIRTYPE
    for number in range(1_100_002):
        block[:9] = b"%09d" % number
        yield summed(block)


LAYERS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "attributes": (_attributes, "budget 'all-attributes-bytes'"),
    "paths": (_long_paths, "budget 'all-names-bytes'"),
    "targets": (_long_targets, "budget 'all-names-bytes'"),
    "global keys": (_global_keys, "budget 'global-keys'"),
    "keys": (_keys, "budget 'keys'"),
    "headers": (_headers, "budget 'headers'"),
    "implied directories": (_implied, "budget 'entries'"),
    "a header": (lambda: iter([meta(b"x", record(b"k", _ZEROS))]), "budget 'header-bytes'"),
    "a path": (lambda: iter([meta(b"L", b"d/" * 2049), head("f")]), "budget 'path-bytes'"),
    "levels": (lambda: iter([meta(b"L", b"d/" * 201), head("f")]), "budget 'path-depth'"),
    "a name": (lambda: iter([meta(b"L", b"d" * 256), head("f")]), "budget 'name-bytes'"),
    "a file": (
        lambda: iter([meta(b"x", record(b"size", b"1" + b"0" * 14)), head("f")]),
        "budget 'file-bytes'",
    ),
}


LARGE = ("paths", "targets", "implied directories")


@pytest.mark.parametrize(
    "what",
    [pytest.param(name, marks=pytest.mark.extended if name in LARGE else ()) for name in LAYERS],
)
def test_a_budget_ends_it(tmp_path: Path, what: str) -> None:
    make, said = LAYERS[what]
    outcome = worked(tmp_path, make())
    assert said in outcome.answer["message"], outcome.answer
    assert outcome.peak < 900 * 2**20
    assert outcome.seconds < 20


@pytest.mark.extended
def test_as_many_entries_as_there_may_be(tmp_path: Path) -> None:
    outcome = worked(tmp_path, _entries())
    assert "budget 'entries'" in outcome.answer["message"]
    assert outcome.peak < 1.5 * 2**30


@pytest.mark.extended
def test_thirty_gigabytes_of_zeros(tmp_path: Path) -> None:
    """A frame for each of them; the sum of all the tar is nobody's who refuses it in time."""
    block = bytearray(head("f"))
    block[_SIZE] = (1 << 95 | 30 * 2**30).to_bytes(12, "big")
    packer = zstandard.ZstdCompressor(1).compressobj()
    frame = b"".join(packer.compress(_ZEROS) for _ in range(1024)) + packer.flush()
    data = zstandard.compress(summed(block)) + 30 * frame
    (tmp_path / "blob").write_bytes(data)
    outcome = answered(
        {
            "directory": str(tmp_path), "blob": str(tmp_path / "blob"), "size": len(data),
            "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "diff_id": f"sha256:{0:064}",
        }
    )  # fmt: skip
    assert "decompression bomb" in outcome.answer["message"]
    assert "budget 'expansion'" in outcome.answer["message"]
    assert outcome.seconds < 60


def test_zeros_of_several_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Holes make no pack grow, and each layer alone may be below what a bomb begins at."""
    from diskgen import events
    from diskgen.arch import MACHINES
    from diskgen.config import AccessOptions
    from diskgen.image import fetch, layers
    from diskgen.image.store import Store
    from diskgen.reference import parse

    monkeypatch.setattr("diskgen.image.counts.EXPANSION_FLOOR", 100 * 2**20)  # of this process
    layout = Layout(tmp_path / "os")
    size = 80 * 2**20
    tars = [(head(f"f{number}", size=size)) + bytes(size + 1024) for number in range(4)]
    made = [layout.layer(tar, "zstd") for tar in (bootable_tar(), *tars)]
    layout.finish(layout.image(made))
    ref = parse(f"oci:{layout.place}")

    def ignore(_event: events.Event) -> None:
        """Report to nobody."""

    with Store(tmp_path / "cache").session() as store:
        image = fetch.fetch(ref, MACHINES["x86_64"], AccessOptions(), store, ignore)
        with pytest.raises(SourceError, match=r"the layers are a decompression bomb.*'expansion'"):
            layers.index_layers(image, store.layers, ignore)


@pytest.mark.parametrize("value", [b"-0000000001\0", b"-1\0", b"\xff" * 12, b"\xff" + b"\0" * 11])
@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K", b"0", b"1", b"2", b"5"])
def test_negative_sizes(kind: bytes, value: bytes) -> None:
    """A size below zero read the same header again and again, for ever."""
    block = bytearray(head("f", kind))
    block[_SIZE] = value.ljust(12, b"\0")
    begun = time.monotonic()
    with pytest.raises(SourceError, match=_NO_NUMBER):
        list(_read(summed(block) + bytes(1024)))
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("field", _FIELDS)
@pytest.mark.parametrize("value", [b"-1", b"+1", b"0x1", b"1_0", b"8", b"1 1", b"\xff\xff", b"a"])
def test_numbers_that_are_none(field: str, value: bytes) -> None:
    block = bytearray(head("f"))
    place = _FIELDS[field]
    block[place] = value.ljust(place.stop - place.start, b"\xff" if value[0] > 127 else b"\0")
    with pytest.raises(SourceError, match=_NO_NUMBER):
        list(_read(summed(block) + bytes(1024)))


def test_numbers_without_an_end() -> None:
    """Where digits fill a field, the next one begins at once."""
    block = bytearray(head("f"))
    for place, value in ((_SIZE, b"000000000005"), (_MTIME, b"100000000007")):
        block[place] = value
    (found,) = _read(summed(block) + bytes(1024))
    assert (found.size, found.mtime) == (5, 8**11 + 7)


@pytest.mark.parametrize("field", ["mode", "uid", "gid", "size"])
def test_nothing_counts_that_follows_the_end_of_a_number(field: str) -> None:
    """By tarfile's word."""
    block = bytearray(head("f"))
    place = _FIELDS[field]
    block[place] = b" 5\0".ljust(place.stop - place.start, b"7")
    whole = summed(block)
    (found,) = _read(whole + bytes(1024))
    known = tarfile.TarInfo.frombuf(whole, "utf-8", "strict")
    assert (stat.S_IMODE(found.mode), found.uid, found.gid, found.size) == (
        known.mode, known.uid, known.gid, known.size,
    )  # fmt: skip
    assert getattr(known, field) == 5


@pytest.mark.parametrize("key", [b"size", b"uid", b"gid", b"mtime"])
@pytest.mark.parametrize("value", [b"", b"+1", b"1_0", b"0x1", b"--1", b" 1", b"1" * 21, b"1e5"])
def test_pax_numbers_that_are_none(key: bytes, value: bytes) -> None:
    with pytest.raises(SourceError, match="a pax header has"):
        list(_read(meta(b"x", record(key, value)) + (head("f")) + bytes(1024)))


@pytest.mark.parametrize("length", [b"-5", b"+9", b"1_0", b"0", b" 9", b""])
def test_pax_records_with_odd_lengths(length: bytes) -> None:
    with pytest.raises(SourceError, match="malformed"):
        list(_read(meta(b"x", length + b" a=bcde\n") + (head("f")) + bytes(1024)))


@pytest.mark.parametrize("name", [b"", b"noprefix", b"user.a\0b", b"user." + b"n" * 251])
def test_names_of_attributes_that_are_none(name: bytes) -> None:
    with pytest.raises(SourceError, match="an attribute with an impossible name"):
        list(_read(meta(b"x", record(b"SCHILY.xattr." + name, b"v")) + head("f") + bytes(1024)))


@pytest.mark.parametrize("kind", [b"0", b"\0"])
def test_directories_of_old_archives(kind: bytes) -> None:
    found = list(_read(head("d/", kind) + head("e/f", kind) + bytes(1024)))
    assert [(entry.path, stat.S_IFMT(entry.mode)) for entry in found] == [
        (b"d", stat.S_IFDIR), (b"e/f", stat.S_IFREG),
    ]  # fmt: skip


def test_times_before_1970() -> None:
    block = bytearray(head("f"))
    block[_MTIME] = b"\xff" * 12
    (found,) = _read(summed(block) + bytes(1024))
    assert found.mtime == -1


@pytest.mark.parametrize(
    ("path", "said"), [("%04000d", "'all-names-bytes'"), ("%d" + "/d" * 190, "'entries'")]
)
def test_what_a_layer_counts(path: str, said: str) -> None:
    """The same budgets as in the large layers above, without making these."""
    counts = Counts(SourceError)

    def add() -> None:
        for number in range(100_000):
            counts.add((path % number).encode(), b"", ())

    with pytest.raises(SourceError, match=said):
        add()


def test_directories_that_paths_imply_are_counted() -> None:
    counts = Counts(SourceError)
    for path, so_far in ((b"a", 1), (b"b/c", 3), (b"b/d", 4), (b"b/e/f/g", 7)):
        counts.add(path, b"", ())
        assert counts.entries == so_far


def test_alike_attributes_are_counted_once() -> None:
    counts = Counts(SourceError)
    made = [((b"user.a", b"v" * n),) for n in [1_000_000] * 100]
    shared = {id(counts.add(b"f%d" % number, b"", one)) for number, one in enumerate(made)}
    assert len(shared) == 1


def _read(data: bytes) -> Iterator[tarstream.Header]:
    return tarstream.entries(tarstream.Stream(iter([data])), SourceError)
