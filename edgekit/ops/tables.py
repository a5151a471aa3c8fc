"""Which source pixels an output pixel of a bilinear resize mixes, and how much of each.

OpenCV's tables for INTER_LINEAR of uint8 (modules/imgproc/src/resize.cpp): the centre of the output pixel in the
source, in float32, and two weights of 11 bits, rounded half to even each by itself.
"""

from typing import Tuple

import numpy as np

ONE = 2048


def taps(source: int, target: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First pixel (target,) int64, from -1 to source - 1, and the weights of it and of the next (target,) int64."""
    # The inverse of an inverse is not always the quotient; OpenCV has the former.
    scale = 1.0 / (target / source)
    position = ((np.arange(target) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(position)
    part = position - first
    weights = [np.rint(weight * np.float32(ONE)).astype(np.int64) for weight in (np.float32(1) - part, part)]
    return first.astype(np.int64), weights[0], weights[1]


def column_taps(source: int, target: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`taps` along a row, where a pixel beyond the border has no weight and the border pixel all of it."""
    first, weight0, weight1 = taps(source, target)
    outside = (first < 0) | (first >= source - 1)
    weight0[outside], weight1[outside] = ONE, 0
    return np.clip(first, 0, source - 1), weight0, weight1
