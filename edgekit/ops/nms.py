"""Non-maximum suppression by the native library; `edgekit.boxes.nms` is its reference, and stands in for it."""

import ctypes
from typing import Optional

import numpy as np

from edgekit import boxes
from edgekit.ops.library import BAD_SIZE, BAD_VALUE, library, refuse


def nms(
    xyxy: np.ndarray,
    score: np.ndarray,
    class_id: Optional[np.ndarray],
    iou: float,
    max_det: Optional[int] = None,
) -> np.ndarray:
    """`edgekit.boxes.nms`, the same boxes in the same order.

    Args:
        xyxy: (N, 4) boxes.
        score: (N,) scores.
        class_id: (N,) classes, or None to let every box suppress every other.
        iou: a box goes when it overlaps a better one of its class by more than this.
        max_det: at most this many boxes are kept.

    Returns:
        Indices (K,) int64 of the kept boxes, best first; equal scores keep the order of the input.
    """
    iou = float(iou)  # a NumPy scalar would be compared in its own type
    kept = _native(xyxy, score, class_id, iou, len(score) if max_det is None else max_det)
    return boxes.nms(xyxy, score, class_id, iou, max_det) if kept is None else kept


def _native(
    xyxy: np.ndarray, score: np.ndarray, class_id: Optional[np.ndarray], iou: float, limit: int
) -> Optional[np.ndarray]:
    """Indices of the kept boxes, or None where the library is absent or takes no such arrays."""
    opened = library()
    count = len(score)
    if opened is None or score.dtype != np.float32 or xyxy.shape != (count, 4) or limit < 0:
        return None
    if class_id is not None and (class_id.shape != (count,) or class_id.dtype.kind not in "iu"):
        return None
    corners, scores = np.ascontiguousarray(xyxy, dtype=np.float32), np.ascontiguousarray(score)
    group = None if class_id is None else np.ascontiguousarray(class_id, dtype=np.int64)
    kept = np.empty(min(count, limit), dtype=np.int64)
    kept_count = ctypes.c_int64()
    code = opened.edgekit_nms(
        ctypes.c_void_p(corners.ctypes.data),
        ctypes.c_void_p(scores.ctypes.data),
        None if group is None else ctypes.c_void_p(group.ctypes.data),
        ctypes.c_int64(count),
        ctypes.c_float(iou),
        ctypes.c_int64(limit),
        ctypes.c_void_p(kept.ctypes.data),
        ctypes.byref(kept_count),
    )
    if code in (BAD_VALUE, BAD_SIZE):  # boxes that are not finite, too many of them: NumPy takes those
        return None
    refuse(opened, code)
    return kept[: kept_count.value]
