import numpy as np
import pytest

from edgekit import boxes
from edgekit.ops import nms as module
from edgekit.ops.nms import nms


def scene(count, classes, seed, whole):
    """Boxes, scores and classes; whole-numbered ones have equal scores, and IoUs that are just the threshold."""
    rng = np.random.RandomState(seed)
    corner, size = rng.rand(count, 2) * 200, rng.rand(count, 2) * 30
    score = rng.rand(count)
    if whole:
        corner, size, score = np.floor(corner / 4), np.floor(size / 4), np.round(score, 1)
    xyxy = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    return xyxy, score.astype(np.float32), rng.randint(0, classes, count)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 63, 65, 1100])
@pytest.mark.parametrize("classes", [1, 3, 80])
@pytest.mark.parametrize("whole", [False, True])
def test_native_keeps_the_boxes_of_the_reference_in_its_order(opened, count, classes, whole):
    xyxy, score, class_id = scene(count, classes, count, whole)
    for iou in (0.0, 0.25, 0.5, 0.65, 1.0):
        for max_det in (None, 0, 1, 20):
            for groups in (class_id, None):
                found = module._native(xyxy, score, groups, iou, count if max_det is None else max_det)
                expected = boxes.nms(xyxy, score, groups, iou, max_det)
                assert found.tolist() == expected.tolist()
                assert found.dtype == expected.dtype


def test_takes_other_types_of_boxes_and_classes(opened):
    xyxy, score, class_id = scene(65, 3, 1, True)
    expected = boxes.nms(xyxy, score, class_id, 0.5).tolist()
    assert nms(xyxy.astype(np.float64), score, class_id.astype(np.int32), 0.5).tolist() == expected
    assert nms(np.asfortranarray(xyxy), score, class_id, np.float64(0.5)).tolist() == expected
    spread = np.zeros((65, 9), np.float32)
    spread[:, :4] = xyxy
    assert nms(spread[:, :4], score, class_id, 0.5).tolist() == expected


def _with(index, value):
    xyxy, score, class_id = scene(20, 3, 2, True)
    xyxy[index] = value
    return xyxy, score, class_id, 0.5


def _of(change):
    xyxy, score, class_id = scene(20, 3, 2, True)
    return change(xyxy, score, class_id)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "given",
    [
        _with((3, 2), np.nan),
        _with((3, 2), np.inf),
        _with((0, 0), -3e38),
        _of(lambda xyxy, score, class_id: (xyxy, score, class_id - 1, 0.5)),
        _of(lambda xyxy, score, class_id: (xyxy, score, class_id + (1 << 40), 0.5)),
        _of(lambda xyxy, score, class_id: (xyxy, score.astype(np.float64), class_id, 0.5)),
        _of(lambda xyxy, score, class_id: (xyxy, score, class_id.astype(np.float32), 0.5)),
        _of(lambda xyxy, score, class_id: (xyxy, score, class_id, -0.5)),
        _of(lambda xyxy, score, class_id: (xyxy, score, class_id, float("nan"))),
    ],
)
def test_leaves_to_numpy_what_the_kernel_does_not_take(opened, given):
    assert module._native(*given, limit=20) is None
    assert nms(*given).tolist() == boxes.nms(*given).tolist()


def test_scores_that_are_not_numbers_come_last(opened):
    xyxy = np.float32([[10 * i, 0, 10 * i + 5, 5] for i in range(6)])
    score = np.float32([np.nan, -0.0, 0.0, -1, np.inf, np.nan])
    assert nms(xyxy, score, None, 0.5).tolist() == boxes.nms(xyxy, score, None, 0.5).tolist() == [4, 1, 2, 3, 0, 5]


def test_without_the_library_it_is_the_reference(monkeypatch):
    monkeypatch.setenv("EDGEKIT_NATIVE", "off")
    xyxy, score, class_id = scene(65, 3, 3, True)
    assert module._native(xyxy, score, class_id, 0.5, 65) is None
    assert nms(xyxy, score, class_id, 0.5).tolist() == boxes.nms(xyxy, score, class_id, 0.5).tolist()
