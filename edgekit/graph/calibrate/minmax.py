"""Min-max: everything that was seen fits. Exact to the last bit, and at the mercy of one outlier."""

from collections.abc import Sequence

from edgekit.graph.calibrate.histogram import Histogram


def minmax_ranges(histograms: Sequence[Histogram]) -> list[tuple[float, float]]:
    """The smallest and the largest value of each."""
    return [(histogram.low, histogram.high) for histogram in histograms]
