"""People at terminals, for what is asked there. Tests only."""

from __future__ import annotations

import os
import pty
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Typist:
    """Someone at a terminal: waits for a text there, then types."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.path = Path(os.ttyname(slave))
        self._slave = slave  # kept open, as the kernel keeps a console's
        self.seen = ""
        self.closed = False

    def read(self, until: str, seconds: float = 10) -> str:
        """Return what was shown up to a text."""
        before, deadline = len(self.seen), time.monotonic() + seconds
        while until not in self.seen[before:]:
            assert time.monotonic() < deadline, self.seen
            data = os.read(self.master, 4096).decode()
            self.seen += data.replace("\r", "")  # the terminal may add its own
        return self.seen[before:]

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def answer(self, question: str, text: str) -> None:
        self.read(question)
        time.sleep(0.05)  # what was typed before a question does not count
        self.type(f"{text}\r")

    def hang_up(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._slave)
            os.close(self.master)


@contextmanager
def doing(*steps: Callable[[], None]) -> Iterator[list[BaseException]]:
    """Do something at the terminal while the block runs; what goes wrong there goes wrong here."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for step in steps:
                step()
        except BaseException as error:  # noqa: BLE001 - told where it is waited for
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield failed
    thread.join(15)
    assert not thread.is_alive()
    assert not failed, failed
