"""SuperYOLO of one picture, all the way: trained module, ONNX, integers, bundle, boxes of a frame."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import edgekit
from edgekit.bundle import open_bundle
from edgekit.errors import ModelError
from edgekit.export import ExportOptions, bundle_from_model
from edgekit.graph.load import load_canonical
from edgekit.graph.quantize import QuantizeOptions
from edgekit.models import export_onnx, network_preprocess
from edgekit.models.superyolo import SuperYolo, SuperYoloNumbers
from edgekit.process import letterbox_of, postprocess, prepare
from tests.graph import tiny

CLASSES = ["car", "boat", "van"]


def network(modality: str) -> SuperYolo:
    """Narrow, with batch norms as after training."""
    torch.manual_seed(0)
    model = SuperYolo(SuperYoloNumbers(3, modality, super_resolution=True, channels=(8, 8, 16, 16, 32)))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.head.levels[0].weight.data.mul_(4)
    return model.eval()


def test_bundle_finds_the_boxes_that_torch_finds(tmp_path: Path) -> None:
    model = network("rgb")
    spec = network_preprocess(64, 64)
    export_onnx(model, tmp_path / "m.onnx", (64, 64), CLASSES, spec.to_json())
    bundle_from_model(str(tmp_path / "m.onnx"), str(tmp_path / "m.ekb"), options=ExportOptions(lowerings=("fp32",)))
    assert open_bundle(tmp_path / "m.ekb").manifest["decode"]["anchors"] == [[[10, 13], [16, 30], [33, 23]]]
    frame = np.random.default_rng(1).integers(0, 255, (48, 80, 3)).astype(np.uint8)
    with edgekit.open(str(tmp_path / "m.ekb"), lowering="fp32") as detector:
        found = detector(frame, conf=0.05, iou=1.0, max_det=10_000)
        decode = detector.decode
    x, place = prepare(frame, spec)
    with torch.inference_mode():
        outputs = [model(torch.from_numpy(x)).numpy()]
    expected = postprocess(outputs, decode, place, spec, conf=0.05, iou=1.0, max_det=10_000)
    assert place == letterbox_of(80, 48, spec)
    assert len(found) == len(expected) > 0
    # Nothing is suppressed, because boxes of nearly equal scores come in either order.
    gap = np.abs(found.xyxy[:, None] - expected.xyxy[None]).max(axis=2)
    assert max(gap.min(axis=0).max(), gap.min(axis=1).max()) < 0.05
    np.testing.assert_allclose(found.score, expected.score, atol=1e-4)


def test_integers_are_the_codes_of_the_plan(tmp_path: Path) -> None:
    export_onnx(network("ir"), tmp_path / "m.onnx", (64, 64), CLASSES, network_preprocess(64, 64).to_json())
    (tmp_path / "calib").mkdir()
    tiny.pictures(tmp_path / "calib", 6)
    quantize = QuantizeOptions(method="minmax", float_layers="none")
    options = ExportOptions(quantize=quantize, parity_images=2, lowerings=("trt8", "ort-x86"))
    bundle_from_model(str(tmp_path / "m.onnx"), str(tmp_path / "m.ekb"), calib=str(tmp_path / "calib"), options=options)
    bundle = open_bundle(tmp_path / "m.ekb")
    for name in options.lowerings or ():
        assert bundle.manifest["lowerings"][name]["parity"]["passed"] is True
    layers = sum(isinstance(module, nn.Conv2d) for module in network("ir").deploy().modules())
    assert len(bundle.plan.weights) == layers


def test_a_network_of_four_channels_is_told_that_bundles_take_three(tmp_path: Path) -> None:
    export_onnx(network("mf"), tmp_path / "m.onnx", (64, 64), CLASSES)
    with pytest.raises(ModelError, match="input images is 1x4x64x64, expected 1x3xHxW"):
        load_canonical(tmp_path / "m.onnx")
