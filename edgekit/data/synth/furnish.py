"""What stands on a parcel and beside the roads: houses and gardens, halls, parking stalls, trees."""

import math
from typing import List, Tuple

import numpy as np

from edgekit.data.synth.noise import Random
from edgekit.data.synth.shapes import Bed, Building, Parcel, Path, Rect, Tree


def furnish(rng: Random, parcel: Parcel) -> Tuple[List[Building], List[Tree], List[Rect]]:
    """Buildings, trees and parking stalls of one parcel."""
    if parcel.kind == "houses":
        return _houses(rng, parcel.inner)
    if parcel.kind == "park":
        return [], _scatter(rng, parcel.inner, 0.006, (1.8, 4.2)), []
    if parcel.kind == "field":
        return [], _scatter(rng, parcel.inner, 0.0004, (2.0, 3.5)), []
    if parcel.kind == "plaza":
        return [], _rim(rng, parcel.inner, 11.0), []
    if parcel.kind == "parking":
        return [], _rim(rng, parcel.inner, 14.0), _stalls(parcel.inner)
    if parcel.kind == "depot":
        return _halls(rng, parcel.inner), [], _yard(parcel.inner)
    return [], [], []


def _houses(rng: Random, inner: Rect) -> Tuple[List[Building], List[Tree], List[Rect]]:
    buildings, trees, stalls = [], [], []
    pitch_x, pitch_y = rng.uniform(21.0, 25.0), rng.uniform(20.0, 24.0)
    turned = 0.0 if rng.rand() < 0.5 else math.pi / 2.0
    style = int(rng.randint(0, 64))
    for x, y in _cells(inner, pitch_x, pitch_y):
        if rng.rand() < 0.1:
            trees += _scatter(rng, Rect(x, y, pitch_x - 4.0, pitch_y - 4.0, 0.0), 0.02, (1.6, 3.2))
            continue
        angle = turned + rng.normal(0.0, 0.03)
        rect = Rect(x + rng.uniform(-2, 2), y + rng.uniform(-2, 2), rng.uniform(10, 14), rng.uniform(7.5, 9.5), angle)
        buildings.append(Building(rect, rng.uniform(4.0, 7.0), rng.rand() < 0.15, style + int(rng.randint(0, 5))))
        side = rect.length_m / 2.0 + 2.4
        if rng.rand() < 0.7:
            spot = rect.to_world(np.array([[side, rng.uniform(-2.0, 2.0)]]))[0]
            stalls.append(Rect(float(spot[0]), float(spot[1]), 4.8, 2.4, angle + math.pi / 2.0))
        for _ in range(rng.randint(0, 4)):
            local = np.array([[rng.uniform(-0.9, 0.5) * side, rng.choice([-1, 1]) * rng.uniform(7.0, 10.0)]])
            spot = rect.to_world(local)[0]
            trees.append(_tree(rng, float(spot[0]), float(spot[1]), (1.2, 2.8)))
    return buildings, trees, stalls


def garden(rng: Random, house: Rect) -> List[Bed]:
    """A terrace behind a house, and sometimes a flower bed or a pool."""
    side = 1.0 if rng.rand() < 0.5 else -1.0
    spots = [("pavement", 1.0, 3.0, 0.4), ("soil", 0.35, 1.6, 0.25), ("pool", 0.12, 3.4, 0.5)]
    beds, at = [], house.width_m / 2.0 + 0.3
    for material, share, deep, long in spots:
        if rng.rand() > share:
            continue
        local = np.array([[rng.uniform(-0.2, 0.2) * house.length_m, side * (at + deep / 2.0)]])
        spot = house.to_world(local)[0]
        rect = Rect(float(spot[0]), float(spot[1]), house.length_m * long, deep, house.angle_rad)
        beds.append(Bed(rect, material, 0.0))
        at += deep + 0.5
        if at > house.width_m / 2.0 + 5.0:
            break
    return beds


def hedges(rng: Random, inner: Rect) -> List[Bed]:
    """Hedges along the edges of a block of gardens and across it."""
    beds = []
    for share, length, turn in ((0.5, inner.length_m, 0.0), (0.0, inner.width_m, math.pi / 2.0)):
        for _ in range(3):
            offset = rng.choice([-0.5, 0.5]) if rng.rand() < share else rng.uniform(-0.3, 0.3)
            reach = length * rng.uniform(0.3, 0.7)
            slide = rng.uniform(-0.5, 0.5) * (length - reach)
            x, y = (slide, offset * inner.width_m) if turn == 0.0 else (offset * inner.length_m, slide)
            beds.append(Bed(Rect(inner.x_m + x, inner.y_m + y, reach, rng.uniform(0.7, 1.1), turn), "hedge", 1.1))
    return beds


