"""Pictures with one label each, from a folder with a folder for each class, held in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from edgekit.data.dataset import IMAGE_SUFFIXES
from edgekit.errors import DataError
from edgekit.process import Preprocess


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """A set in memory.

    Attributes:
        classes: names, sorted.
        images: (N, H, W, 3) uint8, BGR, all of one size.
        labels: (N,) int64, index into `classes`.
    """

    classes: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        """How many."""
        return len(self.labels)


def read_pictures(folder: str, size_hw: tuple[int, int]) -> Pictures:
    """Read a folder whose folders are the classes; pictures of another size are resized.

    Raises:
        DataError: the folder has no classes, a class has no picture, or a picture cannot be read.
    """
    root = Path(os.path.expandvars(folder))
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []
    if len(names) < 2:
        raise DataError(f"{folder} has {len(names)} class folders, expected two or more, with pictures in each")
    images: list[np.ndarray] = []
    labels: list[int] = []
    for index, name in enumerate(names):
        paths = sorted(path for path in (root / name).iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not paths:
            raise DataError(f"{root / name} has no pictures; fill it or take it away")
        images += [_read(path, size_hw) for path in paths]
        labels += [index] * len(paths)
    return Pictures(tuple(names), np.stack(images), np.array(labels, np.int64))


def _read(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"cannot read {path}; it is damaged or not a picture")
    if image.shape[:2] == size_hw:
        return image
    return cv2.resize(image, size_hw[::-1], interpolation=cv2.INTER_AREA)


def tensor_of(images: np.ndarray, preprocess: Preprocess) -> Tensor:
    """(N, H, W, 3) uint8 of the network's size -> (N, 3, H, W) float32, normalised as `process.prepare` does."""
    mean, std = (np.asarray(value, np.float32) for value in (preprocess.mean, preprocess.std))
    x = (images[..., ::-1] if preprocess.rgb else images).astype(np.float32) * np.float32(preprocess.scale)
    return torch.from_numpy(np.ascontiguousarray(((x - mean) / std).transpose(0, 3, 1, 2)))


@dataclass(frozen=True, slots=True)
class Shifts:
    """How a training picture is made: padded, cropped back to its size, and mirrored.

    Attributes:
        padding: pixels of grey on each side; the crop is anywhere in there.
        flip: probability of mirroring left and right.
    """

    padding: int = 4
    flip: float = 0.5

    def __post_init__(self) -> None:
        if self.padding < 0 or not 0 <= self.flip <= 1:
            raise ValueError(f"padding {self.padding} must be 0 or more and flip {self.flip} within 0 and 1")


def batches(
    pictures: Pictures, batch: int, shifts: Shifts, preprocess: Preprocess, seed: int, epoch: int, first_step: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Training batches of an epoch, a function of (seed, epoch, position); the remainder is dropped.

    Args:
        pictures: the training set.
        batch: pictures a step.
        shifts: how they are changed.
        preprocess: how they are normalised.
        seed: of order and shifts.
        epoch: its number.
        first_step: steps to leave out, for a resumed run.

    Yields:
        (batch, 3, H, W) float32 and (batch,) int64.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(pictures))
    offsets = random.integers(0, 2 * shifts.padding + 1, (len(pictures), 2))
    flips = random.random(len(pictures)) < shifts.flip
    for step in range(first_step, steps_of(pictures, batch)):
        chosen = order[step * batch : (step + 1) * batch]
        shifted = shifted_pictures(pictures.images[chosen], offsets[chosen], flips[chosen], shifts.padding)
        yield tensor_of(shifted, preprocess), torch.from_numpy(pictures.labels[chosen])


def steps_of(pictures: Pictures, batch: int) -> int:
    """Steps of one epoch."""
    return max(1, len(pictures) // batch)


def shifted_pictures(images: np.ndarray, offsets: np.ndarray, flips: np.ndarray, padding: int) -> np.ndarray:
    """(N, H, W, 3) -> the same shape: padded with grey 114, cropped at `offsets` (N, 2) down and right, mirrored."""
    height, width = images.shape[1:3]
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = np.pad(images, around, constant_values=114)
    made = np.empty_like(images)
    for index, ((top, left), flip) in enumerate(zip(offsets, flips, strict=True)):
        crop = padded[index, top : top + height, left : left + width]
        made[index] = crop[:, ::-1] if flip else crop
    return made
