"""Signatures by Ed25519 (RFC 8032), verified by the library that Python's own sums come from."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

from ..errors import HostError

KEY_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
_NAMES: Final = ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so")
_KIND: Final = 1087  # EVP_PKEY_ED25519
_POINTER: Final = ctypes.c_void_p


def verify(key: bytes, signature: bytes, data: bytes) -> bool:
    """Say whether a signature of data is by a key. Raises HostError where there is no libcrypto."""
    library = _library()
    if library is None:
        raise HostError(
            "the signature of the image's root cannot be verified: this machine has no 'libcrypto'",
            hint="install OpenSSL's library (libssl3, openssl-libs)",
        )
    public = library.EVP_PKEY_new_raw_public_key(_KIND, None, key, len(key))
    context = library.EVP_MD_CTX_new()
    try:
        return bool(
            public
            and context
            and library.EVP_DigestVerifyInit(context, None, None, None, public) == 1
            and library.EVP_DigestVerify(context, signature, len(signature), data, len(data)) == 1
        )
    finally:
        library.EVP_MD_CTX_free(context)
        library.EVP_PKEY_free(public)


@cache
def _library() -> ctypes.CDLL | None:
    """Return libcrypto with the functions that are called, or None (EVP_DigestVerifyInit(3))."""
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name)
            library.EVP_PKEY_new_raw_public_key.restype = _POINTER
            library.EVP_PKEY_new_raw_public_key.argtypes = (
                ctypes.c_int, _POINTER, ctypes.c_char_p, ctypes.c_size_t,
            )  # fmt: skip
            library.EVP_MD_CTX_new.restype = _POINTER
            library.EVP_MD_CTX_new.argtypes = ()
            library.EVP_DigestVerifyInit.argtypes = (_POINTER,) * 5
            library.EVP_DigestVerify.argtypes = (
                _POINTER, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
            )  # fmt: skip
            library.EVP_MD_CTX_free.argtypes = library.EVP_PKEY_free.argtypes = (_POINTER,)
        except (OSError, AttributeError):
            continue
        return library
    return None
