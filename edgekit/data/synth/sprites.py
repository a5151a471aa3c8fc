"""Pictures of vehicles and trees seen from above, drawn once and then warped into every frame.

A sprite points to +x. Its four channels are blue, green, red and heat, premultiplied by its alpha, so that warping,
which mixes neighbouring pixels, leaves no dark fringe.
"""

import math
from typing import List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from edgekit.data.synth.noise import Random
from edgekit.data.synth.palette import Colour, Weather

SPRITE_PX_PER_M = 32
_SUPER = 2
_SHIFT = 4

CAR_PAINT: Tuple[Colour, ...] = (
    (236, 236, 234), (232, 233, 235), (228, 230, 232), (198, 200, 202), (186, 188, 190), (152, 154, 156), (96, 94, 92),
    (84, 80, 78), (44, 42, 42), (36, 34, 36), (46, 40, 168), (58, 52, 200), (160, 92, 44), (120, 62, 30),
    (178, 168, 140), (70, 96, 60), (150, 190, 206), (40, 170, 224),
)  # fmt: skip
WAKE_M = 11.0
_GLASS = (66, 52, 42)
_BOX_PAINT: Tuple[Colour, ...] = ((238, 238, 236), (224, 226, 224), (200, 168, 96), (88, 128, 188), (120, 160, 110))


class Sprite(NamedTuple):
    """One drawn thing.

    Attributes:
        levels: (bgrh, alpha) at full, half and quarter resolution: (h, w, 4) and (h, w) uint8, premultiplied.
        outline: (K, 2) metres, convex: forward and right, where the sides stand.
        length_m, width_m: the solid part's size.
        height_m: how tall it stands.
        base_m: height of the plane that the picture lies in.
        side: blue, green, red and heat of its sides.
    """

    levels: Tuple[Tuple[np.ndarray, np.ndarray], ...]
    outline: np.ndarray
    length_m: float
    width_m: float
    height_m: float
    base_m: float
    side: Tuple[int, int, int, int]


