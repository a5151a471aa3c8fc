"""The sets that a recipe names, and the training images in memory."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from edgekit.data.augment import Labelled
from edgekit.data.coco import read_coco
from edgekit.data.dataset import Dataset, Sample, load_image
from edgekit.errors import ConfigError, DataError
from edgekit.train.recipe import DataSet, Recipe

Report = Callable[[int, int, str], None]


def open_sets(data: DataSet, seed: int) -> tuple[Dataset, Dataset]:
    """Training and validation set.

    Raises:
        ConfigError: neither labels nor rendered frames are named.
        DataError: labels cannot be read, or the two sets have other classes.
    """
    if not data.train_labels:
        raise ConfigError("the recipe names no training data; set data.train_labels and data.train_images")
    train_set = read_coco(os.path.expandvars(data.train_labels), os.path.expandvars(data.train_images))
    val_set = read_coco(os.path.expandvars(data.val_labels), os.path.expandvars(data.val_images))
    if train_set.classes != val_set.classes:
        raise DataError(
            f"training classes {', '.join(train_set.classes)} are not the validation classes "
            f"{', '.join(val_set.classes)}; give two splits of one dataset"
        )
    return train_set, val_set


def training_items(dataset: Dataset, recipe: Recipe, progress: Report | None = None) -> list[Labelled]:
    """All training images, decoded once."""
    items = []
    for done, sample in enumerate(dataset.samples):
        items.append(labelled(sample, load_image(sample)))
        if progress:
            progress(done + 1, len(dataset), "reading images")
    return items


def labelled(sample: Sample, image_hwc: np.ndarray) -> Labelled:
    """A sample with its pixels; a picture without colour is kept as one plane, a third of the memory."""
    grey = bool((image_hwc == image_hwc[..., :1]).all())
    pixels = np.ascontiguousarray(image_hwc[..., 0]) if grey else image_hwc
    return Labelled(pixels, sample.xyxy, sample.class_id, sample.ignore_xyxy)
