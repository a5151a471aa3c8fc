"""Box algebra and non-maximum suppression, in NumPy.

Every array of boxes is (N, 4) float32; the function's name says the layout: `xyxy` corners, `cxcywh` centre and size,
`xywh` corner and size (COCO). Units are whatever the caller uses, mostly pixels.
"""

from typing import Optional, Tuple

import numpy as np

_BLOCK = 1024


def xyxy_to_cxcywh(xyxy: np.ndarray) -> np.ndarray:
    """Corners (N, 4) to centre and size (N, 4)."""
    size = xyxy[:, 2:] - xyxy[:, :2]
    return np.concatenate([xyxy[:, :2] + size / 2, size], axis=1)


def cxcywh_to_xyxy(cxcywh: np.ndarray) -> np.ndarray:
    """Centre and size (N, 4) to corners (N, 4)."""
    half = cxcywh[:, 2:] / 2
    return np.concatenate([cxcywh[:, :2] - half, cxcywh[:, :2] + half], axis=1)


def xyxy_to_xywh(xyxy: np.ndarray) -> np.ndarray:
    """Corners (N, 4) to corner and size (N, 4)."""
    return np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)


def xywh_to_xyxy(xywh: np.ndarray) -> np.ndarray:
    """Corner and size (N, 4) to corners (N, 4)."""
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def quad_to_xyxy(quad: np.ndarray) -> np.ndarray:
    """Four corners (N, 4, 2) of oriented boxes to the horizontal boxes (N, 4) around them."""
    return np.concatenate([quad.min(axis=1), quad.max(axis=1)], axis=1)


def clip_xyxy(xyxy: np.ndarray, width: float, height: float) -> np.ndarray:
    """Cut boxes (N, 4) at the borders of a `width` x `height` image."""
    limit = np.array([width, height, width, height], dtype=xyxy.dtype)
    return np.clip(xyxy, 0, limit)


def area(xyxy: np.ndarray) -> np.ndarray:
    """Areas (N,) of boxes (N, 4); a box with a negative side has area 0."""
    size = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 0)
    return size[:, 0] * size[:, 1]


def intersection_matrix(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Areas (N, M) that each box of `first` (N, 4) shares with each of `second` (M, 4)."""
    # One plane a coordinate: eight times as fast as an (N, M, 2) array at 300 boxes, and the same bits.
    left, top, right, bottom = np.ascontiguousarray(first.T)[:, :, None]
    other_left, other_top, other_right, other_bottom = np.ascontiguousarray(second.T)
    width = np.minimum(right, other_right)
    width -= np.maximum(left, other_left)
    height = np.minimum(bottom, other_bottom)
    height -= np.maximum(top, other_top)
    return np.maximum(width, 0) * np.maximum(height, 0)


def iou_matrix(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of `first` (N, 4) and `second` (M, 4); 0 where both are empty."""
    shared = intersection_matrix(first, second)
    union = area(first)[:, None] + area(second)[None, :] - shared
    return shared / np.maximum(union, np.float32(1e-9))


def nms(
    xyxy: np.ndarray,
    score: np.ndarray,
    class_id: Optional[np.ndarray],
    iou: float,
    max_det: Optional[int] = None,
) -> np.ndarray:
    """Greedy non-maximum suppression, within each class.

    Args:
        xyxy: (N, 4) boxes.
        score: (N,) scores.
        class_id: (N,) classes, or None to let every box suppress every other.
        iou: a box goes when it overlaps a better one of its class by more than this.
        max_det: at most this many boxes are kept.

    Returns:
        Indices (K,) int64 of the kept boxes, best first; equal scores keep the order of the input.
    """
    order = np.argsort(-score, kind="stable")
    boxes = np.ascontiguousarray(xyxy[order], dtype=np.float32)
    group = np.zeros(len(order), np.int64) if class_id is None else class_id[order]
    limit = len(order) if max_det is None else max_det
    kept = np.zeros(0, dtype=np.int64)
    for start in range(0, len(order), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(order)))
        index = np.concatenate([kept, block])  # boxes kept before are all better, and do not touch each other
        kept = index[_survivors(len(index), *_suppressing_pairs(boxes[index], group[index], iou))][:limit]
        if len(kept) == limit:
            break
    return order[kept].astype(np.int64)


def _suppressing_pairs(boxes: np.ndarray, group: np.ndarray, iou: float) -> Tuple[np.ndarray, np.ndarray]:
    """Rows (P,) and (P,) of boxes of one group that overlap by more than `iou`; of a pair the better row comes first.

    Sorted by their left sides, a box can only overlap those that begin soon after it: from IoU > t follows
    shared width > t * width, and so x1' < x1 + (1 - t) * width. Groups lie side by side, apart.
    """
    x1 = boxes[:, 0].astype(np.float64) + group * (float(boxes.max()) - float(boxes.min()) + 1.0)
    by_x = np.argsort(x1, kind="stable")
    x1, size = x1[by_x], (boxes[:, 2:] - boxes[:, :2])[by_x]
    reach = x1 + (1.0 - max(iou, 0.0)) * np.maximum(size[:, 0], 0) + 1e-3
    count = np.searchsorted(x1, reach, side="right") - np.arange(1, len(x1) + 1)
    # Pair k of row i is (i, i + 1 + k): all of them, end to end.
    left = np.repeat(np.arange(len(x1)), count)
    right = left + 1 + np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    top, bottom = boxes[by_x, 1], boxes[by_x, 3]
    shared_height = np.minimum(bottom[left], bottom[right]) - np.maximum(top[left], top[right])
    near = np.flatnonzero(shared_height > max(iou, 0.0) * size[left, 1] - 1e-3)
    first, second = by_x[left[near]], by_x[right[near]]
    # Boxes that are not finite have no place in a row of groups.
    over = (_paired_iou(boxes[first], boxes[second]) > iou) & (group[first] == group[second])
    first, second = first[over], second[over]
    return np.minimum(first, second), np.maximum(first, second)


def _paired_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (P,) of boxes (P, 4) row by row; the arithmetic of `iou_matrix`."""
    size = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    size = np.maximum(size, 0)
    shared = size[:, 0] * size[:, 1]
    union = area(first) + area(second) - shared
    return np.asarray(shared / np.maximum(union, np.float32(1e-9)))


def _survivors(count: int, better: np.ndarray, worse: np.ndarray) -> np.ndarray:
    """Rows of `count` that greedy suppression keeps, when row `better[k]` suppresses row `worse[k]` if it is kept.

    Each round keeps every row that nothing undecided suppresses, and drops what these suppress: the same as going
    through the rows one by one, in as many rounds as the longest chain.
    """
    alive = np.ones(count, dtype=bool)
    while len(better):
        blocked = np.zeros(count, dtype=bool)
        blocked[worse] = True
        sure = ~blocked[better]
        alive[worse[sure]] = False
        undecided = alive[worse] & alive[better]
        better, worse = better[undecided], worse[undecided]
    return np.flatnonzero(alive)
