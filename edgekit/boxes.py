"""Box algebra and non-maximum suppression, in NumPy.

Every array of boxes is (N, 4) float32; the function's name says the layout: `xyxy` corners, `cxcywh` centre and size,
`xywh` corner and size (COCO). Units are whatever the caller uses, mostly pixels.
"""

from typing import Optional

import numpy as np

_BLOCK = 512


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
    left_top = np.maximum(first[:, None, :2], second[None, :, :2])
    right_bottom = np.minimum(first[:, None, 2:], second[None, :, 2:])
    size = np.maximum(right_bottom - left_top, 0)
    return size[..., 0] * size[..., 1]


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
    if class_id is not None and len(boxes):
        # A different class is a different place: shifted apart, boxes of two classes never overlap.
        span = np.float32(boxes.max() - min(boxes.min(), 0) + 1)
        boxes = boxes + (class_id[order].astype(np.float32) * span)[:, None]
    kept = _greedy(boxes, iou, max_det)
    return order[kept].astype(np.int64)


def _greedy(boxes: np.ndarray, iou: float, max_det: Optional[int]) -> np.ndarray:
    """Indices of the boxes (N, 4), best first, that no better kept box suppresses; block by block.

    A block is first tested against all boxes kept so far (one matrix), then within itself, so that memory stays at
    O(block x kept) and the Python loop runs over the survivors only.
    """
    kept = np.zeros(0, dtype=np.int64)
    limit = len(boxes) if max_det is None else max_det
    for start in range(0, len(boxes), _BLOCK):
        index = np.arange(start, min(start + _BLOCK, len(boxes)))
        if len(kept):
            index = index[~(iou_matrix(boxes[index], boxes[kept]) > iou).any(axis=1)]
        kept = np.concatenate([kept, index[_survivors(boxes[index], iou)]])
        if len(kept) >= limit:
            break
    return kept[:limit]


def _survivors(boxes: np.ndarray, iou: float) -> np.ndarray:
    suppresses = np.triu(iou_matrix(boxes, boxes) > iou, k=1)
    alive = np.ones(len(boxes), dtype=bool)
    for row in np.flatnonzero(suppresses.any(axis=1)):
        if alive[row]:
            alive &= ~suppresses[row]
    return np.flatnonzero(alive)
