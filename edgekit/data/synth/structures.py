"""Buildings: prisms whose walls lean away from the middle of the picture, under a textured roof."""

import math
from typing import NamedTuple, Tuple

import cv2
import numpy as np

from edgekit.data.synth.camera import Camera
from edgekit.data.synth.compose import Patch, fixed, paste
from edgekit.data.synth.layout import Layout
from edgekit.data.synth.noise import Random, random_for
from edgekit.data.synth.palette import Colour, Weather
from edgekit.data.synth.shapes import Building, Rect

_ROOF_PX_PER_M = 10
_EAVES_M = 0.35
_TILES: Tuple[Colour, ...] = ((70, 88, 150), (62, 74, 122), (84, 80, 84), (110, 106, 104), (72, 100, 168), (58, 62, 76))
_FLAT: Tuple[Colour, ...] = ((150, 152, 152), (176, 178, 176), (124, 124, 126), (140, 150, 158))
_WALLS: Tuple[Colour, ...] = ((190, 206, 216), (206, 210, 212), (150, 176, 198), (130, 140, 176))


class Solid(NamedTuple):
    """A building ready to draw.

    Attributes:
        centre: metres.
        base, top: (4, 3) corners of the walls and of the roof, metres.
        roof: (h, w, 4) uint8: blue, green, red, heat.
        walls: blue, green, red, heat by side.
    """

    centre: Tuple[float, float]
    base: np.ndarray
    top: np.ndarray
    roof: np.ndarray
    walls: Tuple[Tuple[int, int, int, int], ...]


def solid_for(building: Building, layout: Layout, weather: Weather) -> Solid:
    """Draw the roof of a building and shade its walls."""
    rect, sun = building.rect, layout.sun_per_metre
    rng = random_for(layout.seed, "roof {:.2f} {:.2f}".format(rect.x_m, rect.y_m))
    eaves = 0.0 if building.flat_roof else _EAVES_M
    base = np.column_stack([rect.corners(), np.zeros(4)])
    top = np.column_stack([rect.corners(eaves), np.full(4, building.height_m)])
    heat = int(rng.uniform(*weather.roof))
    if building.flat_roof:
        roof = _flat_roof(rng, rect, building.style, heat)
    else:
        roof = _gable_roof(rng, rect, sun, building.style, heat)
    wall = _WALLS[building.style % len(_WALLS)]
    walls = tuple((*_shade(wall, 0.55 + 0.3 * _facing(rect.angle_rad + turn, sun)), weather.wall) for turn in _OUTWARD)
    return Solid((rect.x_m, rect.y_m), base, top, roof, walls)


# Outward direction of the wall between corner k and corner k + 1 of `Rect.corners`.
_OUTWARD = (-math.pi / 2.0, 0.0, math.pi / 2.0, math.pi)


def _facing(angle: float, sun: Tuple[float, float]) -> float:
    """1 for a wall that looks into the sun, -1 for one that looks away."""
    return -(math.cos(angle) * sun[0] + math.sin(angle) * sun[1]) / max(math.hypot(*sun), 1e-6)


def _shade(colour: Colour, factor: float) -> Colour:
    blue, green, red = (int(min(255.0, c * factor)) for c in colour)
    return blue, green, red


def _sheet(rect: Rect, eaves: float, colour: Colour, heat: int, rng: Random) -> Tuple[np.ndarray, np.ndarray]:
    shape = (int((rect.width_m + 2 * eaves) * _ROOF_PX_PER_M), int((rect.length_m + 2 * eaves) * _ROOF_PX_PER_M))
    patina = cv2.GaussianBlur(rng.normal(0.0, 1.0, shape).astype(np.float32), (0, 0), 5.0) * 34.0
    fleck = patina + rng.normal(0.0, 4.0, shape).astype(np.float32)
    return np.array(colour, np.float32) + fleck[:, :, None], heat + 0.6 * fleck


