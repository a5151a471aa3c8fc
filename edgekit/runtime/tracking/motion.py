"""Camera motion between two frames, from the sparse optical flow of the background.

Shi-Tomasi corners of the last frame are followed by pyramidal Lucas-Kanade, and RANSAC fits one turn, scale and shift
to them. Corners inside detections are left out, because objects move by themselves. All of it on a small grey picture:
the corners are searched anew only when too few of the old ones are left, and followed from frame to frame otherwise.
"""

from typing import Any, Optional, Tuple

import cv2
import numpy as np

_WIDTH_PX = 320
_MOST_CORNERS = 160
_FEWEST_CORNERS = 80
_FEWEST_INLIERS = 12
_LEAST_INLIER_SHARE = 0.4
_FLOW_WINDOW_PX = 11
_FLOW_LEVELS = 3
_FLOW_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.03)


class CameraMotion:
    """Remembers the last frame and says how the camera moved since.

    Args:
        width_px: the picture is worked on at about this width; more is slower and finer.
    """

    def __init__(self, width_px: int = _WIDTH_PX) -> None:
        self._width_px = width_px
        self._grey: Optional[np.ndarray] = None
        self._corners = np.zeros((0, 1, 2), np.float32)

    def estimate(self, image_hwc: np.ndarray, xyxy: np.ndarray) -> Optional[np.ndarray]:
        """Motion from the last frame to this one.

        Args:
            image_hwc: (H, W, 3) uint8 BGR.
            xyxy: (N, 4) boxes of things that move by themselves, pixels of this frame.

        Returns:
            affine (2, 3) float64, old pixel to new pixel, or None: first frame, another size, or a background without
            enough corners that agree.
        """
        step = max(1, int(image_hwc.shape[1] / self._width_px + 0.5))
        grey = _small_grey(image_hwc, step)
        boxes = xyxy / step
        affine = None
        if self._grey is not None and self._grey.shape == grey.shape:
            affine = self._follow(grey)
        else:
            self._corners = self._corners[:0]
        self._refresh(grey, boxes)
        self._grey = grey
        if affine is not None:
            affine[:, 2] = _shift_at_full_size(affine, step)
        return affine

    def reset(self) -> None:
        """Forget the last frame."""
        self._grey = None

    def _follow(self, grey: np.ndarray) -> Optional[np.ndarray]:
        """Affine (2, 3) in small pixels; keeps the corners that went along with it."""
        old, self._corners = self._corners, self._corners[:0]
        if len(old) < _FEWEST_INLIERS:
            return None
        new, found = _flow(self._grey, grey, old)
        found = found.ravel() == 1
        old, new = old[found], new[found]
        if len(old) < _FEWEST_INLIERS:
            return None
        affine, inlier = cv2.estimateAffinePartial2D(
            old, new, method=cv2.RANSAC, ransacReprojThreshold=1.0, maxIters=200, confidence=0.99
        )
        if affine is None or inlier.sum() < max(_FEWEST_INLIERS, _LEAST_INLIER_SHARE * len(old)):
            return None
        self._corners = new[inlier.ravel() == 1]
        return np.asarray(affine, np.float64)

    def _refresh(self, grey: np.ndarray, boxes: np.ndarray) -> None:
        """Drop the corners that lie in boxes (N, 4), and look for new ones when too few remain."""
        mask = _background(grey.shape[0], grey.shape[1], boxes)
        self._corners = _inside(self._corners, mask)
        if len(self._corners) >= _FEWEST_CORNERS:
            return
        found = cv2.goodFeaturesToTrack(grey, _MOST_CORNERS, 0.01, 8, mask=mask, blockSize=3)
        if found is not None and len(found) > len(self._corners):
            self._corners = found.astype(np.float32)


def _flow(before: Any, after: np.ndarray, corners: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Where the corners (K, 1, 2) of grey picture `before` are in `after`, and found (K, 1) uint8."""
    follow: Any = cv2.calcOpticalFlowPyrLK
    window = (_FLOW_WINDOW_PX, _FLOW_WINDOW_PX)
    new, found, _ = follow(before, after, corners, None, winSize=window, maxLevel=_FLOW_LEVELS, criteria=_FLOW_STOP)
    return new, found


def _small_grey(image_hwc: np.ndarray, step: int) -> np.ndarray:
    """Grey picture (H // step, W // step) uint8; each pixel stands for step x step pixels."""
    height, width = image_hwc.shape[0] // step, image_hwc.shape[1] // step
    image_hwc = image_hwc[: height * step, : width * step]
    if step >= 4 and step % 2 == 0:
        # Reading 4 samples a pixel instead of all step^2 is ten times faster; their mean still calms the noise.
        image_hwc = cv2.resize(image_hwc, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    if step > 1:
        image_hwc = cv2.resize(image_hwc, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image_hwc, cv2.COLOR_BGR2GRAY)


def _background(height: int, width: int, boxes: np.ndarray) -> np.ndarray:
    """Mask (H, W) uint8: 255 outside the boxes (N, 4)."""
    mask = np.full((height, width), 255, np.uint8)
    corners = np.clip(boxes, 0, (width, height, width, height))
    for x1, y1, x2, y2 in np.concatenate([np.floor(corners[:, :2]), np.ceil(corners[:, 2:])], 1).astype(int).tolist():
        mask[y1:y2, x1:x2] = 0
    return mask


def _inside(corners: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The corners (K, 1, 2) that lie in the picture, where the mask (H, W) is not 0."""
    place = np.rint(corners[:, 0]).astype(int)
    fits = ((place >= 0) & (place < mask.shape[::-1])).all(axis=1)
    corners, place = corners[fits], place[fits]
    return corners[mask[place[:, 1], place[:, 0]] > 0]


def _shift_at_full_size(affine: np.ndarray, step: int) -> np.ndarray:
    """Shift (2,) of the same motion in full pixels.

    A small pixel's centre at x is at step x + c in the picture, c = (step - 1) / 2; with X = step x + c the motion
    x' = A x + t becomes X' = A X + (step t + c - A c).
    """
    centre = np.full(2, 0.5 * (step - 1))
    return step * affine[:, 2] + centre - affine[:, :2].dot(centre)
