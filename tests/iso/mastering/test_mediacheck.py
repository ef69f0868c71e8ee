"""The checksum by which a medium tests itself, judged by checkisomd5 too."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from diskgen.errors import VerifyError
from diskgen.iso.mastering import mediacheck
from diskgen.iso.mastering.master import Medium as Tree
from diskgen.iso.mastering.master import master
from diskgen.tree import Directory, regular
from diskgen.units import MIB


@pytest.fixture(scope="module")
def summed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("summed")
    root = Directory()
    root.add("noise", regular(random.Random(7).randbytes(5 * MIB)))
    master(place / "x.iso", Tree(root=root, label="X", timestamp=1_790_000_000, application="T"))
    return place / "x.iso"


def copied(source: Path, place: Path) -> Path:
    return Path(shutil.copyfile(source, place / "copy.iso"))


def judged(iso: Path) -> bool:
    return subprocess.run(["checkisomd5", iso], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_good_medium(summed: Path, tmp_path: Path, whose: str) -> None:
    iso = copied(summed, tmp_path)
    if whose == "ours":
        mediacheck.implant(iso)
    else:
        subprocess.run(["implantisomd5", iso], check=True, capture_output=True)
    mediacheck.verify(iso)
    assert judged(iso)
    with iso.open("ab") as file:  # a stick is longer than what was written on it
        file.write(bytes(MIB))
    mediacheck.verify(iso)


@pytest.mark.parametrize("at", [0, 32768 + 40, 2 * MIB, -100 * 2048])
def test_one_wrong_byte(summed: Path, tmp_path: Path, at: int) -> None:
    iso = copied(summed, tmp_path)
    mediacheck.implant(iso)
    data = bytearray(iso.read_bytes())
    data[at] ^= 1
    iso.write_bytes(data)
    assert not judged(iso)
    with pytest.raises(VerifyError, match="is not as it was made") as caught:
        mediacheck.verify(iso)
    assert caught.value.hint


def test_no_checksum_and_no_medium(summed: Path, tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match="has no checksum"):
        mediacheck.verify(summed)
    short = copied(summed, tmp_path)
    mediacheck.implant(short)
    os.truncate(short, 2 * MIB)
    with pytest.raises(VerifyError, match="is not as it was made"):
        mediacheck.verify(short)
    (tmp_path / "empty").touch()
    with pytest.raises(VerifyError, match="is no ISO 9660 image"):
        mediacheck.verify(tmp_path / "empty")
