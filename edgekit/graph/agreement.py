"""How much two sets of detections of the same pictures agree: one number, 1 when they are the same.

A soft Jaccard index. Of matched pairs (same class, IoU >= 0.5, best scores first) the smaller score times the IoU
counts as common; the larger score, and the score of every box without a partner, counts as all. Strong boxes weigh
more than weak ones and there is no threshold to fall off, so it moves with small changes, as AP on a few pictures
does not. It needs no labels.
"""

from collections.abc import Sequence

import numpy as np

from edgekit.boxes import iou_matrix
from edgekit.detections import Detections

_LEAST_IOU = 0.5


def agreement(reference: Sequence[Detections], other: Sequence[Detections]) -> float:
    """The index over all pictures together, in [0, 1]; 1 where neither has any box.

    Args:
        reference, other: detections of the same pictures in the same order.
    """
    common = everything = 0.0
    for one, two in zip(reference, other, strict=True):
        part, whole = _compare(one, two)
        common += part
        everything += whole
    return common / everything if everything > 0 else 1.0


def _compare(one: Detections, two: Detections) -> tuple[float, float]:
    overlap = iou_matrix(one.xyxy, two.xyxy) * (one.class_id[:, None] == two.class_id[None, :])
    common, everything = 0.0, float(one.score.sum() + two.score.sum())
    free = np.ones(len(two), bool)
    for row in np.argsort(-one.score, kind="stable"):
        if not free.any():
            break
        column = int(np.argmax(np.where(free, overlap[row], -1.0)))
        if overlap[row, column] < _LEAST_IOU:
            continue
        free[column] = False
        smaller = min(float(one.score[row]), float(two.score[column]))
        common += smaller * float(overlap[row, column])
        everything -= smaller  # a pair counts once, with its larger score
    return common, everything
