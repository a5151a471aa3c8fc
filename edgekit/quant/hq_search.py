"""GHOST's bit search (HQ): the fewest bits at which the centres of a layer's weights lie close to them.

Zhang et al., GHOST, TGRS 2023, arXiv 2301.00131, hybrid quantisation. For n = 2, 3, ... bits, all weights of a layer
are clustered into 2^n centres;

    d(n) = 10^6 / N * sum_i min_k (w_i - c_k)^2        bits = the first n of d(n) < threshold, else the most

so each bit more divides d by about four, and for weights like a Gaussian of deviation s, d(n) ~ 2.72e6 s^2 / 4^n
(Panter and Dite): the search maps a layer's deviation to its width. The threshold is the only constraint, 0.1 in the
paper's runs. Activations take the width of the layer that makes them.

Differs from the paper: its k-means starts at random and is not seeded; this one is deterministic. Centres start where
the density's cube root puts equal mass between them, which is optimal for many centres, and Lloyd's steps run on sorted
weights and their prefix sums. Weights of no more values than centres have distance 0.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ConfigError

BITS = tuple(range(2, 9))
THRESHOLD = 0.1
_STEPS = 50
_QUANTILES = 4096


@dataclass(frozen=True, slots=True)
class HqDistances:
    """The distances of a network's layers, from which each threshold picks its widths.

    Attributes:
        layers: layer name -> d(2) ... d(8), scaled by 1e6.
    """

    layers: Mapping[str, tuple[float, ...]]

    def bits(self, threshold: float = THRESHOLD) -> dict[str, int]:
        """Layer name -> bits, never more at a larger threshold."""
        return {name: first_below(distances, threshold) for name, distances in self.layers.items()}


def hq_distances(weights: Mapping[str, NDArray[np.floating]]) -> HqDistances:
    """Measure the layers of a float network.

    Args:
        weights: layer name -> its weights, any shape; of the network in full precision.
    """
    return HqDistances({name: tuple(distance(w, bits) for bits in BITS) for name, w in weights.items()})


def bits_within(distances: HqDistances, fits: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """The widths of the smallest threshold that `fits`: the paper's rule, with the threshold found by bisection.

    Differs from the paper, which has a threshold and no budget.

    Args:
        distances: of the network's layers.
        fits: whether bits by layer name are within a budget of bytes, bit operations or milliseconds; fewer bits fit
            where more do.

    Raises:
        ConfigError: even the fewest bits do not fit.
    """
    # Between neighbouring distances nothing changes; a threshold just above one takes its layer.
    steps = sorted({d for layer in distances.layers.values() for d in layer})
    thresholds = [0.0] + [float(np.nextafter(d, np.inf)) for d in steps]
    if not fits(distances.bits(thresholds[-1])):
        raise ConfigError(f"no hybrid of {BITS[0]} to {BITS[-1]} bits is within the budget; raise it")
    low = bisect.bisect_left(thresholds, True, key=lambda threshold: fits(distances.bits(threshold)))
    return distances.bits(thresholds[low])


def hq_bits(weight: NDArray[np.floating], threshold: float = THRESHOLD) -> int:
    """Bits of one layer's weights, 2 to 8; widths beyond the answer are not measured."""
    for bits in BITS[:-1]:
        if distance(weight, bits) < threshold:
            return bits
    return BITS[-1]


def first_below(distances: tuple[float, ...], threshold: float) -> int:
    """The rule: the first of `BITS` whose distance is below `threshold`, else the last."""
    below = (bits for bits, d in zip(BITS, distances, strict=True) if d < threshold)
    return next(below, BITS[-1])


def distance(weight: NDArray[np.floating], bits: int) -> float:
    """d(bits): mean squared distance of weights to the nearest of 2^bits centres, times 1e6.

    Raises:
        ValueError: there are no weights, or some are not finite.
    """
    values = np.sort(np.asarray(weight, dtype=np.float64), axis=None)
    if not values.size:
        raise ValueError("a layer has at least one weight")
    if not np.isfinite(values[[0, -1]]).all():
        raise ValueError("weights are finite numbers; the network that they come from has diverged")
    return 1e6 * kmeans_error(values, 2**bits)


def kmeans_error(values: NDArray[np.float64], clusters: int) -> float:
    """Mean squared distance of sorted `values` (N,) to the nearest of `clusters` centres after Lloyd's steps."""
    if np.count_nonzero(np.diff(values)) < clusters:
        return 0.0
    # Sums of squares cancel least around the mean.
    values = values - values.mean()
    sums = np.concatenate([[0.0], np.cumsum(values)])
    centres = _first_centres(values, clusters)
    for _ in range(_STEPS):
        edges = _edges(values, centres)
        moved = _means(sums, edges, centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    nearest = np.repeat(centres, np.diff(_edges(values, centres)))
    return float(np.mean((values - nearest) ** 2))


def _first_centres(values: NDArray[np.float64], clusters: int) -> NDArray[np.float64]:
    """Points between which the cube root of the density has equal mass.

    Between neighbouring quantiles at distance h the density is proportional to 1/h, so its cube root has mass h^(2/3).
    """
    knots = np.quantile(values, np.linspace(0.0, 1.0, min(_QUANTILES, values.size)))
    mass = np.concatenate([[0.0], np.cumsum(np.diff(knots) ** (2.0 / 3.0))])
    middles = (np.arange(clusters) + 0.5) / clusters * mass[-1]
    return np.interp(middles, mass, knots)


def _edges(values: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where each cluster begins and ends in `values`, (K + 1,): halfway between neighbouring centres."""
    inner = np.searchsorted(values, (centres[:-1] + centres[1:]) / 2)
    return np.concatenate([[0], inner, [values.size]])


def _means(sums: NDArray[np.float64], edges: NDArray[np.intp], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each cluster; an empty one keeps its centre."""
    counts = np.diff(edges)
    return np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), centres)
