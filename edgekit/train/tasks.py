"""One door to training: a recipe says by its `task` whether it is of a detector (as ever) or of a classifier."""

from __future__ import annotations

import os
from pathlib import Path

from edgekit.config import dataclass_from_dict, load_toml
from edgekit.errors import ConfigError
from edgekit.train import loop
from edgekit.train.classify import train_classifier
from edgekit.train.classify_recipe import ClassifyRecipe
from edgekit.train.loop import Report
from edgekit.train.recipe import Recipe


def train(
    recipe: Recipe | ClassifyRecipe | str | os.PathLike[str], *, resume: bool = False, progress: Report | None = None
) -> Path:
    """Train what a recipe says; returns the checkpoint.

    Args:
        recipe: a recipe, or the path of its TOML file.
        resume: continue from the checkpoint in the recipe's folder.
        progress: called with (steps done, steps in all, text) after each step.

    Raises:
        ConfigError: the recipe cannot be used, or its folder holds another run already.
        DataError: the data cannot be read, or the loss is not finite.
        TrainingInterrupted: Ctrl-C; a checkpoint was written.
    """
    if not isinstance(recipe, Recipe | ClassifyRecipe):
        recipe = read_recipe(recipe)
    if isinstance(recipe, ClassifyRecipe):
        return train_classifier(recipe, resume=resume, progress=progress)
    return loop.train(recipe, resume=resume, progress=progress)


def read_recipe(path: str | os.PathLike[str]) -> Recipe | ClassifyRecipe:
    """Read the TOML file of a recipe; without `task` it is of a detector.

    Raises:
        ConfigError: see `edgekit.config.read_toml`; or the task is unknown.
    """
    table = load_toml(path)
    task = table.pop("task", "detect")
    if task == "detect":
        return dataclass_from_dict(table, Recipe, os.fspath(path))
    if task == "classify":
        return dataclass_from_dict(table, ClassifyRecipe, os.fspath(path))
    raise ConfigError(f"{os.fspath(path)}: task {task!r} is unknown; choose detect or classify")
