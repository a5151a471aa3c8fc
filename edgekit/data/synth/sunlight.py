"""Where the sun reaches the ground of a world."""

import math

import cv2
import numpy as np

from edgekit.data.synth.canvas import PIXELS_PER_M, SHIFT, SIZE_PX
from edgekit.data.synth.layout import Layout, bridges
from edgekit.data.synth.shapes import Rect, Tree

_LIT = 255
_SHADED = 138
_DECK_M = 2.5


def light_map(layout: Layout) -> np.ndarray:
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


def _shade(light: np.ndarray, outline: np.ndarray, level: int = _SHADED) -> None:
    points = np.rint(outline * (PIXELS_PER_M / 4.0) * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(light, [points], (level,), cv2.LINE_AA, SHIFT)
