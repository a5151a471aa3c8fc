"""Runs that quantise, and runs that distil."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgekit.errors import ConfigError, ModelError
from edgekit.models import build, export_onnx, from_checkpoint
from edgekit.models.weights import read_checkpoint
from edgekit.precision import QuantPlan
from edgekit.quant.modules import input_quantizer_of
from edgekit.quant.swap import quant_layers
from edgekit.train.interrupt import TrainingInterrupted
from edgekit.train.loop import fit, train
from edgekit.train.quantised import bits_rule
from edgekit.train.recipe import Distill, Optim, Quant, Recipe
from edgekit.train.run import _check_processes, freeze_from, start
from edgekit.train.trained import network_from_checkpoint
from tests.train.toys import CLASSES, no_images, squares, toy_recipe

GHOST = Distill("ghost", {"layers": ["backbone.dark3", "neck.smooth4"], "width": 16})
FOUR = Quant(weight=4, images=4, freeze_epoch=1)


@pytest.fixture(scope="module")
def float_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float checkpoint after eight steps."""
    return fit(toy_recipe(tmp_path_factory.mktemp("float")), squares(16), no_images())


def recipe_of(out: Path, float_run: Path, distill: Distill | None = None, quant: Quant = FOUR) -> Recipe:
    return toy_recipe(out, init=str(float_run), quant=quant, distill=distill)


def same(first: Path, second: Path) -> bool:
    mine, theirs = read_checkpoint(first)[0], read_checkpoint(second)[0]
    return mine.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in mine.items())


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("distill", [None, GHOST], ids=["lsq", "ghost"])
def test_interrupted_and_resumed_is_the_same_run(tmp_path: Path, float_run: Path, distill: Distill | None) -> None:
    """Stopped in the epoch of live batch norms, resumed into the frozen one."""
    items = squares(16)
    straight = fit(recipe_of(tmp_path / "a", float_run, distill), items, no_images())

    def press(done: int, total: int, text: str) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    recipe = recipe_of(tmp_path / "b", float_run, distill)
    with pytest.raises(TrainingInterrupted, match="stopped after step 3 of 8"):
        fit(recipe, items, no_images(), progress=press)
    assert same(straight, fit(recipe, items, no_images(), resume=True))
    adapters = [name for name in read_checkpoint(straight)[0] if name.startswith("adapters.")]
    assert bool(adapters) == (distill is not None)


def test_the_losses_of_the_teacher_are_in_the_log(tmp_path: Path, float_run: Path) -> None:
    fit(recipe_of(tmp_path, float_run, GHOST), squares(16), no_images())
    for row in rows(tmp_path):
        assert row["ost"] > 0
        assert row["loss"] == pytest.approx(
            row["ost"] + row["box"] + row["obj"] + row["cls"] + row.get("l1", 0), abs=1e-3
        )
        assert 0 <= row["open_rate/neck.smooth4"] <= 1


def test_steps_and_adapters_learn_and_the_teacher_does_not(tmp_path: Path, float_run: Path) -> None:
    run = start(recipe_of(tmp_path, float_run, GHOST), squares(16), CLASSES)
    assert run.teaching is not None
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    taught = {name: value.clone() for name, value in run.teaching.teacher.state_dict().items()}
    adapters = {name: value.clone() for name, value in run.teaching.distiller.state_dict().items()}
    fit(recipe_of(tmp_path, float_run, GHOST), squares(16), no_images())
    after = read_checkpoint(tmp_path / "last.safetensors")[0]
    step = "backbone.dark3.0.conv.weight_quantizer.step"
    assert not torch.equal(after[f"model.{step}"], before[step])
    assert not torch.equal(after["adapters.gates.0.key.0.weight"], adapters["gates.0.key.0.weight"])
    kernel = "backbone.dark3.0.conv.weight"
    assert torch.equal(read_checkpoint(float_run)[0][f"ema.{kernel}"], taught[kernel])


def test_batch_norms_stand_still_from_their_epoch_on(tmp_path: Path, float_run: Path) -> None:
    run = start(recipe_of(tmp_path, float_run), squares(16), CLASSES)
    for epoch, frozen in ((0, False), (1, True)):
        freeze_from(run, epoch)
        assert {layer.frozen for layer in quant_layers(run.model).values()} == {frozen}  # type: ignore[union-attr]


def test_the_checkpoint_rebuilds_the_network_that_was_averaged(tmp_path: Path, float_run: Path) -> None:
    checkpoint = fit(recipe_of(tmp_path, float_run), squares(16), no_images())
    model, about = network_from_checkpoint(checkpoint)
    plan = QuantPlan.from_json(about["plan"])
    widths = {spec.bits for spec in plan.weights.values()}
    assert widths == {4, 8} and plan.layers_by_bits()[8] == 10  # the stem, and three predictors at three levels
    tensors, _ = read_checkpoint(checkpoint)
    for name, value in model.state_dict().items():
        assert torch.equal(value, tensors[f"ema.{name}"])
    with pytest.raises(ModelError, match="was trained quantised and is no float network"):
        from_checkpoint(checkpoint)
    with pytest.raises(ModelError, match="was trained quantised; start from the float checkpoint"):
        start(recipe_of(tmp_path / "again", checkpoint), squares(4), CLASSES)


