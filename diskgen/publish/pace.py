"""How many bytes a second leave, over all connections."""

from __future__ import annotations

import threading
import time


class Pace:
    """A limit that workers share: each waits for its turn before it sends. None: no limit."""

    def __init__(self, bytes_per_second: int | None = None) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._free = 0.0  # by time.monotonic(), when the next may begin

    @property
    def rate(self) -> int | None:
        """Bytes a second."""
        return self._rate

    def take(self, amount: int, stop: threading.Event) -> None:
        """Wait until ``amount`` bytes may be sent, or the event is set."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._free)
            self._free = begin + amount / self._rate
        if begin > now:
            stop.wait(begin - now)
