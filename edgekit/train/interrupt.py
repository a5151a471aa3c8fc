"""Ctrl-C that waits for the step under way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GRACE_S = 2.0


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: a checkpoint was written; the message says how to go on. Exit status 130."""


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """While open, the first Ctrl-C or SIGTERM is only noted, so that the step under way ends whole.

    Another one interrupts at once, unless it comes within `GRACE_S`: torchrun passes one Ctrl-C on as two signals.
    Outside of the main thread signals cannot be caught and nothing is noted.
    """
    asked: list[float] = []

    def note(number: int, frame: object) -> None:
        if asked and time.monotonic() - asked[0] > GRACE_S:
            raise KeyboardInterrupt
        asked.append(time.monotonic())

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
