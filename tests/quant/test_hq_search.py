import itertools

import numpy as np
import pytest

from edgekit.errors import ConfigError
from edgekit.quant.hq_search import BITS, HqDistances, bits_within, distance, hq_bits, hq_distances, kmeans_error


def gaussian(deviation: float, count: int = 50_000, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(count) * deviation).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gaussians_get_the_bits_that_the_released_search_gives_them(seed: int) -> None:
    deviations = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
    weights = {str(d): gaussian(d, seed=seed).reshape(50, 1000) for d in deviations}
    assert list(hq_distances(weights).bits(0.1).values()) == [8, 7, 6, 5, 4, 3]
    assert [hq_bits(w) for w in weights.values()] == [8, 7, 6, 5, 4, 3]


def test_distance_of_a_gaussian_is_near_the_limit_of_many_centres() -> None:
    """Panter and Dite: the least error of K centres for a Gaussian tends to sqrt(3) pi / 2 * s^2 / K^2."""
    weights = gaussian(0.03, 400_000)
    for bits in (5, 6, 7, 8):
        limit = 1e6 * np.sqrt(3) * np.pi / 2 * 0.03**2 / 4**bits
        assert 0.9 * limit < distance(weights, bits) < 1.02 * limit


def best_error(values: np.ndarray, clusters: int) -> float:
    """The least mean squared error of any clustering, by dynamic programming over sorted values: the slow oracle."""
    values = np.sort(values)
    n = len(values)
    cost = np.array([[((values[i : j + 1] - values[i : j + 1].mean()) ** 2).sum() if j >= i else 0.0
                      for j in range(n)] for i in range(n)])  # fmt: skip
    best = cost[0].copy()
    for _ in range(clusters - 1):
        best = np.array([min([best[j]] + [best[i - 1] + cost[i, j] for i in range(1, j + 1)]) for j in range(n)])
    return float(best[-1] / n)


@pytest.mark.parametrize("count", [63, 65, 127])
@pytest.mark.parametrize("clusters", [4, 8])
def test_clusters_are_near_the_best_there_are(count: int, clusters: int) -> None:
    values = np.sort(gaussian(1.0, count, seed=count).astype(np.float64))
    best = best_error(values, clusters)
    assert best <= kmeans_error(values, clusters) * (1 + 1e-9)
    assert kmeans_error(values, clusters) <= 1.35 * best


def test_error_is_that_of_the_nearest_centre() -> None:
    values = np.array([0.0, 0.0, 1.0, 10.0, 11.0])
    assert kmeans_error(values, 2) == pytest.approx((2 * (1 / 3) ** 2 + (2 / 3) ** 2 + 2 * 0.5**2) / 5)


def test_as_many_centres_as_values_are_exact() -> None:
    assert distance(np.repeat([0.5, -0.25, 3.0, 7.0], 9), 2) == 0.0
    assert hq_bits(np.zeros((3, 5))) == 2
    assert hq_bits(np.array([0.7])) == 2
    assert distance(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 2) == pytest.approx(1e6 * 0.5 / 5)


def test_twice_the_weights_need_one_bit_more() -> None:
    rng = np.random.default_rng(4)
    for weights in (gaussian(0.004), rng.laplace(scale=0.002, size=50_000)):
        bits = hq_bits(weights)
        assert 2 < bits < 7
        assert hq_bits(2 * weights) == bits + 1
        assert distance(weights, bits) < 0.1 <= distance(weights, bits - 1)


def test_larger_thresholds_take_no_more_bits() -> None:
    found = hq_distances({str(d): gaussian(d, 5_000) for d in (0.05, 0.01, 0.003)})
    rows = [list(found.bits(threshold).values()) for threshold in (0.0, 0.001, 0.05, 0.1, 1.0, 100.0, 1e9)]
    assert all(a >= b for more, fewer in itertools.pairwise(rows) for a, b in zip(more, fewer, strict=True))
    assert (rows[0], rows[-1]) == ([8, 8, 8], [2, 2, 2])


def test_order_and_shape_do_not_matter_and_nothing_is_drawn() -> None:
    weights = gaussian(0.01, 6_000)
    shuffled = np.random.default_rng(9).permutation(weights).reshape(20, 10, 5, 6)
    for bits in BITS:
        assert distance(weights, bits) == distance(shuffled, bits)


def test_heavy_tails_and_few_values_do_not_break_it() -> None:
    for weights in (np.concatenate([np.zeros(5_000), [1e3, -1e3, 5e2]]), np.repeat(np.arange(300.0), 20)):
        distances = [distance(weights, bits) for bits in BITS]
        assert all(np.isfinite(distances))
        assert min(distances) >= 0.0


def test_budget_takes_the_smallest_threshold_that_fits() -> None:
    found = hq_distances({"wide": gaussian(0.05, 4_000), "narrow": gaussian(0.005, 4_000)})
    for budget in range(4, 17):
        bits = bits_within(found, lambda widths, most=budget: sum(widths.values()) <= most)
        assert sum(bits.values()) <= budget
        assert bits["wide"] >= bits["narrow"]
    assert bits == {"wide": 8, "narrow": 8}
    assert bits_within(found, lambda widths: sum(widths.values()) <= 13) in (
        {"wide": 8, "narrow": 5},
        {"wide": 8, "narrow": 4},
    )


def test_budget_of_megabytes_and_of_bit_operations() -> None:
    """The search on a network, priced by the corrected counter."""
    import torch

    from edgekit.models.cost import count, quantised_convolutions
    from edgekit.models.cost_trace import trace
    from edgekit.models.superyolo import SuperYolo, SuperYoloNumbers
    from edgekit.precision import QuantPlan, QuantSpec

    torch.manual_seed(0)
    model = SuperYolo(SuperYoloNumbers(3, heads=3, act="relu", channels=(8, 8, 16, 16, 32)))
    shape = trace(model, (64, 64))
    modules = dict(model.named_modules())
    names = [layer.name for layer in quantised_convolutions(shape)]
    found = hq_distances({name: modules[name].weight.detach().numpy() for name in names})

    def megabytes(bits: dict[str, int]) -> float:
        plan = QuantPlan({name: QuantSpec(width, (1.0,)) for name, width in bits.items()})
        return count(shape, plan).corrected.megabytes

    budget = megabytes(dict.fromkeys(names, 4))
    bits = bits_within(found, lambda widths: megabytes(widths) <= budget)
    assert megabytes(bits) <= budget
    assert len(set(bits.values())) > 1


def test_a_budget_below_the_fewest_bits_is_refused() -> None:
    found = HqDistances({"layer": (9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0)})
    with pytest.raises(ConfigError, match="no hybrid of 2 to 8 bits is within the budget"):
        bits_within(found, lambda widths: False)
    assert bits_within(found, lambda widths: widths["layer"] <= 2) == {"layer": 2}
    assert bits_within(found, lambda widths: widths["layer"] <= 5) == {"layer": 5}


def test_weights_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite numbers; the network that they come from has diverged"):
        distance(np.array([0.1, np.nan]), 4)
    with pytest.raises(ValueError, match="at least one weight"):
        hq_bits(np.zeros((0, 3)))
