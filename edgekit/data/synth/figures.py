"""People and bicycles: too small and too upright for a flat picture, so they are drawn as a few strokes in space."""

import math
from typing import List, NamedTuple, Tuple

import cv2
import numpy as np

from edgekit.data.synth.camera import Camera
from edgekit.data.synth.noise import Random
from edgekit.data.synth.palette import Colour

# People are drawn a little larger than life: clothing and swinging arms are more than the strokes below.
_BODY = 1.15
_MIN_STROKE_PX = 1.4
_FIXED_SHIFT = 4

_CLOTHES: Tuple[Colour, ...] = (
    (232, 232, 230), (60, 56, 54), (48, 44, 170), (168, 96, 40), (60, 140, 70), (40, 170, 226), (150, 130, 190),
    (190, 170, 120), (92, 90, 88), (30, 110, 220),
)  # fmt: skip
_TROUSERS: Tuple[Colour, ...] = ((86, 64, 48), (52, 50, 50), (120, 132, 146), (60, 44, 38))
_HAIR: Tuple[Colour, ...] = ((28, 30, 36), (40, 56, 84), (90, 130, 160), (60, 60, 62))


class Stroke(NamedTuple):
    """A thick line between two points in space, seen from the figure: forward, right, up, in metres."""

    start: Tuple[float, float, float]
    end: Tuple[float, float, float]
    width_m: float
    colour: Colour
    heat: int


class Patch(NamedTuple):
    """A small premultiplied picture and where its top left corner goes."""

    x: int
    y: int
    bgra: np.ndarray
    heat: np.ndarray


def person(rng: Random, step: float, glow: int) -> List[Stroke]:
    """Someone walking; `step` in radians is the phase of the gait, `glow` the thermal level of bare skin."""
    shirt, trousers = _CLOTHES[int(rng.randint(len(_CLOTHES)))], _TROUSERS[int(rng.randint(len(_TROUSERS)))]
    hair, tall = _HAIR[int(rng.randint(len(_HAIR)))], _BODY * rng.uniform(0.94, 1.04)
    reach, cloth = 0.30 * math.sin(step), glow - int(rng.randint(8, 40))
    strokes = []
    for side in (-1.0, 1.0):
        foot = (side * reach * tall, side * 0.1 * tall, 0.05)
        hand = (-side * 0.8 * reach * tall, side * 0.3 * tall, 0.85 * tall)
        shoulder = (0.0, side * 0.2 * tall, 1.38 * tall)
        strokes.append(Stroke(foot, (0.0, side * 0.08 * tall, 0.85 * tall), 0.19 * tall, trousers, cloth - 10))
        strokes.append(Stroke(shoulder, hand, 0.13 * tall, shirt, cloth))
    strokes.append(Stroke((0.0, 0.0, 0.85 * tall), (0.0, 0.0, 1.3 * tall), 0.34 * tall, shirt, cloth))
    strokes.append(Stroke((0.0, -0.17 * tall, 1.4 * tall), (0.0, 0.17 * tall, 1.4 * tall), 0.26 * tall, shirt, cloth))
    strokes.append(Stroke((0.04, 0.0, 1.6 * tall), (0.04, 0.0, 1.66 * tall), 0.26 * tall, hair, glow))
    return strokes