class _Brush:
    """Draws in metres, x forward and y right, with the origin in the middle."""

    def __init__(self, length_m: float, width_m: float, margin_m: float = 0.25) -> None:
        scale = SPRITE_PX_PER_M * _SUPER
        self.scale = scale
        self.size = (int((length_m + 2 * margin_m) * scale), int((width_m + 2 * margin_m) * scale))
        self.bgrh = np.zeros((self.size[1], self.size[0], 4), np.uint8)
        self.alpha = np.zeros((self.size[1], self.size[0]), np.uint8)

    def polygon(self, points_m: Sequence[Tuple[float, float]], colour: Colour, heat: int) -> None:
        middle = np.array(self.size) / 2.0
        points = np.rint((np.array(points_m) * self.scale + middle) * (1 << _SHIFT)).astype(np.int32)
        for layer, value in ((self.bgrh, (*colour, heat)), (self.alpha, (255,))):
            cv2.fillPoly(layer, [points.reshape(-1, 1, 2)], value, cv2.LINE_8, _SHIFT)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, heat: int, round_m: float = 0.0) -> None:
        self.polygon(_rounded(x0, y0, x1, y1, round_m), colour, heat)

    def disc(self, x: float, y: float, radius: float, colour: Colour, heat: int) -> None:
        turn = np.linspace(0.0, 2.0 * math.pi, 17)[:-1]
        self.polygon([(x + radius * math.cos(a), y + radius * math.sin(a)) for a in turn], colour, heat)

    def levels(self) -> Tuple[Tuple[np.ndarray, np.ndarray], ...]:
        """Premultiplied pictures at full, half and quarter resolution."""
        out = []
        for shrink in (_SUPER, 2 * _SUPER, 4 * _SUPER):
            size = (max(2, self.size[0] // shrink), max(2, self.size[1] // shrink))
            bgrh, alpha = (cv2.resize(layer, size, interpolation=cv2.INTER_AREA) for layer in (self.bgrh, self.alpha))
            out.append((bgrh, alpha))
        return tuple(out)


def _rounded(x0: float, y0: float, x1: float, y1: float, r: float) -> List[Tuple[float, float]]:
    if r <= 0.0:
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    points = []
    for cx, cy, start in ((x1 - r, y1 - r, 0.0), (x0 + r, y1 - r, 0.5), (x0 + r, y0 + r, 1.0), (x1 - r, y0 + r, 1.5)):
        for step in range(5):
            a = math.pi * (start + step / 8.0)
            points.append((cx + r * math.cos(a), cy + r * math.sin(a)))
    return points


def _bevelled(half_l: float, half_w: float) -> np.ndarray:
    """(8, 2): a rectangle without its corners."""
    cut = 0.35
    quarter = [(half_l, half_w - cut), (half_l - cut, half_w), (cut - half_l, half_w), (-half_l, half_w - cut)]
    return np.array(quarter + [(-x, -y) for x, y in quarter])


def _whole(values: np.ndarray) -> Colour:
    blue, green, red = (int(v) for v in values)
    return blue, green, red


def _tone(colour: Colour, factor: float) -> Colour:
    blue, green, red = (int(min(255.0, c * factor)) for c in colour)
    return blue, green, red


def car(rng: Random, weather: Weather, running: bool) -> Sprite:
    """A saloon, hatchback or van; `running` ones have a hot bonnet."""
    length, width = rng.uniform(4.0, 4.9), rng.uniform(1.78, 1.95)
    paint = CAR_PAINT[int(rng.randint(len(CAR_PAINT)))]
    body = int(rng.uniform(*weather.body))
    glass = int(np.clip(body - 45, 30, 150))
    engine = int(min(255, body + rng.uniform(45, 80))) if running else int(min(255, body + rng.uniform(-10, 40)))
    half, w = length / 2.0, width / 2.0
    brush = _Brush(length, width)
    brush.box(-half, -w, half, w, _tone(paint, 0.8), body, 0.45)
    brush.box(-half + 0.06, -w + 0.08, half - 0.06, w - 0.08, paint, body, 0.4)
    bonnet, boot = half - rng.uniform(1.15, 1.4), -half + rng.uniform(0.25, 0.95)
    brush.box(bonnet + 0.05, -w + 0.22, half - 0.2, w - 0.22, _tone(paint, 1.04), engine, 0.25)
    brush.polygon(
        [(bonnet, -w + 0.18), (bonnet, w - 0.18), (bonnet - 0.62, w - 0.3), (bonnet - 0.62, -w + 0.3)], _GLASS, glass
    )
    brush.polygon(
        [(boot, -w + 0.22), (boot, w - 0.22), (boot + 0.45, w - 0.32), (boot + 0.45, -w + 0.32)], _GLASS, glass
    )
    for side in (-1.0, 1.0):
        y0, y1 = side * (w - 0.1), side * (w - 0.26)
        brush.polygon([(bonnet - 0.1, y0), (boot + 0.1, y0), (boot + 0.5, y1), (bonnet - 0.6, y1)], _GLASS, glass)
        brush.box(half - 0.3, side * (w - 0.3) - 0.17, half - 0.1, side * (w - 0.3) + 0.17, (214, 226, 232), engine)
        brush.box(-half + 0.06, side * (w - 0.3) - 0.17, -half + 0.17, side * (w - 0.3) + 0.17, (44, 40, 150), body)
    brush.box(boot + 0.5, -w + 0.3, bonnet - 0.66, w - 0.3, _tone(paint, 1.1), min(255, body + 12), 0.15)
    sides = (*_tone(paint, 0.55), min(255, body + 10))
    return Sprite(brush.levels(), _bevelled(half, w), length, width, rng.uniform(1.4, 1.8), 0.9, sides)


def truck(rng: Random, weather: Weather, running: bool) -> Sprite:
    """A light lorry: a cab and a box, or a flat bed."""
    length, width = rng.uniform(5.2, 5.9), rng.uniform(2.0, 2.2)
    box = _BOX_PAINT[int(rng.randint(len(_BOX_PAINT)))]
    cab = CAR_PAINT[int(rng.randint(len(CAR_PAINT)))]
    low, high = weather.body
    roof = int(rng.uniform(low, high))
    engine = int(min(255, rng.uniform(low, high) + (70 if running else 15)))
    half, w = length / 2.0, width / 2.0
    front = half - rng.uniform(1.5, 1.8)
    brush = _Brush(length, width)
    brush.box(-half, -w + 0.1, half - 0.2, w - 0.1, (52, 50, 50), max(40, roof - 40))
    brush.box(front, -w + 0.1, half, w - 0.1, cab, engine, 0.25)
    brush.polygon(
        [(half - 0.1, -w + 0.2), (half - 0.1, w - 0.2), (half - 0.5, w - 0.3), (half - 0.5, -w + 0.3)],
        _GLASS,
        max(30, engine - 60),
    )
    if rng.rand() < 0.75:
        brush.box(-half, -w, front - 0.15, w, _tone(box, 0.88), roof, 0.06)
        brush.box(-half + 0.1, -w + 0.1, front - 0.25, w - 0.1, box, roof)
        for x in np.arange(-half + 0.6, front - 0.4, 0.9):
            brush.box(float(x), -w + 0.1, float(x) + 0.05, w - 0.1, _tone(box, 0.93), max(0, roof - 8))
        height = rng.uniform(2.6, 3.0)
    else:
        brush.box(-half, -w, front - 0.15, w, _tone(cab, 0.8), roof)
        brush.box(-half + 0.12, -w + 0.12, front - 0.27, w - 0.12, (84, 112, 140), max(40, roof - 20))
        height = 1.9
    side = (*_tone(box, 0.6), min(255, roof + 8))
    return Sprite(brush.levels(), _bevelled(half, w), length, width, height, height * 0.8, side)


def boat(rng: Random, weather: Weather, running: bool) -> Sprite:
    """A small open boat or a cabin cruiser."""
    length, width = rng.uniform(4.4, 5.8), rng.uniform(1.7, 2.2)
    hull = (CAR_PAINT[0], (210, 206, 190), (172, 92, 40), (60, 120, 190))[int(rng.randint(4))]
    body = int(rng.uniform(150, 215))
    half, w = length / 2.0, width / 2.0
    brush = _Brush(length, width)
    brush.polygon(_hull(half, w), _tone(hull, 0.92), body)
    brush.polygon(_hull(half - 0.3, w - 0.22), (112, 150, 186) if rng.rand() < 0.6 else (190, 196, 198), body - 16)
    if rng.rand() < 0.55:
        brush.box(-0.25 * half, -w + 0.4, 0.42 * half, w - 0.4, CAR_PAINT[0], body + 12, 0.2)
        brush.box(0.28 * half, -w + 0.5, 0.42 * half, w - 0.5, _GLASS, body - 50, 0.05)
    else:
        for x in (-0.35 * half, 0.1 * half):
            brush.box(x, -w + 0.3, x + 0.35, w - 0.3, (92, 120, 150), body - 6)
    brush.box(-half - 0.12, -0.22, -half + 0.35, 0.22, (46, 44, 44), 250 if running else body)
    side = (*_tone(hull, 0.6), body)
    return Sprite(brush.levels(), np.array(_hull(half, w)), length, width, 0.9, 0.4, side)


def _hull(half: float, w: float) -> List[Tuple[float, float]]:
    side = [(-half, w * 0.82), (-half * 0.2, w), (half * 0.3, w * 0.86), (half * 0.72, w * 0.45)]
    return side + [(half, 0.0)] + [(x, -y) for x, y in reversed(side)]


def tree(rng: Random, weather: Weather, sun: Tuple[float, float]) -> Sprite:
    """A crown of leaf clumps, lit from the sun's side, 2 m across (scaled when drawn)."""
    brush = _Brush(2.0, 2.0, 0.15)
    leaf = np.array([rng.uniform(34, 56), rng.uniform(84, 118), rng.uniform(62, 98)])
    light = -np.array(sun) / max(math.hypot(*sun), 1e-6)
    for count, reach, sizes, bright in ((70, 0.72, (0.16, 0.28), 0.5), (190, 0.9, (0.06, 0.13), 0.74)):
        turn, far = rng.uniform(0.0, 2.0 * math.pi, count), reach * np.sqrt(rng.uniform(0.0, 1.0, count))
        spots = np.stack([far * np.cos(turn), far * np.sin(turn)], axis=1)
        for x, y in spots[np.argsort(spots @ light + rng.normal(0.0, 0.4, count))]:
            level = bright + 0.3 * (x * light[0] + y * light[1]) + rng.uniform(-0.13, 0.13)
            heat = int(np.clip(weather.tree + 30.0 * (level - 0.7) + rng.uniform(-9, 9), 1, 255))
            brush.disc(float(x), float(y), rng.uniform(*sizes), _tone(_whole(leaf), level), heat)
    turn = np.linspace(0.0, 2.0 * math.pi, 9)[:-1]
    outline = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return Sprite(brush.levels(), outline, 2.0, 2.0, 2.0, 1.2, (30, 60, 40, weather.tree))


def wake(rng: Random, weather: Weather) -> Sprite:
    """The foam behind a boat: it starts at the middle of the picture and fades to -x."""
    brush = _Brush(WAKE_M * 2.0, 5.0, 0.0)
    warm = weather.heat["water"] + 12
    for _ in range(260):
        along = WAKE_M * rng.uniform(0.0, 1.0) ** 1.5
        arm = rng.choice([-1.0, 0.0, 1.0], p=[0.4, 0.2, 0.4])
        across = arm * (0.35 + 0.16 * along) + rng.normal(0.0, 0.12 + 0.02 * along)
        brush.disc(-along, float(across), rng.uniform(0.06, 0.2), (214, 214, 200), warm)
    x = np.linspace(-WAKE_M, WAKE_M, brush.size[0])
    fade = np.clip(1.0 + x / WAKE_M, 0.0, 1.0) ** 1.3 * 0.55
    brush.bgrh[:] = cv2.GaussianBlur((brush.bgrh * fade[None, :, None]).astype(np.uint8), (0, 0), 4.0)
    brush.alpha[:] = cv2.GaussianBlur((brush.alpha * fade[None, :]).astype(np.uint8), (0, 0), 4.0)
    return Sprite(brush.levels(), np.zeros((1, 2)), WAKE_M, 5.0, 0.0, 0.0, (0, 0, 0, 0))
