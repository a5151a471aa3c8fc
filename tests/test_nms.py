"""Suppression against the definition: go through the boxes from the best on, keep what no kept one overlaps."""

import numpy as np
import pytest

from edgekit.boxes import iou_matrix, nms


def greedy(xyxy, score, class_id, iou, max_det):
    kept = []
    for row in np.argsort(-score, kind="stable"):
        rivals = [other for other in kept if class_id is None or class_id[other] == class_id[row]]
        if not rivals or not (iou_matrix(xyxy[row : row + 1], xyxy[rivals]) > iou).any():
            kept.append(int(row))
        if len(kept) == max_det:
            break
    return kept


def scene(seed, objects, around, classes, span=200.0):
    """`around` jittered boxes for each of `objects`, 4 to 60 pixels, and classes."""
    rng = np.random.RandomState(seed)
    centre = np.repeat(rng.rand(objects, 2) * span, around, 0)
    size = np.repeat(rng.uniform(4, 60, (objects, 2)), around, 0)
    centre = centre + rng.randn(len(centre), 2) * size * 0.1
    size = size * np.exp(rng.randn(len(size), 2) * 0.1)
    xyxy = np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32)
    score = np.round(rng.rand(len(xyxy)), 2).astype(np.float32)  # rounded: with ties
    return xyxy, score, rng.randint(0, classes, len(xyxy))


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.45, 0.65, 0.9, 1.0])
@pytest.mark.parametrize(("objects", "around", "classes"), [(1, 1, 1), (1, 63, 1), (9, 7, 3), (40, 5, 80), (30, 40, 2)])
def test_equals_the_definition(objects, around, classes, iou):
    xyxy, score, class_id = scene(objects + classes, objects, around, classes)
    assert nms(xyxy, score, class_id, iou).tolist() == greedy(xyxy, score, class_id, iou, None)
    assert nms(xyxy, score, None, iou).tolist() == greedy(xyxy, score, None, iou, None)
    assert nms(xyxy, score, class_id, iou, 10).tolist() == greedy(xyxy, score, class_id, iou, 10)


def test_over_the_block_size():
    xyxy, score, class_id = scene(0, 300, 9, 3, span=2000.0)
    assert len(xyxy) > 2048
    assert nms(xyxy, score, class_id, 0.5).tolist() == greedy(xyxy, score, class_id, 0.5, None)


def test_many_copies_of_one_box():
    xyxy = np.tile(np.array([[10, 10, 30, 30]], np.float32), (2000, 1))
    score = np.linspace(0, 1, 2000).astype(np.float32)
    assert nms(xyxy, score, None, 0.5).tolist() == [1999]


def test_boxes_without_area_suppress_nothing():
    xyxy = np.array([[5, 5, 5, 9], [5, 5, 5, 9], [7, 7, 3, 3]], np.float32)
    assert nms(xyxy, np.array([0.1, 0.2, 0.3], np.float32), None, 0.1).tolist() == [2, 1, 0]


def test_negative_coordinates_do_not_mix_classes():
    xyxy = np.array([[-500, -500, -400, -400]] * 2, np.float32)
    assert len(nms(xyxy, np.array([0.9, 0.8], np.float32), np.array([0, 1]), 0.5)) == 2


def test_nothing_in_nothing_out():
    empty = nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5, 300)
    assert empty.dtype == np.int64
    assert len(empty) == 0


def test_a_box_that_is_not_finite_does_not_mix_classes():
    """Groups lie side by side by the span of all boxes, which one NaN makes NaN."""
    xyxy = np.array([[10, 10, 50, 50], [10, 10, 50, 50], [np.nan, 0, 5, 5], [11, 10, 50, 50]], np.float32)
    score = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    with np.errstate(invalid="ignore"):
        kept = nms(xyxy, score, np.array([0, 1, 0, 1]), 0.5)
        assert {0, 1} <= set(kept.tolist())
        alone = nms(
            np.array([[1e30, 0, 3e38, 5], [0, 0, 5, 5], [0, 0, 5, 5]], np.float32), score[:3], np.arange(3), 0.5
        )
    assert sorted(alone.tolist()) == [0, 1, 2]
