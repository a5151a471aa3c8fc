"""A vehicle in a frame: its sides as a hull from the ground to the roof, and its picture on top."""

import math
from typing import Tuple

import cv2
import numpy as np

from edgekit.data.synth.compose import Patch, fixed
from edgekit.data.synth.sprites import SPRITE_PX_PER_M, Sprite

_CLEARANCE_M = 0.15


def draw(sprite: Sprite, origin: np.ndarray, frame: np.ndarray, light: float) -> Patch:
    """Draw a vehicle.

    Args:
        sprite: its picture and size.
        origin: (2,) pixels of its middle on the ground.
        frame: (3, 2) pixels a metre forward, right and up.
        light: 1 in the sun, less in a shadow.
    """
    flat = sprite.outline @ frame[:2] + origin
    hull = np.concatenate([flat + _CLEARANCE_M * frame[2], flat + sprite.base_m * frame[2]])
    left, top = (math.floor(v) - 3 for v in hull.min(axis=0))
    right, bottom = (math.ceil(v) + 4 for v in hull.max(axis=0))
    size = (right - left, bottom - top)
    corner = np.array([left, top])
    bgrh, alpha = warp(sprite, origin + sprite.base_m * frame[2] - corner, frame, 1.0, size)
    outline = cv2.convexHull(fixed(hull - corner))
    sides, under = np.zeros_like(bgrh), np.zeros_like(alpha)
    cv2.fillConvexPoly(sides, outline, sprite.side, cv2.LINE_AA, 4)
    cv2.fillConvexPoly(under, outline, (255,), cv2.LINE_AA, 4)
    around = cv2.bitwise_not(alpha)
    bgrh = cv2.add(bgrh, cv2.multiply(sides, cv2.merge([around] * 4), scale=1.0 / 255.0))
    alpha = cv2.add(alpha, cv2.multiply(under, around, scale=1.0 / 255.0))
    return Patch(left, top, dim(bgrh, light), alpha)


def dim(bgrh: np.ndarray, light: float) -> np.ndarray:
    """Less light for the colours; heat does not care."""
    if light > 0.99:
        return bgrh
    blue, green, red, heat = cv2.split(bgrh)
    return cv2.merge([cv2.convertScaleAbs(c, alpha=light) for c in (blue, green, red)] + [heat])


def warp(
    sprite: Sprite, middle: np.ndarray, frame: np.ndarray, scale: float, size: Tuple[int, int]
) -> Tuple[np.ndarray, np.ndarray]:
    """A sprite's picture and alpha, `scale` times its size, with its middle at `middle` of an image of `size`."""
    shrink = scale * math.hypot(frame[0, 0], frame[0, 1]) / SPRITE_PX_PER_M
    level = 0 if shrink > 0.55 else (1 if shrink > 0.275 else 2)
    bgrh, alpha = sprite.levels[level]
    matrix = np.empty((2, 3))
    matrix[:, :2] = frame[:2].T * (scale * float(1 << level) / SPRITE_PX_PER_M)
    matrix[:, 2] = middle - matrix[:, :2] @ np.array([(alpha.shape[1] - 1) / 2.0, (alpha.shape[0] - 1) / 2.0])
    return (
        cv2.warpAffine(bgrh, matrix, size, flags=cv2.INTER_LINEAR),
        cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR),
    )


def flat(sprite: Sprite, middle: np.ndarray, frame: np.ndarray, scale: float, reach_m: float) -> Patch:
    """A sprite with no sides, in a square that reaches `reach_m` around its middle."""
    reach = int(reach_m * math.hypot(frame[0, 0], frame[0, 1])) + 2
    left, top = int(middle[0]) - reach, int(middle[1]) - reach
    size = (2 * reach + 1, 2 * reach + 1)
    bgrh, alpha = warp(sprite, middle - [left, top], frame, scale, size)
    return Patch(left, top, bgrh, alpha)
