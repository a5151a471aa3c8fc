"""Seeded noise fields: the texture of everything on the ground."""

from typing import Sequence

import cv2
import numpy as np

# Frozen by NumPy's compatibility policy: the same seed draws the same world on every version that we run on.
Random = np.random.RandomState


def random_for(seed: int, purpose: str) -> Random:
    """A random stream of its own for each purpose, so that adding one does not shift the others."""
    words = [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF] + list(purpose.encode("utf-8"))
    return Random(words)


def fractal(rng: Random, size: int, cells_px: Sequence[int], gain: float = 0.6) -> np.ndarray:
    """Smooth noise with detail at several scales.

    Args:
        rng: where the numbers come from.
        size: side of the square result, in pixels.
        cells_px: grain sizes, coarse to fine, in pixels of the result.
        gain: strength of each scale, relative to the one before it.

    Returns:
        (size, size) uint8, centred on 128, about 40 standard deviation.
    """
    field: np.ndarray = np.zeros((2, 2), np.float32)
    strength = 1.0
    for cell in cells_px:
        side = max(2, size // cell)
        field = cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC)
        field = cv2.scaleAdd(_uniform(rng, side), strength, field)
        strength *= gain
    field = cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)
    mean, deviation = cv2.meanStdDev(field)
    scale = 40.0 / max(float(deviation[0, 0]), 1e-6)
    return cv2.addWeighted(field, scale, field, 0.0, 128.0 - scale * float(mean[0, 0]), dtype=cv2.CV_8U)


def _uniform(rng: Random, side: int) -> np.ndarray:
    """(side, side) float32 in [-1, 1]; large fields repeat a tile, which no one sees at the finest scale."""
    tile = min(side, 1024)
    values = rng.randint(0, 256, (tile, tile), np.uint8).astype(np.float32) / 127.5 - 1.0
    repeats = -(-side // tile)
    return np.tile(values, (repeats, repeats))[:side, :side] if repeats > 1 else values


def grain(rng: Random, height: int, width: int, sigma: float, channels: int) -> np.ndarray:
    """Sensor noise centred on 128, uint8 (height, width[, channels]), to be added and 128 subtracted."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.clip(np.rint(rng.normal(128.0, sigma, shape)), 0, 255).astype(np.uint8)
