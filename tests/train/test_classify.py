"""Runs of classifiers: float, binary, quantised, taught; resumed; exported."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from edgekit.errors import ConfigError, DataError, ModelError
from edgekit.graph.constants import constant_value
from edgekit.graph.load import load_canonical
from edgekit.models.weights import read_checkpoint, task_of
from edgekit.precision import QuantPlan
from edgekit.quant import BinaryConfig
from edgekit.quant.binary import binary_layers
from edgekit.quant.estimators import Schedule
from edgekit.quant.swap import quant_layers
from edgekit.train.binarised import Binary, matching
from edgekit.train.classify import accuracy, fit_classifier, train_classifier
from edgekit.train.classify_recipe import SGD, ClassifyRecipe, Folders
from edgekit.train.classify_run import start
from edgekit.train.interrupt import TrainingInterrupted
from edgekit.train.pictures import Pictures
from edgekit.train.recipe import Distill, Quant
from edgekit.train.tasks import read_recipe, train
from edgekit.train.trained_classifier import classifier_from_checkpoint, export_classifier_checkpoint

BODY = Binary(("stages.*.conv",), BinaryConfig(estimator="dte"))
EIGHT = Quant(images=8, freeze_epoch=1)
UNITS = ["stages.0.1", "stages.1.1", "stages.2.1"]


def spots(count: int, seed: int = 0) -> Pictures:
    """Bright left or right halves, 16 x 16, with noise: two classes that a small network tells apart."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = random.integers(0, 120, (count, 16, 16, 3))
    for image, label in zip(images, labels, strict=True):
        image[:, 8 * label : 8 * label + 8] += 110
    return Pictures(("left", "right"), images.astype(np.uint8), labels.astype(np.int64))


def recipe_of(out: Path, **changes: object) -> ClassifyRecipe:
    recipe = ClassifyRecipe(
        "toy", "resnet8_cifar", str(out), Folders("", ""), size=16, epochs=2, batch=8, device="cpu", threads=1
    )
    # mirrored halves are the other class
    recipe = replace(recipe, augment=replace(recipe.augment, flip=0.0), optim=replace(SGD, lr=0.02))
    return replace(recipe, **changes)  # type: ignore[arg-type]


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "last.safetensors")[0]


def same(first: Path, second: Path) -> bool:
    mine, theirs = tensors(first), tensors(second)
    return mine.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in mine.items())


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    fit_classifier(recipe_of(folder), spots(32), spots(16, 1))
    return folder / "last.safetensors"


def test_a_float_network_learns(tmp_path: Path) -> None:
    run = fit_classifier(recipe_of(tmp_path, epochs=6), spots(64), spots(32, 1))
    scored = rows(tmp_path)
    assert [row["epoch"] for row in scored] == [1, 2, 3, 4, 5, 6]
    assert scored[-1]["top1"] >= 0.9 and scored[-1]["ce"] < 0.6 * scored[0]["ce"]
    assert accuracy(run.model, run) == pytest.approx(scored[-1]["top1"], abs=1e-4)
    assert scored[-1]["lr"] < scored[0]["lr"] <= 0.02


def test_a_binary_network_learns_and_logs_its_gradient(tmp_path: Path) -> None:
    fit_classifier(recipe_of(tmp_path, epochs=6, binary=BODY), spots(64), spots(32, 1))
    last = rows(tmp_path)[-1]
    assert last["top1"] >= 0.9
    shares = {name: value for name, value in last.items() if name.startswith("alive/")}
    assert len(shares) == 12 and all(0 < share <= 1 for share in shares.values())


@pytest.mark.parametrize("quant", [None, EIGHT], ids=["float", "int8"])
def test_interrupted_and_resumed_is_the_same_run(tmp_path: Path, quant: Quant | None, teacher: Path) -> None:
    binary = Binary(BODY.layers, replace(BODY.config, schedule=replace(BODY.config.schedule, t_min=2.0)))
    changes = {
        "binary": binary,
        "quant": quant,
        "teacher": str(teacher),
        "distill": Distill("rbd", {"layers": UNITS}),
        "optim": replace(SGD, lr=0.02, ema=0.9),
    }
    fit_classifier(recipe_of(tmp_path / "a", **changes), spots(32), spots(8, 1))

    def press(done: int, total: int, text: str) -> None:
        if done == 6:
            os.kill(os.getpid(), signal.SIGINT)

    recipe = recipe_of(tmp_path / "b", **changes)
    with pytest.raises(TrainingInterrupted, match="stopped after step 6 of 8"):
        fit_classifier(recipe, spots(32), spots(8, 1), progress=press)
    fit_classifier(recipe, spots(32), spots(8, 1), resume=True)
    assert same(tmp_path / "a", tmp_path / "b")
    assert rows(tmp_path / "a")[-1]["rbd_distance/stages.0.1"] > 0


