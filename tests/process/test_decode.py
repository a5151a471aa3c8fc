import json

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.process import DecodeSpec, Preprocess, decode, letterbox_of, postprocess

SIZE = (64, 96)
CELLS = [(8, 12), (4, 6), (2, 3)]
ANCHORS = sum(rows * columns for rows, columns in CELLS)
STRIDES = (8, 16, 32)


def cells():
    """Every anchor in order, the slow way: stride, column, row."""
    return [(s, x, y) for s, (rows, columns) in zip(STRIDES, CELLS) for y in range(rows) for x in range(columns)]


def test_yolox_matches_the_formula():
    rng = np.random.RandomState(1)
    raw = rng.rand(1, ANCHORS, 8).astype(np.float32)
    xyxy, score, class_id = decode([raw], DecodeSpec("yolox", 3), SIZE, 0.3)
    expected = []
    for (stride, x, y), row in zip(cells(), raw[0]):
        scores = row[4] * row[5:]
        if scores.max() >= 0.3:
            cx, cy = (row[0] + x) * stride, (row[1] + y) * stride
            w, h = np.exp(row[2]) * stride, np.exp(row[3]) * stride
            box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
            expected.append(box + [scores.max(), scores.argmax()])
    np.testing.assert_allclose(np.column_stack([xyxy, score, class_id]), np.array(expected), rtol=1e-5)
    assert (xyxy.dtype, score.dtype, class_id.dtype) == (np.float32, np.float32, np.int64)


ANCHOR_SIZES = (((10, 13), (16, 30)), ((30, 61), (62, 45)), ((116, 90), (156, 198)))


def test_yolov5_matches_the_formula():
    """A stride's rows run anchor by anchor, in it row by row."""
    rng = np.random.RandomState(6)
    raw = rng.rand(1, 2 * ANCHORS, 8).astype(np.float32)
    xyxy, score, class_id = decode([raw], DecodeSpec("yolov5", 3, anchors=ANCHOR_SIZES), SIZE, 0.3)
    places = [
        (stride, x, y, anchor)
        for stride, (rows, columns), level in zip(STRIDES, CELLS, ANCHOR_SIZES)
        for anchor in level
        for y in range(rows)
        for x in range(columns)
    ]
    expected = []
    for (stride, x, y, (aw, ah)), row in zip(places, raw[0]):
        scores = row[4] * row[5:]
        if scores.max() >= 0.3:
            cx, cy = (2 * row[0] - 0.5 + x) * stride, (2 * row[1] - 0.5 + y) * stride
            w, h = (2 * row[2]) ** 2 * aw, (2 * row[3]) ** 2 * ah
            box = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
            expected.append(box + [scores.max(), scores.argmax()])
    np.testing.assert_allclose(np.column_stack([xyxy, score, class_id]), np.array(expected), rtol=1e-4, atol=1e-4)
    assert (xyxy.dtype, score.dtype, class_id.dtype) == (np.float32, np.float32, np.int64)


def test_yolov5_takes_other_strides():
    """One head at stride 4, three anchors: SuperYOLO's."""
    spec = DecodeSpec("yolov5", 2, (4,), anchors=(((10, 13), (16, 30), (33, 23)),))
    raw = np.zeros((1, 3 * 4 * 6, 7), np.float32)
    raw[0, 24 + 6 + 2] = [0.5, 0.5, 0.5, 0.5, 1, 0, 0.8]  # second anchor, row 1, column 2
    xyxy, score, class_id = decode([raw], spec, (16, 24), 0.5)
    np.testing.assert_allclose(xyxy, [[10 - 8, 6 - 15, 10 + 8, 6 + 15]])
    assert (score.tolist(), class_id.tolist()) == ([pytest.approx(0.8)], [1])


@pytest.mark.parametrize(
    "anchors",
    [(), (((1, 2),),), (((1, 2),), ((1, 2),), ()), (((1, 2),), ((1, 2),), ((0, 2),)), ((), (), ())],
)
def test_yolov5_needs_anchors_for_each_stride(anchors):
    with pytest.raises(ValueError, match="a yolov5 head has the same number of anchors for each stride, got"):
        DecodeSpec("yolov5", 3, anchors=anchors)


@pytest.mark.parametrize("outputs", [[], [np.zeros((1, ANCHORS, 8), np.float32)], [np.zeros(3, np.float32)]])
def test_wrong_outputs_of_a_yolov5_name_both_shapes(outputs):
    expected = r"a yolov5 head of 3 classes gives one of \(1, {}, 8\)".format(2 * ANCHORS)
    with pytest.raises(ModelError, match=expected):
        decode(outputs, DecodeSpec("yolov5", 3, anchors=ANCHOR_SIZES), SIZE, 0.5)


def test_yolov5_with_nothing_above_the_threshold_is_no_box():
    spec = DecodeSpec("yolov5", 3, anchors=ANCHOR_SIZES)
    xyxy, score, class_id = decode([np.zeros((1, 2 * ANCHORS, 8), np.float32)], spec, SIZE, 0.5)
    assert (xyxy.shape, score.shape, class_id.shape) == ((0, 4), (0,), (0,))


def test_other_families_have_no_anchors():
    with pytest.raises(ValueError, match="a yolox head has no anchors"):
        DecodeSpec("yolox", 3, anchors=ANCHOR_SIZES)


