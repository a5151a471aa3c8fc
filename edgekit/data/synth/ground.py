"""Paints the ground of a world once: a colour map and its thermal twin, which every frame is then warped from."""

import math
from typing import List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from edgekit.data.synth.layout import WORLD_M, Layout, Parcel, Path, Rect, Tree
from edgekit.data.synth.noise import Random, fractal, random_for
from edgekit.data.synth.palette import CROPS, GROUND, Colour, Weather

PIXELS_PER_M = 8
SIZE_PX = int(WORLD_M) * PIXELS_PER_M
_SHIFT = 4
_LIT = 255
_DECK_M = 2.5


class Ground(NamedTuple):
    """The painted maps; row 0 is y = 0 m, `PIXELS_PER_M` pixels a metre.

    Attributes:
        bgrh: (S, S, 4) uint8: blue, green, red, and the thermal level.
        light: (S / 4, S / 4) uint8, 255 in the sun and less in a shadow.
    """

    bgrh: np.ndarray
    light: np.ndarray


class _Canvas:
    """The three layers that every brush stroke goes to."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.bgr = np.empty((SIZE_PX, SIZE_PX, 3), np.uint8)
        self.heat = np.empty((SIZE_PX, SIZE_PX), np.uint8)
        self.rough = np.empty((SIZE_PX, SIZE_PX), np.uint8)
        colour, rough = GROUND["grass"]
        self.bgr[:] = colour
        self.heat[:] = weather.heat["grass"]
        self.rough[:] = rough

    def fill(self, outline: np.ndarray, material: str) -> None:
        colour, rough = GROUND[material]
        self.fill_with(outline, colour, self.weather.heat[material], rough)

    def fill_with(self, outline: np.ndarray, colour: Colour, heat: int, rough: int) -> None:
        points = [_fixed(outline)]
        cv2.fillPoly(self.bgr, points, colour, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(self.heat, points, heat, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(self.rough, points, rough, cv2.LINE_AA, _SHIFT)

    def line(self, points: np.ndarray, material: str, width_m: float) -> None:
        colour, _ = GROUND[material]
        width = max(1, round(width_m * PIXELS_PER_M))
        cv2.polylines(self.bgr, [_fixed(points)], False, colour, width, cv2.LINE_AA, _SHIFT)
        cv2.polylines(self.heat, [_fixed(points)], False, self.weather.heat[material], width, cv2.LINE_AA, _SHIFT)


def _fixed(points_m: np.ndarray) -> np.ndarray:
    return np.rint(points_m * (PIXELS_PER_M << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)


def paint(layout: Layout, weather: Weather) -> Ground:
    """Paint the ground of `layout`; takes about a second."""
    rng = random_for(layout.seed, "ground")
    canvas = _Canvas(weather)
    for parcel in layout.parcels:
        _parcel(canvas, rng, parcel)
    for bed in layout.beds:
        canvas.fill(bed.rect.corners(), bed.material)
    _river(canvas, layout.river)
    for path in layout.streets + layout.roads:
        _roadway(canvas, path)
    for path in layout.streets + layout.roads:
        _tarmac(canvas, path)
    for street in layout.streets:
        _centre_line(canvas, street, layout.roads, 3.0, 3.0)
    for road in layout.roads:
        _markings(canvas, road, layout.streets)
    for stall in layout.stalls:
        _stall(canvas, stall)
    light = _light(layout)
    _texture(canvas, rng, light)
    return Ground(cv2.merge([*cv2.split(canvas.bgr), canvas.heat]), light)


def _parcel(canvas: _Canvas, rng: Random, parcel: Parcel) -> None:
    if parcel.kind == "field":
        _field(canvas, rng, parcel)
    elif parcel.kind == "houses":
        canvas.fill(parcel.outline, "lawn")
    elif parcel.kind == "park":
        canvas.fill(parcel.outline, "lawn")
        _footpaths(canvas, rng, parcel.inner)
    elif parcel.kind in ("parking", "depot"):
        canvas.fill(parcel.inner.corners(), "lot")
    elif parcel.kind == "plaza":
        canvas.fill(parcel.inner.corners(), "plaza")
        _court(canvas, rng, parcel.inner)
    elif parcel.kind == "forest":
        canvas.fill(parcel.outline, "forest")


def _field(canvas: _Canvas, rng: Random, parcel: Parcel) -> None:
    """Crop rows: stripes of two tones along one direction, tram lines every 16 m."""
    low, high = canvas.weather.crop
    colour = np.array(CROPS[int(rng.randint(len(CROPS)))], np.float64)
    heat = int(rng.randint(low, high + 1))
    canvas.fill_with(parcel.outline, _colour(colour), heat, 90)
    x, y = parcel.outline.min(axis=0)
    x1, y1 = parcel.outline.max(axis=0)
    box = np.clip(np.array([x, y, x1, y1]) * PIXELS_PER_M, 0, SIZE_PX).astype(int)
    width, height = box[2] - box[0], box[3] - box[1]
    inside = np.zeros((height, width), np.uint8)
    cv2.fillPoly(inside, [np.rint(parcel.outline * PIXELS_PER_M).astype(np.int32) - box[:2].astype(np.int32)], 1)
    angle = rng.choice([0.0, math.pi / 2.0]) + rng.normal(0.0, 0.08)
    across = (
        np.arange(width, dtype=np.float32)[None, :] * math.cos(angle)
        + np.arange(height, dtype=np.float32)[:, None] * math.sin(angle)
    ) / PIXELS_PER_M
    rows = 0.11 * np.sin(across * (2.0 * math.pi / rng.uniform(0.9, 2.0)))
    rows += np.where(np.mod(across, 16.0) < 0.5, 0.14, 0.0).astype(np.float32)
    factor = np.where(inside > 0, 1.0 + rows, 1.0).astype(np.float32)
    part = (slice(box[1], box[3]), slice(box[0], box[2]))
    canvas.bgr[part] = np.clip(canvas.bgr[part] * factor[:, :, None], 0, 255).astype(np.uint8)
    canvas.heat[part] = np.clip(canvas.heat[part] + (factor - 1.0) * 70.0, 0, 255).astype(np.uint8)


def _colour(value: np.ndarray) -> Colour:
    blue, green, red = (int(v) for v in np.clip(value, 0, 255))
    return blue, green, red


def _footpaths(canvas: _Canvas, rng: Random, inner: Rect) -> None:
    for _ in range(2):
        t = np.linspace(0.0, 1.0, 24)
        wave = rng.uniform(0.05, 0.2) * np.sin(t * rng.uniform(3.0, 6.0) + rng.uniform(0.0, 6.0))
        along = np.stack([(t - 0.5) * inner.length_m, (wave + rng.uniform(-0.2, 0.2)) * inner.width_m], axis=1)
        if rng.rand() < 0.5:
            along = along[:, ::-1] * [
                inner.length_m / max(inner.width_m, 1.0),
                inner.width_m / max(inner.length_m, 1.0),
            ]
        canvas.line(inner.to_world(along), "sand", 2.2)


def _court(canvas: _Canvas, rng: Random, inner: Rect) -> None:
    """A sports court with its lines, where there is room."""
    length, width = min(inner.length_m * 0.62, 40.0), min(inner.width_m * 0.7, 24.0)
    if length < 14.0 or width < 10.0:
        return
    court = Rect(inner.x_m, inner.y_m, length, width, 0.0)
    canvas.fill(court.corners(1.5), "pitch" if rng.rand() < 0.5 else "court")
    outline = court.corners()
    canvas.line(np.concatenate([outline, outline[:1]]), "paint", 0.14)
    canvas.line(court.to_world(np.array([[0.0, -width / 2.0], [0.0, width / 2.0]])), "paint", 0.14)
    turn = np.linspace(0.0, 2.0 * math.pi, 40)
    canvas.line(court.to_world(np.stack([np.cos(turn), np.sin(turn)], axis=1) * width * 0.16), "paint", 0.14)


def _river(canvas: _Canvas, river: Path) -> None:
    canvas.fill(river.band(river.half_width + 2.6), "sand")
    canvas.fill(river.band(river.half_width + 1.0), "shallow")
    canvas.fill(river.band(river.half_width), "water")


def _roadway(canvas: _Canvas, path: Path) -> None:
    """Pavements on both sides; over the river this is the bridge's parapet."""
    canvas.fill(path.band(path.half_width + 2.9), "pavement")


