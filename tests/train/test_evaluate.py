from pathlib import Path

import cv2
import numpy as np
import pytest

from edgekit.data.dataset import Dataset, Sample
from edgekit.metrics.detection import coco_ap
from edgekit.models import network_preprocess
from edgekit.process import DecodeSpec
from edgekit.train.assign import make_grid
from edgekit.train.evaluate import detect

CLASSES = ("a", "b")


@pytest.fixture()
def dataset(tmp_path: Path) -> Dataset:
    samples = []
    for k in range(3):
        path = str(tmp_path / f"{k}.png")
        cv2.imwrite(path, np.full((100, 120, 3), 10 + k, np.uint8))
        boxes = np.array([[10 + k, 20, 40, 60], [70, 30, 90 + k, 80]], np.float32)
        samples.append(Sample(path, 120, 100, boxes, np.array([0, 1]), np.zeros((0, 4), np.float32), k + 1))
    return Dataset("toy", CLASSES, tuple(samples))


def oracle(dataset: Dataset, size_hw: tuple[int, int], scale: float):  # type: ignore[no-untyped-def]
    """A network that knows the picture by its grey level and writes its boxes in the raw layout."""
    cells_xy, strides = make_grid([(size_hw[0] // s, size_hw[1] // s) for s in (8, 16, 32)], (8, 16, 32))
    cells, steps = cells_xy.numpy(), strides.numpy()

    def forward(x_nchw: np.ndarray) -> np.ndarray:
        sample = dataset.samples[round(float(x_nchw[0, 0, 0, 0]) * 255) - 10]
        raw = np.zeros((1, len(cells), 7), np.float32)
        for row, (box, class_id) in enumerate(zip(sample.xyxy * scale, sample.class_id, strict=True)):
            center, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
            raw[0, row, :2] = center / steps[row] - cells[row]
            raw[0, row, 2:4] = np.log(size / steps[row])
            raw[0, row, 4] = 0.9
            raw[0, row, 5 + class_id] = 0.9
        return raw

    return forward


def test_boxes_come_back_in_original_pixels_and_score_one(dataset: Dataset) -> None:
    preprocess = network_preprocess(128, 192)
    forward = oracle(dataset, (128, 192), 1.28)
    found = detect(forward, dataset, preprocess, DecodeSpec("yolox", 2))
    for sample in dataset.samples:
        order = np.argsort(found[sample.image_id].class_id)
        # the resized picture is 153 pixels wide, not 153.6
        np.testing.assert_allclose(found[sample.image_id].xyxy[order], sample.xyxy, atol=0.6)
    assert coco_ap(dataset, found).ap50 == pytest.approx(1.0)
