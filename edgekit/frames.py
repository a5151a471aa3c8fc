"""A frame: pixels and when they were captured."""

from dataclasses import dataclass
from typing import Optional

import numpy as np


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Attributes:
        image_hwc: (H, W, 3) uint8, BGR.
        index: position in the source, counted from 0; dropped frames count.
        t_capture_s: monotonic clock at capture, seconds.
        infrared: (H, W) uint8 registered with the image, or None.
    """

    image_hwc: np.ndarray
    index: int
    t_capture_s: float
    infrared: Optional[np.ndarray] = None

    def __post_init__(self) -> None:
        image = self.image_hwc
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError("a frame is (H, W, 3) uint8 BGR, got {} {}".format(image.shape, image.dtype))
