"""MSE: the clip that makes the expected squared error of rounding and clipping together smallest.

The candidates are the largest magnitude times 2^(-k/16), k = 0 .. 95. For a threshold T the step is d = T / 127. The
error is taken where it matters: of f(x), when x is read by an activation function f alone, else of x itself (f = id).
SiLU, for one, is flat below -5, so a convolution before it may clip what is far below zero and spend its codes above.
The values that round to level j then have the error

    sum n (f(c) - f(j d))^2 = S2 - 2 f(j d) S1 + f(j d)^2 S0,    S_i = sum n f(c)^i over the bins of the level,

and the sums over a level are differences of running sums, so a candidate costs 255 look-ups and not a pass over the
bins. The outermost levels also hold all that is clipped.
"""

from collections.abc import Callable, Sequence

import numpy as np

from edgekit.graph.calibrate.histogram import Histogram
from edgekit.graph.calibrate.percentile import cut

Function = Callable[[np.ndarray], np.ndarray]

_LEVELS = 127
_CANDIDATES = 2.0 ** (-np.arange(96) / 16.0)


def mse_ranges(
    histograms: Sequence[Histogram], functions: Sequence[Function | None] | None = None
) -> list[tuple[float, float]]:
    """(low, high) of each, cut to the best symmetric threshold.

    Args:
        histograms: one a tensor.
        functions: what alone reads each tensor, elementwise; None where something else does.
    """
    functions = functions or [None] * len(histograms)
    return [
        cut(histogram, best_threshold(histogram, function))
        for histogram, function in zip(histograms, functions, strict=True)
    ]


def best_threshold(histogram: Histogram, function: Function | None = None) -> float:
    """The magnitude to clip at; the largest one seen where nothing is gained by clipping."""
    largest = max(-histogram.low, histogram.high)
    if histogram.radius == 0.0:
        return largest
    thresholds = largest * _CANDIDATES
    return float(thresholds[int(np.argmin(squared_errors(histogram, thresholds, function)))])


def squared_errors(histogram: Histogram, thresholds: np.ndarray, function: Function | None = None) -> np.ndarray:
    """Summed squared error (K,) of int8, behind `function`, at each of the `thresholds` (K,)."""
    function = function or _identity
    bins = len(histogram.counts)
    counts, value = histogram.counts.astype(np.float64), function(histogram.centres())
    sums = [np.concatenate([[0.0], np.cumsum(counts * value**power)]) for power in range(3)]
    step = thresholds[:, None] / _LEVELS
    levels = np.arange(-_LEVELS, _LEVELS + 1)
    # the first bin of level j is the first whose centre is not below (j - 1/2) d
    first = np.ceil((levels - 0.5) * step / histogram.width + bins / 2 - 0.5)
    first = np.clip(first, 0, bins).astype(np.intp)
    first[:, 0] = 0
    last = np.concatenate([first[:, 1:], np.full((len(first), 1), bins)], axis=1)
    s0, s1, s2 = (running[last] - running[first] for running in sums)
    coded = function(levels * step)
    errors: np.ndarray = (s2 - 2 * coded * s1 + coded**2 * s0).sum(axis=1)
    return errors


def _identity(x: np.ndarray) -> np.ndarray:
    return x
