"""Loads a boot map as the firmware of a mainframe does: an independent reader. Tests only."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Loaded:
    """What one program left in memory: (address, bytes) of each component, and the start PSW."""

    components: list[tuple[int, bytes]]
    psw: int

    def at(self, address: int, size: int) -> bytes:
        """Return memory as the last component that covers it left it."""
        memory = bytearray(size)
        for begin, data in self.components:
            low, high = max(begin, address), min(begin + len(data), address + size)
            if low < high:
                memory[low - address : high - address] = data[low - begin : high - begin]
        return bytes(memory)


def load(disk: Path, program: int = 0, *, sector_size: int = 512) -> Loaded:
    """Follow block 0, program table, component table and segment tables."""
    with disk.open("rb") as file:

        def blocks(pointer: bytes) -> bytes:
            number, size, count, rest = struct.unpack(">QHHI", pointer)
            assert size == sector_size
            assert rest == 0
            file.seek(number * size)
            data = file.read((count + 1) * size)
            assert len(data) == (count + 1) * size, "the pointer leaves the disk"
            return data

        def segments(pointer: bytes) -> bytes:
            out = b""
            while int.from_bytes(pointer[:8], "big"):
                table = blocks(pointer)
                rows = [table[at : at + 16] for at in range(0, len(table), 16)]
                for row in rows[:-1]:
                    if not int.from_bytes(row[:8], "big"):
                        break
                    out += blocks(row)
                pointer = rows[-1]
            return out

        head = file.read(512)
        assert head[:8] == b"zIPL\0\0\0\1"
        programs = blocks(head[16:32])
        assert programs[:4] == b"zIPL"
        row = programs[16 + 16 * program : 32 + 16 * program]
        assert any(row), f"there is no program {program}"
        table = blocks(row)
        assert table[:5] == b"zIPL\0"
        found: list[tuple[int, bytes]] = []
        for at in range(32, len(table), 32):
            pointer, kind = table[at : at + 16], table[at + 23]
            (value,) = struct.unpack_from(">Q", table, at + 24)
            if kind == 1:
                return Loaded(found, value)
            assert kind == 2
            found.append((value, segments(pointer)))
        raise AssertionError("no program is started")
