"""The two reference detectors reach their published-here scores through `edgekit.process`."""

import pytest

from edgekit.process import DecodeSpec, Preprocess, postprocess, prepare

NANODET = Preprocess(320, 320, pad_value=0, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "preprocess", "decode", "ap"),
    [
        ("yolox_nano_416.onnx", Preprocess(416, 416), DecodeSpec("yolox", 80, iou=0.65, max_det=300), 0.322),
        ("nanodet_m_320.onnx", NANODET, DecodeSpec("nanodet", 80, iou=0.6, max_det=100), 0.266),
    ],
)
def test_average_precision(reference_data, weights, preprocess, decode, ap):
    pytest.importorskip("faster_coco_eval")
    session_of = pytest.importorskip("edgekit.runtime.session")
    from edgekit.data.coco import read_coco
    from edgekit.data.dataset import load_image
    from edgekit.metrics.detection import coco_ap

    folder = reference_data / "coco_val_subset"
    dataset = read_coco(str(folder / "annotations/val.json"), str(folder / "images/val"))
    found = {}
    with session_of.open_session(str(reference_data / "weights" / weights)) as session:
        for sample in dataset.samples:
            x, place = prepare(load_image(sample), preprocess)
            outputs = session.run({session.inputs[0].name: x})
            found[sample.image_id] = postprocess(outputs, decode, place, preprocess, conf=0.001)
    assert coco_ap(dataset, found).ap == pytest.approx(ap, abs=0.003)
