"""A run of many precisions, its checkpoint, and the one bundle that comes of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx_ir as ir
import pytest
import torch

from edgekit.bundle import open_bundle
from edgekit.config import read_toml
from edgekit.errors import ConfigError, ModelError
from edgekit.export import ExportOptions, PrecisionsReport, TrainedPrecision, bundle_of_precisions, onnx_from_bundle
from edgekit.graph.runner import Runner
from edgekit.layered import cut_bundle
from edgekit.models import build, export_onnx
from edgekit.models.weights import read_checkpoint
from edgekit.precision import container_codes
from edgekit.quant.layered import LayeredConv2d, at_precision, precisions_of
from edgekit.quant.swap import quant_layers
from edgekit.runtime.detector import open_detector
from edgekit.train.loader import collate
from edgekit.train.loop import fit
from edgekit.train.quantised import whole_layers
from edgekit.train.recipe import Distill, Optim, Quant, Recipe
from edgekit.train.trained import export_checkpoint, export_precisions, network_from_checkpoint
from tests.train.toys import CLASSES, no_images, squares, toy_recipe

BITS = (8, 4, 2)
MODEL = "fasterx_gate"
LOWERINGS = ("ort-x86", "trt8")


def confident(path: Path) -> None:
    """A float network that is sure of many boxes, as ONNX."""
    torch.manual_seed(3)
    model = build(MODEL, len(CLASSES))
    for level in model.head.levels:
        for layer in (level.predict.obj, level.predict.cls, level.predict.reg):
            torch.nn.init.normal_(layer.weight, std=0.01)
            torch.nn.init.constant_(layer.bias, 0.0 if layer is level.predict.reg else 1.0)
        level.predict.cls.bias.data[1] = -3.0
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(collate(squares(16)).x_nchw[:, :, :64, :64])
    export_onnx(model, path, (64, 64), CLASSES)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small wait for a second thread longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, and pictures."""
    folder = tmp_path_factory.mktemp("world")
    confident(folder / "init.onnx")
    recipe = toy_recipe(
        folder / "run",
        epochs=1,
        model=MODEL,
        init=str(folder / "init.onnx"),
        quant=Quant(precisions=BITS, images=4),
        optim=Optim(lr=1e-4, warmup_steps=1),
    )
    fit(recipe, squares(8), no_images())
    (folder / "images").mkdir()
    for index, item in enumerate(squares(3, seed=5)):
        cv2.imwrite(str(folder / "images" / f"{index}.png"), item.image)
    return folder


@pytest.fixture(scope="module")
def exported(world: Path) -> PrecisionsReport:
    folder = world / "onnx"
    folder.mkdir()
    done = export_precisions(world / "run" / "last.safetensors", folder, "many")
    trained = [TrainedPrecision(bits, str(path), plan, record) for bits, path, plan, record in done]
    options = ExportOptions(parity_images=2, golden_images=1, lowerings=LOWERINGS)
    return bundle_of_precisions(trained, str(world / "many.ekb"), images=str(world / "images"), options=options)


