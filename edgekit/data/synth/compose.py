"""Putting small pictures on a frame.

A canvas is (H, W, 4) uint8: blue, green, red, and heat as the fourth channel, so that the colour image and its
thermal twin are warped and blended together and cannot come apart.
"""

from typing import NamedTuple, Optional, Tuple

import cv2
import numpy as np

Box = Tuple[int, int, int, int]


class Patch(NamedTuple):
    """A small picture and where its top left corner goes.

    Attributes:
        x, y: pixels, perhaps outside the canvas.
        bgrh: (h, w, 4) uint8, premultiplied by alpha.
        alpha: (h, w) uint8.
    """

    x: int
    y: int
    bgrh: np.ndarray
    alpha: np.ndarray


def paste(canvas: np.ndarray, patch: Patch) -> Optional[Box]:
    """Blend the part of the patch inside the canvas; its box there, or None."""
    height, width = canvas.shape[:2]
    rows, columns = patch.alpha.shape
    x0, y0 = max(patch.x, 0), max(patch.y, 0)
    x1, y1 = min(patch.x + columns, width), min(patch.y + rows, height)
    if x1 <= x0 or y1 <= y0:
        return None
    inner = np.s_[y0 - patch.y : y1 - patch.y, x0 - patch.x : x1 - patch.x]
    around = cv2.bitwise_not(patch.alpha[inner])
    part = canvas[y0:y1, x0:x1]
    around4 = cv2.merge([around, around, around, around])
    part[:] = cv2.add(cv2.multiply(part, around4, scale=1.0 / 255.0), patch.bgrh[inner])
    return x0, y0, x1, y1


def mark(ids: np.ndarray, patch: Patch, box: Box, value: int) -> None:
    """Write `value` where the patch hides at least half of a pixel."""
    x0, y0, x1, y1 = box
    solid = patch.alpha[y0 - patch.y : y1 - patch.y, x0 - patch.x : x1 - patch.x] > 127
    ids[y0:y1, x0:x1][solid] = value


def fixed(points: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) as the 1/16 pixel integers that OpenCV draws with `shift=4`."""
    return np.rint(points * 16.0).astype(np.int32)
