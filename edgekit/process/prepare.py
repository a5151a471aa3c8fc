"""From a frame to the network's input: resize, pad, normalise; and the way back for boxes.

This is the only letterbox of edgekit: training, calibration, parity, bench and the device all call it. The native
library does it in one pass over the picture; without it OpenCV and NumPy do. On x86 both give the same bits; on ARM,
where OpenCV resizes at some ratios by code of the processor's maker, a pixel may differ by 1 or 2 of 255.
"""

import functools
import threading
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import cv2
import numpy as np

from edgekit.ops import letterbox

_LETTERBOXES = ("topleft", "center", "stretch")


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes the network's input, x = (pixel * scale - mean) / std.

    Attributes:
        height, width: size of the network's input, pixels.
        letterbox: "topleft" or "center" keep the aspect ratio and pad, "stretch" does not.
        pad_value: pixel value (0 to 255) of the padding, before it is normalised like the rest.
        mean, std: one value a channel, in the order in which the network takes the channels.
        scale: factor of the pixel values before the mean is taken off, such as 1 / 255.
        rgb: True where the network takes RGB; frames are always BGR.
    """

    height: int
    width: int
    letterbox: str = "topleft"
    pad_value: int = 114
    mean: Tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: Tuple[float, float, float] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    rgb: bool = False

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError("the input is at least 1 x 1 pixel, got {} x {}".format(self.height, self.width))
        if self.letterbox not in _LETTERBOXES:
            raise ValueError("letterbox is one of {}, got {!r}".format(_LETTERBOXES, self.letterbox))
        if len(self.mean) != 3 or len(self.std) != 3 or 0 in self.std:
            raise ValueError("mean and std are three values each, std not 0; got {}, {}".format(self.mean, self.std))
        if not 0 <= self.pad_value <= 255:
            raise ValueError("pad_value is 0 to 255, got {}".format(self.pad_value))

    def to_json(self) -> Dict[str, Any]:
        """A plain dict; `from_json` gives the same value back."""
        return {
            "height": self.height,
            "width": self.width,
            "letterbox": self.letterbox,
            "pad_value": self.pad_value,
            "mean": list(self.mean),
            "std": list(self.std),
            "scale": self.scale,
            "rgb": self.rgb,
        }

    @classmethod
    def from_json(cls, value: Dict[str, Any]) -> "Preprocess":
        """The value that `to_json` wrote."""
        plain = dict(value)
        plain["mean"] = tuple(plain["mean"])
        plain["std"] = tuple(plain["std"])
        return cls(**plain)


@dataclass(frozen=True)
class Letterbox:
    """Where a frame lies in the network's input: x_net = x * scale_x + pad_x, and the same for y.

    Attributes:
        scale_x, scale_y: network pixels per frame pixel.
        pad_x, pad_y: left and top padding, network pixels.
        width, height: size of the original frame, pixels.
    """

    scale_x: float
    scale_y: float
    pad_x: int
    pad_y: int
    width: int
    height: int

    def to_original(self, xyxy: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) of the network's input as boxes of the frame, clipped to it; float32."""
        boxes = (xyxy - self._shift()) / self._scale()
        limit = np.array([self.width, self.height, self.width, self.height], dtype=np.float32)
        return np.asarray(np.clip(boxes, 0, limit), dtype=np.float32)

    def to_network(self, xyxy: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) of the frame as boxes of the network's input; float32, not clipped."""
        return np.asarray(xyxy * self._scale() + self._shift(), dtype=np.float32)

    def _scale(self) -> np.ndarray:
        return np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], dtype=np.float32)

    def _shift(self) -> np.ndarray:
        return np.array([self.pad_x, self.pad_y, self.pad_x, self.pad_y], dtype=np.float32)


def letterbox_of(width: int, height: int, spec: Preprocess) -> Letterbox:
    """Where a `width` x `height` frame goes in the input that `spec` describes."""
    inner_w, inner_h = _inner_size(width, height, spec)
    center = spec.letterbox == "center"
    # The scale of the pixels after rounding, not the ratio asked for: boxes then sit exactly on the picture.
    return Letterbox(
        scale_x=inner_w / width,
        scale_y=inner_h / height,
        pad_x=(spec.width - inner_w) // 2 if center else 0,
        pad_y=(spec.height - inner_h) // 2 if center else 0,
        width=width,
        height=height,
    )


