"""A histogram that grows with what it sees: one pass, fixed memory, no second look at the data.

The bins cover (-radius, radius) evenly and radius is a power of two. When a value lies outside, the radius doubles
and neighbouring bins are added up in pairs; edges of the old bins are edges of the new ones, so the counts are those
that a second pass with the final radius would have given (but for values within float32's rounding of an edge).
Between half and all of the bins are in use.
"""

import math
from collections.abc import Callable

import numpy as np

BINS = 16384
"""Bins over both signs: at least BINS / 4 up to the largest magnitude, 32 for each step of int8."""

_BLOCK = 65536
"""Elements binned at a time, so that the temporary arrays stay in the cache."""


class Histogram:
    """Counts of one tensor's values.

    Attributes:
        counts: (BINS,) int64 over (-radius, radius).
        radius: a power of two above every magnitude seen; 0 while only zeros were seen.
        low, high: smallest and largest value seen.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.counts = np.zeros(BINS, np.int64)
        self.radius = 0.0
        self.low = math.inf
        self.high = -math.inf

    @property
    def total(self) -> int:
        """How many values were seen."""
        return int(self.counts.sum())

    @property
    def width(self) -> float:
        """Width of a bin."""
        return 2.0 * self.radius / BINS

    def add(self, values: np.ndarray) -> None:
        """Count `values`, float32 of any shape.

        Raises:
            ValueError: a value is not finite.
        """
        flat = values.reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("a value is not finite")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._grow(max(-low, high))
        if self.radius == 0.0:
            self.counts[BINS // 2] += flat.size
            return
        self.counts += _bin(flat, np.float32(BINS / 2 / self.radius))

    def magnitudes(self) -> np.ndarray:
        """Counts (BINS / 2,) of |x| over (0, radius); a value of -x falls into the bin of x but for its edges."""
        half = BINS // 2
        return self.counts[half:] + self.counts[half - 1 :: -1]

    def centres(self) -> np.ndarray:
        """Middle of each bin, (BINS,) float64."""
        return (np.arange(BINS) - BINS / 2 + 0.5) * self.width

    def mapped(self, function: Callable[[np.ndarray], np.ndarray]) -> "Histogram":
        """The histogram of function(x), each bin of x taken at its middle; a new histogram."""
        result = Histogram()
        filled = self.counts > 0
        if not filled.any():
            return result
        ends = np.array([self.low, self.high])
        values = function(np.clip(self.centres()[filled], self.low, self.high))
        reached = np.concatenate([values, function(ends)])
        result.low, result.high = float(reached.min()), float(reached.max())
        result._grow(max(-result.low, result.high))
        if result.radius == 0.0:
            index = np.full(len(values), BINS // 2)
        else:
            index = np.minimum((values + result.radius) * (BINS / 2 / result.radius), BINS - 1).astype(np.intp)
        np.add.at(result.counts, index, self.counts[filled])
        return result

    def merged(self, other: "Histogram") -> "Histogram":
        """Both together, a new histogram."""
        result = Histogram()
        for part in (self, other):
            result._absorb(part)
        return result

    def _absorb(self, part: "Histogram") -> None:
        if not part.total:
            return
        counts, radius = part.counts, part.radius
        self._grow(radius / 2)
        while 0 < radius < self.radius:
            counts, radius = _halved(counts), radius * 2
        self.counts = self.counts + counts
        self.low, self.high = min(self.low, part.low), max(self.high, part.high)

    def _grow(self, magnitude: float) -> None:
        """Make the radius a power of two above `magnitude`."""
        if magnitude == 0.0 or magnitude < self.radius:
            return
        needed = 2.0 ** (math.frexp(magnitude)[1])
        if self.radius == 0.0:
            self.radius = needed  # the zeros counted so far lie in the bin right of the middle, whatever the radius
        while self.radius < needed:
            self.counts, self.radius = _halved(self.counts), self.radius * 2


def _bin(flat: np.ndarray, per_unit: np.float32) -> np.ndarray:
    counts = np.zeros(BINS + 1, np.int64)
    buffer = np.empty(min(_BLOCK, flat.size), np.float32)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        scaled = np.multiply(block, per_unit, out=buffer[: block.size])
        scaled += np.float32(BINS / 2)
        counts += np.bincount(scaled.astype(np.intp), minlength=BINS + 1)
    counts[BINS - 1] += counts[BINS]  # a value just below the radius may round up to it
    return counts[:BINS]


def _halved(counts: np.ndarray) -> np.ndarray:
    """The same counts over twice the radius."""
    wide = np.zeros_like(counts)
    wide[BINS // 4 : BINS // 4 * 3] = counts.reshape(-1, 2).sum(axis=1)
    return wide
