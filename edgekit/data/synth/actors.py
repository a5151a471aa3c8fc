"""What moves or is parked in a world, and where each of them is at any time, in closed form."""

import math
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from edgekit.data.synth.layout import Layout
from edgekit.data.synth.noise import Random, random_for
from edgekit.data.synth.shapes import Parcel, Path, Rect

SYNTH_CLASSES = ("car", "truck", "person", "bicycle", "boat")
_PARKED_TRUCK_SHARE = 0.7


class Traveller(NamedTuple):
    """Something that follows a path; it leaves at the end and a new one enters at the start."""

    kind: str
    path: int
    start_m: float
    speed_mps: float
    offset_m: float
    sway_m: float
    phase: float
    style: int


class Wanderer(NamedTuple):
    """Something that strolls around a spot on a closed curve, or stands there when `reach_m` is 0."""

    kind: str
    x_m: float
    y_m: float
    reach_m: float
    speed_mps: float
    heading_rad: float
    phase: float
    style: int


class ActorState(NamedTuple):
    """All actors at one time, one row each."""

    xy_m: np.ndarray
    heading_rad: np.ndarray
    speed_mps: np.ndarray
    track_id: np.ndarray


class Cast:
    """Everything in a world that gets a box."""

    def __init__(self, paths: Sequence[Path], travellers: List[Traveller], wanderers: List[Wanderer]) -> None:
        self.paths = tuple(paths)
        self.kinds = tuple(t.kind for t in travellers) + tuple(w.kind for w in wanderers)
        self.styles = tuple(t.style for t in travellers) + tuple(w.style for w in wanderers)
        self._by_path = _columns_by_path(travellers)
        self._count = len(travellers)
        self._wander = np.array([w[1:7] for w in wanderers], np.float64).reshape(-1, 6)

    def __len__(self) -> int:
        return len(self.kinds)

    def at(self, t_s: float) -> ActorState:
        """Where everyone is, `t_s` seconds into the flight."""
        total = len(self)
        xy, heading = np.zeros((total, 2)), np.zeros(total)
        speed, track = np.zeros(total), np.arange(1, total + 1, dtype=np.int64)
        for path, (rows, columns) in self._by_path.items():
            xy[rows], heading[rows], speed[rows], laps = _travel(self.paths[path], columns, t_s)
            track[rows] += total * laps
        rest = slice(self._count, total)
        xy[rest], heading[rest], speed[rest] = _wander(self._wander, t_s)
        return ActorState(xy, heading, speed, track)


def _columns_by_path(travellers: List[Traveller]) -> Dict[int, Tuple[np.ndarray, np.ndarray]]:
    table = np.array([t[1:7] for t in travellers], np.float64).reshape(-1, 6)
    return {
        int(path): (np.flatnonzero(table[:, 0] == path), table[table[:, 0] == path, 1:])
        for path in np.unique(table[:, 0])
    }


def _travel(path: Path, columns: np.ndarray, t_s: float) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    start, speed, offset, sway, phase = columns.T
    along = start + speed * t_s + 1.2 * np.sin(0.35 * t_s + phase) * np.minimum(np.abs(speed) / 10.0, 1.0)
    laps = np.floor(along / path.length)
    side = offset + sway * np.sin(0.5 * t_s + phase)
    xy, heading = path.at(along - laps * path.length, side)
    # Lane offsets are to the right of the path; traffic with negative speed drives the path backwards.
    return (
        xy,
        np.where(speed < 0.0, heading + math.pi, heading),
        np.abs(speed),
        np.abs(laps).astype(np.int64) * 2 + (laps < 0),
    )


def _wander(columns: np.ndarray, t_s: float) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, reach, speed, heading, phase = columns.T
    rate = speed / np.maximum(reach, 0.5)
    a, b = rate * t_s + phase, 0.618 * rate * t_s + 2.0 * phase
    dx, dy = reach * np.sin(a), reach * np.sin(b)
    vx, vy = reach * rate * np.cos(a), 0.618 * reach * rate * np.cos(b)
    moving = reach > 0.0
    return (
        np.stack([x + dx, y + dy], axis=1),
        np.where(moving, np.arctan2(vy, vx), heading),
        np.where(moving, np.hypot(vx, vy), 0.0),
    )