def _tarmac(canvas: _Canvas, path: Path) -> None:
    canvas.fill(path.band(path.half_width), "asphalt")
    for side in (-1.0, 1.0):
        for lane in np.arange(1.75, path.half_width - 1.0, 3.5):
            _wheel_tracks(canvas, path, side * lane)


def _wheel_tracks(canvas: _Canvas, path: Path, offset_m: float) -> None:
    """Worn, slightly lighter and warmer stripes where wheels run."""
    colour = tuple(c + 7 for c in GROUND["asphalt"][0])
    for wheel in (-0.75, 0.75):
        points, _ = path.at(path.distance, np.full(len(path.distance), offset_m + wheel))
        cv2.polylines(canvas.bgr, [_fixed(points)], False, colour, 4, cv2.LINE_AA, _SHIFT)
        heat = canvas.weather.heat["asphalt"] + 6
        cv2.polylines(canvas.heat, [_fixed(points)], False, heat, 4, cv2.LINE_AA, _SHIFT)


def _dashes(canvas: _Canvas, path: Path, offset_m: float, dash_m: float, gap_m: float, clear: np.ndarray) -> None:
    for start in np.arange(0.0, path.length - dash_m, dash_m + gap_m):
        along = np.linspace(start, start + dash_m, 3)
        points, _ = path.at(along, np.full(3, offset_m))
        if clear.size == 0 or np.abs(clear - points[1]).max(axis=1).min() > 13.0:
            canvas.line(points, "paint", 0.14)


