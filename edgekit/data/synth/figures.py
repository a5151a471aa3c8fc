"""People and bicycles: too small and too upright for a flat picture, so they are drawn as a few strokes in space."""

import math
from typing import List, NamedTuple, Tuple

import cv2
import numpy as np

from edgekit.data.synth.compose import Patch
from edgekit.data.synth.noise import Random
from edgekit.data.synth.palette import Colour
from edgekit.data.synth.vehicles import dim

GAIT_STEPS = 12
# People are drawn a little larger than life: clothing and swinging arms are more than the strokes below.
_BODY = 1.15
_MIN_STROKE_PX = 1.4

_CLOTHES: Tuple[Colour, ...] = (
    (232, 232, 230), (60, 56, 54), (48, 44, 190), (178, 96, 40), (60, 150, 70), (40, 170, 236), (150, 130, 200),
    (200, 180, 120), (92, 90, 88), (30, 110, 230), (210, 214, 216), (60, 60, 220),
)  # fmt: skip
_TROUSERS: Tuple[Colour, ...] = ((86, 64, 48), (52, 50, 50), (120, 132, 146), (60, 44, 38))
_HAIR: Tuple[Colour, ...] = ((28, 30, 36), (40, 56, 84), (90, 130, 160), (60, 60, 62))
_DARK: Colour = (40, 38, 38)

_Point = Tuple[float, float, float]


class Stroke(NamedTuple):
    """A thick line between two points in space, seen from the figure: forward, right, up, in metres."""

    start: _Point
    end: _Point
    width_m: float
    colour: Colour
    heat: int


class Figure(NamedTuple):
    """Strokes as arrays: points (2S, 3) metres, widths (S,) metres, values (S) of blue, green, red, heat."""

    points: np.ndarray
    widths: np.ndarray
    values: Tuple[Tuple[int, int, int, int], ...]


def figure_of(strokes: List[Stroke]) -> Figure:
    """Strokes, ready to be drawn often."""
    return Figure(
        np.array([point for stroke in strokes for point in (stroke.start, stroke.end)]),
        np.array([stroke.width_m for stroke in strokes]),
        tuple((*stroke.colour, max(stroke.heat, 1)) for stroke in strokes),
    )


def person(rng: Random, step: int, glow: int) -> List[Stroke]:
    """Someone walking; `step` of `GAIT_STEPS` is the place in the gait, `glow` the thermal level of bare skin."""
    shirt, trousers = _CLOTHES[int(rng.randint(len(_CLOTHES)))], _TROUSERS[int(rng.randint(len(_TROUSERS)))]
    hair, tall = _HAIR[int(rng.randint(len(_HAIR)))], _BODY * rng.uniform(0.94, 1.04)
    reach, cloth = 0.30 * math.sin(2.0 * math.pi * step / GAIT_STEPS), glow - int(rng.randint(8, 40))
    strokes = []
    for side in (-1.0, 1.0):
        foot = (side * reach * tall, side * 0.1 * tall, 0.05)
        hand = (-side * 0.8 * reach * tall, side * 0.3 * tall, 0.85 * tall)
        shoulder = (0.0, side * 0.2 * tall, 1.38 * tall)
        strokes.append(Stroke(foot, (0.0, side * 0.08 * tall, 0.85 * tall), 0.19 * tall, trousers, cloth - 10))
        strokes.append(Stroke(shoulder, hand, 0.13 * tall, shirt, cloth))
    strokes.append(Stroke((0.0, 0.0, 0.85 * tall), (0.0, 0.0, 1.3 * tall), 0.34 * tall, shirt, cloth))
    strokes.append(Stroke((0.0, -0.17 * tall, 1.4 * tall), (0.0, 0.17 * tall, 1.4 * tall), 0.26 * tall, shirt, cloth))
    strokes.append(Stroke((0.02, 0.0, 1.6 * tall), (0.06, 0.0, 1.66 * tall), 0.26 * tall, hair, glow))
    return strokes


def bicycle(rng: Random, step: int, glow: int, metal: int, ridden: bool) -> List[Stroke]:
    """A bicycle, with its rider when `ridden`; `metal` is the thermal level of the frame."""
    paint = _CLOTHES[int(rng.randint(len(_CLOTHES)))]
    strokes = [
        Stroke((-0.86, 0.0, 0.34), (-0.28, 0.0, 0.34), 0.12, _DARK, metal - 10),
        Stroke((0.28, 0.0, 0.34), (0.86, 0.0, 0.34), 0.12, _DARK, metal - 10),
        Stroke((-0.5, 0.0, 0.5), (0.5, 0.0, 0.7), 0.13, paint, metal),
        Stroke((0.45, -0.29, 1.0), (0.45, 0.29, 1.0), 0.11, _DARK, metal),
        Stroke((-0.36, 0.0, 0.95), (-0.14, 0.0, 0.95), 0.2, _DARK, metal + 12),
    ]
    return strokes + _rider(rng, step, glow) if ridden else strokes


def _rider(rng: Random, step: int, glow: int) -> List[Stroke]:
    shirt, trousers = _CLOTHES[int(rng.randint(len(_CLOTHES)))], _TROUSERS[int(rng.randint(len(_TROUSERS)))]
    cloth = glow - int(rng.randint(5, 30))
    pedal = 0.17 * math.sin(2.0 * math.pi * step / GAIT_STEPS)
    strokes = []
    for side in (-1.0, 1.0):
        foot = (0.05 + side * pedal, side * 0.14, 0.3)
        strokes.append(Stroke((-0.22, side * 0.12, 0.98), foot, 0.19, trousers, cloth - 10))
        strokes.append(Stroke((0.1, side * 0.22, 1.4), (0.44, side * 0.26, 1.02), 0.13, shirt, cloth))
    strokes.append(Stroke((-0.22, 0.0, 1.0), (0.12, 0.0, 1.42), 0.42, shirt, cloth))
    strokes.append(Stroke((0.24, 0.0, 1.62), (0.28, 0.0, 1.64), 0.29, _HAIR[int(rng.randint(len(_HAIR)))], glow))
    return strokes


def draw(figure: Figure, origin: np.ndarray, frame: np.ndarray, light: float) -> Patch:
    """Draw a figure, anti-aliased by oversampling.

    Args:
        figure: what to draw.
        origin: (2,) pixels of the ground under it.
        frame: (3, 2) pixels a metre forward, right and up.
        light: 1 in the sun, less in a shadow.
    """
    points = figure.points @ frame + origin
    widths = np.maximum(figure.widths * math.hypot(frame[0, 0], frame[0, 1]), _MIN_STROKE_PX)
    pad = float(widths.max()) / 2.0 + 1.5
    left, top = (math.floor(v - pad) for v in points.min(axis=0))
    right, bottom = (math.ceil(v + pad) for v in points.max(axis=0))
    size = (right - left, bottom - top)
    over = 4 if max(size) < 40 else 2
    large = np.zeros((size[1] * over, size[0] * over, 4), np.uint8)
    places = np.rint((points - [left, top]) * (over * 16)).astype(int).tolist()
    thick = np.maximum(np.rint(widths * over), 1).astype(int).tolist()
    for k, value in enumerate(figure.values):
        cv2.line(large, tuple(places[2 * k]), tuple(places[2 * k + 1]), value, thick[k], cv2.LINE_8, 4)
    # Strokes have no heat below 1: where there is heat, there is something.
    _, solid = cv2.threshold(cv2.extractChannel(large, 3), 0, 255, cv2.THRESH_BINARY)
    bgrh = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
    return Patch(left, top, dim(bgrh, light), cv2.resize(solid, size, interpolation=cv2.INTER_AREA))
