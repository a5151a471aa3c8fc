"""A search of the smallest network on rendered pictures, from random float weights."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from edgekit.config import read_toml
from edgekit.data.synth import Flight
from edgekit.models import build, export_onnx
from edgekit.search.journal import Journal, open_journal
from edgekit.search.recipe import SearchRecipe
from edgekit.search.subject import Subject, open_subject

TRAIN = """
name = "toy"
model = "fasterx_student"
out = "{folder}/runs/toy"
init = "{init}"
height = 64
width = 64
crop = 64
epochs = 2
full_epochs = 1
batch = 2
full_batch = 2
threads = 1
device = "cpu"

[data]
synth_frames = 2
synth_kind = "colour"
synth_val_frames = 4

[quant]
images = 2
last = 7

[quant.layers]
"backbone.dark2" = 4
"backbone.dark3" = 4
"backbone.dark4" = 4
"backbone.dark5" = 4
"neck.down4" = 5
"head.levels.0" = 4
"head.levels.2" = 4
"""
"""Leaves nine layers to search: six of the neck and three of the head."""

SEARCH = """
name = "toy"
train = "{folder}/train.toml"
out = "{folder}/out"
threads = 1
{budget}

[search]
methods = ["sensitivity", "hq", "hq-solved", "uniform"]
bits = [2, 4, 8]
images = 2
combinations = 3
points = 4

[finetune]
top = {top}
epochs = {epochs}
full_epochs = {epochs}
lowerings = ["ort-x86"]
runs = 2
"""

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def float_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file of random weights."""
    path = tmp_path_factory.mktemp("float") / "float.onnx"
    write_float(path)
    return path


def write_float(path: Path) -> None:
    """Random weights with biases that differ: the exporter writes equal ones once."""
    torch.manual_seed(3)
    classes = Flight().classes
    model = build("fasterx_student", len(classes))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, std=0.1)
    export_onnx(model, path, (64, 64), classes)


@pytest.fixture(scope="session")
def write_recipe(float_weights: Path) -> Write:
    """Writes a search recipe and its training recipe into a folder."""

    def write(
        folder: Path, budget: str = "[budget]\nmean_bits = 4.5", top: int = 0, epochs: int = 0, train: str = TRAIN
    ) -> Path:
        (folder / "train.toml").write_text(train.format(folder=folder, init=float_weights))
        path = folder / "search.toml"
        path.write_text(SEARCH.format(folder=folder, budget=budget, top=top, epochs=epochs))
        return path

    return write


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory, write_recipe: Write) -> tuple[SearchRecipe, Subject, Journal]:
    """A search recipe, its subject, and an empty journal."""
    folder = tmp_path_factory.mktemp("search")
    recipe = read_toml(write_recipe(folder), SearchRecipe)
    return recipe, open_subject(recipe), open_journal(folder / "journal", {}, False)
