"""How alike a predicted box and a detected box are: 1 the same, 0 or less out of reach."""

from typing import Callable, Dict

import numpy as np

from edgekit.boxes import iou_matrix

Gate = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def iou(predicted: np.ndarray, detected: np.ndarray, expand: float) -> np.ndarray:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4) in corners; `expand` has no effect."""
    return iou_matrix(predicted, detected)


def biou(predicted: np.ndarray, detected: np.ndarray, expand: float) -> np.ndarray:
    """The same of boxes whose sides are first made `expand` times as long (Yang et al. 2023, C-BIoU).

    Boxes of a few pixels that do not overlap from one frame to the next still meet.
    """
    return iou_matrix(_expanded(predicted, expand), _expanded(detected, expand))


def centre(predicted: np.ndarray, detected: np.ndarray, expand: float) -> np.ndarray:
    """1 - distance of the centres in units of `expand` x the mean diagonal of the two boxes (N, M); never below 0."""
    distance = np.hypot(
        _middle(predicted, 0)[:, None] - _middle(detected, 0), _middle(predicted, 1)[:, None] - _middle(detected, 1)
    )
    reach = (0.5 * expand) * (_diagonal(predicted)[:, None] + _diagonal(detected))
    return np.maximum(1 - distance / reach, 0)


GATES: Dict[str, Gate] = {"iou": iou, "biou": biou, "centre": centre}


def _expanded(xyxy: np.ndarray, expand: float) -> np.ndarray:
    margin = (0.5 * (expand - 1)) * (xyxy[:, 2:] - xyxy[:, :2])
    return np.concatenate([xyxy[:, :2] - margin, xyxy[:, 2:] + margin], axis=1)


def _middle(xyxy: np.ndarray, axis: int) -> np.ndarray:
    return 0.5 * (xyxy[:, axis] + xyxy[:, axis + 2])


def _diagonal(xyxy: np.ndarray) -> np.ndarray:
    return np.maximum(np.hypot(xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]), 1e-6)
