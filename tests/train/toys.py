"""Toy training runs for the tests of the loop: bright squares on a dark ground, in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgekit.data.augment import Labelled
from edgekit.data.dataset import Dataset
from edgekit.train.recipe import Augment, DataSet, Optim, Recipe

CLASSES = ("square", "bar")


def squares(count: int, seed: int = 0) -> list[Labelled]:
    rng = np.random.default_rng(seed)
    made = []
    for k in range(count):
        image = rng.integers(20, 60, (96, 96)).astype(np.uint8)
        x, y = rng.integers(4, 60, 2)
        wide = 12 if k % 2 else 24
        image[y : y + 24, x : x + wide] = 220
        box = np.array([[x, y, x + wide, y + 24]], np.float32)
        made.append(Labelled(image, box, np.array([k % 2]), np.zeros((0, 4), np.float32)))
    return made


def no_images() -> Dataset:
    return Dataset("none", CLASSES, ())


def toy_recipe(out: Path, **changes: object) -> Recipe:
    recipe = Recipe(
        name="toy",
        model="fasterx_student",
        out=str(out),
        data=DataSet(synth_frames=1),
        height=64,
        width=64,
        crop=64,
        epochs=2,
        full_epochs=1,
        batch=4,
        full_batch=4,
        threads=1,
        device="cpu",
        augment=Augment(),
        optim=Optim(warmup_steps=2, lr=1e-3),
    )
    return replace(recipe, **changes)  # type: ignore[arg-type]