def test_the_log_has_every_precision(world: Path) -> None:
    row = json.loads((world / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"loss/8", "loss/4", "loss/2", "taught/4", "taught/2"} <= row.keys()


def test_the_checkpoint_rebuilds_the_network_that_was_averaged(world: Path) -> None:
    path = world / "run" / "last.safetensors"
    model, about = network_from_checkpoint(path)
    assert precisions_of(model) == BITS and "plan" in about
    tensors, _ = read_checkpoint(path)
    for name, value in model.state_dict().items():
        assert torch.equal(value, tensors[f"ema.{name}"]), name
    whole = [name for name, layer in quant_layers(model).items() if isinstance(layer, LayeredConv2d) and layer.whole]
    assert len(whole) == 10  # the stem, and three predictors at three levels


def test_every_precision_is_within_its_gate_and_weights_are_there_once(world: Path, exported: PrecisionsReport) -> None:
    assert tuple(exported.precisions) == BITS
    for part in exported.precisions.values():
        assert set(part.lowerings) == set(LOWERINGS)
        assert all(report.parity is not None and report.parity["passed"] for report in part.lowerings.values())
    planes = {bits: part.planes_bytes for bits, part in exported.precisions.items()}
    assert planes[8] == 2 * planes[4] == 4 * planes[2]
    model, _ = network_from_checkpoint(world / "run" / "last.safetensors")
    layers = quant_layers(model)
    parameters = sum(layer.weight.numel() for layer in layers.values() if not layer.whole)
    assert planes[8] == sum((layer.weight.numel() + 7) // 8 * 8 for layer in layers.values() if not layer.whole)
    assert parameters > 0.9 * sum(layer.weight.numel() for layer in layers.values())


@pytest.mark.parametrize("bits", BITS)
def test_the_bundle_computes_what_was_trained(world: Path, exported: PrecisionsReport, bits: int) -> None:
    model, _ = network_from_checkpoint(world / "run" / "last.safetensors")
    one = at_precision(model, bits)
    path = world / f"{bits}.onnx"
    onnx_from_bundle(open_bundle(world / "many.ekb", precision=bits), str(path), "trt8")
    x = collate(squares(1, seed=7)).x_nchw[:, :, :64, :64].contiguous()
    with torch.inference_mode():
        ours = one(x).numpy()
    theirs = Runner(ir.load(path), optimised=False).run(x.numpy())[0]
    assert np.abs(theirs - ours).mean() < 1e-3 * np.abs(ours).max()
    layer = quant_layers(model)["neck.smooth4.conv"]
    assert isinstance(layer, LayeredConv2d)
    stored = {t.name: t for t in open_bundle(world / "many.ekb", precision=bits).tensors().values()}
    found = next(t for name, t in stored.items() if "smooth4" in name and t.bits is not None)
    master = layer.weight_quantizer.master(layer.weight).numpy()
    step = 2 ** (7 - bits) if bits < 8 else 1
    assert np.array_equal(found.values.astype(int) * step, container_codes(master, bits))


def test_a_detector_switches_and_finds_what_each_precision_finds(
    world: Path, exported: PrecisionsReport, tmp_path: Path
) -> None:
    frame = cv2.imread(str(world / "images" / "0.png"))
    path, cache = world / "many.ekb", str(tmp_path)
    alone = {}
    for bits in BITS:
        with open_detector(path, "ort-x86", cache_dir=cache, precision=bits) as detector:
            alone[bits] = detector(frame)
            assert (detector.precision, detector.precisions) == (bits, (bits,))
    assert len(alone[8]) > 0
    with open_detector(path, "ort-x86", cache_dir=cache, precision=BITS) as detector:
        for bits in (8, 2, 4, 8):
            detector.set_precision(bits)
            found = detector(frame)
            np.testing.assert_array_equal(found.xyxy, alone[bits].xyxy)
            np.testing.assert_array_equal(found.score, alone[bits].score)
    assert not np.array_equal(alone[8].score[:1], alone[2].score[:1])


def test_a_cut_bundle_flies_as_the_whole_one_does(world: Path, exported: PrecisionsReport, tmp_path: Path) -> None:
    cut = tmp_path / "cut.ekb"
    cut_bundle(world / "many.ekb", cut, 4)
    frame = cv2.imread(str(world / "images" / "1.png"))
    found = []
    for path, bits in ((cut, None), (world / "many.ekb", 4)):
        with open_detector(path, "ort-x86", cache_dir=str(tmp_path), precision=bits) as detector:
            assert detector.precision == 4
            found.append(detector(frame))
    np.testing.assert_array_equal(found[0].xyxy, found[1].xyxy)
    np.testing.assert_array_equal(found[0].score, found[1].score)


def test_one_precision_of_a_checkpoint(world: Path, tmp_path: Path) -> None:
    checkpoint = world / "run" / "last.safetensors"
    exported = export_checkpoint(checkpoint, tmp_path / "four.onnx", 4)
    assert exported is not None and exported[0].layers_by_bits().keys() == {8, 5}
    with pytest.raises(ModelError, match="was trained for the precisions 8, 4, 2, not for 3 bits"):
        export_checkpoint(checkpoint, tmp_path / "three.onnx", 3)


def test_named_layers_keep_their_eight_bits(world: Path) -> None:
    quant = Quant(precisions=BITS, layers={"neck.smooth4": 8})
    whole = whole_layers(build(MODEL, 2), quant)
    assert "neck.smooth4.conv" in whole and "neck.smooth3.conv" not in whole
    with pytest.raises(ConfigError, match="quant.layers names 'nack', which is no layer"):
        whole_layers(build(MODEL, 2), replace(quant, layers={"nack": 8}))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"precisions": (8,)}, "names one width; give it as quant.weight"),
        ({"precisions": (4, 8)}, "the widest first"),
        ({"weight": 4}, "quant.weight 4 is one width and quant.precisions are many"),
        ({"layers": {"neck": 6}}, "quant.neck 6: beside quant.precisions a layer has all of them, or 8 bits"),
        ({"first": 4}, "quant.first 4"),
        ({"combine": "mean"}, "quant.combine 'mean' is unknown; choose sum or mgda"),
        ({"recursive": -1.0}, "quant.recursive -1.0 must be 0 or more"),
    ],
)
def test_recipes_that_contradict_themselves(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Quant(**{"precisions": BITS, **changes})  # type: ignore[arg-type]


def test_a_teacher_of_one_precision(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with quant.precisions the next wider one is the teacher"):
        toy_recipe(
            tmp_path, quant=Quant(precisions=BITS), init="x.onnx", distill=Distill("ghost", {"layers": ["neck"]})
        )


def test_the_recipe_of_the_student() -> None:
    recipe = read_toml(Path(__file__).parents[2] / "recipes" / "student_hit_uav_any.toml", Recipe)
    assert recipe.quant is not None and recipe.quant.precisions == (8, 6, 4, 3, 2)
