"""What the loop asks of a tracker."""

from abc import ABC, abstractmethod
from typing import Optional

import numpy as np

from edgekit.detections import Detections

NO_TRACK = -1
"""The `track_id` of a box that belongs to no confirmed track, or not yet."""


class Tracker(ABC):
    """Gives the boxes of one object the same id from frame to frame."""

    @abstractmethod
    def update(self, detections: Detections, image_hwc: Optional[np.ndarray] = None, steps: int = 1) -> Detections:
        """Follow the objects into the next frame.

        Args:
            detections: boxes of this frame, also the weak ones: a tracker makes use of low scores.
            image_hwc: the frame (H, W, 3) uint8 BGR, for trackers that look at it; None leaves the look out.
            steps: frames since the last call; more than 1 where frames were dropped in between.

        Returns:
            The boxes in their old order with `track_id` (K,) int64: those of confirmed tracks, and the strong ones that
            belong to none (yet), with `NO_TRACK`. Only weak boxes without a track are left out: a detection does not
            vanish because it cannot be followed.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget all objects (a new flight, a cut in the video); ids go on counting and are never given twice."""