def test_a_teacher_without_weight_changes_no_bit(tmp_path: Path, teacher: Path) -> None:
    fit_classifier(recipe_of(tmp_path / "plain", binary=BODY), spots(32), spots(8, 1))
    distill = Distill("rbd", {"layers": UNITS, "weight": 0.0})
    taught = recipe_of(tmp_path / "taught", binary=BODY, teacher=str(teacher), distill=distill)
    fit_classifier(taught, spots(32), spots(8, 1))
    assert same(tmp_path / "plain", tmp_path / "taught")
    weight = Distill("rbd", {"layers": UNITS, "weight": 0.5})
    fit_classifier(replace(taught, out=str(tmp_path / "more"), distill=weight), spots(32), spots(8, 1))
    assert not same(tmp_path / "plain", tmp_path / "more")


def test_logits_teach_too(tmp_path: Path, teacher: Path) -> None:
    distill = Distill("rbd", {"layers": UNITS, "kd": 1.0, "temperature": 2.0})
    recipe = recipe_of(tmp_path, epochs=1, binary=BODY, teacher=str(teacher), distill=distill)
    fit_classifier(recipe, spots(32), spots(8, 1))
    row = rows(tmp_path)[0]
    assert row["kd"] > 0 and row["loss"] == pytest.approx(row["ce"] + row["rbd"] + row["kd"], abs=1e-4)


def test_the_checkpoint_is_the_network_and_becomes_onnx(tmp_path: Path) -> None:
    run = fit_classifier(recipe_of(tmp_path, binary=BODY, quant=EIGHT), spots(32), spots(8, 1))
    checkpoint = tmp_path / "last.safetensors"
    assert task_of(checkpoint) == "classify" and task_of(tmp_path / "metrics.jsonl") is None
    model, about = classifier_from_checkpoint(checkpoint)
    x = torch.randn(3, 3, 16, 16)
    assert torch.equal(model(x), run.ema.module.eval()(x))
    assert len(binary_layers(model)) == 6 and len(quant_layers(model)) == 2
    assert about["task"] == "classify" and about["classes"] == ["left", "right"]

    plan, _ = export_classifier_checkpoint(checkpoint, tmp_path / "net.onnx")
    assert plan is not None and plan.layers_by_bits() == {8: 2, 1: 6}
    graph = load_canonical(tmp_path / "net.onnx")
    for name, spec in plan.weights.items():
        if spec.bits == 1:
            node = next(node for node in graph.graph if node.name == name)
            weight = constant_value(node.inputs[1])
            assert np.array_equal(np.abs(weight), np.broadcast_to(spec.scale_array(4), weight.shape))
    assert json.loads({e.key: e.value for e in onnx.load(tmp_path / "net.onnx").metadata_props}["task"]) == "classify"
    assert QuantPlan.from_json(about["plan"]).layers_by_bits() == {8: 2, 1: 6}


def test_a_float_run_leaves_onnx_and_a_binary_one_none(tmp_path: Path) -> None:
    folders = Folders(str(on_disk(tmp_path / "train", 8)), str(on_disk(tmp_path / "val", 4)))
    recipe = recipe_of(tmp_path / "float", epochs=1, data=folders)
    assert train_classifier(recipe) == tmp_path / "float" / "last.safetensors"
    assert (tmp_path / "float" / "toy.onnx").exists()
    with pytest.raises(ConfigError, match="holds a run already"):
        train_classifier(recipe)
    train_classifier(replace(recipe, out=str(tmp_path / "binary"), binary=BODY))
    assert not (tmp_path / "binary" / "toy.onnx").exists()


def on_disk(folder: Path, count: int) -> Path:
    pictures = spots(count)
    for index, (image, label) in enumerate(zip(pictures.images, pictures.labels, strict=True)):
        place = folder / pictures.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{index}.png"), image)
    return folder


