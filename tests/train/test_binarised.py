"""Detectors with binary layers: trained, resumed, taught, exported."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.config import read_toml
from edgekit.errors import ConfigError
from edgekit.graph.constants import constant_value
from edgekit.graph.load import load_canonical
from edgekit.models import build, export_onnx
from edgekit.models.weights import read_checkpoint
from edgekit.quant import BinaryConfig
from edgekit.quant.binary import binary_layers
from edgekit.quant.swap import quant_layers
from edgekit.train.binarised import Binary
from edgekit.train.evaluate import forward_of
from edgekit.train.interrupt import TrainingInterrupted
from edgekit.train.loop import fit
from edgekit.train.recipe import Distill, Quant, Recipe
from edgekit.train.run import start
from edgekit.train.trained import export_checkpoint, network_from_checkpoint
from tests.train.toys import CLASSES, no_images, squares, toy_recipe

PATTERNS = ("backbone.dark*.conv", "neck.*.conv")
BODY = Binary(PATTERNS, BinaryConfig(padding="zero"))
EIGHT = Quant(images=4, freeze_epoch=1)


def recipe_of(out: Path, **changes: object) -> Recipe:
    return toy_recipe(out, **{"model": "fasterx_student_bireal", "binary": BODY, **changes})


def same(first: Path, second: Path) -> bool:
    mine, theirs = read_checkpoint(first)[0], read_checkpoint(second)[0]
    return mine.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in mine.items())


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a run with binary body and INT8 around it."""
    return fit(recipe_of(tmp_path_factory.mktemp("straight"), quant=EIGHT), squares(16), no_images())


def test_interrupted_and_resumed_is_the_same_run(tmp_path: Path, straight: Path) -> None:
    def press(done: int, total: int, text: str) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    recipe = recipe_of(tmp_path, quant=EIGHT)
    with pytest.raises(TrainingInterrupted, match="stopped after step 3 of 8"):
        fit(recipe, squares(16), no_images(), progress=press)
    assert same(fit(recipe, squares(16), no_images(), resume=True), straight)


def test_gradients_that_are_alive_are_logged(straight: Path) -> None:
    rows = [json.loads(line) for line in (straight.parent / "metrics.jsonl").read_text().splitlines()]
    shares = {name: value for name, value in rows[-1].items() if name.startswith("alive/")}
    assert "alive/weight/backbone.dark3.0.conv" in shares and "alive/input/neck.smooth4.conv" in shares
    assert all(0 < share <= 1 for share in shares.values())
    assert all(np.isfinite(row["loss"]) for row in rows)


def test_the_checkpoint_is_binary_inside_and_integers_around(straight: Path) -> None:
    model, about = network_from_checkpoint(straight)
    binary, integers = binary_layers(model), quant_layers(model)
    assert all(name.startswith(("backbone.dark", "neck.")) for name in binary) and len(binary) > 30
    assert "backbone.stem.conv.conv" in integers and all(
        name.startswith(("backbone.stem", "head.")) for name in integers
    )
    assert {layer.config for layer in binary.values()} == {BODY.config}
    assert about["recipe"]["binary"]["config"]["padding"] == "zero"


def test_what_is_exported_computes_what_was_trained(tmp_path: Path, straight: Path) -> None:
    exported = export_checkpoint(straight, tmp_path / "net.onnx")
    assert exported is not None
    plan, record = exported
    counts = plan.layers_by_bits()
    assert counts[1] > 30 and counts[8] > 5 and record["images"] == 4
    graph = load_canonical(tmp_path / "net.onnx")
    nodes = {str(node.name): node for node in graph.graph}
    for name, spec in plan.weights.items():
        if spec.bits == 1:
            weight = constant_value(nodes[name].inputs[1])
            assert np.array_equal(np.abs(weight), np.broadcast_to(spec.scale_array(4), weight.shape))
            assert str(nodes[name].inputs[0].name) not in plan.activations


def test_the_float_file_of_a_binary_network_is_that_network(tmp_path: Path) -> None:
    """Without integers around, ONNX and torch agree to rounding."""
    import onnxruntime

    checkpoint = fit(recipe_of(tmp_path, epochs=1, full_epochs=0), squares(8), no_images())
    plan, record = export_checkpoint(checkpoint, tmp_path / "net.onnx")
    assert set(plan.layers_by_bits()) == {1} and record["images"] == 0
    model, _ = network_from_checkpoint(checkpoint)
    x = np.random.default_rng(0).random((1, 3, 64, 64)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    ours, theirs = forward_of(model)(x), session.run(None, {"images": x})[0]
    # a sum within rounding of 0 may take the other sign; all others agree
    assert np.isclose(ours, theirs, rtol=1e-3, atol=1e-3).mean() > 0.99


def test_the_float_twin_teaches(tmp_path: Path) -> None:
    first = fit(recipe_of(tmp_path / "float", binary=None), squares(8), no_images())
    distill = Distill("rbd", {"layers": ["backbone.dark3.0", "neck.smooth4"], "weight": 0.1})
    recipe = recipe_of(tmp_path / "binary", init=str(first), distill=distill, epochs=1, full_epochs=0)
    fit(recipe, squares(8), no_images())
    row = json.loads((tmp_path / "binary" / "metrics.jsonl").read_text().splitlines()[0])
    assert row["rbd"] > 0 and row["rbd_distance/neck.smooth4"] > 0


def test_it_starts_from_the_plain_students_onnx(tmp_path: Path) -> None:
    plain = build("fasterx_student", len(CLASSES)).eval()
    export_onnx(plain, tmp_path / "plain.onnx", (64, 64), CLASSES)
    recipe = recipe_of(tmp_path, init=str(tmp_path / "plain.onnx"), quant=replace(EIGHT, freeze_epoch=0))
    run = start(recipe, squares(8), CLASSES)
    layer = binary_layers(run.model)["neck.smooth4.conv"]
    folded = plain.deploy().neck.smooth4.conv
    torch.testing.assert_close(layer.weight, folded.weight)
    torch.testing.assert_close(layer.norm.bias, folded.bias)


def test_the_recipes_in_the_checkout_are_two_arms_of_one_comparison() -> None:
    folder = Path(__file__).parents[2] / "recipes"
    plain = read_toml(folder / "student_hit_uav_binary.toml", Recipe)
    assert plain.model == "fasterx_student_bireal" and plain.binary is not None and plain.quant is not None
    assert plain.binary.layers == PATTERNS
    twin = read_toml(folder / "student_hit_uav_bireal.toml", Recipe)
    assert plain.init == f"{twin.out}/last.safetensors" and twin.measures_norms
    taught = read_toml(folder / "student_hit_uav_binary_rbd.toml", Recipe)
    assert taught.distill is not None and taught.distill.method == "rbd"
    assert replace(taught, distill=None, name=plain.name, out=plain.out) == plain


def test_what_a_binary_recipe_cannot_have(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"precision bf16-mixed does not hold .*\[binary\] need 32-true"):
        recipe_of(tmp_path, precision="bf16-mixed")
    with pytest.raises(ConfigError, match=r"binary.layers 'body.\*' fits no convolution"):
        start(recipe_of(tmp_path, binary=Binary(("body.*",))), squares(8), CLASSES)