def _centre_line(canvas: _Canvas, street: Path, roads: Sequence[Path], dash_m: float, gap_m: float) -> None:
    crossings = np.array([crossing(road, street) for road in roads])
    _dashes(canvas, street, 0.0, dash_m, gap_m, crossings)


def crossing(road: Path, street: Path) -> Tuple[float, float]:
    """Where a road (mostly along y) meets a street (mostly along x), in metres."""
    y = float(street.xy[:, 1].mean())
    x = float(np.interp(y, road.xy[:, 1], road.xy[:, 0]))
    y = float(np.interp(x, street.xy[:, 0], street.xy[:, 1]))
    return float(np.interp(y, road.xy[:, 1], road.xy[:, 0])), y


def _markings(canvas: _Canvas, road: Path, streets: Sequence[Path]) -> None:
    crossings = np.array([crossing(road, street) for street in streets])
    lanes = [0.0] + [s * lane for lane in np.arange(3.5, road.half_width - 2.0, 3.5) for s in (-1.0, 1.0)]
    for offset in lanes:
        _dashes(canvas, road, float(offset), 3.0 if offset else 6.0, 4.0 if offset else 2.0, crossings)
    for side in (-1.0, 1.0):
        _dashes(canvas, road, side * (road.half_width - 1.6), 6.0, 0.0, crossings)
    for _, y in crossings:
        for step in (-8.5, 8.5):
            _zebra(canvas, road, y + step)


def _zebra(canvas: _Canvas, road: Path, y: float) -> None:
    along = float(np.interp(y, road.xy[:, 1], road.distance))
    for offset in np.arange(-road.half_width + 0.5, road.half_width, 1.1):
        ends = np.array([along - 1.6, along + 1.6, along + 1.6, along - 1.6])
        bar, _ = road.at(ends, offset + np.array([-0.25, -0.25, 0.25, 0.25]))
        canvas.fill(bar, "paint")


def _stall(canvas: _Canvas, stall: Rect) -> None:
    corners = stall.corners()
    if stall.length_m < 4.9:
        canvas.fill(stall.corners(0.5), "pavement")
        return
    canvas.line(corners[[1, 0, 3, 2]], "paint", 0.12)


def _light(layout: Layout) -> np.ndarray:
    """255 where the sun reaches the ground; a quarter of the map's resolution is enough for soft edges."""
    size = SIZE_PX // 4
    light = np.full((size, size), _LIT, np.uint8)
    sun = np.array(layout.sun_per_metre)
    for deck in bridges(layout, 0.5):
        _shade(light, deck + sun * _DECK_M)
    for deck in bridges(layout):
        _shade(light, deck, _LIT)
    for building in layout.buildings:
        _shade(light, _prism_shadow(building.rect, building.height_m, sun))
    for bed in layout.beds:
        if bed.height_m > 0.0:
            _shade(light, _prism_shadow(bed.rect, bed.height_m, sun))
    for tree in layout.trees:
        _shade(light, _tree_shadow(tree, sun))
    return cv2.GaussianBlur(light, (3, 3), 0.7)


