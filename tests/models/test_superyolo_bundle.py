"""SuperYOLO of one picture and of pairs, all the way: module, ONNX, integers, bundle, boxes of a frame."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import edgekit
from edgekit.bundle import open_bundle
from edgekit.errors import DataError, ModelError
from edgekit.export import ExportOptions, bundle_from_model
from edgekit.graph.families import detect_family
from edgekit.graph.load import load_canonical
from edgekit.graph.quantize import QuantizeOptions
from edgekit.models import export_onnx, network_preprocess
from edgekit.models.superyolo import SuperYolo, SuperYoloNumbers
from edgekit.process import Preprocess, letterbox_of, postprocess, prepare
from edgekit.runtime.golden import check_golden
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
    model.head.levels[0].bias.data.zero_()  # training raises the scores, which start near 0
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


def pairs(folder: Path, count: int, seed: int = 0) -> Path:
    """NAME_co.png and NAME_ir.png, 60 x 80."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for k in range(count):
        cv2.imwrite(str(folder / f"{k}_co.png"), rng.integers(0, 255, (60, 80, 3)).astype(np.uint8))
        cv2.imwrite(str(folder / f"{k}_ir.png"), rng.integers(0, 255, (60, 80)).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the fused network in float and in integers."""
    folder = tmp_path_factory.mktemp("fused")
    export_onnx(network("mf"), folder / "m.onnx", (64, 64), CLASSES, network_preprocess(64, 64, "rgb+ir").to_json())
    calib = pairs(folder / "calib", 6)
    quantize = QuantizeOptions(method="minmax", float_layers="none")
    options = ExportOptions(quantize=quantize, parity_images=2, lowerings=("fp32", "ort-x86"), gate=False)
    bundle_from_model(str(folder / "m.onnx"), str(folder / "m.ekb"), calib=str(calib), options=options)
    return folder / "m.ekb"


def test_a_bundle_of_pairs_finds_the_boxes_that_torch_finds(fused: Path) -> None:
    spec = network_preprocess(64, 64, "rgb+ir")
    rng = np.random.default_rng(2)
    frame, infrared = (rng.integers(0, 255, shape).astype(np.uint8) for shape in ((48, 80, 3), (48, 80)))
    with edgekit.open(str(fused), lowering="fp32") as detector:
        found = detector(frame, conf=0.05, iou=1.0, max_det=10_000, infrared_hw=infrared)
        decode = detector.decode
    x, place = prepare(frame, spec, infrared_hw=infrared)
    with torch.inference_mode():
        expected = postprocess([network("mf")(torch.from_numpy(x)).numpy()], decode, place, spec, 0.05, 1.0, 10_000)
    assert len(found) == len(expected) > 0
    gap = np.abs(found.xyxy[:, None] - expected.xyxy[None]).max(axis=2)
    assert max(gap.min(axis=0).max(), gap.min(axis=1).max()) < 0.05


def test_infrared_changes_what_the_bundle_finds(fused: Path) -> None:
    frame = np.full((48, 80, 3), 90, np.uint8)
    dark, warm = np.zeros((48, 80), np.uint8), np.full((48, 80), 250, np.uint8)
    with edgekit.open(str(fused), lowering="ort-x86") as detector:
        one, other = (detector(frame, 0.0, 1.0, infrared_hw=each) for each in (dark, warm))
    assert not np.array_equal(one.score[:20], other.score[:20])


def test_a_bundle_of_pairs_says_so_and_checks_its_golden_pairs(fused: Path) -> None:
    bundle = open_bundle(fused)
    assert bundle.manifest["preprocess"]["modality"] == "rgb+ir"
    assert bundle.manifest["input"]["shape"] == [1, 4, 64, 64]
    record = bundle.manifest["golden"][0]
    assert (record["image"], record["infrared"]) == ("golden/0.png", "golden/0.ir.png")
    layers = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network("mf").deploy().modules())
    assert len(bundle.plan.weights) == layers
    with edgekit.open(str(fused), lowering="ort-x86") as detector:
        check_golden(bundle, detector).gate()


def test_a_frame_without_infrared_is_refused_in_one_line(fused: Path) -> None:
    frame = np.zeros((48, 80, 3), np.uint8)
    with edgekit.open(str(fused), lowering="fp32") as detector:
        with pytest.raises(DataError, match="takes colour and infrared, and the picture comes without infrared"):
            detector(frame)
        with pytest.raises(DataError, match="a pair is registered, of one size"):
            detector(frame, infrared_hw=np.zeros((24, 40), np.uint8))


def test_a_calibration_picture_without_its_partner_is_named(fused: Path, tmp_path: Path) -> None:
    calib = pairs(tmp_path / "calib", 3)
    (calib / "1_ir.png").unlink()
    with pytest.raises(DataError, match=r"1_co.png has no infrared partner; pairs lie as NAME_co.png beside NAME_ir"):
        bundle_from_model(str(fused.parent / "m.onnx"), str(tmp_path / "m.ekb"), calib=str(calib))


def test_four_channels_that_nobody_explains_are_refused(tmp_path: Path) -> None:
    export_onnx(network("mf"), tmp_path / "m.onnx", (64, 64), CLASSES, network_preprocess(64, 64).to_json())
    with pytest.raises(
        ModelError, match="takes 4 channels, its preprocessing gives 3 .rgb.; four are colour and infra"
    ):
        detect_family(load_canonical(tmp_path / "m.onnx"))


def test_the_preprocessing_of_one_camera_is_written_as_ever() -> None:
    assert "modality" not in network_preprocess(64, 64).to_json()
    spec = network_preprocess(64, 64, "rgb+ir")
    assert Preprocess.from_json(spec.to_json()) == spec
