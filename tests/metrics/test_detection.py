import json

import numpy as np
import pytest

from edgekit.data.coco import read_coco
from edgekit.data.dataset import EVERY_CLASS, Dataset, Sample, select_classes
from edgekit.data.hit_uav import read_hit_uav
from edgekit.detections import Detections
from edgekit.errors import DataError
from edgekit.metrics.detection import coco_ap

CLASSES = ("car", "bus", "van")


def scene(image_id, rng, boxes=6, **fields):
    """An image of boxes that do not overlap, small, medium and large."""
    corner = np.stack([np.arange(boxes) * 130 + rng.uniform(0, 9, boxes), rng.uniform(0, 400, boxes)], 1)
    side = np.resize([20.0, 60.0, 110.0], boxes)[:, None] * np.array([[1.0, 0.9]])
    xyxy = np.concatenate([corner, corner + side], 1).astype(np.float32)
    ids = rng.integers(0, 3, boxes)
    ignore = fields.pop("ignore_xyxy", np.zeros((0, 4), np.float32))
    return Sample(f"{image_id}.png", 1000, 600, xyxy, ids, ignore, image_id, **fields)


@pytest.fixture
def dataset():
    rng = np.random.default_rng(3)
    return Dataset("drawn", CLASSES, tuple(scene(i, rng) for i in (0, 4, 9)))


def found_in(sample, score=0.9):
    return Detections(sample.xyxy, np.full(len(sample), score, np.float32), sample.class_id)


def joined(*parts):
    return Detections(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("xyxy", "score", "class_id")))


def boxes(*rows):
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def test_perfect_detections_score_one(dataset):
    scores = coco_ap(dataset, {s.image_id: found_in(s) for s in dataset.samples})
    values = [scores.ap, scores.ap50, scores.ap75, scores.ap_small, scores.ap_medium, scores.ap_large, scores.ar]
    assert values == pytest.approx([1.0] * 7)
    assert list(scores.per_class) == list(CLASSES)
    assert sum(c.boxes for c in scores.per_class.values()) == scores.boxes == 18
    assert scores.images == 3


def test_no_detections_score_zero(dataset):
    scores = coco_ap(dataset, {})
    assert (scores.ap, scores.ap50, scores.ar) == (0.0, 0.0, 0.0)
    assert coco_ap(dataset, {0: Detections.empty()}).ap == 0.0


def test_without_objects_there_is_no_score(dataset):
    empty = Dataset("none", CLASSES, (Sample("a", 9, 9, np.zeros((0, 4), np.float32), np.zeros(0, np.int64),
                                             np.zeros((0, 4), np.float32), 1),))  # fmt: skip
    scores = coco_ap(empty, {1: boxes((1, 1, 2, 2, 0.5, 0))})
    assert np.isnan(scores.ap) and scores.to_json()["AP"] is None
    assert json.dumps(scores.to_json(), allow_nan=False)


def test_half_of_the_images_is_half_of_the_recall(dataset):
    two = dataset.subset([0, 1])
    scores = coco_ap(two, {two.samples[0].image_id: found_in(two.samples[0])})
    assert 0.2 < scores.ar < 0.8 and 0.2 < scores.ap < 0.8


def test_false_positives_above_the_objects_cost_precision(dataset):
    wrong = boxes(*[(10 + 40 * k, 560, 30 + 40 * k, 590, 0.95, c) for k in range(5) for c in range(3)])
    detections = {s.image_id: joined(found_in(s), wrong) for s in dataset.samples}
    assert coco_ap(dataset, detections).ap < 0.5


@pytest.mark.parametrize("ignore_class", [None, EVERY_CLASS])
def test_an_ignored_region_swallows_false_positives_of_every_class(dataset, ignore_class):
    region = np.array([[0, 550, 1000, 600]], np.float32)
    wrong = boxes(*[(10 + 40 * k, 560, 30 + 40 * k, 590, 0.95, c) for k in range(5) for c in range(3)])
    ids = None if ignore_class is None else np.array([ignore_class], np.int64)
    rng = np.random.default_rng(3)
    samples = tuple(scene(i, rng, ignore_xyxy=region, ignore_class_id=ids) for i in (0, 4, 9))
    ignoring = Dataset("d", CLASSES, samples)
    detections = {s.image_id: joined(found_in(s), wrong) for s in samples}
    assert coco_ap(ignoring, detections).ap == pytest.approx(1.0)
    # the region is no object: not finding it costs nothing, and it is not counted
    assert coco_ap(ignoring, detections).boxes == 18


def test_a_region_of_one_class_swallows_only_that_class():
    region, box = np.array([[0, 0, 100, 100]], np.float32), np.array([[200, 0, 240, 40]], np.float32)
    sample = Sample(
        "a", 400, 400, np.repeat(box, 2, 0), np.array([0, 1]), region, 1, ignore_class_id=np.array([0], np.int64)
    )
    pair = Dataset("d", ("car", "bus"), (sample,))
    wrong = [(10, 10, 30, 30, 0.95, 0), (10, 10, 30, 30, 0.95, 1)]
    right = [(200, 0, 240, 40, 0.9, 0), (200, 0, 240, 40, 0.9, 1)]
    scores = coco_ap(pair, {1: boxes(*wrong, *right)})
    assert scores.per_class["car"].ap == pytest.approx(1.0)
    assert scores.per_class["bus"].ap == pytest.approx(0.5, abs=0.01)


