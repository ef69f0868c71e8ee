"""Answers of HTTP, read within a count of bytes and a time; what was cut is no answer."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Iterator
from typing import Final

_CHUNK: Final = 256 * 1024
_SILENCES: Final = 4  # that a whole answer may take, for a server that sends byte by byte


class TooMuchError(Exception):
    """An answer has more bytes than are read."""


class TooSlowError(TimeoutError):
    """An answer takes longer than is waited for, though it is never silent for long."""


class NotHTTPError(http.client.HTTPException):
    """An answer is none of HTTP."""


def answer_of(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Return an answer whose body is still to come. Raises OSError, HTTPException."""
    try:
        return connection.getresponse()
    except OSError:  # among which are some that are a ValueError, too
        raise
    except ValueError as error:
        raise NotHTTPError from error


def chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield a body as it comes, and let go of the answer behind it.

    Raises OSError, HTTPException where it is cut, or is not as HTTP has it.
    """
    left = response.length  # None: in chunks that have lengths of their own
    while chunk := _next(response):
        left = None if left is None else left - len(chunk)
        yield chunk
    if left:
        raise ConnectionError("cut within an answer")
    response.close()


def _next(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except OSError:
        raise
    except ValueError as error:
        raise NotHTTPError from error


def within(parts: Iterable[bytes], most: int, timeout: float) -> bytes:
    """Return what comes in parts; ``timeout`` are the seconds of silence that end it.

    Raises TooMuchError beyond ``most`` bytes, TooSlowError where it takes many times as long.
    """
    out: list[bytes] = []
    size = 0
    deadline = time.monotonic() + _SILENCES * timeout
    for part in parts:
        out.append(part)
        size += len(part)
        if size > most:
            raise TooMuchError
        if time.monotonic() > deadline:
            raise TooSlowError
    return b"".join(out)