def test_a_finished_run_leaves_no_float_file_to_mistake_for_it(tmp_path: Path, float_run: Path) -> None:
    recipe = toy_recipe(tmp_path, epochs=1, full_epochs=0, batch=2, quant=Quant(images=2))
    recipe = replace(recipe, data=replace(recipe.data, synth_frames=2, synth_val_frames=2))
    train(recipe)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.safetensors", "metrics.jsonl", "synth_val"]
    assert "AP50" in rows(tmp_path)[-1]


def test_widths_by_name() -> None:
    model = build("fasterx_student", 2)
    rule = bits_rule(model, Quant(weight=4, first=7, last=6, layers={"neck": 5, "neck.smooth4": 3}))
    modules = dict(model.named_modules())
    expected = {
        "backbone.stem.conv.conv": 7,
        "backbone.dark3.0.conv": 4,
        "neck.laterals.0.conv": 5,
        "neck.smooth4.conv": 3,
        "head.levels.1.predict.cls": 6,
    }
    assert {name: rule(name, modules[name]).weight for name in expected} == expected
    with pytest.raises(ConfigError, match=r"quant.layers names 'nek', .* one is backbone.stem.conv.conv"):
        bits_rule(model, Quant(layers={"nek": 4}))


def test_a_layer_of_the_teacher_that_does_not_exist(tmp_path: Path, float_run: Path) -> None:
    wrong = Distill("ghost", {"layers": ["backbone.dark9"]})
    with pytest.raises(ModelError, match="has no module 'backbone.dark9' to tap; did you mean"):
        start(recipe_of(tmp_path, float_run, wrong), squares(4), CLASSES)


def test_layers_without_an_integer_kernel_read_float() -> None:
    rule = bits_rule(build("fasterx_student", 2), Quant(weight=4, input=6))
    assert rule("backbone.dark2.0.conv", torch.nn.Conv2d(3, 17, 3)).input is None
    assert rule("backbone.dark2.0.conv", torch.nn.Conv2d(16, 32, 3)).input == 6


def test_an_encoder_reads_on_the_grid_of_its_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They read one tensor where they are deployed; equal first steps alone would hide that until the export."""
    recipe = toy_recipe(tmp_path, quant=Quant(images=2))
    layers = quant_layers(start(recipe, squares(4), CLASSES).model)
    for level, neighbour in (("0", "neck.down3.conv"), ("1", "neck.down4.conv")):
        encoder = layers[f"head.levels.{level}.encode.conv.conv"]
        assert input_quantizer_of(encoder) is input_quantizer_of(layers[neighbour])
    monkeypatch.setattr("edgekit.train.quantised.share_through_encoders", lambda model: None)
    with pytest.raises(ModelError, match="on different grids"):
        start(recipe, squares(4), CLASSES)


def test_one_process_alone(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"\[quant\], \[binary\] and \[distill\] train in one process, and there are 2"
    ):
        _check_processes(toy_recipe(tmp_path, quant=Quant()), 2)


def test_a_run_starts_from_the_folded_weights_of_an_onnx_file(tmp_path: Path, float_run: Path) -> None:
    model, _ = from_checkpoint(float_run)
    export_onnx(model, tmp_path / "toy.onnx", (64, 64), CLASSES)
    recipe = recipe_of(tmp_path / "run", tmp_path / "toy.onnx", GHOST, Quant(images=4))
    run = start(replace(recipe, optim=Optim(lr=0.0)), squares(16), CLASSES)
    assert run.teaching is not None
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(run.teaching.teacher.eval()(x), model(x), rtol=1e-4, atol=1e-4)
        freeze_from(run, 0)
        trained, deployed = run.model.train().head(run.model.features(x)), run.model.eval().head(run.model.features(x))
    for mine, theirs in zip(trained, deployed, strict=True):
        assert torch.equal(mine[:, :4], theirs[:, :4])  # boxes have no sigmoid in either mode


def test_init_files_that_are_none(tmp_path: Path) -> None:
    quant = Quant(images=2)
    with pytest.raises(ModelError, match="no model at .*none.onnx"):
        start(recipe_of(tmp_path, tmp_path / "none.onnx", quant=quant), squares(4), CLASSES)
    (tmp_path / "bad.onnx").write_bytes(b"\xff\xff\xff")
    with pytest.raises(ModelError, match="bad.onnx is not ONNX"):
        start(recipe_of(tmp_path, tmp_path / "bad.onnx", quant=quant), squares(4), CLASSES)
    export_onnx(build("yolox_nano", 2), tmp_path / "other.onnx", (64, 64), CLASSES)
    with pytest.raises(ModelError, match=r"is of another network: it has weights .* expected .*; give the recipe"):
        start(recipe_of(tmp_path, tmp_path / "other.onnx", quant=quant), squares(4), CLASSES)
