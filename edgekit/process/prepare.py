"""From a frame to the network's input: resize, pad, normalise; and the way back for boxes.

This is the only letterbox of edgekit: training, calibration, parity, bench and the device all call it. The native
library does it in one pass over the picture; without it OpenCV and NumPy do. On x86 both give the same bits; on ARM,
where OpenCV resizes at some ratios by code of the processor's maker, a pixel may differ by 1 or 2 of 255.
"""

import functools
import threading
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from edgekit.errors import DataError
from edgekit.ops import letterbox

_LETTERBOXES = ("topleft", "center", "stretch")
_CHANNELS = {"rgb": 3, "rgb+ir": 4}


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes the network's input, x = (pixel * scale - mean) / std.

    Attributes:
        height, width: size of the network's input, pixels.
        letterbox: "topleft" or "center" keep the aspect ratio and pad, "stretch" does not.
        pad_value: pixel value (0 to 255) of the padding, before it is normalised like the rest.
        mean, std: one value a channel, in the order in which the network takes the channels; infrared comes last.
        scale: factor of the pixel values before the mean is taken off, such as 1 / 255.
        rgb: True where the network takes RGB; frames are always BGR.
        modality: "rgb" for the pictures of one camera, whichever; "rgb+ir" for colour and registered infrared, which
            is the fourth channel.
    """

    height: int
    width: int
    letterbox: str = "topleft"
    pad_value: int = 114
    mean: Tuple[float, ...] = (0.0, 0.0, 0.0)
    std: Tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    rgb: bool = False
    modality: str = "rgb"

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError("the input is at least 1 x 1 pixel, got {} x {}".format(self.height, self.width))
        if self.letterbox not in _LETTERBOXES:
            raise ValueError("letterbox is one of {}, got {!r}".format(_LETTERBOXES, self.letterbox))
        if self.modality not in _CHANNELS:
            raise ValueError("modality is one of {}, got {!r}".format(", ".join(_CHANNELS), self.modality))
        if len(self.mean) != self.channels or len(self.std) != self.channels or 0 in self.std:
            raise ValueError(
                "mean and std are {} values each, std not 0; got {}, {}".format(self.channels, self.mean, self.std)
            )
        if not 0 <= self.pad_value <= 255:
            raise ValueError("pad_value is 0 to 255, got {}".format(self.pad_value))

    @property
    def channels(self) -> int:
        """Of the network's input."""
        return _CHANNELS[self.modality]

    @property
    def pairs(self) -> bool:
        """Whether a frame needs its infrared image."""
        return self.modality == "rgb+ir"

    def to_json(self) -> Dict[str, Any]:
        """A plain dict; `from_json` gives the same value back."""
        plain = {
            "height": self.height,
            "width": self.width,
            "letterbox": self.letterbox,
            "pad_value": self.pad_value,
            "mean": list(self.mean),
            "std": list(self.std),
            "scale": self.scale,
            "rgb": self.rgb,
        }  # type: Dict[str, Any]
        if self.pairs:  # left out elsewhere: files of before, and readers of before, do not know it
            plain["modality"] = self.modality
        return plain

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


def prepare(
    image_hwc: np.ndarray,
    spec: Preprocess,
    out: Optional[np.ndarray] = None,
    infrared_hw: Optional[np.ndarray] = None,
) -> Tuple[np.ndarray, Letterbox]:
    """Resize, pad and normalise one frame.

    Args:
        image_hwc: (H, W, 3) uint8, BGR.
        spec: what the network takes.
        out: (1, C, height, width) float32, C-contiguous, to be filled; a new array where None.
        infrared_hw: (H, W) uint8, registered with the image; read where the network takes pairs, and only there.

    Returns:
        The network's input (1, C, height, width) float32, `out` itself if given, with C of 3, or 4 for a network of
        pairs; where the frame lies in it.

    Raises:
        DataError: the network takes pairs, and there is no infrared image or it is of another size.
    """
    shape = (1, spec.channels, spec.height, spec.width)
    if out is None:
        out = np.empty(shape, dtype=np.float32)
    elif out.shape != shape or out.dtype != np.float32:
        raise ValueError("out is float32 {}, got {} {}".format(shape, out.dtype, out.shape))
    height, width = image_hwc.shape[:2]
    place = letterbox_of(width, height, spec)
    if spec.pairs:
        _put(out[0, 3:], _registered(infrared_hw, image_hwc), place, spec)
    _put(out[0, :3], image_hwc, place, spec)
    return out, place


def _registered(infrared_hw: Optional[np.ndarray], image_hwc: np.ndarray) -> np.ndarray:
    """The infrared image, (H, W) uint8."""
    if infrared_hw is None:
        raise DataError(
            "this network takes colour and infrared, and the picture comes without infrared; give pairs "
            "(NAME_co.png beside NAME_ir.png), or synth:// for rendered ones"
        )
    if infrared_hw.shape != image_hwc.shape[:2] or infrared_hw.dtype != np.uint8:
        raise DataError(
            "the infrared image is {} {}, its colour image {}; a pair is registered, of one size, infrared in one "
            "channel of 8 bits".format(infrared_hw.shape, infrared_hw.dtype, image_hwc.shape)
        )
    return infrared_hw


def _put(planes: np.ndarray, image: np.ndarray, place: Letterbox, spec: Preprocess) -> None:
    """Resize, pad and normalise a colour image into 3 planes (3, H, W), or an infrared one into its plane (1, H, W)."""
    height, width = image.shape[:2]
    inner_w, inner_h = _inner_size(width, height, spec)
    gain, offset = (value[-1:] if len(planes) == 1 else value[:3] for value in _affine(spec))
    reverse = spec.rgb and len(planes) == 3
    if (inner_w, inner_h) != (width, height):  # else there is nothing to blend, and NumPy is as fast
        if len(planes) == 3 and letterbox.fill(
            image, planes, place.pad_y, place.pad_x, inner_h, inner_w, reverse, spec.pad_value, gain, offset
        ):
            return
        image = cv2.resize(image, (inner_w, inner_h), interpolation=_interpolation(image, inner_w, inner_h))
    channels = [image] if len(planes) == 1 else cv2.split(image, _scratch.planes(*image.shape[:2]))
    _fill(planes, channels[::-1] if reverse else channels, place, spec.pad_value, gain, offset)


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


def _fill(
    planes: np.ndarray,
    channels: Sequence[np.ndarray],
    place: Letterbox,
    pad_value: int,
    gain: np.ndarray,
    offset: np.ndarray,
) -> None:
    """Write the normalised `channels`, each (h, w) uint8, and the padding into `planes` (C, H, W)."""
    height, width = channels[0].shape
    top, left = place.pad_y, place.pad_x
    bottom, right = top + height, left + width
    for index, plane in enumerate(planes):
        pad = np.float32(pad_value) * gain[index] + offset[index]
        plane[:top] = pad
        plane[bottom:] = pad
        plane[top:bottom, :left] = pad
        plane[top:bottom, right:] = pad
        inner = plane[top:bottom, left:right]
        np.copyto(inner, channels[index])
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
    """Gain and offset (C,) float32 of each channel: x = pixel * gain + offset."""
    std = np.array(spec.std, dtype=np.float64)
    gain = spec.scale / std
    offset = -np.array(spec.mean, dtype=np.float64) / std
    return gain.astype(np.float32), offset.astype(np.float32)
