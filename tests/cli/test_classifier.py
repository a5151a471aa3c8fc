import json

import pytest

pytest.importorskip("torch")

RECIPE = """
task = "classify"
name = "tiny"
model = "resnet8_cifar"
out = "{out}"
size = 16
epochs = 1
batch = 4
threads = 1
device = "cpu"

[data]
train = "{pictures}"
val = "{pictures}"

[binary]
layers = ["stages.*.conv"]
"""


@pytest.fixture(scope="module")
def trained(edgekit, tmp_path_factory):
    """The run's folder and what `edgekit train --json` said."""
    import cv2
    import numpy as np

    folder = tmp_path_factory.mktemp("classifier")
    for index in range(8):
        place = folder / "pictures" / "ab"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / "{}.png".format(index)), np.full((16, 16, 3), 30 * index, np.uint8))
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(out=folder / "run", pictures=folder / "pictures"))
    done = edgekit("train", recipe, "--json")
    assert done.status == 0, done.err
    return folder, done.json


def test_train_prints_the_score(trained):
    folder, value = trained
    assert 0 <= value["scores"]["top1"] <= 1 and value["onnx"] is None
    assert value["checkpoint"] == str(folder / "run" / "last.safetensors")


def test_export_writes_onnx_and_the_plan(edgekit, trained, tmp_path):
    import onnx

    done = edgekit("export", trained[1]["checkpoint"], "-o", tmp_path / "net.onnx", "--json")
    assert done.status == 0, done.err
    value = done.json
    assert (value["task"], value["classes"], value["input_hw"]) == ("classify", 2, [16, 16])
    assert value["layers_by_bits"] == {"1": 6} and len(value["float_layers"]) == 2
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    plan = json.loads((tmp_path / "net.plan.json").read_text())
    assert plan["format"] == "edgekit-plan" and len(plan["plan"]["weights"]) == 6


def test_export_says_what_a_classifier_does_not_have(edgekit, trained, tmp_path):
    bundle = edgekit("export", trained[1]["checkpoint"], "-o", tmp_path / "net.ekb")
    assert bundle.status == 2 and "bundles hold detectors; write it with: -o x.onnx" in bundle.err
    int8 = edgekit("export", trained[1]["checkpoint"], "-o", tmp_path / "net.onnx", "--int8")
    assert int8.status == 2 and "leave --int8 out" in int8.err
    assert not list(tmp_path.iterdir())