def _prism_shadow(rect: Rect, height_m: float, sun: np.ndarray) -> np.ndarray:
    """The convex outline (N, 2) of a footprint and its shadow."""
    base = rect.corners()
    return cv2.convexHull(np.concatenate([base, base + sun * height_m]).astype(np.float32))[:, 0]


def _tree_shadow(tree: Tree, sun: np.ndarray) -> np.ndarray:
    turn = np.linspace(0.0, 2.0 * math.pi, 13)[:-1]
    canopy = np.stack([np.cos(turn), np.sin(turn)], axis=1) * tree.radius_m * 0.95 + [tree.x_m, tree.y_m]
    near, far = canopy + sun * tree.height_m * 0.35, canopy + sun * tree.height_m * 0.9
    return cv2.convexHull(np.concatenate([near, far]).astype(np.float32))[:, 0]


def bridges(layout: Layout, past_bank_m: float = 6.0) -> List[np.ndarray]:
    """The outline (N, 2) in metres of each street where it is over the river, and a little farther."""
    decks = []
    for street in layout.streets:
        x, _ = crossing(layout.river, street)
        reach = layout.river.half_width + past_bank_m
        along = np.interp(np.linspace(x - reach, x + reach, 9), street.xy[:, 0], street.distance)
        wide = np.full(9, street.half_width + 2.9)
        decks.append(np.concatenate([street.at(along, -wide)[0], street.at(along, wide)[0][::-1]]))
    return decks


def _shade(light: np.ndarray, outline: np.ndarray, level: int = 138) -> None:
    points = np.rint(outline * (PIXELS_PER_M / 4.0) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(light, [points], (level,), cv2.LINE_AA, _SHIFT)


def _texture(canvas: _Canvas, rng: Random, light: np.ndarray) -> None:
    """Noise by roughness, a drift of hue, and the shadows."""
    coarse = fractal(rng, SIZE_PX, (768, 192, 48), 0.7)
    fine = fractal(rng, SIZE_PX, (24, 8, 4, 2, 1), 0.85)
    luma = cv2.addWeighted(coarse, 0.5, fine, 0.7, -153.6, dtype=cv2.CV_16S)
    swing = cv2.multiply(luma, canvas.rough, scale=1.0 / 200.0, dtype=cv2.CV_16S)
    centred = cv2.addWeighted(coarse, 1.0, coarse, 0.0, -128.0, dtype=cv2.CV_16S)
    hue = cv2.multiply(centred, canvas.rough, scale=1.0 / 420.0, dtype=cv2.CV_16S)
    shade = cv2.resize(light, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_LINEAR)
    for channel, (weight, cool) in enumerate(((-0.6, 1.12), (0.1, 1.0), (1.0, 0.94))):
        factor = cv2.addWeighted(swing, 1.0, hue, weight, 128.0, dtype=cv2.CV_8U)
        factor = cv2.multiply(factor, _tinted(shade, cool), scale=1.0 / 255.0)
        cv2.insertChannel(
            cv2.multiply(cv2.extractChannel(canvas.bgr, channel), factor, scale=1.0 / 128.0), canvas.bgr, channel
        )
    _texture_heat(canvas, swing, coarse, shade)


def _tinted(shade: np.ndarray, cool: float) -> np.ndarray:
    """Shade lets more blue through than red; sunlit ground keeps its colour."""
    table = np.minimum(np.arange(256) * cool, 255.0)
    table[255] = 255.0
    return cv2.LUT(shade, np.rint(table).astype(np.uint8))


def _texture_heat(canvas: _Canvas, swing: np.ndarray, coarse: np.ndarray, shade: np.ndarray) -> None:
    weather = canvas.weather
    heat = cv2.addWeighted(canvas.heat, 1.0, swing, 0.55 * weather.contrast, 0.0, dtype=cv2.CV_16S)
    drift = 0.35 * weather.contrast
    heat = cv2.addWeighted(heat, 1.0, coarse, drift, -128.0 * drift, dtype=cv2.CV_16S)
    loss = weather.shadow / 117.0
    canvas.heat[:] = cv2.GaussianBlur(
        cv2.addWeighted(heat, 1.0, shade, loss, -255.0 * loss, dtype=cv2.CV_8U), (5, 5), 1.2
    )
