"""The sets that a recipe names: training images in memory, rendered frames, and the validation set."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgekit.data.augment import Labelled
from edgekit.data.coco import read_coco
from edgekit.data.dataset import Dataset, Sample, load_image
from edgekit.data.synth import Flight, SynthFrame, as_hit_uav, hit_uav_flight, samples, write_dataset
from edgekit.errors import DataError
from edgekit.train.recipe import DataSet, Recipe

Report = Callable[[int, int, str], None]

# Worlds of the validation frames are far from those of any training seed.
_VAL_SEED = 900_000
_VAL_WORLDS = 4
_SPACING = 25
_FRAMES_PER_WORLD = 12


class Sets(NamedTuple):
    """What a run trains on and is scored on.

    Attributes:
        items: training samples of every epoch.
        extra: rendered samples, mixed into the crop epochs.
        val: scored; its class names are the model's.
    """

    items: list[Labelled]
    extra: list[Labelled]
    val: Dataset


def open_sets(recipe: Recipe, progress: Report | None = None) -> Sets:
    """Read and render what `recipe.data` names.

    Raises:
        DataError: labels or images cannot be read, or the training and validation classes differ.
    """
    data = recipe.data
    rendered = rendered_items(data, recipe.seed, progress)
    if not data.train_labels:
        return Sets(rendered, [], _validation_set(recipe))
    train_set = read_coco(os.path.expandvars(data.train_labels), os.path.expandvars(data.train_images))
    val_set = _validation_set(recipe)
    if train_set.classes != val_set.classes:
        raise DataError(
            f"the training classes {', '.join(train_set.classes)} are not the validation classes "
            f"{', '.join(val_set.classes)}; give two splits of one dataset"
        )
    return Sets(items_in_memory(train_set, progress), rendered, val_set)


def items_in_memory(dataset: Dataset, progress: Report | None = None) -> list[Labelled]:
    """All images of a dataset, decoded once."""
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


def rendered_items(data: DataSet, seed: int, progress: Report | None = None) -> list[Labelled]:
    """`data.synth_frames` frames of made-up flights, the same for the same seed."""
    thermal = data.synth_kind == "thermal"
    flight = _flight(data, seed * 1000)
    items = []
    for frame in samples(flight, data.synth_frames, _FRAMES_PER_WORLD, infrared=thermal):
        items.append(_rendered(as_hit_uav(frame, flight.classes) if thermal else frame, thermal))
        if progress:
            progress(len(items), data.synth_frames, "rendering frames")
    return items


def _flight(data: DataSet, seed: int) -> Flight:
    return hit_uav_flight(seed) if data.synth_kind == "thermal" else Flight(seed=seed)


def _rendered(frame: SynthFrame, grey: bool) -> Labelled:
    image = np.ascontiguousarray(frame.image_hwc[..., 0]) if grey else frame.image_hwc
    return Labelled(image, frame.xyxy, frame.class_id, frame.ignore_xyxy)


def _validation_set(recipe: Recipe) -> Dataset:
    data = recipe.data
    if data.val_labels:
        return read_coco(os.path.expandvars(data.val_labels), os.path.expandvars(data.val_images))
    folder = Path(recipe.out) / "synth_val"
    thermal = data.synth_kind == "thermal"
    flights = [
        replace(_flight(data, _VAL_SEED + k), frames=_SPACING * data.synth_val_frames // _VAL_WORLDS)
        for k in range(_VAL_WORLDS)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    labels = write_dataset(flights, folder, infrared=thermal, every=_SPACING)
    return read_coco(labels, folder / ("infrared" if thermal else "images"), name="rendered validation set")