def prepare(image_hwc: np.ndarray, spec: Preprocess, out: Optional[np.ndarray] = None) -> Tuple[np.ndarray, Letterbox]:
    """Resize, pad and normalise one frame.

    Args:
        image_hwc: (H, W, 3) uint8, BGR.
        spec: what the network takes.
        out: (1, 3, height, width) float32, C-contiguous, to be filled; a new array where None.

    Returns:
        The network's input (1, 3, height, width) float32, `out` itself if given; where the frame lies in it.
    """
    shape = (1, 3, spec.height, spec.width)
    if out is None:
        out = np.empty(shape, dtype=np.float32)
    elif out.shape != shape or out.dtype != np.float32:
        raise ValueError("out is float32 {}, got {} {}".format(shape, out.dtype, out.shape))
    height, width = image_hwc.shape[:2]
    place = letterbox_of(width, height, spec)
    inner_w, inner_h = _inner_size(width, height, spec)
    if (inner_w, inner_h) != (width, height):  # else there is nothing to blend, and NumPy is as fast
        gain, offset = _affine(spec)
        if letterbox.fill(
            image_hwc, out[0], place.pad_y, place.pad_x, inner_h, inner_w, spec.rgb, spec.pad_value, gain, offset
        ):
            return out, place
        image_hwc = cv2.resize(image_hwc, (inner_w, inner_h), interpolation=_interpolation(image_hwc, inner_w, inner_h))
    _fill(out[0], image_hwc, place, spec)
    return out, place


def _inner_size(width: int, height: int, spec: Preprocess) -> Tuple[int, int]:
    """Width and height of the frame inside the network's input, pixels."""
    if spec.letterbox == "stretch":
        return spec.width, spec.height
    ratio = min(spec.height / height, spec.width / width)
    # int() as YOLOX does; the small term keeps 415.9999 at 416 where the ratio was rounded down.
    return max(int(width * ratio + 1e-6), 1), max(int(height * ratio + 1e-6), 1)


def _interpolation(image_hwc: np.ndarray, inner_w: int, inner_h: int) -> int:
    """Bilinear, or its equal to the bit: at an odd whole ratio (1920 to 640) each sample falls on one pixel."""
    height, width = image_hwc.shape[:2]
    ratio = width // inner_w
    if ratio % 2 == 1 and (inner_w * ratio, inner_h * ratio) == (width, height):
        return getattr(cv2, "INTER_NEAREST_EXACT", cv2.INTER_LINEAR)
    return cv2.INTER_LINEAR


def _fill(planes: np.ndarray, image_hwc: np.ndarray, place: Letterbox, spec: Preprocess) -> None:
    """Write the normalised channels of `image_hwc` and the padding into `planes` (3, H, W)."""
    height, width = image_hwc.shape[:2]
    top, left = place.pad_y, place.pad_x
    bottom, right = top + height, left + width
    channels = cv2.split(image_hwc, _scratch.planes(height, width))
    gain, offset = _affine(spec)
    for index, plane in enumerate(planes):
        pad = np.float32(spec.pad_value) * gain[index] + offset[index]
        plane[:top] = pad
        plane[bottom:] = pad
        plane[top:bottom, :left] = pad
        plane[top:bottom, right:] = pad
        inner = plane[top:bottom, left:right]
        np.copyto(inner, channels[2 - index if spec.rgb else index])
        if gain[index] != 1:
            inner *= gain[index]
        if offset[index] != 0:
            inner += offset[index]


class _Scratch(threading.local):
    """Channel planes of the last size, a set for each thread: new ones cost ten times the split itself."""

    def __init__(self) -> None:
        self._planes: List[np.ndarray] = []

    def planes(self, height: int, width: int) -> List[np.ndarray]:
        if not self._planes or self._planes[0].shape != (height, width):
            self._planes = [np.empty((height, width), dtype=np.uint8) for _ in range(3)]
        return self._planes


_scratch = _Scratch()


@functools.lru_cache(maxsize=16)
def _affine(spec: Preprocess) -> Tuple[np.ndarray, np.ndarray]:
    """Gain and offset (3,) float32 of each channel: x = pixel * gain + offset."""
    std = np.array(spec.std, dtype=np.float64)
    gain = spec.scale / std
    offset = -np.array(spec.mean, dtype=np.float64) / std
    return gain.astype(np.float32), offset.astype(np.float32)
