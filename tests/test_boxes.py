import numpy as np
import pytest

from edgekit import boxes


def _random(count, seed=0, span=100.0, size=30.0):
    rng = np.random.RandomState(seed)
    corner = rng.rand(count, 2) * span
    return np.concatenate([corner, corner + rng.rand(count, 2) * size + 1], axis=1).astype(np.float32)


def _slow_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _slow_nms(xyxy, score, class_id, iou):
    kept = []
    for index in sorted(range(len(xyxy)), key=lambda i: (-score[i], i)):
        if all(class_id[k] != class_id[index] or _slow_iou(xyxy[k], xyxy[index]) <= iou for k in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize("count", [0, 1, 63, 65])
def test_layouts_convert_back(count):
    xyxy = _random(count)
    np.testing.assert_allclose(boxes.cxcywh_to_xyxy(boxes.xyxy_to_cxcywh(xyxy)), xyxy, rtol=1e-5)
    np.testing.assert_allclose(boxes.xywh_to_xyxy(boxes.xyxy_to_xywh(xyxy)), xyxy, rtol=1e-5)


def test_quad_to_xyxy_is_the_box_around_it():
    quad = np.float32([[[5, 0], [10, 5], [5, 10], [0, 5]]])
    np.testing.assert_array_equal(boxes.quad_to_xyxy(quad), [[0, 0, 10, 10]])


def test_clip_cuts_at_the_border():
    clipped = boxes.clip_xyxy(np.float32([[-5, 2, 30, 50]]), 20, 10)
    np.testing.assert_array_equal(clipped, [[0, 2, 20, 10]])


def test_iou_matrix_agrees_with_the_formula():
    first, second = _random(13), _random(7, seed=1)
    expected = [[_slow_iou(a, b) for b in second] for a in first]
    np.testing.assert_allclose(boxes.iou_matrix(first, second), expected, rtol=1e-4, atol=1e-6)


def test_iou_of_empty_boxes_is_zero():
    point = np.zeros((1, 4), np.float32)
    assert boxes.iou_matrix(point, point)[0, 0] == 0


@pytest.mark.parametrize("count", [1, 63, 600, 1100])
@pytest.mark.parametrize("iou", [0.3, 0.65])
def test_nms_is_the_greedy_one(count, iou):
    xyxy = _random(count, span=300.0, size=60.0)
    rng = np.random.RandomState(count)
    score = np.round(rng.rand(count), 2).astype(np.float32)  # with ties
    class_id = rng.randint(0, 3, count)
    assert boxes.nms(xyxy, score, class_id, iou).tolist() == _slow_nms(xyxy, score, class_id, iou)


def test_nms_without_classes_suppresses_across_them():
    xyxy = np.float32([[0, 0, 10, 10], [0, 0, 10, 10]])
    score = np.float32([0.5, 0.9])
    assert boxes.nms(xyxy, score, np.array([0, 1]), 0.5).tolist() == [1, 0]
    assert boxes.nms(xyxy, score, None, 0.5).tolist() == [1]


def test_nms_keeps_at_most_max_det():
    xyxy = np.float32([[i * 20, 0, i * 20 + 10, 10] for i in range(9)])
    assert boxes.nms(xyxy, np.linspace(1, 0.1, 9).astype(np.float32), None, 0.5, max_det=4).tolist() == [0, 1, 2, 3]


def test_nms_of_nothing_is_nothing():
    empty = np.zeros((0, 4), np.float32)
    assert boxes.nms(empty, np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5).shape == (0,)
