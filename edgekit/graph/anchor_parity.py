"""Do two graphs of one detector say the same of every anchor?

Needs: the raw outputs of both on one image. Does: compares scores and boxes before suppression, for which of two boxes
of nearly one score suppresses the other, and which of two classes of nearly one score an anchor has, is no property of
an implementation: in boxes of frames such a tie looks like a box that is several pixels off. Promises: a graph that
rounds differently is as far from its twin as its arithmetic, and no further.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from edgekit.graph.families import Family
from edgekit.process.decode import decode


@dataclass(frozen=True, slots=True)
class AnchorParity:
    """The largest differences of the anchors that have a box on one side at least; infinite where not finite.

    Attributes:
        max_dscore: of an anchor's best score.
        max_dbox_px: of a coordinate of its box, network pixels.
    """

    max_dscore: float
    max_dbox_px: float

    def to_json(self) -> dict[str, float | None]:
        """Plain values, rounded for reading; None for infinity, which JSON has no number for."""
        return {key: round(value, 4) if math.isfinite(value) else None for key, value in asdict(self).items()}


def compare_anchors(
    reference: Iterable[Sequence[np.ndarray]], other: Iterable[Sequence[np.ndarray]], family: Family
) -> AnchorParity:
    """`anchor_differences` over several images, one at least: raw outputs of each."""
    each = [anchor_differences(one, two, family) for one, two in zip(reference, other, strict=True)]
    return AnchorParity(max(dscore for dscore, _ in each), max(dbox for _, dbox in each))


def anchor_differences(
    reference: Sequence[np.ndarray], other: Sequence[np.ndarray], family: Family
) -> tuple[float, float]:
    """The largest differences of the anchors that have a box on one side at least, of one image.

    Args:
        reference: raw outputs.
        other: the other graph's.
        family: head and preprocessing.

    Returns:
        of an anchor's best score, and of a coordinate of its box in network pixels; infinite where an output is not
        finite.
    """
    size_hw = family.preprocess.height, family.preprocess.width
    xyxy, score, _ = decode(reference, family.decode, size_hw, 0.0)
    other_xyxy, other_score, _ = decode(other, family.decode, size_hw, 0.0)
    if len(score) != len(other_score):  # what is no number has no score of 0 or more
        return math.inf, math.inf
    seen = np.maximum(score, other_score) >= family.decode.conf
    dscore = np.abs(score[seen].astype(np.float64) - other_score[seen])
    dbox = np.abs(xyxy[seen].astype(np.float64) - other_xyxy[seen])
    return float(dscore.max(initial=0.0)), float(dbox.max(initial=0.0))