def cast_for(layout: Layout, classes: Sequence[str]) -> Cast:
    """Everyone in the world of this layout whose class is asked for."""
    rng = random_for(layout.seed, "cast")
    paths = layout.roads + layout.streets + (layout.river,)
    travellers = _traffic(rng, layout) + _boats(rng, layout, len(paths) - 1)
    wanderers = _parked(rng, layout) + _people(rng, layout.parcels) + _gatherings(rng, layout)
    wanderers += _racks(random_for(layout.seed, "racks"), layout)
    return Cast(paths, [t for t in travellers if t.kind in classes], [w for w in wanderers if w.kind in classes])


def _style(rng: Random) -> int:
    return int(rng.randint(0, 1 << 16))


def _traffic(rng: Random, layout: Layout) -> List[Traveller]:
    """Cars and lorries in the lanes of the roads, bicycles at the kerb, people on the pavements."""
    out: List[Traveller] = []
    for index, road in enumerate(layout.roads):
        for side in (-1.0, 1.0):
            for lane in np.arange(1.75, road.half_width - 1.7, 3.5):
                pace = side * rng.uniform(7.0, 13.0)
                out += _row(
                    rng, ("car", "car", "car", "car", "truck"), index, road, pace, side * lane, (11.0, 34.0), 0.15
                )
            out += _row(rng, ("bicycle",), index, road, side * rng.uniform(3.5, 5.5), side * (road.half_width - 0.8),
                        (14.0, 50.0), 0.2)  # fmt: skip
            for way in (-1.0, 1.0):
                place = side * (road.half_width + 1.5 + 0.55 * way)
                out += _row(rng, ("person",), index, road, way * rng.uniform(1.0, 1.5), place, (7.0, 36.0), 0.25)
    return out


def _row(
    rng: Random,
    kinds: Sequence[str],
    index: int,
    path: Path,
    speed: float,
    offset: float,
    gap_m: Tuple[float, float],
    sway_m: float,
) -> List[Traveller]:
    """One lane: everyone at the lane's speed, so that no one drives through another."""
    row, at = [], rng.uniform(0.0, gap_m[1])
    phase = rng.uniform(0.0, 6.28)
    while at < path.length - gap_m[0]:
        kind = kinds[int(rng.randint(len(kinds)))]
        wobble = phase + rng.uniform(-0.4, 0.4)
        row.append(Traveller(kind, index, float(at), float(speed), float(offset), sway_m, float(wobble), _style(rng)))
        at += rng.uniform(*gap_m)
    return row


def _boats(rng: Random, layout: Layout, index: int) -> List[Traveller]:
    river, out = layout.river, []
    for side in (-1.0, 1.0):
        speed = side * rng.uniform(1.8, 4.0)
        out += _row(rng, ("boat",), index, river, speed, side * river.half_width * 0.42, (22.0, 70.0), 0.8)
    return out


def _parked(rng: Random, layout: Layout) -> List[Wanderer]:
    out = []
    for stall in layout.stalls:
        yard = stall.length_m > 6.0
        if rng.rand() < 0.62:
            kind = "truck" if yard and rng.rand() < _PARKED_TRUCK_SHARE else "car"
            heading = stall.angle_rad + (math.pi if rng.rand() < 0.5 else 0.0) + rng.normal(0.0, 0.02)
            spot = stall.to_world(rng.normal(0.0, 0.12, (1, 2)))[0]
            out.append(_standing(rng, kind, float(spot[0]), float(spot[1]), heading))
    for street in layout.streets:
        out += _kerb(rng, layout, street)
    return out


def _standing(rng: Random, kind: str, x_m: float, y_m: float, heading: float) -> Wanderer:
    return Wanderer(kind, x_m, y_m, 0.0, 0.0, float(heading), 0.0, _style(rng))


