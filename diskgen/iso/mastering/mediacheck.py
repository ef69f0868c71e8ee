"""The checksum by which an installation medium tests itself: what ``checkisomd5`` reads.

Format: isomd5sum's ``libimplantisomd5.c`` and ``libcheckisomd5.c``: text in the application use
field of the primary volume descriptor (ECMA-119, 8.4.32), which is blank while it is summed.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO, Final

from ...errors import VerifyError

_SECTOR: Final = 2048
_DESCRIPTOR: Final = 16 * _SECTOR
_VOLUME_SIZE: Final = _DESCRIPTOR + 84  # big-endian half of the sector count
_FIELD: Final = _DESCRIPTOR + 883
_FIELD_SIZE: Final = 512
_SKIPPED: Final = 15  # sectors at the end, which writers of CDs used to garble
_FRAGMENTS: Final = 20
_PER_FRAGMENT: Final = 3  # characters of the running sum
_PIECE: Final = 32 * 1024
_LARGE: Final = 1024 * 1024
_TEXT: Final = re.compile(rb"ISO MD5SUM = ([0-9a-f]{32});SKIPSECTORS = (\d{1,6});")
_END: Final = "THIS IS NOT THE SAME AS RUNNING MD5SUM ON THIS ISO!!"


def implant(iso: Path) -> str:
    """Sum the image up to its volume size and write the sum into it; return it (hex).

    The last change to an image. Raises VerifyError for a file that is no ISO 9660 image.
    """
    with iso.open("r+b") as file:
        _descriptor(file, iso)
        file.seek(_FIELD)
        file.write(b" " * _FIELD_SIZE)
        total = _summed(file, _SKIPPED)
        file.seek(0)
        running = hashlib.md5(usedforsecurity=False)
        fragment, fragments, at = 0, "", 0
        while at < total:
            piece = file.read(min(_PIECE, total - at))
            if not piece:
                raise VerifyError(f"'{iso}' is shorter than its volume")
            running.update(piece)
            if at // (total // (_FRAGMENTS + 1)) != fragment:
                fragment = at // (total // (_FRAGMENTS + 1))
                # Bytes are printed without leading zeros and cut to one character.
                fragments += "".join(f"{b:x}"[0] for b in running.digest()[:_PER_FRAGMENT])
            at += len(piece)
        text = (
            f"ISO MD5SUM = {running.hexdigest()};SKIPSECTORS = {_SKIPPED};RHLISOSTATUS=0;"
            f"FRAGMENT SUMS = {fragments};FRAGMENT COUNT = {_FRAGMENTS};{_END}"
        )
        file.seek(_FIELD)
        file.write(text.encode().ljust(_FIELD_SIZE))
    return running.hexdigest()


def verify(medium: Path) -> None:
    """Compare a medium, or an image of one, with the sum in it. Raises VerifyError."""
    same = compare(medium)
    if same is None:
        raise VerifyError(f"'{medium}' has no checksum by which it could be tested")
    if not same:
        raise VerifyError(
            f"'{medium}' is not as it was made: its checksum is another one",
            hint="write the medium again, or take another one",
        )


def compare(medium: Path) -> bool | None:
    """Say whether a medium is as the sum in it says; None where it has none.

    Reads all of it. Raises VerifyError for what is no ISO 9660 image.
    """
    with medium.open("rb") as file:
        _descriptor(file, medium)
        file.seek(_FIELD)
        found = _TEXT.match(file.read(_FIELD_SIZE))
        if found is None:
            return None
        total = _summed(file, int(found[2]))
        file.seek(0)
        running = hashlib.md5(usedforsecurity=False)
        at = 0
        while at < total:
            piece = bytearray(file.read(min(_LARGE, total - at)))
            if not piece:
                break
            for offset in range(max(_FIELD - at, 0), min(_FIELD + _FIELD_SIZE - at, len(piece))):
                piece[offset] = ord(" ")
            running.update(piece)
            at += len(piece)
    return running.hexdigest() == found[1].decode()


def _descriptor(file: BinaryIO, path: Path) -> None:
    file.seek(_DESCRIPTOR)
    if file.read(6) != b"\x01CD001":
        raise VerifyError(f"'{path}' is no ISO 9660 image")


def _summed(file: BinaryIO, skipped: int) -> int:
    """Return how many bytes are summed up."""
    file.seek(_VOLUME_SIZE)
    return (int.from_bytes(file.read(4), "big") - skipped) * _SECTOR