def bicycle(rng: Random, step: float, glow: int, metal: int, ridden: bool) -> List[Stroke]:
    """A bicycle, with its rider when `ridden`; `metal` is the thermal level of the frame."""
    paint = _CLOTHES[int(rng.randint(len(_CLOTHES)))]
    dark: Colour = (40, 38, 38)
    strokes = [
        Stroke((-0.86, 0.0, 0.34), (-0.28, 0.0, 0.34), 0.12, dark, metal - 10),
        Stroke((0.28, 0.0, 0.34), (0.86, 0.0, 0.34), 0.12, dark, metal - 10),
        Stroke((-0.5, 0.0, 0.5), (0.5, 0.0, 0.7), 0.13, paint, metal),
        Stroke((0.45, -0.29, 1.0), (0.45, 0.29, 1.0), 0.11, dark, metal),
        Stroke((-0.36, 0.0, 0.95), (-0.14, 0.0, 0.95), 0.2, dark, metal + 12),
    ]
    if not ridden:
        return strokes
    shirt, trousers = _CLOTHES[int(rng.randint(len(_CLOTHES)))], _TROUSERS[int(rng.randint(len(_TROUSERS)))]
    cloth = glow - int(rng.randint(5, 30))
    for side in (-1.0, 1.0):
        foot = (0.05 + 0.17 * side * math.sin(step), side * 0.14, 0.3)
        strokes.append(Stroke((-0.22, side * 0.12, 0.98), foot, 0.19, trousers, cloth - 10))
        strokes.append(Stroke((0.1, side * 0.22, 1.4), (0.44, side * 0.26, 1.02), 0.13, shirt, cloth))
    strokes.append(Stroke((-0.22, 0.0, 1.0), (0.12, 0.0, 1.42), 0.42, shirt, cloth))
    strokes.append(Stroke((0.24, 0.0, 1.62), (0.28, 0.0, 1.64), 0.29, _HAIR[int(rng.randint(len(_HAIR)))], glow))
    return strokes


def draw(strokes: List[Stroke], camera: Camera, x_m: float, y_m: float, heading_rad: float, light: float) -> Patch:
    """Project the strokes and draw them, anti-aliased by oversampling."""
    scale = camera.pixels_per_metre(x_m, y_m)
    points = camera.project(_to_world(strokes, x_m, y_m, heading_rad))
    widths = [max(stroke.width_m * scale, _MIN_STROKE_PX) for stroke in strokes]
    pad = max(widths) / 2.0 + 1.5
    left, top = np.floor(points.min(axis=0) - pad).astype(int)
    right, bottom = np.ceil(points.max(axis=0) + pad).astype(int)
    size = (int(right - left), int(bottom - top))
    over = 4 if max(size) < 40 else 2
    bgra = np.zeros((size[1] * over, size[0] * over, 4), np.uint8)
    heat = np.zeros(bgra.shape[:2], np.uint8)
    fixed = np.rint((points - [left, top]) * (over << _FIXED_SHIFT)).astype(int).tolist()
    for k, stroke in enumerate(strokes):
        ends = (tuple(fixed[2 * k]), tuple(fixed[2 * k + 1]))
        blue, green, red = stroke.colour
        _capsule(bgra, ends, widths[k] * over, (blue * light, green * light, red * light, 255))
        _capsule(heat, ends, widths[k] * over, (stroke.heat,))
    return Patch(
        int(left),
        int(top),
        cv2.resize(bgra, size, interpolation=cv2.INTER_AREA),
        cv2.resize(heat, size, interpolation=cv2.INTER_AREA),
    )


def _to_world(strokes: List[Stroke], x_m: float, y_m: float, heading_rad: float) -> np.ndarray:
    local = np.array([point for stroke in strokes for point in (stroke.start, stroke.end)])
    c, s = math.cos(heading_rad), math.sin(heading_rad)
    x = x_m + local[:, 0] * c - local[:, 1] * s
    y = y_m + local[:, 0] * s + local[:, 1] * c
    return np.stack([x, y, local[:, 2]], axis=1)


def _capsule(layer: np.ndarray, ends: Tuple[Tuple[int, ...], ...], width: float, value: Tuple[float, ...]) -> None:
    thickness = max(1, round(width))
    if ends[0] == ends[1] or thickness > 2 * max(abs(ends[0][0] - ends[1][0]), abs(ends[0][1] - ends[1][1])) >> 4:
        middle = tuple((a + b) // 2 for a, b in zip(*ends))
        radius = max(1, int(width * (1 << _FIXED_SHIFT) / 2.0))
        cv2.circle(layer, middle, radius, value, -1, cv2.LINE_8, _FIXED_SHIFT)
    cv2.line(layer, ends[0], ends[1], value, thickness, cv2.LINE_8, _FIXED_SHIFT)
