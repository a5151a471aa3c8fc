"""Percentile: of the magnitudes, all but the largest few in a hundred thousand fit.

The threshold is the upper edge of the bin in which the percentile of |x| lies, so it is at most one bin (1/4096 of
the largest magnitude or finer) above the percentile itself, and never above the largest value seen.
"""

from collections.abc import Sequence

import numpy as np

from edgekit.graph.calibrate.histogram import Histogram


def percentile_ranges(histograms: Sequence[Histogram], percentile: float) -> list[tuple[float, float]]:
    """(low, high), the range seen cut to the magnitude below which `percentile` % of the values lie.

    Raises:
        ValueError: `percentile` is not above 0 and at most 100.
    """
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile is above 0 and at most 100, got {percentile}")
    return [cut(histogram, _threshold(histogram, percentile)) for histogram in histograms]


def cut(histogram: Histogram, threshold: float) -> tuple[float, float]:
    """The range seen, within +-`threshold`."""
    return max(histogram.low, -threshold), min(histogram.high, threshold)


def _threshold(histogram: Histogram, percentile: float) -> float:
    running = np.cumsum(histogram.magnitudes())
    position = int(np.searchsorted(running, running[-1] * percentile / 100.0))
    return (position + 1) * histogram.width
