"""Paints roads, their markings and parking stalls."""

from typing import Sequence

import cv2
import numpy as np

from edgekit.data.synth.canvas import SHIFT, Canvas, fixed_m
from edgekit.data.synth.layout import PAVEMENT_M, Layout, crossing
from edgekit.data.synth.palette import GROUND
from edgekit.data.synth.shapes import Path, Rect


def pave(canvas: Canvas, layout: Layout) -> None:
    """Paint pavements, roads and their markings, and parking stalls."""
    paths = layout.streets + layout.roads
    for path in paths:
        # Over the river this is the bridge's parapet.
        canvas.fill(path.band(path.half_width + PAVEMENT_M), "pavement")
    for path in paths:
        _tarmac(canvas, path)
    for street in layout.streets:
        _centre_line(canvas, street, layout.roads, 3.0, 3.0)
    for road in layout.roads:
        _markings(canvas, road, layout.streets)
    for stall in layout.stalls:
        _stall(canvas, stall)


def _tarmac(canvas: Canvas, path: Path) -> None:
    canvas.fill(path.band(path.half_width), "asphalt")
    for side in (-1.0, 1.0):
        for lane in np.arange(1.75, path.half_width - 1.0, 3.5):
            _wheel_tracks(canvas, path, side * lane)


def _wheel_tracks(canvas: Canvas, path: Path, offset_m: float) -> None:
    """Worn, slightly lighter and warmer stripes where wheels run."""
    colour = tuple(c + 7 for c in GROUND["asphalt"][0])
    for wheel in (-0.75, 0.75):
        points, _ = path.at(path.distance, np.full(len(path.distance), offset_m + wheel))
        cv2.polylines(canvas.bgr, [fixed_m(points)], False, colour, 4, cv2.LINE_AA, SHIFT)
        heat = canvas.weather.heat["asphalt"] + 6
        cv2.polylines(canvas.heat, [fixed_m(points)], False, heat, 4, cv2.LINE_AA, SHIFT)


def _markings(canvas: Canvas, road: Path, streets: Sequence[Path]) -> None:
    crossings = np.array([crossing(road, street) for street in streets])
    lanes = [0.0] + [s * lane for lane in np.arange(3.5, road.half_width - 2.0, 3.5) for s in (-1.0, 1.0)]
    for offset in lanes:
        _dashes(canvas, road, float(offset), 3.0 if offset else 6.0, 4.0 if offset else 2.0, crossings)
    for side in (-1.0, 1.0):
        _dashes(canvas, road, side * (road.half_width - 1.6), 6.0, 0.0, crossings)
    for _, y in crossings:
        for step in (-8.5, 8.5):
            _zebra(canvas, road, y + step)


def _centre_line(canvas: Canvas, street: Path, roads: Sequence[Path], dash_m: float, gap_m: float) -> None:
    crossings = np.array([crossing(road, street) for road in roads])
    _dashes(canvas, street, 0.0, dash_m, gap_m, crossings)


def _dashes(canvas: Canvas, path: Path, offset_m: float, dash_m: float, gap_m: float, clear: np.ndarray) -> None:
    for start in np.arange(0.0, path.length - dash_m, dash_m + gap_m):
        along = np.linspace(start, start + dash_m, 3)
        points, _ = path.at(along, np.full(3, offset_m))
        if clear.size == 0 or np.abs(clear - points[1]).max(axis=1).min() > 13.0:
            canvas.line(points, "paint", 0.14)


def _zebra(canvas: Canvas, road: Path, y: float) -> None:
    along = float(np.interp(y, road.xy[:, 1], road.distance))
    for offset in np.arange(-road.half_width + 0.5, road.half_width, 1.1):
        ends = np.array([along - 1.6, along + 1.6, along + 1.6, along - 1.6])
        bar, _ = road.at(ends, offset + np.array([-0.25, -0.25, 0.25, 0.25]))
        canvas.fill(bar, "paint")


def _stall(canvas: Canvas, stall: Rect) -> None:
    corners = stall.corners()
    if stall.length_m < 4.9:
        canvas.fill(stall.corners(0.5), "pavement")
        return
    canvas.line(corners[[1, 0, 3, 2]], "paint", 0.12)
