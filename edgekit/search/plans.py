"""The methods that choose widths, each a function to one plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ConfigError
from edgekit.quant.hq_search import BITS, HqDistances, bits_within, hq_distances
from edgekit.search.costs import Costs
from edgekit.search.journal import Journal
from edgekit.search.recipe import FLOAT, SearchRecipe
from edgekit.search.sensitivity import Sensitivity
from edgekit.search.solve import solve
from edgekit.search.subject import Bits, Subject


def choose(
    method: str, recipe: SearchRecipe, subject: Subject, costs: Costs, measured: Sensitivity | None, journal: Journal
) -> Bits:
    """The plan of one method (bits of the searched layers).

    Args:
        method: of `edgekit.search.recipe.METHODS`.
        recipe: budget and options.
        subject: the network.
        costs: of its widths.
        measured: for "sensitivity".
        journal: HQ distances are an item.

    Raises:
        ConfigError: no plan of this method is within the budget.
    """
    budget = recipe.budget.limits()
    if method == "uniform":
        return uniform(costs, budget)
    if method == "sensitivity":
        assert measured is not None
        return least(measured.damage(), costs, budget)
    distances = distances_of(subject, journal, scale_free=method == "hq-scale-free")
    if method == "hq-solved":
        return least(squared_errors(distances, subject, costs), costs, budget)
    if method == "hq-paper":
        return allowed(distances.bits(recipe.search.threshold), costs.choices)
    return allowed(bits_within(distances, lambda bits: costs.fits(allowed(bits, costs.choices), budget)), costs.choices)


def uniform(costs: Costs, budget: Mapping[str, float]) -> Bits:
    """The largest width of all layers that is within the budget.

    Raises:
        ConfigError: none is.
    """
    plans = [dict.fromkeys(costs.layers, bits) for bits in reversed(costs.choices)]
    found = next((plan for plan in plans if costs.fits(plan, budget)), None)
    if found is None:
        raise ConfigError(
            f"no one width of {', '.join(map(str, costs.choices))} bits for all layers is within the budget; leave "
            "search.methods uniform out, or raise the budget"
        )
    return found


def least(damage: NDArray[np.float64], costs: Costs, budget: Mapping[str, float]) -> Bits:
    """The plan of least summed damage (L, B) within the budget.

    Raises:
        ConfigError: no plan is within all limits at once.
    """
    choice = solve(damage, costs.limits(budget))
    if choice is None:
        alone = ", ".join(f"{name} {costs.resources[name].least():.6g}" for name in budget)
        raise ConfigError(f"no plan is within all limits of the budget; the smallest of each alone: {alone}. Raise one")
    return costs.bits(choice)


def frontier(damage: NDArray[np.float64], costs: Costs, points: int) -> list[Bits]:
    """Plans of least damage at `points` sizes from the smallest to the largest, ascending, none worse than another."""
    size = costs.resources["bytes"]
    most = (size.fixed + float(size.table.max(axis=1).sum())) / size.divisor
    found: list[Bits] = []
    for wanted in np.linspace(size.least(), most, points):
        choice = solve(damage, [size.limit(float(np.ceil(wanted)))])
        assert choice is not None  # the smallest size is reachable
        plan = costs.bits(choice)
        if plan not in found:
            found.append(plan)
    return found


def combinations(costs: Costs, around: Mapping[str, int], count: int, seed: int) -> list[Bits]:
    """Random plans near a plan: each layer has its width, or one of the neighbouring choices."""
    random = np.random.default_rng((seed, 1))
    centre = costs.choice(around)
    moves = random.integers(-1, 2, (count, len(centre)))
    return [costs.bits(np.clip(centre + move, 0, len(costs.choices) - 1)) for move in moves]


def distances_of(subject: Subject, journal: Journal, scale_free: bool = False) -> HqDistances:
    """HQ distances of the searched layers; an item of the journal.

    Differs from the paper: weights are as they are quantised, the batch norm behind a layer folded in; `scale_free`
    divides them by their deviation first, for a norm makes the scale of what it follows arbitrary.
    """

    def measure() -> dict[str, tuple[float, ...]]:
        weights = {name: subject.weight(name).numpy() for name in subject.searched}
        if scale_free:
            weights = {name: weight / max(float(weight.std()), 1e-12) for name, weight in weights.items()}
        return dict(hq_distances(weights).layers)

    found = journal.once("hq distances" + (", scale-free" if scale_free else ""), measure)
    return HqDistances({name: tuple(distances) for name, distances in found.items()})


def squared_errors(distances: HqDistances, subject: Subject, costs: Costs) -> NDArray[np.float64]:
    """(L, B): the HQ distance times the number of weights, so that layers count by what they hold; float has none."""
    weights = {layer.name: layer.weights for layer in subject.shape.layers}
    return np.array(
        [
            [
                0.0 if bits == FLOAT else distances.layers[name][BITS.index(bits)] * weights[name]
                for bits in costs.choices
            ]
            for name in costs.layers
        ]
    )


def allowed(bits: Mapping[str, int], choices: Sequence[int]) -> Bits:
    """Each width raised to the next choice, or the largest one below float."""
    integers = [choice for choice in choices if choice != FLOAT]
    return {
        name: next((choice for choice in integers if choice >= width), integers[-1]) for name, width in bits.items()
    }
