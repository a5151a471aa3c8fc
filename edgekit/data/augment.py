"""Augmentations that move boxes with the pixels: crop, scale, flip, mosaic, mixup, brightness, HSV.

Every function takes and returns a `Labelled`; all randomness comes from the generator that is handed in, so that a
sample is a function of its seed. Images are (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGR and registered infrared, uint8:
geometry treats all planes alike.
"""

from typing import NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from edgekit.boxes import area, clip_xyxy

PAD_VALUE = 114


class Labelled(NamedTuple):
    """An image with its boxes.

    Attributes:
        image: (H, W), (H, W, 3) or (H, W, 4) uint8.
        xyxy: (N, 4) float32, pixels.
        class_id: (N,) int64.
        ignore_xyxy: (M, 4) float32, regions where a detection is neither right nor wrong.
    """

    image: np.ndarray
    xyxy: np.ndarray
    class_id: np.ndarray
    ignore_xyxy: np.ndarray


def flip_lr(item: Labelled) -> Labelled:
    """Mirror left and right."""
    width = item.image.shape[1]
    return item._replace(
        image=np.ascontiguousarray(item.image[:, ::-1]),
        xyxy=_mirrored(item.xyxy, 0, width),
        ignore_xyxy=_mirrored(item.ignore_xyxy, 0, width),
    )


def flip_ud(item: Labelled) -> Labelled:
    """Mirror up and down: right for cameras that look straight down."""
    height = item.image.shape[0]
    return item._replace(
        image=np.ascontiguousarray(item.image[::-1]),
        xyxy=_mirrored(item.xyxy, 1, height),
        ignore_xyxy=_mirrored(item.ignore_xyxy, 1, height),
    )


def _mirrored(xyxy: np.ndarray, axis: int, size: int) -> np.ndarray:
    out = xyxy.copy()
    out[:, axis], out[:, axis + 2] = size - xyxy[:, axis + 2], size - xyxy[:, axis]
    return out


def affine(
    item: Labelled,
    scale_xy: Tuple[float, float],
    shift_xy: Tuple[float, float],
    size_wh: Tuple[int, int],
    min_visible: float = 0.35,
) -> Labelled:
    """Scale, then shift, then cut to `size_wh`; what lies outside of the image is grey.

    A box of which less than `min_visible` stays inside becomes an ignored region: too little of it is left to ask for,
    too much to call ground.

    Args:
        item: image and boxes.
        scale_xy: factors, > 0.
        shift_xy: pixels of the output, where the input's corner (0, 0) goes.
        size_wh: output width and height, pixels.
        min_visible: smallest visible share of a box's area, in (0, 1].
    """
    # cv2 maps pixel centres: output centre (x + .5) = scale * (input + .5) + shift.
    matrix = np.array(
        [
            [scale_xy[0], 0.0, shift_xy[0] + 0.5 * scale_xy[0] - 0.5],
            [0.0, scale_xy[1], shift_xy[1] + 0.5 * scale_xy[1] - 0.5],
        ]
    )
    image = cv2.warpAffine(item.image, matrix, size_wh, flags=cv2.INTER_LINEAR, borderValue=(PAD_VALUE,) * 4)
    factor = np.array([scale_xy[0], scale_xy[1]] * 2, np.float32)
    offset = np.array([shift_xy[0], shift_xy[1]] * 2, np.float32)
    return _cut(
        Labelled(image, item.xyxy * factor + offset, item.class_id, item.ignore_xyxy * factor + offset),
        size_wh,
        min_visible,
    )


def _cut(item: Labelled, size_wh: Tuple[int, int], min_visible: float) -> Labelled:
    boxes = clip_xyxy(item.xyxy, *size_wh)
    visible = area(boxes) / np.maximum(area(item.xyxy), 1e-6)
    keep = visible >= min_visible
    partly = (visible > 0.02) & ~keep
    regions = clip_xyxy(item.ignore_xyxy, *size_wh)
    regions = regions[area(regions) > 0]
    return Labelled(item.image, boxes[keep], item.class_id[keep], np.concatenate([regions, boxes[partly]], axis=0))