def _gable_roof(rng: Random, rect: Rect, sun: Tuple[float, float], style: int, heat: int) -> np.ndarray:
    """Two slopes with courses of tiles, a ridge, and perhaps a chimney or solar panels."""
    bgr, thermal = _sheet(rect, _EAVES_M, _TILES[style % len(_TILES)], heat, rng)
    half = bgr.shape[0] // 2
    for part, turn in ((slice(0, half), -math.pi / 2.0), (slice(half, None), math.pi / 2.0)):
        lit = _facing(rect.angle_rad + turn, sun)
        bgr[part] *= 1.0 + 0.24 * lit
        thermal[part] += 9.0 * lit
    bgr[::5] *= 0.9
    bgr[half - 1 : half + 1] *= 1.2
    if rng.rand() < 0.35:
        _panels(rng, bgr, thermal, half)
    if rng.rand() < 0.6:
        y, x = half + int(rng.randint(-12, 8)), int(rng.uniform(0.2, 0.8) * bgr.shape[1])
        bgr[y : y + 7, x : x + 7], thermal[y : y + 7, x : x + 7] = (96, 104, 124), heat + 50
    return _bytes(np.dstack([bgr, thermal]))


def _panels(rng: Random, bgr: np.ndarray, thermal: np.ndarray, half: int) -> None:
    top = 6 if rng.rand() < 0.5 else half + 6
    for column in range(int(rng.randint(3, 7))):
        x = 12 + 11 * column
        bgr[top : top + 17, x : x + 10] = (96, 58, 38)
        thermal[top : top + 17, x : x + 10] += 18.0


def _flat_roof(rng: Random, rect: Rect, style: int, heat: int) -> np.ndarray:
    """A parapet, roof-lights and air conditioners."""
    bgr, thermal = _sheet(rect, 0.0, _FLAT[style % len(_FLAT)], heat, rng)
    height, width = bgr.shape[:2]
    for edge in (np.s_[:4], np.s_[-4:], np.s_[:, :4], np.s_[:, -4:]):
        bgr[edge] *= 1.16
        thermal[edge] -= 12.0
    for _ in range(int(height * width / 9000)):
        h, w = int(rng.randint(8, 22)), int(rng.randint(8, 26))
        if height <= h + 16 or width <= w + 16:
            continue
        y, x = int(rng.randint(8, height - h - 8)), int(rng.randint(8, width - w - 8))
        bgr[y + 2 : y + h + 3, x + 2 : x + w + 3] *= 0.7
        bgr[y : y + h, x : x + w] = rng.uniform(130, 210)
        thermal[y : y + h, x : x + w] += rng.uniform(-25, 45)
    return _bytes(np.dstack([bgr, thermal]))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


def draw(solid: Solid, camera: Camera, canvas: np.ndarray, ids: np.ndarray) -> None:
    """Draw the walls, then the roof over them; both hide what stands behind (`ids` becomes 0 there)."""
    if not (camera.sees(solid.base).all() and camera.sees(solid.top).all()):
        return
    base, top = camera.project(solid.base), camera.project(solid.top)
    everything = np.concatenate([base, top])
    low, high = everything.min(axis=0), everything.max(axis=0)
    height, width = ids.shape
    if high[0] < 0 or high[1] < 0 or low[0] >= width or low[1] >= height:
        return
    corners = fixed(everything)
    for k in range(4):
        side = corners[[k, (k + 1) % 4, 4 + (k + 1) % 4, 4 + k]]
        cv2.fillConvexPoly(canvas, side, solid.walls[k], cv2.LINE_AA, 4)
        cv2.fillConvexPoly(ids, side, (0,), cv2.LINE_8, 4)
    cv2.fillConvexPoly(ids, corners[4:], (0,), cv2.LINE_8, 4)
    _draw_roof(solid.roof, top, canvas)


def _draw_roof(roof: np.ndarray, top: np.ndarray, canvas: np.ndarray) -> None:
    height, width = canvas.shape[:2]
    x0, y0 = np.maximum(np.floor(top.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(top.max(axis=0)).astype(int) + 2, [width, height])
    if x1 <= x0 or y1 <= y0:
        return
    rows, columns = roof.shape[:2]
    source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
    target = (top - [x0, y0]).astype(np.float32)
    size = (int(x1 - x0), int(y1 - y0))
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(mask, fixed(target), (255,), cv2.LINE_AA, 4)
    picture = cv2.warpPerspective(
        roof, cv2.getPerspectiveTransform(source, target), size, borderMode=cv2.BORDER_REPLICATE
    )
    paste(canvas, Patch(int(x0), int(y0), cv2.multiply(picture, cv2.merge([mask] * 4), scale=1.0 / 255.0), mask))
