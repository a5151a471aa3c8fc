"""Which track takes which box: maximum-weight matching, exact, in NumPy.

The gated problem of a tracker is nearly diagonal: most tracks reach one box that no other track reaches. Those pairs
are right in every best matching and leave at once; the few contested rows that remain go through shortest augmenting
paths (Jonker and Volgenant 1987), started from the row minima, which places nearly all of them without a search.

Importing `scipy.optimize` for the same answer costs 0.3 s and 47 MB, more than everything else that the runtime loads.
"""

from typing import Tuple

import numpy as np

Pairs = Tuple[np.ndarray, np.ndarray]


def assign(weight: np.ndarray) -> Pairs:
    """Match rows to columns of `weight` (N, M) so that the sum of the matched weights is the greatest.

    A pair is matched only where its weight is positive; a row or column may stay alone.

    Returns:
        Row indices (K,) and column indices (K,) of the pairs.
    """
    rows, cols = np.nonzero(weight > 0)
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(cols)[cols] == 1)
    if alone.all():
        return rows, cols
    contested_rows, contested_cols = np.unique(rows[~alone]), np.unique(cols[~alone])
    block = np.maximum(weight[np.ix_(contested_rows, contested_cols)], 0)
    first, second = _best_matching(block)
    return (
        np.concatenate([rows[alone], contested_rows[first]]),
        np.concatenate([cols[alone], contested_cols[second]]),
    )


def _best_matching(weight: np.ndarray) -> Pairs:
    """Pairs with positive weight of the maximum-weight matching of `weight` (N, M) >= 0."""
    if weight.shape[0] > weight.shape[1]:
        second, first = _best_matching(weight.T)
        return first, second
    row_of_col = _shortest_paths(-weight.astype(np.float64))
    cols = np.flatnonzero(row_of_col >= 0)
    rows = row_of_col[cols]
    matched = weight[rows, cols] > 0
    return rows[matched], cols[matched]


def _shortest_paths(cost: np.ndarray) -> np.ndarray:
    """Row (or -1) of each column in the cheapest matching that gives every row of `cost` (N, M), N <= M, a column."""
    row_price = cost.min(axis=1)
    col_price = np.zeros(cost.shape[1])
    row_of_col = np.full(cost.shape[1], -1)
    # With these prices no reduced cost is negative and each row's cheapest column costs 0: the first row to ask for a
    # column keeps it, and only the others need a path.
    cols, first = np.unique(cost.argmin(axis=1), return_index=True)
    row_of_col[cols] = first
    waiting = np.ones(len(cost), dtype=bool)
    waiting[first] = False
    for row in np.flatnonzero(waiting):
        _augment(int(row), cost, row_price, col_price, row_of_col)
    return row_of_col


def _augment(
    start: int, cost: np.ndarray, row_price: np.ndarray, col_price: np.ndarray, row_of_col: np.ndarray
) -> None:
    """Give row `start` a column along the shortest augmenting path; prices and `row_of_col` change in place."""
    slack = np.full(cost.shape[1], np.inf)
    came_from = np.full(cost.shape[1], -1)
    closed = np.zeros(cost.shape[1], dtype=bool)
    tree_rows = [start]
    col = -1
    while True:
        reduced = cost[tree_rows[-1]] - row_price[tree_rows[-1]] - col_price
        better = ~closed & (reduced < slack)
        slack[better] = reduced[better]
        came_from[better] = col
        col = int(np.where(closed, np.inf, slack).argmin())
        step = slack[col]
        row_price[tree_rows] += step
        col_price[closed] -= step
        slack -= step
        closed[col] = True
        if row_of_col[col] < 0:
            break
        tree_rows.append(int(row_of_col[col]))
    while col >= 0:
        previous = int(came_from[col])
        row_of_col[col] = start if previous < 0 else row_of_col[previous]
        col = previous
