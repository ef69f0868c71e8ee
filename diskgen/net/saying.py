"""What went wrong with a connection, in words: none of them is of a request, which has secrets."""

from __future__ import annotations

import ssl
from typing import Final

from .reading import TooSlowError

_WORDS: Final = {  # of what a system says of a connection, the narrower ones first
    TooSlowError: "it answers too slowly",
    FileNotFoundError: "there is no such socket",
    PermissionError: "this user may not connect to it",
    ConnectionRefusedError: "nobody listens there",
    TimeoutError: "no answer in time",
}


def in_words(error: Exception) -> str:
    """Return what an error of a connection means."""
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, ssl.SSLError):
        return tls_reason(error)
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"it does not speak HTTP as it should ({type(error).__name__})"


def tls_reason(error: ssl.SSLError) -> str:
    """Return the reason that TLS gives."""
    return (error.reason or str(error.args[-1])).lower().replace("_", " ")