@pytest.mark.parametrize("transposed", [False, True])
def test_yolov8_matches_the_formula(transposed):
    rng = np.random.RandomState(2)
    raw = rng.rand(1, 7, 50).astype(np.float32)
    outputs = [raw.transpose(0, 2, 1) if transposed else raw]
    xyxy, score, class_id = decode(outputs, DecodeSpec("yolov8", 3), SIZE, 0.8)
    chosen = [column for column in raw[0].T if column[4:].max() >= 0.8]
    expected = [
        [c[0] - c[2] / 2, c[1] - c[3] / 2, c[0] + c[2] / 2, c[1] + c[3] / 2, c[4:].max(), c[4:].argmax()]
        for c in chosen
    ]
    np.testing.assert_allclose(np.column_stack([xyxy, score, class_id]), np.array(expected), rtol=1e-5)


def nanodet_outputs(rng, classes=3):
    scores = [rng.rand(rows * columns, classes).astype(np.float32) for rows, columns in CELLS]
    bins = [rng.randn(rows * columns, 32).astype(np.float32) for rows, columns in CELLS]
    return scores, bins


def test_nanodet_matches_the_formula():
    scores, bins = nanodet_outputs(np.random.RandomState(3))
    xyxy, score, class_id = decode(scores + bins, DecodeSpec("nanodet", 3), SIZE, 0.9)
    expected = []
    for (stride, x, y), row, side_bins in zip(cells(), np.concatenate(scores), np.concatenate(bins)):
        if row.max() >= 0.9:
            weight = np.exp(side_bins.reshape(4, 8))
            side = (weight * np.arange(8)).sum(1) / weight.sum(1) * stride
            cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
            box = [cx - side[0], cy - side[1], cx + side[2], cy + side[3]]
            expected.append(box + [row.max(), row.argmax()])
    np.testing.assert_allclose(np.column_stack([xyxy, score, class_id]), np.array(expected), rtol=1e-4)


def test_nanodet_tells_outputs_apart_by_shape():
    scores, bins = nanodet_outputs(np.random.RandomState(4))
    spec = DecodeSpec("nanodet", 3)
    first = decode(scores + bins, spec, SIZE, 0.5)
    mixed = [bins[2][None], scores[1][None], bins[0][None], scores[2][None], bins[1][None], scores[0][None]]
    for a, b in zip(first, decode(mixed, spec, SIZE, 0.5)):
        np.testing.assert_array_equal(a, b)


def test_nanodet_of_32_classes_goes_by_order():
    scores, bins = nanodet_outputs(np.random.RandomState(5), classes=32)
    _, score, _ = decode(scores + bins, DecodeSpec("nanodet", 32), SIZE, 0.5)
    assert score.max() <= 1


@pytest.mark.parametrize("family", ["yolox", "yolov8", "nanodet"])
def test_nothing_above_the_threshold_is_no_box(family):
    outputs = {
        "yolox": [np.zeros((1, ANCHORS, 8), np.float32)],
        "yolov8": [np.zeros((1, 7, ANCHORS), np.float32)],
        "nanodet": [np.zeros((r * c, k), np.float32) for r, c in CELLS for k in (3, 32)],
    }[family]
    spec = DecodeSpec(family, 3)
    preprocess = Preprocess(*SIZE)
    assert len(postprocess(outputs, spec, letterbox_of(300, 200, preprocess), preprocess)) == 0


@pytest.mark.parametrize("family", ["yolox", "yolov8", "nanodet"])
@pytest.mark.parametrize("outputs", [[], [np.zeros((1, 5, 5), np.float32)], [np.zeros(3, np.float32)]])
def test_wrong_outputs_name_both_shapes(family, outputs):
    with pytest.raises(ModelError, match="a {} head of 3 classes gives".format(family)):
        decode(outputs, DecodeSpec(family, 3), SIZE, 0.5)


def test_postprocess_suppresses_and_goes_back_to_the_frame():
    raw = np.zeros((1, ANCHORS, 7), np.float32)
    raw[0, 0] = [0.5, 0.5, 0, 0, 1, 0.9, 0]  # (0, 0, 8, 8), class 0
    raw[0, 1] = [-0.4, 0.5, 0, 0, 1, 0.8, 0]  # nearly the same box, weaker
    raw[0, 2] = [-1.5, 0.5, 0, 0, 1, 0, 0.7]  # the same place, but another class
    preprocess = Preprocess(*SIZE)
    found = postprocess([raw], DecodeSpec("yolox", 2, iou=0.5), letterbox_of(192, 128, preprocess), preprocess)
    assert found.class_id.tolist() == [0, 1]
    np.testing.assert_allclose(found.xyxy, [[0, 0, 16, 16], [0, 0, 16, 16]], atol=1e-4)
    assert found.score.tolist() == pytest.approx([0.9, 0.7])


def test_postprocess_takes_overrides():
    raw = np.zeros((1, ANCHORS, 7), np.float32)
    raw[0, [0, 4, 8]] = [0.5, 0.5, 0, 0, 1, 0.2, 0]
    preprocess = Preprocess(*SIZE)
    place, spec = letterbox_of(96, 64, preprocess), DecodeSpec("yolox", 2)
    assert len(postprocess([raw], spec, place, preprocess)) == 0
    assert len(postprocess([raw], spec, place, preprocess, conf=0.1)) == 3
    assert len(postprocess([raw], spec, place, preprocess, conf=0.1, max_det=2)) == 2


def test_json_round_trip():
    spec = DecodeSpec("nanodet", 80, (8, 16, 32, 64), 15, 0.3, 0.6, 100)
    assert DecodeSpec.from_json(spec.to_json()) == spec


def test_anchors_survive_json_and_other_families_do_not_mention_them():
    spec = DecodeSpec("yolov5", 8, (4, 8, 16), anchors=ANCHOR_SIZES)
    assert DecodeSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert "anchors" not in DecodeSpec("yolox", 8).to_json()


def test_unknown_family_names_the_known():
    with pytest.raises(ValueError, match="yolox, yolov5, yolov8, nanodet"):
        DecodeSpec("ssd", 3)
