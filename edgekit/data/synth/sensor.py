"""What the two cameras add to the scene: motion blur, vignette, exposure, noise, thermal halos."""

import math
from typing import Tuple

import cv2
import numpy as np

from edgekit.data.synth.noise import grain, random_for

_BANK_SLACK = 64
_HAZE_LEVEL = 205.0


class Sensor:
    """The noise banks and lens of one flight's cameras."""

    def __init__(self, seed: int, width: int, height: int) -> None:
        rng = random_for(seed, "sensor")
        self._seed = seed
        size = (height + _BANK_SLACK, width + _BANK_SLACK)
        self._noise = grain(rng, size[0], size[1], rng.uniform(1.6, 4.0), 3)
        fine = grain(rng, size[0], size[1], rng.uniform(1.5, 3.5), 1)
        self._heat_noise = cv2.GaussianBlur(fine, (3, 3), 0.6)
        self._vignette = _vignette(width, height, rng.uniform(0.02, 0.12), rng.uniform(0.93, 1.0, 3))
        self._exposure, self._haze = rng.uniform(0.98, 1.12), rng.uniform(0.0, 0.07)
        self._drift = rng.uniform(0.0, 6.28, 2)
        self._mean, self._contrast = rng.normal(128.0, 9.0), rng.uniform(26.0, 54.0)

    def colour(self, bgr: np.ndarray, index: int, t_s: float, motion_px: Tuple[float, float]) -> np.ndarray:
        """The colour camera's picture of `bgr` (H, W, 3)."""
        height, width = bgr.shape[:2]
        image = _motion_blur(bgr, motion_px)
        exposure = self._exposure * (1.0 + 0.04 * math.sin(0.4 * t_s + self._drift[0]))
        image = cv2.multiply(image, self._vignette, scale=exposure / 255.0)
        y, x = self._offset(index)
        noise = self._noise[y : y + height, x : x + width]
        return cv2.addWeighted(image, 1.0 - self._haze, noise, 1.0, _HAZE_LEVEL * self._haze - 128.0)

    def thermal(self, heat: np.ndarray, index: int, t_s: float, motion_px: Tuple[float, float]) -> np.ndarray:
        """The thermal camera's picture of `heat` (H, W): softer, with the halo of its local contrast filter."""
        height, width = heat.shape
        soft = cv2.GaussianBlur(_motion_blur(heat, motion_px), (3, 3), 0.75)
        gain, level = self._automatic_gain(soft, t_s)
        image = cv2.addWeighted(soft, 1.35 * gain, cv2.blur(soft, (13, 13)), -0.35 * gain, level)
        y, x = self._offset(index)
        return cv2.addWeighted(image, 1.0, self._heat_noise[y : y + height, x : x + width], 1.0, -128.0)

    def _automatic_gain(self, heat: np.ndarray, t_s: float) -> Tuple[float, float]:
        """Most of the way to the camera's favourite mean and contrast, as thermal cameras do frame by frame."""
        mean, deviation = (float(v[0, 0]) for v in cv2.meanStdDev(heat))
        gain = min(max((self._contrast / max(deviation, 4.0)) ** 0.75, 0.6), 1.7)
        level = self._mean + 3.0 * math.sin(0.31 * t_s + self._drift[1]) - gain * mean
        return gain, level

    def _offset(self, index: int) -> Tuple[int, int]:
        """A place in the noise bank by multiplicative hashing, which is much cheaper than seeding a generator."""
        mixed = ((index + 1) * 2654435761 + self._seed * 40503) & 0xFFFFFFFF
        return (mixed >> 8) % (_BANK_SLACK + 1), (mixed >> 20) % (_BANK_SLACK + 1)


def _vignette(width: int, height: int, strength: float, tint: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: darker to the corners, and the camera's white balance."""
    x = (np.arange(width) - width / 2.0) / (width / 2.0)
    y = (np.arange(height) - height / 2.0) / (height / 2.0)
    fall = 1.0 - strength * (x[None, :] ** 2 + y[:, None] ** 2)
    return cv2.merge([np.rint(255.0 * fall * share).astype(np.uint8) for share in tint])


def _motion_blur(image: np.ndarray, motion_px: Tuple[float, float]) -> np.ndarray:
    """Smear along the camera's motion during the exposure; less than a pixel is left alone."""
    length = math.hypot(*motion_px)
    if length < 1.0:
        return image
    size = 2 * math.ceil(min(length, 9.0) / 2.0) + 1
    kernel = np.zeros((size, size), np.uint8)
    middle = (size // 2) * 16
    half = (motion_px[0] * 8.0, motion_px[1] * 8.0)
    ends = [(int(middle + s * half[0]), int(middle + s * half[1])) for s in (-1.0, 1.0)]
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
    weights = kernel.astype(np.float32)
    return cv2.filter2D(image, -1, weights / max(float(weights.sum()), 1.0), borderType=cv2.BORDER_REFLECT_101)
