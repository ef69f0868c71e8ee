"""A subscription on loopback, and a disk for it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from diskgen.formats.vhd import footer
from diskgen.publish.publication import DiskFile
from diskgen.units import MIB

from ...fixtures import azure_stand_in
from ...fixtures.azure_runs import DATA, QUICK, SIZE
from ...fixtures.azure_stand_in import azure


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[azure_stand_in.Azure]:
    monkeypatch.setattr("diskgen.publish.azure.arm._LOOK_SECONDS", 0.001)
    monkeypatch.setattr("diskgen.publish.azure.destination.Patience", lambda: QUICK)
    with azure() as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def disk(tmp_path: Path) -> DiskFile:
    path = tmp_path / "os.vhd"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for number in DATA:
            file.seek(number * MIB + number * 1000)
            file.write(random.Random(number).randbytes(5000))
        file.seek(15 * MIB)
        file.write(bytes(MIB))  # written, and zeros nevertheless
        file.seek(SIZE)
        file.write(footer(SIZE, UUID(int=1)))
    return DiskFile(path=path, format="vhd", size=SIZE, arch="x86_64", sector_size=512,
                    firmware=frozenset({"uefi", "bios", "secureboot"}))  # fmt: skip
