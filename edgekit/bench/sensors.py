"""Numbers that the kernel shows in files, read over and over while a network runs.

What gives nothing at a reading is left out of it: never 0.
"""

import logging
import math
import threading
import time
from typing import Callable, Mapping, Optional, Tuple

import numpy as np

from edgekit.bench.timing import Clock
from edgekit.sysfs import read_number

Probe = Callable[[], Optional[float]]

_LOG = logging.getLogger(__name__)
_MOST_ROWS = 8192


def file_probe(path: str, factor: float = 1.0) -> Probe:
    """A probe of one file, times `factor`."""

    def probe() -> Optional[float]:
        value = read_number(path)
        return None if value is None else value * factor

    return probe


class Log:
    """Readings over time, in memory that is allocated once.

    When it is full every second reading is dropped, and from then on only every second one is kept, and so on.

    Args:
        probes: name -> what to read.
        most: how many readings are kept.
    """

    def __init__(self, probes: Mapping[str, Probe], most: int = _MOST_ROWS) -> None:
        self.names = tuple(probes)
        self._probes = tuple(probes.values())
        self._rows = np.full((most, 1 + len(self.names)), np.nan)
        self._count = 0
        self._stride = 1
        self._skipped = 0

    def __len__(self) -> int:
        return self._count

    def take(self, now_s: float) -> None:
        """Read every probe once; `now_s` is when."""
        values = [probe() for probe in self._probes]
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        if self._count == len(self._rows):
            kept = self._rows[::2].copy()
            self._rows[: len(kept)] = kept
            self._count = len(kept)
            self._stride *= 2
        self._rows[self._count] = [now_s] + [math.nan if value is None else value for value in values]
        self._count += 1

    def clear(self) -> None:
        """Forget all readings and keep every one again."""
        self._count, self._stride, self._skipped = 0, 1, 0

    def series(self, name: str) -> Tuple[np.ndarray, np.ndarray]:
        """When (N,) seconds and what (N,) a probe read, without the readings that gave nothing."""
        rows = self._rows[: self._count]
        values = rows[:, 1 + self.names.index(name)]
        read = np.isfinite(values)
        return rows[read, 0].copy(), values[read].copy()


class Sampler:
    """Fills two logs from a thread of its own: one often, one now and then.

    Args:
        fast: read every `period_s`.
        slow: read every `slow_every` times of it.
        period_s: between two readings; readings that take longer follow each other.
        slow_every: see `slow`.
        clock: seconds, the one that stamps the frames.
    """

    def __init__(
        self, fast: Log, slow: Log, period_s: float = 0.05, slow_every: int = 10, clock: Clock = time.monotonic
    ) -> None:
        self.fast = fast
        self.slow = slow
        self.period_s = period_s
        self.readings = 0
        self.busy_s = 0.0
        self._slow_every = slow_every
        self._clock = clock
        self._lock = threading.RLock()  # times in a log only ever rise
        self._stop = threading.Event()
        self._error: Optional[Exception] = None
        self._thread = threading.Thread(target=self._run, name="edgekit-sensors", daemon=True)

    def start(self) -> None:
        """Take a first reading of both logs and start the thread."""
        self.take(slow=True)
        self._thread.start()

    def take(self, slow: bool = False) -> float:
        """Read once; the slow log too when it is its turn, or asked for. Any thread may.

        Returns:
            When, in seconds of the clock.
        """
        with self._lock:
            start_s = self._clock()
            self.fast.take(start_s)
            if slow or self.readings % self._slow_every == 0:
                self.slow.take(start_s)
            self.readings += 1
            self.busy_s += self._clock() - start_s
            return start_s

    def restart(self) -> None:
        """Empty the fast log and begin it with a reading of now."""
        with self._lock:
            self.fast.clear()
            self.take()

    def stop(self) -> None:
        """End the thread and take a last reading of both logs; a second call does nothing.

        Raises:
            Exception: what ended the thread before.
        """
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._error is not None:
            raise self._error
        self.take(slow=True)

    def _run(self) -> None:
        next_s = self._clock() + self.period_s
        try:
            while not self._stop.wait(max(0.0, next_s - self._clock())):
                self.take()
                next_s = max(next_s + self.period_s, self._clock())
        except Exception as error:
            _LOG.debug("the sensor thread ended", exc_info=True)
            self._error = error