def test_a_recipe_with_its_task_is_read_and_trained(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    recipe = recipe_of(tmp_path / "run", epochs=1, binary=BODY)
    folders = (on_disk(tmp_path / "train", 8), on_disk(tmp_path / "val", 4))
    path.write_text(
        f'task = "classify"\nname = "toy"\nmodel = "resnet8_cifar"\nout = "{recipe.out}"\nsize = 16\nepochs = 1\n'
        f'batch = 8\nthreads = 1\n[data]\ntrain = "{folders[0]}"\nval = "{folders[1]}"\n'
        '[binary]\nlayers = ["stages.*.conv"]\n[binary.config]\nestimator = "ede"\n'
        "[binary.config.schedule]\nt_min = 0.01\n"
    )
    read = read_recipe(path)
    assert isinstance(read, ClassifyRecipe) and read.binary is not None
    assert read.binary.config.estimator == "ede" and read.binary.config.schedule.t_min == 0.01
    assert train(path) == Path(recipe.out) / "last.safetensors"


def test_the_recipe_in_the_checkout_is_one() -> None:
    path = Path(__file__).parents[2] / "recipes" / "resnet20_cifar_binary.toml"
    recipe = read_recipe(path)
    assert isinstance(recipe, ClassifyRecipe) and recipe.quant is not None and recipe.optim == SGD
    assert recipe.binary == Binary(("stages.*.conv",), replace(BinaryConfig(), schedule=Schedule(1e-3, 10.0)))


def test_an_unknown_task_names_the_choices(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('task = "segment"\n')
    with pytest.raises(ConfigError, match=r"task 'segment' is unknown; choose detect or classify"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "fasterx_student"}, r"model 'fasterx_student' is no classifier; choose one of resnet18, "),
        ({"epochs": 0}, "epochs 0 must be 1 or more"),
        ({"batch": 1}, "batch 1 must be 2 or more"),
        ({"device": "tpu"}, "device 'tpu' is unknown"),
        ({"teacher": "x"}, r"teacher and \[distill\] come together"),
        ({"quant": Quant(freeze_epoch=2)}, "quant.freeze_epoch 2 must be below epochs 2"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe_of(tmp_path, **changes)


def test_binary_needs_layers() -> None:
    with pytest.raises(ValueError, match="binary.layers is empty"):
        Binary(())
    assert matching(["a.conv", "a.skip", "b.conv"], ["*.conv"]) == {"a.conv", "b.conv"}


def test_what_a_run_cannot_start_with(tmp_path: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, pictures = recipe_of(tmp_path), spots(16)
    with pytest.raises(ConfigError, match=r"binary.layers 'body.\*' fits no convolution of this model"):
        start(replace(recipe, binary=Binary(("body.*",))), pictures, pictures)
    with pytest.raises(ConfigError, match=r"quant.layers names 'stages.0.0.conv', which is no layer with integers"):
        quant = replace(EIGHT, layers={"stages.0.0.conv": 4})
        start(replace(recipe, binary=BODY, quant=quant), pictures, pictures)
    with pytest.raises(DataError, match="are not the validation classes"):
        start(recipe, pictures, replace(pictures, classes=("up", "down")))
    with pytest.raises(DataError, match="4 training pictures are less than a batch of 8"):
        start(recipe, spots(4), pictures)
    with pytest.raises(ModelError, match="is of another network"):
        start(replace(recipe, model="resnet20_cifar", init=str(teacher)), pictures, pictures)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="classifiers train in one process"):
        start(recipe, pictures, pictures)


def test_a_binary_checkpoint_is_no_float_start(tmp_path: Path) -> None:
    fit_classifier(recipe_of(tmp_path, epochs=1, binary=BODY), spots(16), spots(8, 1))
    recipe = recipe_of(tmp_path / "next", init=str(tmp_path / "last.safetensors"))
    with pytest.raises(ModelError, match="was trained quantised or binary; give the float checkpoint"):
        start(recipe, spots(16), spots(8, 1))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the loss became .* lower optim.lr \(now 1e\+30\)"):
        fit_classifier(recipe_of(tmp_path, optim=replace(SGD, lr=1e30)), spots(32), spots(8, 1))
