"""How far one array is from another that it should equal; used by parity reports.

Valid on Python 3.6 too: a device compares its own outputs with the golden ones.
"""
# ruff: noqa: UP006, UP032, UP035

import math
from typing import Tuple

import numpy as np


def snr_db(reference: np.ndarray, value: np.ndarray) -> float:
    """Signal to noise ratio in dB, 10 log10(sum reference² / sum (reference - value)²), same shapes.

    Infinite when the arrays are equal, also when both are zero or empty; minus infinite when only the reference
    is zero; NaN when either is not finite.

    Raises:
        ValueError: the shapes differ.
    """
    ref, val = _pair(reference, value)
    noise = float(np.square(ref - val).sum())
    signal = float(np.square(ref).sum())
    if math.isnan(noise) or math.isinf(noise):
        return float("nan")
    if noise == 0.0:
        return float("inf")
    return 10.0 * math.log10(signal / noise) if signal > 0.0 else float("-inf")


def max_abs(reference: np.ndarray, value: np.ndarray) -> float:
    """The largest absolute difference of two arrays of one shape; 0 for empty ones, NaN where either is NaN.

    Raises:
        ValueError: the shapes differ.
    """
    ref, val = _pair(reference, value)
    return float(np.abs(ref - val).max()) if ref.size else 0.0


def cosine(reference: np.ndarray, value: np.ndarray) -> float:
    """Cosine of the angle between two arrays of one shape, in [-1, 1]; 1 when both are zero, 0 when one is.

    Raises:
        ValueError: the shapes differ.
    """
    ref, val = _pair(reference, value)
    norms = float(np.linalg.norm(ref)), float(np.linalg.norm(val))
    if 0.0 in norms:
        return 1.0 if norms == (0.0, 0.0) else 0.0
    return float(np.clip(np.dot(ref / norms[0], val / norms[1]), -1.0, 1.0))


def _pair(reference: np.ndarray, value: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Both flat and float64, in which sums of squares of float32 cannot overflow and integers cannot wrap."""
    if np.shape(reference) != np.shape(value):
        raise ValueError("shapes differ: reference {}, value {}".format(np.shape(reference), np.shape(value)))
    with np.errstate(invalid="ignore"):
        return np.asarray(reference, np.float64).ravel(), np.asarray(value, np.float64).ravel()
