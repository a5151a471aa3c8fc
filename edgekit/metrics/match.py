"""Do two runs of one detector find the same boxes? Pairs them, and tells the worst difference.

Valid on Python 3.6 too: a device compares its own detections with the golden ones.
"""
# ruff: noqa: UP006, UP035, UP045

from dataclasses import dataclass
from typing import Iterable, Optional, Tuple

import numpy as np

from edgekit.boxes import iou_matrix
from edgekit.detections import Detections

MATCH_IOU = 0.9
MAX_DSCORE = 0.02
MAX_DBOX_PX = 1.0


@dataclass(frozen=True)
class MatchReport:
    """How two sets of boxes agree.

    Attributes:
        matched: pairs of one class that overlap enough.
        missing: boxes of the reference alone, borderline ones not counted.
        extra: boxes of the other alone, borderline ones not counted.
        borderline: boxes without a partner, their score so near the threshold that the partner may lie under it.
        max_dscore: the largest score difference of a pair, 0 without pairs.
        max_dbox_px: the largest difference of a pair's coordinate, 0 without pairs.
    """

    matched: int
    missing: int
    extra: int
    borderline: int
    max_dscore: float
    max_dbox_px: float

    def agrees(self, max_dscore: float = MAX_DSCORE, max_dbox_px: float = MAX_DBOX_PX) -> bool:
        """Whether every box has its partner and every pair is within these differences."""
        everyone = self.missing == 0 and self.extra == 0
        return everyone and self.max_dscore <= max_dscore and self.max_dbox_px <= max_dbox_px


def match_detections(
    reference: Detections,
    other: Detections,
    iou: float = MATCH_IOU,
    threshold: Optional[float] = None,
    margin: float = MAX_DSCORE,
) -> MatchReport:
    """Pair the boxes of two runs on one image, best overlap first, each box once, class by class.

    Args:
        reference: what the boxes should be.
        other: what they are.
        iou: the least overlap of a pair.
        threshold: the confidence threshold that both were decoded with; a box without a partner is borderline
            when its score is below `threshold + margin`. None counts every such box as missing or extra.
        margin: see `threshold`.
    """
    rows, columns = _pairs(reference, other, iou)
    lonely_reference = np.delete(reference.score, rows)
    lonely_other = np.delete(other.score, columns)
    missing = _clearly_there(lonely_reference, threshold, margin)
    extra = _clearly_there(lonely_other, threshold, margin)
    dscore = np.abs(reference.score[rows].astype(np.float64) - other.score[columns])
    dbox = np.abs(reference.xyxy[rows].astype(np.float64) - other.xyxy[columns])
    return MatchReport(
        matched=len(rows),
        missing=missing,
        extra=extra,
        borderline=len(lonely_reference) + len(lonely_other) - missing - extra,
        max_dscore=float(dscore.max()) if len(rows) else 0.0,
        max_dbox_px=float(dbox.max()) if len(rows) else 0.0,
    )


def total(reports: Iterable[MatchReport]) -> MatchReport:
    """One report of many images: counts add up, differences take the worst."""
    reports = list(reports)
    return MatchReport(
        matched=sum(r.matched for r in reports),
        missing=sum(r.missing for r in reports),
        extra=sum(r.extra for r in reports),
        borderline=sum(r.borderline for r in reports),
        max_dscore=max([r.max_dscore for r in reports] or [0.0]),
        max_dbox_px=max([r.max_dbox_px for r in reports] or [0.0]),
    )


def _pairs(reference: Detections, other: Detections, iou: float) -> Tuple[np.ndarray, np.ndarray]:
    """Indices (K,) into each, greedily by falling overlap; equal overlaps go to the nearer score."""
    overlap = iou_matrix(reference.xyxy, other.xyxy)
    overlap[reference.class_id[:, None] != other.class_id[None, :]] = -1.0
    rows, columns = np.nonzero(overlap >= iou)
    distance = np.abs(reference.score[rows] - other.score[columns])
    free_row, free_column = np.ones(len(reference), bool), np.ones(len(other), bool)
    kept = []
    for k in np.lexsort((distance, -overlap[rows, columns])):
        if free_row[rows[k]] and free_column[columns[k]]:
            free_row[rows[k]] = free_column[columns[k]] = False
            kept.append(k)
    return rows[kept].astype(np.int64), columns[kept].astype(np.int64)


def _clearly_there(score: np.ndarray, threshold: Optional[float], margin: float) -> int:
    if threshold is None:
        return len(score)
    return int((score >= threshold + margin).sum())