def _halls(rng: Random, inner: Rect) -> List[Building]:
    length = min(inner.length_m * 0.8, 48.0)
    width = min(inner.width_m * 0.38, 24.0)
    if length < 12.0 or width < 8.0:
        return []
    rect = Rect(inner.x_m, inner.y_m - inner.width_m * 0.25, length, width, 0.0)
    return [Building(rect, rng.uniform(6.0, 10.0), True, int(rng.randint(0, 64)))]


def _yard(inner: Rect) -> List[Rect]:
    """Lorry bays along the free side of a depot."""
    y = inner.y_m + inner.width_m * 0.30
    xs = np.arange(inner.x_m - inner.length_m / 2.0 + 4.0, inner.x_m + inner.length_m / 2.0 - 4.0, 4.2)
    return [Rect(float(x), y, 7.0, 3.2, math.pi / 2.0) for x in xs]


def _stalls(inner: Rect) -> List[Rect]:
    """Rows of parking stalls, two by two around an aisle."""
    stalls = []
    xs = np.arange(inner.x_m - inner.length_m / 2.0 + 5.0, inner.x_m + inner.length_m / 2.0 - 5.0, 2.7)
    rows = np.arange(inner.y_m - inner.width_m / 2.0 + 6.0, inner.y_m + inner.width_m / 2.0 - 5.0, 16.5)
    for row in rows:
        for offset in (0.0, 5.2):
            if row + offset < inner.y_m + inner.width_m / 2.0 - 3.0:
                stalls += [Rect(float(x), float(row + offset), 5.0, 2.5, math.pi / 2.0) for x in xs]
    return stalls


def _cells(inner: Rect, pitch_x: float, pitch_y: float) -> List[Tuple[float, float]]:
    columns, rows = int(inner.length_m // pitch_x), int(inner.width_m // pitch_y)
    x0, y0 = inner.x_m - (columns - 1) * pitch_x / 2.0, inner.y_m - (rows - 1) * pitch_y / 2.0
    return [(x0 + i * pitch_x, y0 + j * pitch_y) for i in range(columns) for j in range(rows)]


def _scatter(rng: Random, inner: Rect, per_m2: float, radius_m: Tuple[float, float]) -> List[Tree]:
    count = int(max(inner.length_m, 0.0) * max(inner.width_m, 0.0) * per_m2)
    spots = rng.uniform(-0.48, 0.48, (count, 2)) * [inner.length_m, inner.width_m] + [inner.x_m, inner.y_m]
    return [_tree(rng, float(x), float(y), radius_m) for x, y in spots]


def _rim(rng: Random, inner: Rect, pitch_m: float) -> List[Tree]:
    """Trees along the two long edges."""
    xs = np.arange(inner.x_m - inner.length_m / 2.0, inner.x_m + inner.length_m / 2.0, pitch_m)
    half = inner.width_m / 2.0
    return [_tree(rng, float(x), inner.y_m + side * half, (1.5, 2.6)) for x in xs for side in (-1.0, 1.0)]


def avenue(rng: Random, roads: Tuple[Path, ...], streets: Tuple[Path, ...], river: Path) -> List[Tree]:
    """Trees beside the roads and the river, away from junctions."""
    trees = []
    for path, offset, pitch in [(roads[0], 5.4, 13.0), (roads[1], 5.4, 15.0), (river, 3.5, 11.0)]:
        along = np.arange(5.0, path.length - 5.0, pitch)
        for side in (-1.0, 1.0):
            spots, _ = path.at(
                along + rng.uniform(-2, 2, len(along)), np.full(len(along), side * (path.half_width + offset))
            )
            for x, y in spots:
                clear = min(abs(y - np.interp(x, s.xy[:, 0], s.xy[:, 1])) for s in streets) > 9.0
                if clear and rng.rand() < 0.8:
                    trees.append(_tree(rng, float(x), float(y), (1.6, 3.2)))
    return trees


def _tree(rng: Random, x_m: float, y_m: float, radius_m: Tuple[float, float]) -> Tree:
    radius = rng.uniform(*radius_m)
    return Tree(x_m, y_m, radius, radius * rng.uniform(1.6, 2.2), int(rng.randint(0, 1 << 16)))
