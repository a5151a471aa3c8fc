"""The sets that a recipe names: training images in memory, rendered frames, and the validation set."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgekit.data import DatasetSpec, read_dataset
from edgekit.data.augment import Labelled
from edgekit.data.coco import read_coco
from edgekit.data.dataset import Dataset, Sample, load_image, load_infrared
from edgekit.data.pairs import infrared_alone, with_infrared
from edgekit.data.synth import Flight, SynthFrame, as_hit_uav, hit_uav_flight, samples, write_dataset
from edgekit.errors import ConfigError, DataError
from edgekit.models import build
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
        ConfigError: the network looks at colour and infrared, and the rendered frames are of one camera.
        DataError: labels or images cannot be read, an infrared partner is missing, or the training and validation
            classes differ.
    """
    data, pictures = recipe.data, build(recipe.model, 1).pictures
    if data.synth_frames and pictures == "rgb+ir" and data.synth_kind != "pairs":
        raise ConfigError(
            f"{recipe.model} looks at colour and infrared, and data.synth_kind {data.synth_kind!r} has one camera; "
            "choose pairs"
        )
    rendered = rendered_items(data, recipe.seed, progress, pictures)
    if not data.train_labels:
        return Sets(rendered, [], validation_set(recipe))
    train_set = _read(data, data.train_images, data.train_labels, pictures)
    val_set = validation_set(recipe)
    if train_set.classes != val_set.classes:
        raise DataError(
            f"the training classes {', '.join(train_set.classes)} are not the validation classes "
            f"{', '.join(val_set.classes)}; give two splits of one dataset"
        )
    return Sets(items_in_memory(train_set, progress), rendered, val_set)


def items_in_memory(dataset: Dataset, progress: Report | None = None) -> list[Labelled]:
    """All images of a dataset, decoded once; samples with an infrared partner become pairs."""
    items = []
    for done, sample in enumerate(dataset.samples):
        item = labelled(sample, load_image(sample))
        items.append(item if sample.infrared is None else as_pair(item, load_infrared(sample)))
        if progress:
            progress(done + 1, len(dataset), "reading images")
    return items


def labelled(sample: Sample, image_hwc: np.ndarray) -> Labelled:
    """A sample with its pixels; a picture without colour is kept as one plane, a third of the memory."""
    grey = bool((image_hwc == image_hwc[..., :1]).all())
    pixels = np.ascontiguousarray(image_hwc[..., 0]) if grey else image_hwc
    return Labelled(pixels, sample.xyxy, sample.class_id, sample.ignore_xyxy)


def as_pair(item: Labelled, infrared_hw: np.ndarray) -> Labelled:
    """Infrared as a fourth plane beside the three of colour."""
    colour = item.image if item.image.ndim == 3 else np.repeat(item.image[..., None], 3, axis=2)
    return item._replace(image=np.dstack([colour, infrared_hw]))


def rendered_items(data: DataSet, seed: int, progress: Report | None = None, pictures: str = "rgb") -> list[Labelled]:
    """`data.synth_frames` frames of made-up flights, the same for the same seed.

    Args:
        data: how many and of which kind.
        seed: of the worlds.
        progress: called after each frame.
        pictures: which camera's, where the kind is pairs: rgb, ir or rgb+ir.
    """
    thermal, pairs = data.synth_kind == "thermal", data.synth_kind == "pairs"
    flight = _flight(data, seed * 1000)
    items = []
    for frame in samples(flight, data.synth_frames, _FRAMES_PER_WORLD, infrared=thermal or pairs):
        if pairs:
            items.append(seen_in_pair(frame, pictures))
        else:
            items.append(_rendered(as_hit_uav(frame, flight.classes) if thermal else frame, thermal))
        if progress:
            progress(len(items), data.synth_frames, "rendering frames")
    return items


def seen_in_pair(frame: SynthFrame, pictures: str) -> Labelled:
    """What one camera, or both, see of a frame that was rendered with `infrared=True`."""
    assert frame.infrared_hw is not None
    if pictures == "ir":
        return Labelled(frame.infrared_hw, frame.xyxy, frame.class_id, frame.ignore_xyxy)
    item = _rendered(frame, False)
    return item if pictures == "rgb" else as_pair(item, frame.infrared_hw)


def _flight(data: DataSet, seed: int) -> Flight:
    if data.synth_kind == "colour":
        return Flight(seed=seed)
    return replace(hit_uav_flight(seed), one_camera=data.synth_one_camera)


def _read(data: DataSet, images: str, labels: str, pictures: str) -> Dataset:
    """A set with what the network looks at."""
    dataset = read_dataset(DatasetSpec(data.format, os.path.expandvars(images), os.path.expandvars(labels)))
    return _seen(dataset, pictures)


def _seen(dataset: Dataset, pictures: str) -> Dataset:
    if pictures == "rgb+ir":
        return with_infrared(dataset)
    if pictures == "ir":
        return infrared_alone(dataset)
    return replace(dataset, samples=tuple(replace(sample, infrared=None) for sample in dataset.samples))


def _rendered(frame: SynthFrame, grey: bool) -> Labelled:
    image = np.ascontiguousarray(frame.image_hwc[..., 0]) if grey else frame.image_hwc
    return Labelled(image, frame.xyxy, frame.class_id, frame.ignore_xyxy)


def validation_set(recipe: Recipe) -> Dataset:
    """What the recipe scores on: its validation images, or rendered frames that are written to its folder."""
    data, pictures = recipe.data, build(recipe.model, 1).pictures
    if data.val_labels:
        return _read(data, data.val_images, data.val_labels, pictures)
    folder = Path(recipe.out) / "synth_val"
    thermal, pairs = data.synth_kind == "thermal", data.synth_kind == "pairs"
    flights = [
        replace(_flight(data, _VAL_SEED + k), frames=_SPACING * data.synth_val_frames // _VAL_WORLDS)
        for k in range(_VAL_WORLDS)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    labels = write_dataset(flights, folder, infrared=thermal or pairs, every=_SPACING)
    dataset = read_coco(labels, folder / ("infrared" if thermal else "images"), name="rendered validation set")
    return _seen(dataset, pictures) if pairs else dataset
