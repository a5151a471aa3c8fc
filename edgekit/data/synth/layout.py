"""Where everything stands in one seeded world: roads, a river, parcels, buildings and trees. Geometry only, metres."""

import math
from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

from edgekit.data.synth.furnish import avenue, furnish, garden, hedges
from edgekit.data.synth.noise import Random, random_for
from edgekit.data.synth.shapes import WORLD_M, Bed, Building, Parcel, Path, Rect, Tree

PARCEL_KINDS = ("houses", "field", "park", "parking", "plaza", "forest", "depot")
PAVEMENT_M = 2.9
_PARCEL_WEIGHTS = (0.30, 0.18, 0.12, 0.15, 0.11, 0.07, 0.07)


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
    plots = [furnish(rng, parcel) for parcel in parcels]
    buildings = tuple(b for plot in plots for b in plot[0])
    trees = [t for plot in plots for t in plot[1]] + avenue(rng, roads, streets, river)
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
        tuple(bed for parcel in parcels if parcel.kind == "houses" for bed in hedges(rng, parcel.inner))
        + tuple(bed for building in buildings if not building.flat_roof for bed in garden(rng, building.rect)),
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


def crossing(road: Path, street: Path) -> Tuple[float, float]:
    """Where a road (mostly along y) meets a street (mostly along x), in metres."""
    y = float(street.xy[:, 1].mean())
    x = float(np.interp(y, road.xy[:, 1], road.xy[:, 0]))
    y = float(np.interp(x, street.xy[:, 0], street.xy[:, 1]))
    return float(np.interp(y, road.xy[:, 1], road.xy[:, 0])), y


def bridges(layout: Layout, past_bank_m: float = 6.0) -> List[np.ndarray]:
    """The outline (N, 2) in metres of each street where it is over the river, and a little farther."""
    decks = []
    for street in layout.streets:
        x, _ = crossing(layout.river, street)
        reach = layout.river.half_width + past_bank_m
        along = np.interp(np.linspace(x - reach, x + reach, 9), street.xy[:, 0], street.distance)
        wide = np.full(9, street.half_width + PAVEMENT_M)
        decks.append(np.concatenate([street.at(along, -wide)[0], street.at(along, wide)[0][::-1]]))
    return decks
