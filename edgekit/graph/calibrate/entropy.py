"""Entropy: the clip that loses the least information, as Kullback-Leibler divergence.

`entropy_ranges` is TensorRT's method (S. Migacz, "8-bit inference with TensorRT", GTC 2017): a histogram of |x| of
2048 bins; for each candidate i the reference P is the first i bins with everything beyond added to the last of them,
and Q is those i bins merged into 128 levels and spread evenly over the bins of each level that are not empty; the i
with the smallest KL(P || Q) wins. The first bin, which holds the zeros, is left out, as TensorRT does.

`entropy_ranges_two_sided` is onnxruntime's: a histogram of x from -max to max, P and Q grow around its middle and
what is clipped is added to P's outermost bin on each side.

With n the counts, N their sum over P, S_l and F_l the sum and the number of filled bins of level l inside P,

    N KL = sum_P p log p - sum_l S_l log(S_l / F_l) - (what is clipped) log q_outermost

so running sums of n, of n log n and of the filled bins give every candidate without a pass over the bins.

Differs from both: where the outermost bin of Q is empty and P's is not, q there is 1e-4 of a bin's mean share
(onnxruntime smooths all empty bins by that; TensorRT's way is not published).
"""

from collections.abc import Sequence

import numpy as np

from edgekit.graph.calibrate.histogram import Histogram
from edgekit.graph.calibrate.percentile import cut

_BINS = 2048
_LEVELS = 128
_SMOOTH = 1e-4


def entropy_ranges(histograms: Sequence[Histogram]) -> list[tuple[float, float]]:
    """(low, high) of each, cut to the best symmetric threshold."""
    return [cut(histogram, _one_sided(histogram)) for histogram in histograms]


def entropy_ranges_two_sided(histograms: Sequence[Histogram]) -> list[tuple[float, float]]:
    """(low, high) of each, cut to the best symmetric threshold by onnxruntime's variant."""
    return [cut(histogram, _two_sided(histogram)) for histogram in histograms]


def divergences(counts: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """KL(P || Q) (K,) of the candidates whose P are the bins start <= bin < stop of `counts`.

    Args:
        counts: (B,) not negative.
        start, stop: (K,) intp; what lies outside is added to bin `start` and bin `stop - 1`.
    """
    filled = counts > 0
    total = float(counts.sum())
    running, number = (_running(part) for part in (counts, filled))
    information = _running(_xlogx(counts))
    below, above = running[start], total - running[stop]
    first, last = counts[start], counts[stop - 1]
    edges = start[:, None] + (np.arange(_LEVELS + 1) * (stop - start)[:, None]) // _LEVELS
    level = np.diff(running[edges], axis=1)
    spread = level / np.maximum(np.diff(number[edges], axis=1), 1)
    inside = level.sum(axis=1)
    empty = _SMOOTH * total / (stop - start)
    p_log_p = information[stop] - information[start]
    p_log_p += _xlogx(first + below) - _xlogx(first) + _xlogx(last + above) - _xlogx(last)
    p_log_q = (level * np.log(np.where(level > 0, spread, 1.0))).sum(axis=1)
    p_log_q += below * np.log(np.where(first > 0, spread[:, 0], empty))
    p_log_q += above * np.log(np.where(last > 0, spread[:, -1], empty))
    # P sums to `total` and Q to `inside`; both are shares only after division
    result: np.ndarray = (p_log_p - p_log_q) / total - np.log(total) + np.log(np.maximum(inside, 1e-300))
    return np.where(inside > 0, result, np.inf)


def _one_sided(histogram: Histogram) -> float:
    largest = max(-histogram.low, histogram.high)
    if histogram.radius == 0.0:
        return largest
    counts, width = _grouped(histogram.magnitudes(), histogram.width, largest, _BINS)
    counts[0] = 0.0
    stop = np.arange(min(_LEVELS, len(counts)), len(counts) + 1)
    scores = divergences(counts, np.zeros_like(stop), stop)
    return _pick(scores, stop, width, largest)


def _two_sided(histogram: Histogram) -> float:
    largest = max(-histogram.low, histogram.high)
    if histogram.radius == 0.0:
        return largest
    half = len(histogram.counts) // 2
    right, width = _grouped(histogram.counts[half:], histogram.width, largest, _BINS // 2)
    left, _ = _grouped(histogram.counts[half - 1 :: -1], histogram.width, largest, _BINS // 2)
    counts = np.concatenate([left[::-1], right])
    reach = np.arange(min(_LEVELS // 2, len(right)), len(right) + 1)
    scores = divergences(counts, len(right) - reach, len(right) + reach)
    return _pick(scores, reach, width, largest)


def _pick(scores: np.ndarray, reach: np.ndarray, width: float, largest: float) -> float:
    """The threshold of the best candidate; everything, where no candidate holds a value at all."""
    if not np.isfinite(scores).any():
        return largest
    return min(float(reach[int(np.argmin(scores))]) * width, largest)


def _grouped(side: np.ndarray, width: float, largest: float, bins: int) -> tuple[np.ndarray, float]:
    """Counts (at most `bins`) of one side up to `largest`, float64, and the width of a bin."""
    used = min(int(largest / width) + 1, len(side))
    group = -(-used // bins)
    length = -(-used // group)
    padded = np.append(side, np.zeros(group, side.dtype))[: length * group]
    return padded.reshape(length, group).sum(axis=1).astype(np.float64), group * width


def _running(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _xlogx(values: np.ndarray) -> np.ndarray:
    return values * np.log(np.where(values > 0, values, 1.0))
