import json
import math

import numpy as np

from edgekit.boxes import iou_matrix
from edgekit.graph.anchor_parity import AnchorParity, anchor_differences, compare_anchors
from edgekit.graph.families import Family
from edgekit.metrics.match import match_detections
from edgekit.process.decode import DecodeSpec, postprocess
from edgekit.process.prepare import Preprocess, letterbox_of

FAMILY = Family(DecodeSpec("yolov8", num_classes=2), Preprocess(64, 64), ("car", "bus"), "given")


def raw(scores: tuple[float, float], shift: float = 0.0, others: float = 0.1) -> list[np.ndarray]:
    """Two boxes over each other, class 0, and one below the threshold."""
    boxes = np.array([[32.0, 32.0, 40.0, 40.0], [34.0 + shift, 32.0, 40.0, 40.0], [10.0, 10.0, 8.0, 8.0]])
    classes = np.array([[scores[0], others], [scores[1], others], [0.1, 0.1]])
    return [np.concatenate([boxes, classes], axis=1).T[None].astype(np.float32)]


def test_a_tie_in_suppression_is_no_difference() -> None:
    reference, other = raw((0.601, 0.600)), raw((0.600, 0.601))
    place = letterbox_of(64, 64, FAMILY.preprocess)
    boxes = [postprocess(each, FAMILY.decode, place, FAMILY.preprocess) for each in (reference, other)]
    assert iou_matrix(boxes[0].xyxy, boxes[1].xyxy)[0, 0] > 0.9
    assert match_detections(*boxes).max_dbox_px > 1.9  # what it looks like in the frame
    dscore, dbox = anchor_differences(reference, other, FAMILY)
    assert abs(dscore - 0.001) < 1e-6 and dbox == 0.0


def test_a_tie_of_classes_is_no_difference() -> None:
    dscore, dbox = anchor_differences(raw((0.5, 0.4), others=0.499), raw((0.5, 0.4), others=0.501), FAMILY)
    assert dscore < 0.11 and dbox == 0.0


def test_the_worst_of_several_images_counts() -> None:
    images = [raw((0.6, 0.5)), raw((0.6, 0.4), shift=3.0)]
    found = compare_anchors([raw((0.6, 0.5))] * 2, images, FAMILY)
    assert isinstance(found, AnchorParity) and found.to_json() == {"max_dscore": 0.1, "max_dbox_px": 3.0}


def test_boxes_and_scores_that_are_off_are_seen() -> None:
    dscore, dbox = anchor_differences(raw((0.6, 0.5)), raw((0.6, 0.4), shift=3.0), FAMILY)
    assert abs(dscore - 0.1) < 1e-6 and abs(dbox - 3.0) < 1e-5
    # the threshold may lie between the two scores of an anchor
    assert abs(anchor_differences(raw((0.6, 0.3)), raw((0.6, 0.2)), FAMILY)[0] - 0.1) < 1e-6
    # what is below the threshold on both sides says nothing
    assert anchor_differences(raw((0.6, 0.2)), raw((0.6, 0.1), shift=9.0), FAMILY) == (0.0, 0.0)


def test_no_boxes_and_no_numbers() -> None:
    assert anchor_differences(raw((0.1, 0.1)), raw((0.2, 0.1)), FAMILY) == (0.0, 0.0)
    broken = raw((0.6, 0.5))
    broken[0][0, 4:, 0] = np.nan
    assert anchor_differences(raw((0.6, 0.5)), broken, FAMILY) == (math.inf, math.inf)
    record = compare_anchors([raw((0.6, 0.5))], [broken], FAMILY).to_json()
    assert record["max_dscore"] is record["max_dbox_px"] is None
    json.dumps(record, allow_nan=False)