def _kerb(rng: Random, layout: Layout, street: Path) -> List[Wanderer]:
    """Cars parked along a street, away from the junctions and the bridge."""
    along = np.arange(6.0, street.length - 6.0, 6.4)
    out = []
    for side in (-1.0, 1.0):
        spots, headings = street.at(along, np.full(len(along), side * (street.half_width - 1.1)))
        for (x, y), heading in zip(spots, headings):
            keep = rng.rand() < 0.35
            if keep and all(_gap(path, x, y) > 9.0 for path in layout.roads + (layout.river,)):
                turned = heading + (0.0 if side > 0 else math.pi) + rng.normal(0.0, 0.02)
                out.append(_standing(rng, "car", float(x), float(y), turned))
    return out


def _gap(path: Path, x_m: float, y_m: float) -> float:
    """Distance from a north-south path's edge."""
    return abs(x_m - float(np.interp(y_m, path.xy[:, 1], path.xy[:, 0]))) - path.half_width


def _people(rng: Random, parcels: Sequence[Parcel]) -> List[Wanderer]:
    """Strollers in parks, players on courts, a few in fields and gardens."""
    density = {"park": 0.0035, "plaza": 0.005, "parking": 0.0012, "field": 0.0004, "depot": 0.001, "houses": 0.0006}
    out = []
    for parcel in parcels:
        inner = parcel.inner
        count = int(density.get(parcel.kind, 0.0) * max(inner.length_m, 0.0) * max(inner.width_m, 0.0))
        for _ in range(count):
            x, y = (
                inner.x_m + rng.uniform(-0.42, 0.42) * inner.length_m,
                inner.y_m + rng.uniform(-0.42, 0.42) * inner.width_m,
            )
            reach = 0.0 if rng.rand() < 0.25 else rng.uniform(1.5, 6.0)
            turn = rng.uniform(0.0, 6.28)
            out.append(
                Wanderer("person", x, y, reach, rng.uniform(0.7, 1.6), turn, rng.uniform(0.0, 6.28), _style(rng))
            )
    return out


def _gatherings(rng: Random, layout: Layout) -> List[Wanderer]:
    """Small groups that stand together, and rows of parked bicycles beside them."""
    out = []
    for parcel in layout.parcels:
        if parcel.kind not in ("plaza", "park"):
            continue
        inner = parcel.inner
        edge = inner.y_m + inner.width_m * 0.36
        out += _bicycle_row(rng, inner, edge)
        for _ in range(2):
            x, y = (
                inner.x_m + rng.uniform(-0.4, 0.4) * inner.length_m,
                inner.y_m + rng.uniform(-0.4, 0.4) * inner.width_m,
            )
            for k in range(rng.randint(2, 6)):
                turn = 1.25 * k + rng.uniform(-0.2, 0.2)
                out.append(_standing(rng, "person", x + 1.3 * math.cos(turn), y + 1.3 * math.sin(turn), turn + math.pi))
    return out


def _bicycle_row(rng: Random, inner: Rect, y_m: float) -> List[Wanderer]:
    x0 = inner.x_m + rng.uniform(-0.4, 0.1) * inner.length_m
    lean = math.pi / 2.0 + rng.normal(0.0, 0.05)
    spots = [x0 + 1.3 * k for k in range(rng.randint(3, 9)) if rng.rand() < 0.8]
    return [_standing(rng, "bicycle", float(x), y_m, lean + rng.normal(0.0, 0.1)) for x in spots]


def _racks(rng: Random, layout: Layout) -> List[Wanderer]:
    """Rows of parked bicycles beside the pavements of the roads, none on a street."""
    out = []
    for road in layout.roads:
        for start in np.arange(12.0, road.length - 20.0, 38.0):
            side = rng.choice([-1.0, 1.0])
            places = start + rng.uniform(0.0, 22.0) + 0.8 * np.arange(rng.randint(3, 12))
            spots, headings = road.at(places, np.full(len(places), side * (road.half_width + 3.3)))
            for (x, y), heading in zip(spots, headings):
                clear = all(abs(y - np.interp(x, s.xy[:, 0], s.xy[:, 1])) > s.half_width + 4.0 for s in layout.streets)
                if clear and rng.rand() < 0.85:
                    turned = heading + side * math.pi / 2.0 + rng.normal(0.0, 0.1)
                    out.append(_standing(rng, "bicycle", float(x), float(y), turned))
    return out
