"""Methods, on costs without a network."""

import numpy as np
import pytest

pytest.importorskip("torch")

from edgekit.errors import ConfigError
from edgekit.search.costs import Costs, Resource
from edgekit.search.plans import allowed, combinations, frontier, least, uniform

WEIGHTS = np.array([100.0, 1000.0, 10000.0])
CHOICES = (2, 4, 8)
LAYERS = ("a", "b", "c")


@pytest.fixture
def costs() -> Costs:
    bits = WEIGHTS[:, None] * np.array(CHOICES)
    mean = Resource(bits, 0.0, float(WEIGHTS.sum()))
    return Costs(LAYERS, CHOICES, {"bytes": Resource(bits / 8, 50.0, 1.0), "mean_bits": mean})


DAMAGE = np.array([[9.0, 3.0, 1.0], [8.0, 2.0, 0.5], [7.0, 1.0, 0.25]])


def test_uniform_is_the_largest_that_fits(costs: Costs) -> None:
    assert uniform(costs, {"mean_bits": 7.9}) == dict.fromkeys(LAYERS, 4)
    with pytest.raises(ConfigError, match="no one width of 2, 4, 8 bits for all layers is within the budget"):
        uniform(costs, {"mean_bits": 1.0})


def test_least_damage_gives_bits_where_they_are_cheap(costs: Costs) -> None:
    assert least(DAMAGE, costs, {"mean_bits": 4.4}) == {"a": 8, "b": 8, "c": 4}
    assert least(DAMAGE, costs, {"mean_bits": 4.4, "bytes": 50 + 5700}) == {"a": 8, "b": 4, "c": 4}


def test_out_of_reach_names_the_smallest(costs: Costs) -> None:
    with pytest.raises(ConfigError, match=r"budget.bytes 2000 is out of reach; the smallest is 2825 bytes \(the cheap"):
        least(DAMAGE, costs, {"bytes": 2000.0})
    with pytest.raises(ConfigError, match="budget.ms cannot be kept: onnxruntime's profile does not name every layer"):
        least(DAMAGE, costs, {"ms": 5.0})


def test_limits_that_exclude_each_other(costs: Costs) -> None:
    opposite = Resource(costs.resources["bytes"].table[:, ::-1], 0.0, 1.0)
    both = Costs(LAYERS, CHOICES, {**costs.resources, "gbops": opposite})
    with pytest.raises(ConfigError, match="no plan is within all limits of the budget; the smallest of each alone"):
        least(DAMAGE, both, {"bytes": 3000.0, "gbops": 3000.0})


def test_the_frontier_falls(costs: Costs) -> None:
    plans = frontier(DAMAGE, costs, 12)
    sizes = [costs.of(plan)["bytes"] for plan in plans]
    damages = [DAMAGE[np.arange(3), costs.choice(plan)].sum() for plan in plans]
    assert plans[0] == dict.fromkeys(LAYERS, 2) and plans[-1] == dict.fromkeys(LAYERS, 8)
    assert sizes == sorted(sizes) and damages == sorted(damages, reverse=True) and len(plans) > 3


def test_combinations_are_neighbours_and_repeat(costs: Costs) -> None:
    centre = {"a": 2, "b": 4, "c": 8}
    found = combinations(costs, centre, 20, seed=1)
    assert found == combinations(costs, centre, 20, seed=1) != combinations(costs, centre, 20, seed=2)
    assert {plan["a"] for plan in found} == {2, 4} and {plan["b"] for plan in found} == {2, 4, 8}
    assert {plan["c"] for plan in found} == {4, 8}


def test_widths_that_are_no_choice_are_raised() -> None:
    assert allowed({"a": 3, "b": 4, "c": 7}, (2, 4, 6, 32)) == {"a": 4, "b": 4, "c": 6}
