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
layers = {{ "neck.down4" = 5 }}
"""
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
    """An ONNX file of random weights that sees objects here and there."""
    path = tmp_path_factory.mktemp("float") / "float.onnx"
    torch.manual_seed(3)
    classes = Flight().classes
    export_onnx(build("fasterx_student", len(classes)), path, (64, 64), classes)
    return path


@pytest.fixture(scope="session")
def write_recipe(float_weights: Path) -> Write:
    """Writes a search recipe and its training recipe into a folder."""

    def write(
        folder: Path, budget: str = "[budget]\nmean_bits = 4.0", top: int = 0, epochs: int = 0, train: str = TRAIN
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
