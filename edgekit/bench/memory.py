"""Memory as the kernel accounts it (Linux): of this process, and of its GPU where that shares main memory.

Resident memory misses what the GPU driver allocates, which on a Jetson comes out of the same RAM. `FootprintProbe` adds
it: PSS of the process plus its allocations in nvmap, NVIDIA's memory manager.
"""

import math
import os
import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from edgekit.bench.sensors import Log
from edgekit.sysfs import read_text

FOOTPRINT = "footprint_mb"

_MEMINFO = "/proc/meminfo"
_SMAPS = "/proc/self/smaps"
_NVMAP = "/sys/kernel/debug/nvmap/iovmm/clients"
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


class FootprintProbe:
    """The whole memory that this process has taken from the board, MB of 10^6 bytes; a probe for a `Log`.

    Which of three ways it is counted is decided once, when it is made:

    * "pss + nvmap": this process's pages (shared ones divided by their users) and its GPU allocations. debugfs shows
      those to root only.
    * "pss + system": where it does not, the growth of what the whole system has in use (MemTotal - MemFree - Buffers -
      Cached - SReclaimable, so no page cache) since then, on top of the PSS of then. Other programs disturb it.
    * "pss": where the GPU has memory of its own or there is none.

    A kernel before 4.14 (L4T 32) has no sum of the PSS, and adding up all mappings takes as long as a frame: it is read
    once there, and followed by the resident pages since.

    Args:
        shared: whether the GPU shares main memory.
        root: of the file system.
        pid: of this process, as nvmap lists it.

    Attributes:
        method: one of the three.
        gpu_mb: what nvmap listed at the last look; None where it was not asked.
    """

    def __init__(self, shared: bool, root: str = "/", pid: Optional[int] = None) -> None:
        self._root = root.rstrip("/")
        self._pid = os.getpid() if pid is None else pid
        self._rollup = read_text(self._root + _ROLLUP) is not None
        self._shared_mb = 0.0 if self._rollup else self._resident_mb() - self._pss_of(_SMAPS)
        self._base_mb = 0.0
        self.gpu_mb: Optional[float] = None
        self.method = "pss"
        if shared:
            self.method = "pss + nvmap" if read_text(self._root + _NVMAP) is not None else "pss + system"
        if self.method == "pss + system":
            pss, used = self._pss_mb(), self._used_mb()
            self._base_mb = pss - used if pss is not None and used is not None else math.nan

    def __call__(self) -> Optional[float]:
        """Now, or None where the kernel does not tell."""
        if self.method == "pss + system":
            used = self._used_mb()
            return None if used is None else self._base_mb + used
        pss = self._pss_mb()
        if pss is None or self.method == "pss":
            return pss
        self.gpu_mb = nvmap_mb(read_text(self._root + _NVMAP) or "", self._pid)
        return pss + self.gpu_mb

    def _pss_mb(self) -> Optional[float]:
        pss = self._pss_of(_ROLLUP) if self._rollup else self._resident_mb() - self._shared_mb
        return pss if math.isfinite(pss) else None

    def _pss_of(self, path: str) -> float:
        """The sum of all lines of PSS in a file, MB; NaN where there are none."""
        kilobytes = re.findall(r"^Pss:\s*(\d+) kB", read_text(self._root + path) or "", re.MULTILINE)
        return sum(int(value) for value in kilobytes) * 1024 / 1e6 if kilobytes else math.nan

    def _resident_mb(self) -> float:
        kilobytes = _kilobytes(read_text(self._root + _STATUS) or "", "VmRSS")
        return math.nan if kilobytes is None else kilobytes * 1024 / 1e6

    def _used_mb(self) -> Optional[float]:
        text = read_text(self._root + _MEMINFO) or ""
        total = _kilobytes(text, "MemTotal")
        free = [_kilobytes(text, key) for key in ("MemFree", "Buffers", "Cached", "SReclaimable")]
        if total is None or None in free:
            return None
        return (total - sum(value for value in free if value is not None)) * 1024 / 1e6


def nvmap_mb(clients: str, pid: int) -> float:
    """What a process holds in nvmap, MB of 10^6 bytes, from the text of its list of clients.

    Its lines are `CLIENT PROCESS PID SIZE`, sizes such as `418000K`; a process may have several.
    """
    sizes = re.findall(r"^.*\s{}\s+(\d+)K\s*$".format(pid), clients, re.MULTILINE)
    return sum(int(size) for size in sizes) * 1024 / 1e6


def footprint_summary(log: Log, probe: FootprintProbe, start_s: float, end_s: float) -> Dict[str, Any]:
    """The footprint as docs/bench.md specifies it under `memory_mb.total`.

    Args:
        log: filled by `probe` under the name `FOOTPRINT`.
        probe: what counted.
        start_s, end_s: from before the bundle was opened to the end of the last counted frame.
    """
    t_s, used = log.series(FOOTPRINT)
    inside = used[(t_s >= start_s) & (t_s <= end_s)]
    if len(inside) == 0:
        return {"missing": "the kernel does not tell the memory of a process ({})".format(_ROLLUP)}
    return {
        "method": probe.method,
        "gpu": None if probe.gpu_mb is None else round(probe.gpu_mb, 1),
        "start": round(float(inside[0]), 1),
        "end": round(float(inside[-1]), 1),
        "peak": round(float(inside.max()), 1),
    }


def memory_points(log: Log, edges_s: Sequence[float]) -> List[List[float]]:
    """[[seconds since the first counted frame, MB], …]; times before it are negative."""
    t_s, used = log.series(FOOTPRINT)
    return [[round(float(at - edges_s[0]), 3), round(float(value), 1)] for at, value in zip(t_s, used)]


def _kilobytes(text: str, key: str) -> Optional[int]:
    found = re.search(r"^{}:\s*(\d+) kB".format(key), text, re.MULTILINE)
    return int(found.group(1)) if found else None


def _read(path: str) -> str:
    try:
        with open(path) as stream:
            return stream.read()
    except OSError:
        return ""
