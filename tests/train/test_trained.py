"""A checkpoint that was trained quantised, all the way to a bundle."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgekit.bundle import Bundle, open_bundle
from edgekit.errors import ModelError
from edgekit.export import ExportOptions, ExportReport, bundle_from_model
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import lower
from edgekit.graph.runner import Runner
from edgekit.graph.tidy import tidy
from edgekit.metrics.match import MAX_DBOX_PX, MAX_DSCORE, match_detections
from edgekit.models import build, export_onnx, network_preprocess
from edgekit.process import DecodeSpec, postprocess, prepare
from edgekit.quant.swap import quant_layers
from edgekit.train.loader import collate
from edgekit.train.loop import fit
from edgekit.train.recipe import Optim, Quant
from edgekit.train.trained import export_checkpoint, network_from_checkpoint
from tests.train.toys import CLASSES, no_images, squares, toy_recipe

FEW_BOXES = 20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps whose network is sure of many boxes, and pictures."""
    folder = tmp_path_factory.mktemp("world")
    torch.manual_seed(3)
    model = build("fasterx_student", len(CLASSES))
    for level in model.head.levels:  # a box at every cell that neither moves nor fades with a few bits less
        for layer in (level.predict.obj, level.predict.cls, level.predict.reg):
            torch.nn.init.normal_(layer.weight, std=0.01)
            torch.nn.init.constant_(layer.bias, 0.0 if layer is level.predict.reg else 1.0)
        level.predict.cls.bias.data[1] = -3.0
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # statistics of the pictures after one pass
    with torch.no_grad():
        model.train()(collate(squares(16)).x_nchw[:, :, :64, :64])
    export_onnx(model, folder / "init.onnx", (64, 64), CLASSES)
    quant = Quant(weight=4, images=4, layers={"neck": 5})
    recipe = toy_recipe(
        folder / "run", epochs=1, init=str(folder / "init.onnx"), quant=quant, optim=Optim(lr=1e-4, warmup_steps=1)
    )
    fit(recipe, squares(16), no_images())
    (folder / "images").mkdir()
    for index, item in enumerate(squares(4, seed=5)):
        cv2.imwrite(str(folder / "images" / f"{index}.png"), item.image)
    return folder


@pytest.fixture(scope="module")
def exported(world: Path) -> tuple[Bundle, ExportReport]:
    path = world / "run.onnx"
    plan = export_checkpoint(world / "run" / "last.safetensors", path)
    options = ExportOptions(parity_images=2)
    report = bundle_from_model(
        str(path), str(world / "run.ekb"), plan=plan, images=str(world / "images"), options=options
    )
    return open_bundle(world / "run.ekb"), report


def test_every_lowering_of_a_trained_plan_is_within_its_gate(exported: tuple[Bundle, ExportReport]) -> None:
    bundle, report = exported
    assert report.layers_by_bits.keys() == {8, 5, 4}
    assert report.calibration == {"method": "qat", "images": 4, "seed": 0}
    assert {"trt8", "trt10", "ort-x86", "ort-arm"} <= set(report.lowerings)
    for lowering in report.lowerings.values():
        assert lowering.parity is not None and lowering.parity["passed"]
    assert bundle.plan is not None and all(spec.source == "qat:lsq" for spec in bundle.plan.weights.values())


def test_boxes_of_the_trt8_lowering_are_those_of_fake_quantisation(
    world: Path, exported: tuple[Bundle, ExportReport]
) -> None:
    bundle, _ = exported
    model, _ = network_from_checkpoint(world / "run" / "last.safetensors")
    assert bundle.plan is not None and len(bundle.plan.weights) == len(quant_layers(model))
    graph = load_canonical(world / "run.onnx")
    tidy(graph)
    runner, floats = Runner(lower("trt8", graph, bundle.plan).model, optimised=False), Runner(graph)
    preprocess, decode = network_preprocess(64, 64), DecodeSpec("yolox", len(CLASSES))
    matched = 0
    for path in sorted((world / "images").iterdir()):
        x_nchw, letterbox = prepare(cv2.imread(str(path)), preprocess)
        with torch.inference_mode():
            ours = model(torch.from_numpy(x_nchw)).numpy()
        theirs = runner.run(x_nchw)[0]
        assert np.abs(theirs - ours).mean() < 0.2 * np.abs(floats.run(x_nchw)[0] - ours).mean()
        boxes = [postprocess([raw], decode, letterbox, preprocess) for raw in (ours, theirs)]
        report = match_detections(*boxes, threshold=decode.conf)
        assert report.missing == report.extra == 0
        assert report.max_dscore <= MAX_DSCORE and report.max_dbox_px <= MAX_DBOX_PX
        matched += report.matched
    assert matched >= FEW_BOXES


def test_a_checkpoint_that_was_cut(world: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes((world / "run" / "last.safetensors").read_bytes()[:-8])
    with pytest.raises(ModelError, match="is not a checkpoint"):
        export_checkpoint(path, tmp_path / "cut.onnx")


def test_a_float_checkpoint_has_no_plan(tmp_path: Path) -> None:
    checkpoint = fit(toy_recipe(tmp_path / "run", epochs=1), squares(4), no_images())
    assert export_checkpoint(checkpoint, tmp_path / "toy.onnx") is None
    model, _ = network_from_checkpoint(checkpoint)
    x = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    with torch.inference_mode():
        expected = model(torch.from_numpy(x)).numpy()
    found = Runner(load_canonical(tmp_path / "toy.onnx")).run(x)[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
