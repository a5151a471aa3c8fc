"""Boxes, labels and a status line on a picture, made for small objects: thin lines, and no label over its neighbour."""

import functools
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

    A label stands outside its box, where it hides no other box; where there is no such place it is left out. A box
    much smaller than its label has the track's number alone, and without a track nothing: its colour says the class,
    and `draw_status` has the legend.
    """
    scale, thickness = _text_size(image_hwc)
    corners = np.rint(detections.xyxy).astype(int)
    order = np.argsort(detections.score, kind="stable")  # the surest on top
    for row in order:
        x1, y1, x2, y2 = (int(value) for value in corners[row])
        cv2.rectangle(image_hwc, (x1, y1), (x2, y2), class_colour(int(detections.class_id[row])), thickness)
    taken = corners
    for row in order[::-1]:
        label = _label(detections, int(row), classes, int(corners[row, 2] - corners[row, 0]), scale)
        place = _free_place(image_hwc, label, corners[row], taken, scale) if label else None
        if place is not None:
            _tag(image_hwc, label, place, class_colour(int(detections.class_id[row])), scale)
            taken = np.concatenate([taken, [place]])


def draw_status(
    image_hwc: np.ndarray, detections: Detections, classes: Sequence[str], text: str, alert: bool = False
) -> None:
    """Draw a line of text and a legend of the classes in sight at the top left."""
    scale, _ = _text_size(image_hwc)
    counts = np.bincount(detections.class_id, minlength=len(classes)) if len(detections) else np.zeros(0, int)
    legend = [
        (class_colour(index), "{} {}".format(classes[index], count)) for index, count in enumerate(counts) if count
    ]
    _, height = _measure("Ag", scale)
    step = int(height * 1.9)
    widths = [_measure(line, scale)[0] for line in [text] + [name for _, name in legend]]
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


@functools.lru_cache(maxsize=1024)
def _measure(text: str, scale: float) -> Tuple[int, int]:
    """Width and height of `text`, pixels."""
    width, height = cv2.getTextSize(text, _FONT, scale, 1)[0]
    return int(width), int(height)


def _label(detections: Detections, row: int, classes: Sequence[str], width: int, scale: float) -> str:
    name = classes[int(detections.class_id[row])]
    track_id = -1 if detections.track_id is None else int(detections.track_id[row])
    track = "" if track_id < 0 else "#{}".format(track_id)
    full = "{} {}".format(name, track or "{:.2f}".format(float(detections.score[row])))
    if width >= 0.6 * _measure(full, scale)[0]:
        return full
    return track if len(detections) <= _CROWD else ""


def _free_place(
    image_hwc: np.ndarray, label: str, box: np.ndarray, taken: np.ndarray, scale: float
) -> Optional[Tuple[int, int, int, int]]:
    """Where the label of `box` fits into the picture: above it or below it, x1, y1, x2, y2."""
    text_w, text_h = _measure(label, scale)
    width, height = text_w + 4, text_h + 5
    left = max(0, min(int(box[0]), image_hwc.shape[1] - width))
    for top in (int(box[1]) - height, int(box[3]) + 1):
        place = (left, top, left + width, top + height)
        if top >= 0 and place[3] <= image_hwc.shape[0] and not _overlaps(place, box, taken):
            return place
    return None


def _overlaps(place: Tuple[int, int, int, int], box: np.ndarray, taken: np.ndarray) -> bool:
    """True where `place` hides a part of `taken` (N, 4) that is not around `box` itself."""
    meets = (taken[:, 0] < place[2]) & (taken[:, 2] > place[0]) & (taken[:, 1] < place[3]) & (taken[:, 3] > place[1])
    around = (taken[:, :2] <= box[:2]).all(axis=1) & (taken[:, 2:] >= box[2:]).all(axis=1)
    return bool((meets & ~around).any())


def _tag(
    image_hwc: np.ndarray,
    label: str,
    place: Tuple[int, int, int, int],
    colour: Tuple[int, int, int],
    scale: float,
) -> None:
    cv2.rectangle(image_hwc, place[:2], (place[2] - 1, place[3] - 1), colour, -1)
    _text(image_hwc, label, (place[0] + 2, place[3] - 4), _DARK, scale)


def _text(image_hwc: np.ndarray, text: str, at: Tuple[int, int], colour: Tuple[int, int, int], scale: float) -> None:
    cv2.putText(image_hwc, text, at, _FONT, scale, colour, 1 if scale < 0.9 else 2, cv2.LINE_AA)


def _shade(image_hwc: np.ndarray, width: int, height: int) -> None:
    corner = image_hwc[:height, :width]
    corner[:] = corner // 4
