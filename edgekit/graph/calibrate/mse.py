"""MSE: the clip that makes the expected squared error of rounding and clipping together smallest.

The candidates are the largest magnitude times 2^(-k/16), k = 0 .. 95. For a threshold T the step is d = T / 127 and
the error of the values that round to level j is

    sum n (c - j d)^2 = S2 - 2 j d S1 + (j d)^2 S0,    S_i = sum n c^i over the bins of the level,

and the sums over a level are differences of running sums, so a candidate costs 128 look-ups and not a pass over the
bins. The last level also holds all that is clipped.
"""

from collections.abc import Sequence

import numpy as np

from edgekit.graph.calibrate.histogram import Histogram
from edgekit.graph.calibrate.percentile import cut

_LEVELS = 127
_CANDIDATES = 2.0 ** (-np.arange(96) / 16.0)


def mse_ranges(histograms: Sequence[Histogram]) -> list[tuple[float, float]]:
    """(low, high) of each, cut to the best symmetric threshold."""
    return [cut(histogram, best_threshold(histogram)) for histogram in histograms]


def best_threshold(histogram: Histogram) -> float:
    """The magnitude to clip at; the largest one seen where nothing is gained by clipping."""
    largest = max(-histogram.low, histogram.high)
    if histogram.radius == 0.0:
        return largest
    thresholds = largest * _CANDIDATES
    return float(thresholds[int(np.argmin(squared_errors(histogram, thresholds)))])


def squared_errors(histogram: Histogram, thresholds: np.ndarray) -> np.ndarray:
    """Summed squared error (K,) of int8 at each of the `thresholds` (K,)."""
    counts = histogram.magnitudes().astype(np.float64)
    centres = (np.arange(len(counts)) + 0.5) * histogram.width
    sums = [np.concatenate([[0.0], np.cumsum(counts * centres**power)]) for power in range(3)]
    step = thresholds[:, None] / _LEVELS
    levels = np.arange(_LEVELS + 1)
    # the first bin of level j is the first whose centre is not below (j - 1/2) d
    first = np.ceil((levels - 0.5) * step / histogram.width - 0.5)
    first = np.clip(first, 0, len(counts)).astype(np.intp)
    last = np.concatenate([first[:, 1:], np.full((len(first), 1), len(counts))], axis=1)
    s0, s1, s2 = (running[last] - running[first] for running in sums)
    value = levels * step
    errors: np.ndarray = (s2 - 2 * value * s1 + value**2 * s0).sum(axis=1)
    return errors
