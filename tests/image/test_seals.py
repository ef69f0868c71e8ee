"""Sums for fs-verity are worked out once for each pack, and are those of fsverity(1)."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from diskgen.image.seals import add_seals
from diskgen.packsums import DamagedEntry, PackSums, Summer
from diskgen.tree import Content, Data, File, Packed, read, symlink

from ..fixtures.ext4_disks import BLOCK, Pack
from ..oracles.fsverity import sealed


def files(place: Path) -> list[File]:
    """Return files of two packs and of memory; the same ones for the same place."""
    packs = [Pack(place / f"{number}.pack") for number in range(2)]
    contents: list[Content] = [Data(b""), Data(b"in memory" * 1000)]
    for pack in packs:
        contents += [pack.content(size) for size in (1, 4096, 4097, 200_000)]
        contents.append(pack.content(0, 3 * BLOCK, 100, size=9 * BLOCK + 1))
        contents += [pack.content(777) for _ in range(600)]  # more than one batch
        contents.append(pack.content(size=50_000))
    return [File(mode=stat.S_IFREG | 0o644, content=content) for content in contents]


def digests(made: list[File]) -> list[bytes]:
    return [file.seal.digest for file in made if file.seal is not None]


def test_they_are_those_of_the_program(tmp_path: Path) -> None:
    made = files(tmp_path)
    done: list[int] = []
    add_seals([*made, symlink("nowhere")], done.append)
    assert len(digests(made)) == len(made)
    for file in [*made[:7], made[-1]]:
        assert file.content is not None
        assert file.seal is not None
        assert file.seal.digest == sealed(read(file.content), tmp_path).digest
    assert sum(done) == sum(file.size for file in made if isinstance(file.content, Packed))


def test_a_second_build_reads_no_contents(tmp_path: Path) -> None:
    made = files(tmp_path)
    add_seals(made, lambda _bytes: None)
    wanted, again = digests(made), files(tmp_path)
    for pack in tmp_path.glob("*.pack"):
        pack.write_bytes(bytes(pack.stat().st_size))
    add_seals(again, lambda _bytes: None)
    assert digests(again) == wanted
    new = File(mode=stat.S_IFREG, content=Packed(tmp_path / "0.pack", 5, ((0, 5, 0),)))
    add_seals([new], lambda _bytes: None)
    assert digests([new]) == [sealed(bytes(5), tmp_path).digest]
    last = files(tmp_path)
    add_seals(last, lambda _bytes: None)
    assert digests(last) == wanted, "what is added takes nothing away"


@pytest.mark.parametrize("how", ["flipped", "cut", "another's", "a directory"])
def test_a_table_that_is_not_ours_counts_for_nothing(tmp_path: Path, how: str) -> None:
    made = files(tmp_path)
    add_seals(made, lambda _bytes: None)
    table, other = tmp_path / "0.seals", tmp_path / "1.seals"
    data = table.read_bytes()
    match how:
        case "flipped":
            table.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "cut":
            table.write_bytes(data[:-32])
        case "another's":
            table.write_bytes(other.read_bytes())
        case _:
            table.unlink()
            table.mkdir()
    again = files(tmp_path)
    add_seals(again, lambda _bytes: None)
    assert digests(again) == digests(made)
    assert table.read_bytes() == data


def test_a_damaged_pack_is_told(tmp_path: Path) -> None:
    pack = Pack(tmp_path / "0.pack")
    content = pack.content(20_000)
    data = bytearray(pack.path.read_bytes())
    summer = Summer()
    summer.add(memoryview(data))
    sums = PackSums(pack.path, len(data), summer.finish())
    data[5000] ^= 1
    pack.path.write_bytes(data)
    damaged = Packed(content.pack, content.size, content.extents, sums)
    with pytest.raises(DamagedEntry):
        add_seals([File(mode=stat.S_IFREG, content=damaged)], lambda _bytes: None)
    assert not (tmp_path / "0.seals").exists()