def random_crop(
    item: Labelled,
    size_wh: Tuple[int, int],
    rng: np.random.Generator,
    scale: Tuple[float, float] = (0.6, 1.6),
    stretch: float = 0.1,
    focus: float = 0.8,
) -> Labelled:
    """A crop at a random scale, with probability `focus` placed around a random object.

    Args:
        item: image and boxes.
        size_wh: output width and height, pixels.
        rng: source of randomness.
        scale: range of the zoom, drawn log-uniformly.
        stretch: widths are multiplied by up to (1 + stretch) or divided by it.
        focus: probability that the crop is placed around an object, if there is one.
    """
    zoom = float(np.exp(rng.uniform(np.log(scale[0]), np.log(scale[1]))))
    aspect = float(np.exp(rng.uniform(-1.0, 1.0) * np.log1p(stretch)))
    scale_xy = (zoom * aspect, zoom)
    height, width = item.image.shape[:2]
    anchor = None
    if len(item.xyxy) and rng.random() < focus:
        box = item.xyxy[rng.integers(len(item.xyxy))]
        anchor = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    shift_x = _shift(width * scale_xy[0], size_wh[0], None if anchor is None else anchor[0] * scale_xy[0], rng)
    shift_y = _shift(height * scale_xy[1], size_wh[1], None if anchor is None else anchor[1] * scale_xy[1], rng)
    return affine(item, scale_xy, (shift_x, shift_y), size_wh)


def _shift(content: float, window: int, anchor: Optional[float], rng: np.random.Generator) -> float:
    """Where the content's start goes on one axis, so that the anchor is seen and the window holds as much as it can."""
    slack = window - content
    low, high = min(slack, 0.0), max(slack, 0.0)
    if anchor is None:
        return float(rng.uniform(low, high))
    wanted = rng.uniform(0.1, 0.9) * window - anchor
    return float(np.clip(wanted, low, high))


def mosaic(
    items: Sequence[Labelled],
    size_wh: Tuple[int, int],
    rng: np.random.Generator,
    scale: Tuple[float, float] = (0.6, 1.6),
    stretch: float = 0.1,
    focus: float = 1.0,
) -> Labelled:
    """Four random crops around a random meeting point.

    Raises:
        ValueError: there are not four items.
    """
    if len(items) != 4:
        raise ValueError("a mosaic is made of 4 items, got {}".format(len(items)))
    width, height = size_wh
    split_x = int(rng.uniform(0.3, 0.7) * width)
    split_y = int(rng.uniform(0.3, 0.7) * height)
    windows = [
        (0, 0, split_x, split_y),
        (split_x, 0, width, split_y),
        (0, split_y, split_x, height),
        (split_x, split_y, width, height),
    ]
    canvas = np.empty((height, width) + items[0].image.shape[2:], np.uint8)
    parts = []
    for item, (x1, y1, x2, y2) in zip(items, windows):
        part = random_crop(item, (x2 - x1, y2 - y1), rng, scale, stretch, focus)
        canvas[y1:y2, x1:x2] = part.image
        offset = np.array([x1, y1, x1, y1], np.float32)
        parts.append((part.xyxy + offset, part.class_id, part.ignore_xyxy + offset))
    boxes, ids, regions = (np.concatenate(arrays, axis=0) for arrays in zip(*parts))
    return Labelled(canvas, boxes, ids, regions)


def mixup(first: Labelled, second: Labelled, share: float) -> Labelled:
    """Blend two images of one size; the boxes of both stay.

    Args:
        first: weighted by `share`.
        second: weighted by 1 - `share`.
        share: in [0, 1].
    """
    if first.image.shape != second.image.shape:
        raise ValueError("mixup needs one size, got {} and {}".format(first.image.shape, second.image.shape))
    return Labelled(
        cv2.addWeighted(first.image, share, second.image, 1.0 - share, 0.0),
        np.concatenate([first.xyxy, second.xyxy], axis=0),
        np.concatenate([first.class_id, second.class_id], axis=0),
        np.concatenate([first.ignore_xyxy, second.ignore_xyxy], axis=0),
    )


def gain_bias(item: Labelled, gain: float, bias: float) -> Labelled:
    """Brightness: pixel * gain + bias, saturated; for grey and thermal images."""
    table = np.clip(np.arange(256, dtype=np.float32) * gain + bias, 0, 255).astype(np.uint8)
    return item._replace(image=cv2.LUT(item.image, table))


def hsv(item: Labelled, hue: float, saturation: float, value: float) -> Labelled:
    """Colour: hue shifted by `hue` (share of the circle), saturation and value multiplied; infrared stays as it is."""
    if item.image.ndim != 3:
        raise ValueError("hsv needs a (H, W, 3) image, got shape {}".format(item.image.shape))
    planes = cv2.split(cv2.cvtColor(item.image[..., :3], cv2.COLOR_BGR2HSV))
    ramp = np.arange(256, dtype=np.float32)
    tables = (
        ((ramp + hue * 180) % 180).astype(np.uint8),
        np.clip(ramp * saturation, 0, 255).astype(np.uint8),
        np.clip(ramp * value, 0, 255).astype(np.uint8),
    )
    turned = cv2.merge([cv2.LUT(plane, table) for plane, table in zip(planes, tables)])
    colour = cv2.cvtColor(turned, cv2.COLOR_HSV2BGR)
    return item._replace(
        image=np.concatenate([colour, item.image[..., 3:]], axis=2) if item.image.shape[2] == 4 else colour
    )
