"""One width a layer so that damage is least within every limit: a multiple-choice knapsack, solved exactly.

    minimise sum_l d[l, b_l]   such that   sum_l cost_r[l, b_l] <= room_r   for each limit r

by branch and bound (HiGHS through `scipy.optimize.milp`). With one limit that is Sinha and Zoltners' problem
(Operations Research 27, 1979).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, kron

from edgekit.errors import BackendError

_OPTIMAL, _INFEASIBLE = 0, 2
_TOLERANCE = 2e-6
_TRIES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """One limit.

    Attributes:
        cost: (L, B), of each choice of each layer, >= 0.
        room: what they may cost together.
    """

    cost: NDArray[np.float64]
    room: float

    def holds(self, choice: NDArray[np.intp]) -> bool:
        """Whether `choice` (L,) is within it."""
        return self.spent(choice) <= self.room

    def spent(self, choice: NDArray[np.intp]) -> float:
        """What `choice` (L,) costs."""
        return float(self.cost[np.arange(len(choice)), choice].sum())

    def reachable(self) -> bool:
        """Whether the cheapest choice of every layer is within it."""
        return float(self.cost.min(axis=1).sum()) <= self.room


def solve(damage: NDArray[np.float64], limits: Sequence[Limit]) -> NDArray[np.intp] | None:
    """The best choice (L,), an index along the second axis for each layer; None where no choice is within the limits.

    Args:
        damage: (L, B), >= 0 and finite.
        limits: all must hold.

    Raises:
        BackendError: the solver gave up.
    """
    if not all(limit.reachable() for limit in limits):
        return None
    rough = _within(damage / max(damage.max(), 1e-300), limits)
    if rough is None:
        return None
    # The solver's gap is absolute, 1e-6: ask again in a unit in which the best is large.
    value = float(damage[np.arange(len(damage)), rough].sum())
    return rough if value == 0 else _within(damage * (1e3 / value), limits)


def _within(damage: NDArray[np.float64], limits: Sequence[Limit]) -> NDArray[np.intp] | None:
    """A solution; the solver's tolerance of its constraints is taken off where a solution makes use of it."""
    rooms = [limit.room for limit in limits]
    for _ in range(_TRIES):
        choice = _solve(damage, [Limit(limit.cost, room) for limit, room in zip(limits, rooms, strict=True)])
        if choice is None or all(limit.holds(choice) for limit in limits):
            return choice
        rooms = [
            room if limit.holds(choice) else room * (1 - _TOLERANCE) for limit, room in zip(limits, rooms, strict=True)
        ]
    raise BackendError("the solver does not keep the budget; change it by a little")


def _solve(damage: NDArray[np.float64], limits: Sequence[Limit]) -> NDArray[np.intp] | None:
    layers, choices = damage.shape
    one_each = LinearConstraint(csr_array(kron(np.eye(layers), np.ones((1, choices)))), 1, 1)
    rows = [_row(limit) for limit in limits]
    with _quiet():
        found = milp(
            damage.reshape(-1),
            integrality=np.ones(damage.size),
            bounds=Bounds(0, 1),
            constraints=[one_each, *rows],
            options={"mip_rel_gap": 0.0},
        )
    if found.status == _INFEASIBLE:
        return None
    if found.status != _OPTIMAL:
        raise BackendError(f"the solver (HiGHS) ended without an answer: {found.message}")
    choice: NDArray[np.intp] = np.asarray(found.x).reshape(layers, choices).argmax(axis=1)
    return choice


def _row(limit: Limit) -> LinearConstraint:
    """In units of the room, which is what the solver's tolerance is taken of."""
    unit = limit.room if limit.room > 0 else max(float(limit.cost.max()), 1.0)
    return LinearConstraint(limit.cost.reshape(1, -1) / unit, ub=limit.room / unit)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what HiGHS prints off stdout, which belongs to the result: versions of 2025 have a printf left in."""
    libc = ctypes.CDLL(None)
    sys.stdout.flush()
    libc.fflush(None)
    kept = os.dup(1)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        libc.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
