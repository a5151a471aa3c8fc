"""Paints the ground of a world once: a colour map and its thermal twin, which every frame is then warped from."""

import math
from typing import NamedTuple

import cv2
import numpy as np

from edgekit.data.synth.canvas import PIXELS_PER_M, SIZE_PX, Canvas
from edgekit.data.synth.layout import Layout
from edgekit.data.synth.noise import Random, fractal, random_for
from edgekit.data.synth.palette import CROPS, Colour, Weather
from edgekit.data.synth.roads import pave
from edgekit.data.synth.shapes import Parcel, Path, Rect
from edgekit.data.synth.sunlight import light_map


class Ground(NamedTuple):
    """The painted maps; row 0 is y = 0 m, `PIXELS_PER_M` pixels a metre.

    Attributes:
        bgrh: (S, S, 4) uint8: blue, green, red, and the thermal level.
        light: (S / 4, S / 4) uint8, 255 in the sun and less in a shadow.
    """

    bgrh: np.ndarray
    light: np.ndarray


def paint(layout: Layout, weather: Weather) -> Ground:
    """Paint the ground of `layout`; takes about a second."""
    rng = random_for(layout.seed, "ground")
    canvas = Canvas(weather)
    for parcel in layout.parcels:
        _parcel(canvas, rng, parcel)
    for bed in layout.beds:
        canvas.fill(bed.rect.corners(), bed.material)
    _river(canvas, layout.river)
    pave(canvas, layout)
    light = light_map(layout)
    _texture(canvas, rng, light)
    return Ground(cv2.merge([*cv2.split(canvas.bgr), canvas.heat]), light)


def _parcel(canvas: Canvas, rng: Random, parcel: Parcel) -> None:
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


def _field(canvas: Canvas, rng: Random, parcel: Parcel) -> None:
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


def _footpaths(canvas: Canvas, rng: Random, inner: Rect) -> None:
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


def _court(canvas: Canvas, rng: Random, inner: Rect) -> None:
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


def _river(canvas: Canvas, river: Path) -> None:
    canvas.fill(river.band(river.half_width + 2.6), "sand")
    canvas.fill(river.band(river.half_width + 1.0), "shallow")
    canvas.fill(river.band(river.half_width), "water")


def _texture(canvas: Canvas, rng: Random, light: np.ndarray) -> None:
    """Noise by roughness, a drift of hue, and the shadows."""
    coarse = fractal(rng, SIZE_PX, (768, 192, 48), 0.7)
    fine = fractal(rng, SIZE_PX, (24, 8, 4, 2, 1), 0.85)
    luma = cv2.addWeighted(coarse, 0.5, fine, 0.7, -153.6, dtype=cv2.CV_16S)
    swing = cv2.multiply(luma, canvas.rough, scale=1.0 / 200.0, dtype=cv2.CV_16S)
    centred = cv2.addWeighted(coarse, 1.0, coarse, 0.0, -128.0, dtype=cv2.CV_16S)
    hue = cv2.multiply(centred, canvas.rough, scale=1.0 / 420.0, dtype=cv2.CV_16S)
    shade = cv2.resize(light, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_LINEAR)
    for channel, (weight, depth) in enumerate(((-0.6, 0.86), (0.1, 1.0), (1.0, 1.08))):
        factor = cv2.addWeighted(swing, 1.0, hue, weight, 128.0, dtype=cv2.CV_8U)
        factor = cv2.multiply(factor, _tinted(shade, depth), scale=1.0 / 255.0)
        cv2.insertChannel(
            cv2.multiply(cv2.extractChannel(canvas.bgr, channel), factor, scale=1.0 / 128.0), canvas.bgr, channel
        )
    _texture_heat(canvas, swing, coarse, shade)


def _tinted(shade: np.ndarray, depth: float) -> np.ndarray:
    """The shade of one colour: the sky still lights a shadow, so blue loses less than red."""
    return cv2.LUT(shade, np.clip(255.0 - (255.0 - np.arange(256)) * depth, 0, 255).astype(np.uint8))


def _texture_heat(canvas: Canvas, swing: np.ndarray, coarse: np.ndarray, shade: np.ndarray) -> None:
    weather = canvas.weather
    heat = cv2.addWeighted(canvas.heat, 1.0, swing, 0.55 * weather.contrast, 0.0, dtype=cv2.CV_16S)
    drift = 0.35 * weather.contrast
    heat = cv2.addWeighted(heat, 1.0, coarse, drift, -128.0 * drift, dtype=cv2.CV_16S)
    loss = weather.shadow / 117.0
    canvas.heat[:] = cv2.GaussianBlur(
        cv2.addWeighted(heat, 1.0, shade, loss, -255.0 * loss, dtype=cv2.CV_8U), (5, 5), 1.2
    )
