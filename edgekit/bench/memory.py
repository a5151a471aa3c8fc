"""Memory of this process as the kernel accounts it (Linux)."""

import re
from typing import Dict, List, Optional, Tuple

import numpy as np

_STATUS = "/proc/self/status"
_ROLLUP = "/proc/self/smaps_rollup"
_CLEAR = "/proc/self/clear_refs"
_FEWEST_READINGS = 20


def read_memory_mb(status: str = _STATUS, rollup: str = _ROLLUP) -> Dict[str, float]:
    """Memory now, in MB of 10^6 bytes; a value that the kernel does not give is left out.

    Returns:
        rss: pages in main memory. peak: the most that rss has been. pss: rss with shared pages divided by their users.
    """
    text = _read(status)
    found = {
        "rss": _kilobytes(text, "VmRSS"),
        "peak": _kilobytes(text, "VmHWM"),
        "pss": _kilobytes(_read(rollup), "Pss"),
    }
    return {name: round(value * 1024 / 1e6, 3) for name, value in found.items() if value is not None}


def forget_peak(clear: str = _CLEAR) -> bool:
    """Let the peak start again from what is used now; False where the kernel does not allow it."""
    try:
        with open(clear, "w") as stream:
            stream.write("5")
    except OSError:
        return False
    return True


class MemoryLog:
    """Memory over the frames of a run.

    Args:
        every: frames between two readings.
    """

    def __init__(self, every: int = 5) -> None:
        self._every = every
        self.points: List[Tuple[int, float]] = []

    def note(self, frame: int) -> None:
        """Read the memory after `frame` (counted from 0), if it is time to."""
        if frame % self._every == 0:
            kilobytes = _kilobytes(_read(_STATUS), "VmRSS")  # the rollup would take a millisecond
            if kilobytes is not None:
                self.points.append((frame, round(kilobytes * 1024 / 1e6, 3)))


def growth_mb_per_1000_frames(points: List[Tuple[int, float]]) -> Optional[float]:
    """Median slope of rss over frames, in the second half of the run; None for fewer than 20 readings there.

    The first half is left out because allocators fill their pools there. The median over all pairs of readings
    (Theil 1950, Sen 1968) does not follow one jump.
    """
    late = points[len(points) // 2 :]
    if len(late) < _FEWEST_READINGS:
        return None
    frame, rss = np.array(late[-400:], np.float64).T
    first, second = np.triu_indices(len(frame), k=1)
    slopes = (rss[second] - rss[first]) / (frame[second] - frame[first])
    return round(float(np.median(slopes)) * 1000, 3)


def _kilobytes(text: str, key: str) -> Optional[int]:
    found = re.search(r"^{}:\s*(\d+) kB".format(key), text, re.MULTILINE)
    return int(found.group(1)) if found else None


def _read(path: str) -> str:
    try:
        with open(path) as stream:
            return stream.read()
    except OSError:
        return ""