def test_small_means_the_annotated_area_and_not_the_box():
    box = np.array([[0, 0, 40, 40]], np.float32)
    none = np.zeros((0, 4), np.float32)
    thin = Sample("a", 99, 99, box, np.zeros(1, np.int64), none, 1, area=np.array([300.0]))
    scores = coco_ap(Dataset("d", ("car",), (thin,)), {1: boxes((0, 0, 40, 40, 0.9, 0))})
    assert scores.ap_small == pytest.approx(1.0) and np.isnan(scores.ap_medium)


def test_only_the_chosen_classes_are_scored(dataset):
    detections = {s.image_id: found_in(s)[s.class_id != 1] for s in dataset.samples}
    assert coco_ap(dataset, detections).ap < 0.8
    scores = coco_ap(dataset, detections, classes=["van", "car"])
    assert scores.ap == pytest.approx(1.0) and list(scores.per_class) == ["car", "van"]
    with pytest.raises(DataError, match="cannot score class 'tram'; the dataset has car, bus, van"):
        coco_ap(dataset, detections, classes=["tram"])


def test_more_detections_than_the_limit_are_not_considered():
    box = np.array([[0, 0, 40, 40]], np.float32)
    sample = Sample("a", 999, 99, box, np.zeros(1, np.int64), np.zeros((0, 4), np.float32), 1)
    rows = [(50 + 9 * k, 50, 58 + 9 * k, 60, 0.9, 0) for k in range(5)] + [(0, 0, 40, 40, 0.1, 0)]
    one = Dataset("d", ("car",), (sample,))
    assert coco_ap(one, {1: boxes(*rows)}, max_detections=5).ap == 0.0
    assert coco_ap(one, {1: boxes(*rows)}, max_detections=6).ap == pytest.approx(1 / 6, abs=0.01)


def test_mistakes_of_the_caller(dataset):
    with pytest.raises(ValueError, match="image id 5, which is not in the dataset"):
        coco_ap(dataset, {5: Detections.empty()})
    with pytest.raises(ValueError, match=r"class ids 0\.\.3, the dataset has 0\.\.2"):
        coco_ap(dataset, {4: boxes((0, 0, 1, 1, 0.5, 0), (0, 0, 1, 1, 0.5, 3))})
    with pytest.raises(ValueError, match="image id 4 are not finite"):
        coco_ap(dataset, {4: boxes((0, 0, 1, 1, np.nan, 0))})


def noisy(dataset, seed):
    """Detections near the truth, wrong ones and doubled ones, at random scores with ties."""
    rng = np.random.default_rng(seed)
    detections = {}
    for sample in dataset.samples:
        xyxy = np.repeat(sample.xyxy, 2, 0) + rng.normal(0, 3, (2 * len(sample), 4)).astype(np.float32)
        xyxy[:, 2:] = np.maximum(xyxy[:, 2:], xyxy[:, :2] + 1)
        class_id = np.repeat(sample.class_id, 2)
        wrong = rng.random(len(class_id)) < 0.2
        class_id[wrong] = rng.integers(0, len(dataset.classes), wrong.sum())
        score = (rng.integers(1, 100, len(class_id)) / 100).astype(np.float32)
        detections[sample.image_id] = Detections(xyxy, score, class_id)
    return detections


@pytest.mark.parametrize("split", ["val", "calib"])
def test_the_numbers_are_those_of_the_raw_coco_file(reference_data, split):
    from faster_coco_eval import COCO, COCOeval_faster

    root = reference_data / "coco_val_subset"
    path = str(root / "annotations" / f"{split}.json")
    dataset = read_coco(path, root / "images" / split)
    detections = noisy(dataset, 1)
    truth = COCO(path)
    ids = sorted(truth.getCatIds())
    rows = [
        {"image_id": i, "category_id": ids[c], "score": s, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for i, d in detections.items()
        for (x1, y1, x2, y2), s, c in zip(d.xyxy.tolist(), d.score.tolist(), d.class_id.tolist(), strict=True)
    ]
    run = COCOeval_faster(truth, truth.loadRes(rows), "bbox", print_function=lambda text: None)
    run.run()
    scores = coco_ap(dataset, detections)
    mine = [scores.ap, scores.ap50, scores.ap75, scores.ap_small, scores.ap_medium, scores.ap_large, scores.ar]
    assert mine == pytest.approx([*run.stats[:6], run.stats[8]], abs=1e-12)
    assert 0.1 < scores.ap < 0.9


def test_hit_uav_scores_three_classes_and_ignores_dont_care(reference_data):
    dataset = read_hit_uav(reference_data / "hit_uav", "val")
    perfect = {s.image_id: found_in(s) for s in dataset.samples}
    regions = [s for s in dataset.samples if len(s.ignore_xyxy)]
    for sample in regions:
        one = sample.ignore_xyxy
        extra = Detections(one, np.full(len(one), 0.99, np.float32), np.zeros(len(one), np.int64))
        perfect[sample.image_id] = joined(perfect[sample.image_id], extra)
    scores = coco_ap(dataset, perfect, classes=["Person", "Car", "Bicycle"])
    assert regions and scores.ap == pytest.approx(1.0)
    assert list(scores.per_class) == ["Person", "Car", "Bicycle"]
    assert scores.boxes == sum(select_classes(dataset, ["Person", "Car", "Bicycle"]).box_counts())
