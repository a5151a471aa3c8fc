import itertools

import numpy as np
import pytest

from edgekit.runtime.tracking.assign import assign


def best_by_trying_all(weight):
    """Greatest sum over all ways to match rows with columns; pairs of weight <= 0 stay apart."""
    gain = np.maximum(weight, 0)
    if gain.shape[0] > gain.shape[1]:
        gain = gain.T
    ways = itertools.permutations(range(gain.shape[1]), gain.shape[0])
    return max(sum(gain[row, col] for row, col in enumerate(way)) for way in ways)


def check_matching(weight, rows, cols):
    assert (weight[rows, cols] > 0).all()
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(cols.tolist())) == len(cols)


@pytest.mark.parametrize("seed", range(60))
def test_equals_trying_all(seed):
    rng = np.random.RandomState(seed)
    weight = rng.uniform(-1, 1, (rng.randint(1, 6), rng.randint(1, 7)))
    rows, cols = assign(weight)
    check_matching(weight, rows, cols)
    assert weight[rows, cols].sum() == pytest.approx(best_by_trying_all(weight))


@pytest.mark.parametrize("shift", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(1, 1), (1, 65), (63, 64), (65, 31), (100, 100)])
def test_equals_scipy(shape, shift):
    solve = pytest.importorskip("scipy.optimize").linear_sum_assignment
    rng = np.random.RandomState(shape[0] + shape[1])
    for weight in (rng.uniform(0, 1, shape) - shift, np.round(rng.uniform(0, 1, shape) - shift, 1)):
        rows, cols = assign(weight)
        check_matching(weight, rows, cols)
        gain = np.maximum(weight, 0)
        assert weight[rows, cols].sum() == pytest.approx(gain[solve(gain, maximize=True)].sum())


def test_the_greatest_pair_is_not_taken_when_two_others_weigh_more():
    rows, cols = assign(np.array([[0.9, 0.8], [0.7, -1.0]]))
    assert sorted(zip(rows.tolist(), cols.tolist())) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (4, 5)])
def test_nothing_in_reach(shape):
    rows, cols = assign(np.full(shape, -0.5))
    assert len(rows) == len(cols) == 0
