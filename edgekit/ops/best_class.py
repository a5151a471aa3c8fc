"""The anchors whose best class reaches a score: the native kernel and its NumPy reference."""

import ctypes
from typing import Optional, Tuple

import numpy as np

from edgekit.ops.library import BAD_SIZE, library, refuse

Best = Tuple[np.ndarray, np.ndarray, np.ndarray]


def best_class(scores: np.ndarray, conf: float) -> Best:
    """The columns of `scores` whose largest value is at least `conf`.

    Args:
        scores: (C, N) float32, one row a class.
        conf: lowest score.

    Returns:
        columns (K,) int64, rising; their best score (K,) float32; its class (K,) int64, the first of equal ones. A
        column with a NaN is not among them.
    """
    conf = float(conf)  # a NumPy scalar would be compared in its own type
    found = _native(scores, conf)
    return best_class_reference(scores, conf) if found is None else found


def best_class_reference(scores: np.ndarray, conf: float) -> Best:
    """`best_class` in NumPy."""
    best = scores.max(axis=0)
    columns = np.flatnonzero(best >= conf)
    return columns, best[columns], scores[:, columns].argmax(axis=0)


def _native(scores: np.ndarray, conf: float) -> Optional[Best]:
    """The same by the native library; None where it is absent or takes no such array."""
    opened = library()
    if opened is None or not hasattr(opened, "edgekit_best_class"):  # an older build of the same interface
        return None
    if scores.dtype != np.float32 or scores.ndim != 2 or not scores.flags.c_contiguous:
        return None
    classes, count = scores.shape
    columns, best = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.float32)
    class_id, kept_count = np.empty(count, dtype=np.int64), ctypes.c_int64()
    code = opened.edgekit_best_class(
        ctypes.c_void_p(scores.ctypes.data),
        ctypes.c_int64(classes),
        ctypes.c_int64(count),
        ctypes.c_float(conf),
        ctypes.c_void_p(columns.ctypes.data),
        ctypes.c_void_p(best.ctypes.data),
        ctypes.c_void_p(class_id.ctypes.data),
        ctypes.byref(kept_count),
    )
    if code == BAD_SIZE:  # larger than it takes
        return None
    refuse(opened, code)
    kept = slice(0, kept_count.value)
    return columns[kept], best[kept], class_id[kept]
