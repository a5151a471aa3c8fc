"""Where everything stands in one seeded world: roads, a river, parcels, buildings and trees. Geometry only, metres."""

import math
from dataclasses import dataclass
from typing import List, NamedTuple, Tuple

import numpy as np

from edgekit.data.synth.noise import Random, random_for

WORLD_M = 384.0
PARCEL_KINDS = ("houses", "field", "park", "parking", "plaza", "forest", "depot")
_PARCEL_WEIGHTS = (0.30, 0.18, 0.12, 0.15, 0.11, 0.07, 0.07)


class Path:
    """A polyline that things move along, addressed by distance from its start."""

    def __init__(self, xy: np.ndarray, half_width: float) -> None:
        self.xy = xy
        self.half_width = half_width
        step = np.diff(xy, axis=0)
        self.distance = np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0], step[:, 1]))])
        self.length = float(self.distance[-1])
        self._heading = np.unwrap(np.arctan2(np.gradient(xy[:, 1]), np.gradient(xy[:, 0])))

    def at(self, along: np.ndarray, offset: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Points (N, 2) at `along` metres, `offset` metres to the right of travel, and headings (N,) in radians."""
        heading = np.interp(along, self.distance, self._heading)
        x = np.interp(along, self.distance, self.xy[:, 0]) - offset * np.sin(heading)
        y = np.interp(along, self.distance, self.xy[:, 1]) + offset * np.cos(heading)
        return np.stack([x, y], axis=1), heading

    def band(self, half_width: float) -> np.ndarray:
        """The closed outline (2N, 2) of everything within `half_width` of the path."""
        left, _ = self.at(self.distance, np.full(len(self.distance), -half_width))
        right, _ = self.at(self.distance, np.full(len(self.distance), half_width))
        return np.concatenate([left, right[::-1]])


class Rect(NamedTuple):
    """A rectangle on the ground, its length along `angle_rad`."""

    x_m: float
    y_m: float
    length_m: float
    width_m: float
    angle_rad: float

    def corners(self, grow_m: float = 0.0) -> np.ndarray:
        """(4, 2) metres, in order around the outline."""
        half_l, half_w = self.length_m / 2.0 + grow_m, self.width_m / 2.0 + grow_m
        local = np.array([[-half_l, -half_w], [half_l, -half_w], [half_l, half_w], [-half_l, half_w]])
        return self.to_world(local)

    def to_world(self, local: np.ndarray) -> np.ndarray:
        """Points (N, 2) relative to the centre and along the length, on the map."""
        c, s = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return local @ np.array([[c, s], [-s, c]]) + np.array([self.x_m, self.y_m])


class Building(NamedTuple):
    """A prism with a roof; `style` picks its texture."""

    rect: Rect
    height_m: float
    flat_roof: bool
    style: int


class Bed(NamedTuple):
    """A rectangle of one material on the ground, with a shadow if it is tall."""

    rect: Rect
    material: str
    height_m: float


class Tree(NamedTuple):
    """A single tree that stands above the ground (forests are part of the ground)."""

    x_m: float
    y_m: float
    radius_m: float
    height_m: float
    style: int


class Parcel(NamedTuple):
    """A piece of land between roads, with one use."""

    kind: str
    outline: np.ndarray
    inner: Rect


@dataclass(frozen=True)
class Layout:
    """The geometry of one world."""

    seed: int
    sun_per_metre: Tuple[float, float]
    roads: Tuple[Path, ...]
    streets: Tuple[Path, ...]
    river: Path
    parcels: Tuple[Parcel, ...]
    buildings: Tuple[Building, ...]
    trees: Tuple[Tree, ...]
    stalls: Tuple[Rect, ...]
    beds: Tuple[Bed, ...]


def layout_for(seed: int) -> Layout:
    """Lay out the world of this seed."""
    rng = random_for(seed, "layout")
    roads = tuple(_vertical(rng, WORLD_M * at, float(rng.choice([5.25, 5.25, 8.75])), 10.0) for at in (0.29, 0.73))
    river = _vertical(rng, WORLD_M * 0.51, rng.uniform(12.0, 20.0), 14.0)
    streets = tuple(_horizontal(rng, WORLD_M * at, 3.5) for at in (0.17, 0.5, 0.83))
    parcels = _parcels(rng, roads, streets, river)
    azimuth = rng.uniform(0.0, 2.0 * math.pi)
    shadow = rng.uniform(0.5, 1.1)
    plots = [_furnish(rng, parcel) for parcel in parcels]
    buildings = tuple(b for plot in plots for b in plot[0])
    trees = [t for plot in plots for t in plot[1]] + _avenue(rng, roads, streets, river)
    return Layout(
        seed,
        (shadow * math.cos(azimuth), shadow * math.sin(azimuth)),
        roads,
        streets,
        river,
        tuple(parcels),
        buildings,
        tuple(trees),
        tuple(stall for plot in plots for stall in plot[2]),
        tuple(bed for parcel in parcels if parcel.kind == "houses" for bed in _hedges(rng, parcel.inner))
        + tuple(bed for building in buildings if not building.flat_roof for bed in _garden(rng, building.rect)),
    )


def _vertical(rng: Random, x_m: float, half_width: float, sway_m: float) -> Path:
    y = np.arange(-30.0, WORLD_M + 31.0, 2.0)
    waves = rng.uniform(0.3, 1.0, 2) * sway_m
    phases = rng.uniform(0.0, 2.0 * math.pi, 2)
    x = x_m + waves[0] * np.sin(y / 75.0 + phases[0]) + 0.3 * waves[1] * np.sin(y / 31.0 + phases[1])
    return Path(np.stack([x, y], axis=1), half_width)


def _horizontal(rng: Random, y_m: float, half_width: float) -> Path:
    x = np.arange(-30.0, WORLD_M + 31.0, 2.0)
    y = y_m + rng.uniform(-12.0, 12.0) + rng.uniform(0.5, 2.0) * np.sin(x / 70.0 + rng.uniform(0.0, 6.28))
    return Path(np.stack([x, y], axis=1), half_width)


def _parcels(rng: Random, roads: Tuple[Path, ...], streets: Tuple[Path, ...], river: Path) -> List[Parcel]:
    """The blocks between roads, streets and the river, some of them cut in two."""
    edge = Path(np.array([[-8.0, -30.0], [-8.0, WORLD_M + 30.0]]), 0.0)
    far = Path(np.array([[WORLD_M + 8.0, -30.0], [WORLD_M + 8.0, WORLD_M + 30.0]]), 0.0)
    columns = [(edge, roads[0]), (roads[0], river), (river, roads[1]), (roads[1], far)]
    rows = [-8.0] + [float(s.xy[:, 1].mean()) for s in streets] + [WORLD_M + 8.0]
    parcels = []
    for left, right in columns:
        for top, bottom in _pairs(rows):
            cuts = [top, bottom] if bottom - top < 90.0 else [top, (top + bottom) / 2.0 + rng.uniform(-12, 12), bottom]
            for y0, y1 in _pairs(cuts):
                parcels.append(_parcel(rng, left, right, y0 + 8.0, y1 - (8.0 if y1 == bottom else -8.0)))
    return parcels


def _pairs(values: List[float]) -> List[Tuple[float, float]]:
    return [(values[k], values[k + 1]) for k in range(len(values) - 1)]


def _parcel(rng: Random, left: Path, right: Path, y0: float, y1: float) -> Parcel:
    y = np.linspace(y0, y1, 12)
    margin = 4.5
    x0 = np.interp(y, left.xy[:, 1], left.xy[:, 0]) + left.half_width + margin
    x1 = np.interp(y, right.xy[:, 1], right.xy[:, 0]) - right.half_width - margin
    outline = np.concatenate([np.stack([x0, y], 1), np.stack([x1, y], 1)[::-1]])
    inner = Rect(
        float(x0.max() + x1.min()) / 2.0,
        (y0 + y1) / 2.0,
        float(x1.min() - x0.max()) - 4.0,
        y1 - y0 - 5.0,
        0.0,
    )
    kind = PARCEL_KINDS[int(rng.choice(len(PARCEL_KINDS), p=_PARCEL_WEIGHTS))]
    return Parcel(kind, outline, inner)


def _furnish(rng: Random, parcel: Parcel) -> Tuple[List[Building], List[Tree], List[Rect]]:
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


def _garden(rng: Random, house: Rect) -> List[Bed]:
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


def _hedges(rng: Random, inner: Rect) -> List[Bed]:
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


def _avenue(rng: Random, roads: Tuple[Path, ...], streets: Tuple[Path, ...], river: Path) -> List[Tree]:
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
