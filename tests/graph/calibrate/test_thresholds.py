import itertools

import numpy as np
import pytest

from edgekit.errors import ConfigError
from edgekit.graph.calibrate import METHODS, search_ranges
from edgekit.graph.calibrate.entropy import divergences, entropy_ranges, entropy_ranges_two_sided
from edgekit.graph.calibrate.histogram import Histogram
from edgekit.graph.calibrate.mse import best_threshold, squared_errors
from edgekit.graph.calibrate.percentile import percentile_ranges


def histogram_of(values: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.add(values.astype(np.float32))
    return histogram


def normal(seed: int = 0, count: int = 200_000) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, count)


def with_outliers() -> np.ndarray:
    return np.concatenate([normal(), [40.0, -35.0]])


def test_minmax_is_exact():
    assert search_ranges({"t": histogram_of(with_outliers())}, "minmax") == {"t": (-35.0, 40.0)}


@pytest.mark.parametrize("percentile", [99.0, 99.99])
def test_percentile_is_that_of_the_magnitudes(percentile):
    values = normal()
    low, high = percentile_ranges([histogram_of(values)], percentile)[0]
    expected = np.percentile(np.abs(values), percentile)
    assert high == pytest.approx(expected, abs=2 * histogram_of(values).width + 1e-3)
    assert low == -high


def test_percentile_of_everything_is_the_range_seen():
    values = np.abs(normal())
    assert percentile_ranges([histogram_of(values)], 100.0)[0] == (
        np.float32(values.min()),
        np.float32(values.max()),
    )


def test_percentile_out_of_range():
    with pytest.raises(ValueError, match="above 0 and at most 100"):
        percentile_ranges([histogram_of(normal())], 0)


@pytest.mark.parametrize("threshold", [0.7, 2.5, 40.0])
@pytest.mark.parametrize("function", [None, lambda x: np.maximum(x, 0.1 * x)])
def test_mse_is_that_of_rounding_the_values(threshold, function):
    values = with_outliers()
    f = function or (lambda x: x)
    step = threshold / 127
    direct = ((f(values) - f(np.clip(np.rint(values / step), -127, 127) * step)) ** 2).sum()
    seen = squared_errors(histogram_of(values), np.array([threshold]), function)[0]
    assert seen == pytest.approx(direct, rel=0.01)


def test_mse_clips_outliers_and_nothing_else():
    values = np.concatenate([normal(count=1_000_000), [40.0, -35.0]])
    assert 4.0 < best_threshold(histogram_of(values)) < 12.0
    uniform = np.random.default_rng(0).uniform(-1, 1, 100_000)
    assert best_threshold(histogram_of(uniform)) == pytest.approx(np.abs(uniform).max(), rel=1e-3)


def test_mse_behind_relu_spends_no_codes_below_zero():
    values = np.concatenate([normal() * 0.3, -10 * np.abs(normal(1))])
    relu = best_threshold(histogram_of(values), lambda x: np.maximum(x, 0))
    assert relu < 2.0 < best_threshold(histogram_of(values))


def slow_divergence(counts: np.ndarray, start: int, stop: int) -> float:
    """KL(P || Q) as it is defined, bin by bin."""
    inside = counts[start:stop]
    p = inside.copy()
    p[0] += counts[:start].sum()
    p[-1] += counts[stop:].sum()
    edges = start + np.arange(129) * (stop - start) // 128
    q = np.zeros_like(inside)
    for first, last in itertools.pairwise(edges):
        level = counts[first:last]
        if level.sum() > 0:
            q[first - start : last - start] = np.where(level > 0, level.sum() / (level > 0).sum(), 0.0)
    empty = 1e-4 * counts.sum() / (stop - start)
    shares = p / p.sum()
    reference = np.where((q == 0) & (p > 0), empty, q) / inside.sum()
    held = shares > 0
    return float((shares[held] * np.log(shares[held] / reference[held])).sum())


@pytest.mark.parametrize(("start", "stop"), [(0, 128), (0, 500), (0, 1024), (300, 700), (448, 576)])
def test_divergence_is_its_definition(start, stop):
    counts = np.random.default_rng(5).poisson(3 * np.exp(-np.abs(np.arange(1024) - 512) / 150)).astype(np.float64)
    seen = divergences(counts, np.array([start]), np.array([stop]))[0]
    assert seen == pytest.approx(slow_divergence(counts, start, stop), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("search", [entropy_ranges, entropy_ranges_two_sided])
def test_entropy_clips_outliers(search):
    low, high = search([histogram_of(with_outliers())])[0]
    assert 2.0 < high < 8.0
    assert low == -high


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_every_shape_of_data(method):
    cases = {
        "zeros": np.zeros(50),
        "one value": np.array([2.5]),
        "positive": np.abs(normal(2, 5000)),
        "negative": -np.abs(normal(3, 5000)),
        "tiny": normal(4, 5000) * 1e-20,
        "huge": normal(5, 5000) * 1e20,
    }
    histograms = {name: histogram_of(values) for name, values in cases.items()}
    for name, (low, high) in search_ranges(histograms, method).items():
        assert histograms[name].low <= low <= high <= histograms[name].high, name


def test_unknown_method():
    with pytest.raises(ConfigError, match="unknown calibration method 'max', expected one of minmax, percentile"):
        search_ranges({}, "max")
