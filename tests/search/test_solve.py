"""The solver against every combination there is."""

import itertools

import numpy as np
import pytest

pytest.importorskip("scipy")

from edgekit.search.solve import Limit, solve


def instance(seed: int, layers: int, choices: int, limits: int) -> tuple[np.ndarray, list[Limit]]:
    """Damages over five powers of ten, costs in whole units, room for about half."""
    random = np.random.default_rng(seed)
    damage = random.lognormal(0, 3, (layers, 1)) * np.sort(random.random((layers, choices)), axis=1)[:, ::-1]
    found = []
    for _ in range(limits):
        cost = np.cumsum(random.integers(0, 400, (layers, choices)), axis=1).astype(float)
        least, most = cost.min(axis=1).sum(), cost.max(axis=1).sum()
        found.append(Limit(cost, float(np.floor(least + random.uniform(0, 0.8) * (most - least)))))
    return damage, found


def brute_force(damage: np.ndarray, limits: list[Limit]) -> float | None:
    layers = np.arange(len(damage))
    sums = [
        damage[layers, choice].sum()
        for choice in map(np.array, itertools.product(range(damage.shape[1]), repeat=len(damage)))
        if all(limit.holds(choice) for limit in limits)
    ]
    return min(sums, default=None)


@pytest.mark.parametrize("limits", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_better(seed: int, limits: int) -> None:
    damage, rooms = instance(seed, 5, 4, limits)
    best, choice = brute_force(damage, rooms), solve(damage, rooms)
    if best is None:
        assert choice is None
        return
    assert choice is not None
    assert all(limit.holds(choice) for limit in rooms)
    assert damage[np.arange(5), choice].sum() == pytest.approx(best, rel=1e-9)


def test_a_budget_that_is_met_to_the_last_unit() -> None:
    cost = np.array([[2.0, 4.0, 8.0]] * 7) * np.array([3, 5, 7, 11, 13, 17, 1_000_003])[:, None]
    damage = np.array([[20.0, 1.0, 0.9]] * 7)
    exact = Limit(cost, float(cost[:, 1].sum()))
    assert list(solve(damage, [exact])) == [1] * 7
    one_less = [Limit(cost, exact.room - 1)]
    choice = solve(damage, one_less)
    assert choice is not None and one_less[0].holds(choice)
    assert damage[np.arange(7), choice].sum() == pytest.approx(brute_force(damage, one_less), rel=1e-9)


def test_no_room_at_all_and_just_none() -> None:
    cost = np.array([[0.0, 1.0], [0.0, 1.0]])
    damage = np.array([[5.0, 0.0], [5.0, 0.0]])
    assert solve(damage, [Limit(cost, -1.0)]) is None
    assert list(solve(damage, [Limit(cost, 0.0)])) == [0, 0]
    assert list(solve(np.zeros((2, 2)), [Limit(cost, 2.0)]) >= 0) == [True, True]


def test_limits_that_exclude_each_other() -> None:
    bytes_, ms = np.array([[1.0, 4.0]]), np.array([[9.0, 2.0]])
    assert solve(np.array([[1.0, 0.0]]), [Limit(bytes_, 3.0), Limit(ms, 3.0)]) is None


def test_the_solver_says_nothing_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    """HiGHS has a printf left in that this size of problem meets."""
    random = np.random.default_rng(0)
    for _ in range(3):
        weights = random.choice([256, 1024, 4096, 16384, 36864, 73728, 110592], 50)
        cost = weights[:, None] * np.arange(2, 9.0)
        damage = random.lognormal(0, 2, (50, 1)) * 4.0 ** -np.arange(2, 9) * random.lognormal(0, 0.1, (50, 7))
        assert solve(damage, [Limit(cost, float(4 * weights.sum()))]) is not None
    print("after")
    assert capfd.readouterr().out == "after\n"
