import numpy as np
import pytest

from edgekit.graph.calibrate.histogram import BINS, Histogram


def filled(*parts: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part.astype(np.float32))
    return histogram


def direct(values: np.ndarray, radius: float) -> np.ndarray:
    """The counts with a radius that is known beforehand."""
    index = np.floor(values.astype(np.float64) * (BINS / 2 / radius) + BINS / 2).astype(int)
    return np.bincount(np.minimum(index, BINS - 1), minlength=BINS)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 70001])
def test_growing_gives_the_counts_of_the_final_radius(count):
    rng = np.random.default_rng(0)
    # multiples of 1/1024 are exact in float32, so no value sits astride an edge
    parts = [np.round(rng.normal(0, s, count) * 1024) / 1024 + 1 / 2048 for s in (0.01, 3.0, 0.5, 40.0)]
    histogram = filled(*parts)
    values = np.concatenate(parts)
    assert histogram.radius == 2.0 ** (np.floor(np.log2(np.abs(values).max())) + 1)
    np.testing.assert_array_equal(histogram.counts, direct(values, histogram.radius))
    assert (histogram.low, histogram.high) == (values.min(), values.max())


def test_order_of_the_parts_does_not_matter():
    rng = np.random.default_rng(1)
    parts = [np.round(rng.normal(0, s, 1000) * 1024) / 1024 + 1 / 2048 for s in (0.1, 30.0, 2.0)]
    np.testing.assert_array_equal(filled(*parts).counts, filled(*parts[::-1]).counts)


def test_a_value_just_below_the_radius_is_counted():
    below = np.nextafter(np.float32(4.0), np.float32(0.0))
    for value in (below, -below):
        histogram = filled(np.array([value]))
        assert histogram.total == 1
        assert histogram.radius == 4.0


def test_zeros_before_anything_else():
    histogram = filled(np.zeros(10), np.array([3.0]))
    assert (histogram.total, histogram.radius, histogram.counts[BINS // 2]) == (11, 4.0, 10)
    assert filled(np.zeros(5)).radius == 0.0


def test_merged_is_the_histogram_of_both():
    rng = np.random.default_rng(2)
    one, two = (np.round(rng.normal(0, s, 500) * 256) / 256 + 1 / 512 for s in (0.1, 50))
    both = filled(one).merged(filled(two))
    np.testing.assert_array_equal(both.counts, filled(one, two).counts)
    assert (both.low, both.high, both.radius) == (filled(one, two).low, filled(one, two).high, filled(two).radius)


def test_magnitudes_fold_both_sides():
    histogram = filled(np.array([-1.5, 1.5001, 0.5]))
    folded = histogram.magnitudes()
    assert folded.sum() == 3
    assert folded[int(1.5001 / histogram.width)] == 1 or folded[int(1.5 / histogram.width) - 1] == 1


def test_not_finite_is_an_error():
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="not finite"):
            filled(np.array([1.0, bad]))


def test_nothing_is_nothing():
    histogram = filled(np.empty(0))
    assert histogram.total == 0
