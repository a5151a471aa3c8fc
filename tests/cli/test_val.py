import pytest


def test_val_prints_one_json_object(edgekit, float_bundle, pictures):
    images, labels = pictures
    done = edgekit("val", float_bundle, "--images", images, "--annotations", labels, "--json")
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == 1
    value = done.json
    assert value["images"] == 8
    assert value["lowering"] == "fp32"
    assert value["AP50"] == pytest.approx(1.0, abs=1e-3)
    assert {"AP", "AP50", "AP_small"} <= set(value)
    assert value["iou"] == 0.65 and value["max_det"] == 300
