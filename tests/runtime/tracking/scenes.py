"""Boxes on known paths, and a textured ground seen by a moving camera."""

import cv2
import numpy as np

from edgekit.detections import Detections


def boxes_at(centres, size=20.0, score=0.9, class_id=0):
    """Detections (N) of square boxes around centres (N, 2)."""
    centres = np.asarray(centres, np.float32).reshape(-1, 2)
    count = len(centres)
    half = np.float32(size) / 2
    xyxy = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
    return Detections(
        xyxy, np.full(count, score, np.float32), np.broadcast_to(np.int64(class_id), (count,)).astype(np.int64)
    )


def crowd(count, frames, seed=0, size=40.0, jitter=0.7):
    """Detections of `count` objects that cross a 1920 x 1080 frame with constant speed; row i is object i."""
    rng = np.random.RandomState(seed)
    place = rng.uniform(0, 1, (count, 2)) * (1920, 1080)
    speed = rng.normal(0, 3, (count, 2))
    sides = rng.uniform(0.5, 1.5, (count, 2)) * size
    out = []
    for _ in range(frames):
        place = place + speed
        middle = place + rng.normal(0, jitter, (count, 2))
        xyxy = np.concatenate([middle - sides / 2, middle + sides / 2], axis=1).astype(np.float32)
        out.append(Detections(xyxy, rng.uniform(0.3, 0.95, count).astype(np.float32), np.zeros(count, np.int64)))
    return out


class Ground:
    """A plane with texture; `view(affine)` is what a camera sees that maps ground to picture by `affine` (2, 3)."""

    def __init__(self, width=640, height=512, seed=0):
        rng = np.random.RandomState(seed)
        noise = rng.randint(0, 255, (height + 800, width + 800, 3)).astype(np.uint8)
        smooth = cv2.GaussianBlur(noise, (0, 0), 3)
        self._texture = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
        self.width, self.height = width, height

    def view(self, affine):
        return cv2.warpAffine(self._texture, np.asarray(affine, np.float64), (self.width, self.height))

    def camera(self, shift=(0.0, 0.0), turn_rad=0.0, scale=1.0):
        """Affine (2, 3) of a camera over the middle of the ground, turned about the middle of its picture."""
        affine = cv2.getRotationMatrix2D((self.width / 2.0 + 400, self.height / 2.0 + 400), np.degrees(turn_rad), scale)
        affine[:, 2] -= np.array([400.0, 400.0]) + np.asarray(shift, np.float64)
        return affine


def through(affine, points):
    """Points (N, 2) carried through affine (2, 3)."""
    return np.asarray(points, np.float64).reshape(-1, 2).dot(affine[:, :2].T) + affine[:, 2]


def between(before, after):
    """The affine (2, 3) from the picture of camera `before` to that of `after`."""
    full = [np.vstack([affine, [0, 0, 1]]) for affine in (before, after)]
    return full[1].dot(np.linalg.inv(full[0]))[:2]
