"""Boxes, labels and a status line on a picture, made for small objects: thin lines, and no label over its neighbour."""

from typing import Optional, Sequence, Tuple

import cv2
import numpy as np

from edgekit.detections import Detections

# BGR; told apart on grass, asphalt and thermal grey, neighbours in hue far apart in the list.
PALETTE = (
    (80, 220, 60),
    (60, 170, 255),
    (255, 120, 60),
    (200, 70, 255),
    (60, 240, 250),
    (240, 220, 60),
    (130, 90, 255),
    (180, 255, 170),
    (255, 170, 220),
    (100, 140, 200),
)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DARK = (24, 24, 24)
_LIGHT = (245, 245, 245)
_CROWD = 60  # with more boxes than this, only large ones have a label


def draw_detections(image_hwc: np.ndarray, detections: Detections, classes: Sequence[str]) -> None:
    """Draw boxes into `image_hwc` (H, W, 3) uint8 BGR.

    A label stands outside its box. A box smaller than its label has the track's number alone, and without a track
    nothing: its colour says the class, and `draw_status` has the legend.
    """
    scale, thickness = _text_size(image_hwc)
    order = np.argsort(detections.score, kind="stable")  # the surest on top
    corners = np.rint(detections.xyxy).astype(int)
    for row in order:
        colour = class_colour(int(detections.class_id[row]))
        x1, y1, x2, y2 = (int(value) for value in corners[row])
        cv2.rectangle(image_hwc, (x1, y1), (x2, y2), colour, thickness)
        label = _label(detections, int(row), classes, x2 - x1, scale)
        if label:
            _tag(image_hwc, label, (x1, y1, x2, y2), colour, scale)


def draw_status(
    image_hwc: np.ndarray, detections: Detections, classes: Sequence[str], text: str, alert: bool = False
) -> None:
    """Draw a line of text and a legend of the classes in sight at the top left."""
    scale, _ = _text_size(image_hwc)
    counts = np.bincount(detections.class_id, minlength=len(classes)) if len(detections) else np.zeros(0, int)
    legend = [
        (class_colour(index), "{} {}".format(classes[index], count)) for index, count in enumerate(counts) if count
    ]
    (_, height), _ = cv2.getTextSize("Ag", _FONT, scale, 1)
    step = int(height * 1.9)
    widths = [cv2.getTextSize(line, _FONT, scale, 1)[0][0] for line in [text] + [name for _, name in legend]]
    wide = max([widths[0]] + [width + step for width in widths[1:]]) + step
    _shade(image_hwc, wide, step * (1 + len(legend)) + step // 2)
    _text(image_hwc, text, (step // 2, step), (80, 80, 255) if alert else _LIGHT, scale)
    for line, (colour, name) in enumerate(legend, start=2):
        base = step * line
        cv2.rectangle(image_hwc, (step // 2, base - height), (step // 2 + height, base), colour, -1)
        _text(image_hwc, name, (step // 2 + step, base), _LIGHT, scale)


def class_colour(class_id: int) -> Tuple[int, int, int]:
    """The BGR colour of a class."""
    return PALETTE[class_id % len(PALETTE)]


def _text_size(image_hwc: np.ndarray) -> Tuple[float, int]:
    """Font scale and line thickness: readable at 640 pixels, in proportion above 1080."""
    side = min(image_hwc.shape[:2])
    return max(0.38, side / 1900.0), max(1, round(side / 720.0))


def _label(detections: Detections, row: int, classes: Sequence[str], width: int, scale: float) -> Optional[str]:
    name = classes[int(detections.class_id[row])]
    track = "" if detections.track_id is None else "#{}".format(int(detections.track_id[row]))
    full = "{} {}".format(name, track or "{:.2f}".format(float(detections.score[row])))
    if width >= 0.6 * cv2.getTextSize(full, _FONT, scale, 1)[0][0]:
        return full
    return track if len(detections) <= _CROWD else None


def _tag(
    image_hwc: np.ndarray, label: str, box: Tuple[int, int, int, int], colour: Tuple[int, int, int], scale: float
) -> None:
    """Write `label` above the box, or below where there is no room, kept inside the picture."""
    (width, height), _ = cv2.getTextSize(label, _FONT, scale, 1)
    left = max(0, min(box[0], image_hwc.shape[1] - width - 4))
    bottom = box[1] - 1 if box[1] - 1 >= height + 4 else min(box[3] + height + 6, image_hwc.shape[0])
    cv2.rectangle(image_hwc, (left, bottom - height - 4), (left + width + 3, bottom), colour, -1)
    _text(image_hwc, label, (left + 2, bottom - 3), _DARK, scale)


def _text(image_hwc: np.ndarray, text: str, at: Tuple[int, int], colour: Tuple[int, int, int], scale: float) -> None:
    cv2.putText(image_hwc, text, at, _FONT, scale, colour, 1 if scale < 0.9 else 2, cv2.LINE_AA)


def _shade(image_hwc: np.ndarray, width: int, height: int) -> None:
    corner = image_hwc[:height, :width]
    corner[:] = corner // 4
