"""Signed roots: what a machine asks at its boot before it mounts one, asked of the image here.

ostree-prepare-root looks for a signature of the commit that the deployment's is derived from, by a
key of the initramfs, and mounts the composefs image only if its fs-verity digest is the one that
this commit names. Both come with an image whose base was encapsulated; nothing is signed here.

Formats: ostree's ``ostree-core.h`` (OSTREE_COMMIT_GVARIANT_FORMAT), ``ostree-sign-ed25519.c``;
ostree-prepare-root(1).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Final

from ..errors import Problem, SourceError
from ..gvariant import unpack, unpack_array, unpack_vardict
from ..tree import Directory
from . import ed25519
from .encapsulated import Base
from .lookup import find_text
from .prepare_root import key_path

_DIGEST: Final = "ostree.composefs.digest.v0"
_SIGNATURES: Final = "ostree.sign.ed25519"
_HINT: Final = "'enabled=verity' in the image and its initramfs verifies without a signature"
_UNSIGNED: Final = "this image's root is to be signed (prepare-root.conf: composefs.enabled=signed)"
_DIGEST_SIZE: Final = 32


def problems(root: Directory, base: Base | None) -> list[Problem]:
    """Return why the machine would refuse its root, as far as it is known without the root.

    Raises SourceError for files and commits that cannot be read, HostError where this machine
    cannot verify signatures.
    """
    path = key_path(root)
    keys = _keys(find_text(root, path))
    return [
        Problem(code="composefs", message=f"{_UNSIGNED}, {reason}", hint=_HINT)
        for reason in (*_of_keys(path, keys), *_of_commit(base, keys or []))
    ]


def check_digest(base: Base | None, digest: bytes) -> None:
    """Refuse a composefs image, by its fs-verity digest, that is not the signed one's."""
    wanted = _digest(base) if base is not None else None
    if wanted != digest:
        raise SourceError(
            f"{_UNSIGNED}, and is another one than was signed: its composefs image has the digest "
            f"'{digest.hex()}', the signed commit names '{(wanted or b'').hex()}'",
            hint="layers above the base change it, and nobody has signed the result: sign after "
            f"the last change; {_HINT}",
        )


def _of_keys(path: str, keys: list[bytes] | None) -> Iterator[str]:
    if keys is None:
        yield f"and it has no keys for that in '{path}'"
    elif not keys or any(len(key) != ed25519.KEY_SIZE for key in keys):
        yield f"and '{path}' does not hold keys of Ed25519, a line of base64 each"


def _of_commit(base: Base | None, keys: list[bytes]) -> Iterator[str]:
    if base is None:
        yield "but it is made of layers alone, and brings no commit that could be signed"
        return
    if _digest(base) is None:
        yield f"but its commit '{base.commit.hex()}' names no root ('{_DIGEST}')"
    signatures = _signatures(base)
    if not signatures:
        yield f"but its commit '{base.commit.hex()}' has no signature of Ed25519"
    elif keys and not any(
        ed25519.verify(key, signature, base.commit_data) for key in keys for signature in signatures
    ):
        yield f"but none of its keys has signed its commit '{base.commit.hex()}'"


def _keys(text: str | None) -> list[bytes] | None:
    """Return the keys of a file; one that is none becomes an empty one."""
    if text is None:
        return None
    found: list[bytes] = []
    for line in text.split():
        try:
            found.append(base64.b64decode(line, validate=True))
        except ValueError:  # binascii.Error, and another one for what is no ASCII
            found.append(b"")
    return found


def _digest(base: Base) -> bytes | None:
    """Return the digest of the composefs image that a commit names."""
    value = _variant(unpack(base.commit_data, *[None] * 5, (8, 8), None, None)[0], _DIGEST, b"ay")
    return value if value is not None and len(value) == _DIGEST_SIZE else None


def _signatures(base: Base) -> list[bytes]:
    value = _variant(base.commitmeta or b"", _SIGNATURES, b"aay")
    try:
        found = unpack_array(value or b"")
    except ValueError as error:
        raise _broken(error) from None
    return [signature for signature in found if len(signature) == ed25519.SIGNATURE_SIZE]


def _variant(table: bytes, key: str, kind: bytes) -> bytes | None:
    """Return a value of an ``a{sv}`` that has a type."""
    try:
        value, _nul, found = unpack_vardict(table).get(key, b"").rpartition(b"\0")
    except ValueError as error:
        raise _broken(error) from None
    return value if found == kind else None


def _broken(error: ValueError) -> SourceError:
    return SourceError(
        f"the metadata of the image's commit is malformed: {error}",
        hint="the base image is damaged: pull it again, or take another one",
    )
