"""Batches from images held in memory: a sample is a function of (seed, epoch, position), whatever the process count."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgekit.data.augment import Labelled, flip_lr, flip_ud, gain_bias, hsv, mixup, mosaic, random_crop
from edgekit.train.losses import Targets
from edgekit.train.recipe import Augment, Recipe


class Batch(NamedTuple):
    """One step's samples of one process.

    Attributes:
        x_nchw: (B, C, H, W) float32, scaled as the recipe's preprocessing scales; infrared is the fourth channel.
        targets: B labels, in network pixels.
        sharp_nchw: (B, C, 2H, 2W) the same pictures at twice the size, of which `x_nchw` is the mean of 2 x 2 pixels;
            None where nothing is to be restored.
    """

    x_nchw: Tensor
    targets: list[Targets]
    sharp_nchw: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        sharp = None if self.sharp_nchw is None else self.sharp_nchw.to(device)
        targets = [Targets(*(value.to(device) for value in t)) for t in self.targets]
        return Batch(self.x_nchw.to(device), targets, sharp)


class Loader:
    """Endless supply of augmented batches.

    Args:
        items: the training set, images in memory.
        extra: rendered samples, mixed in where `full` is not asked for.
        augment: how samples are made.
        seed: with the epoch and the position in it, determines each sample.
        rank: this process's number; it takes every `world`-th sample of each global batch.
        world: number of processes.
        sharp: make samples at twice the size and give that too.
    """

    def __init__(
        self,
        items: Sequence[Labelled],
        augment: Augment,
        seed: int,
        rank: int = 0,
        world: int = 1,
        extra: Sequence[Labelled] = (),
        sharp: bool = False,
    ):
        self.items = items
        self.mixed = [*items, *extra]
        self.augment = augment
        self.seed = seed
        self.rank = rank
        self.world = world
        self.enlarged = 2 if sharp else 1

    def steps(self, batch: int, full: bool) -> int:
        """Steps of one epoch with a global batch of `batch`; the remainder is dropped."""
        return max(1, len(self._pool(full)) // batch)

    def epoch(
        self, epoch: int, batch: int, size_wh: tuple[int, int], full: bool, first_step: int = 0
    ) -> Iterator[Batch]:
        """Batches of one epoch from `first_step` on.

        Args:
            epoch: number of the epoch.
            batch: global batch.
            size_wh: width and height of the samples, pixels.
            full: full frames at nearly their own scale instead of zoomed crops and mosaics.
            first_step: steps to leave out, for a resumed run.
        """
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self._pool(full)))
        made_wh = (self.enlarged * size_wh[0], self.enlarged * size_wh[1])
        for step in range(first_step, self.steps(batch, full)):
            positions = range(step * batch + self.rank, (step + 1) * batch, self.world)
            batch_of = collate if self.enlarged == 1 else collate_sharp
            yield batch_of([self._sample(epoch, p, order, made_wh, full) for p in positions])

    def _sample(self, epoch: int, position: int, order: np.ndarray, size_wh: tuple[int, int], full: bool) -> Labelled:
        rng = np.random.default_rng((self.seed, epoch, position))
        item = self._pool(full)[order[position % len(order)]]
        draw = self._full_frame if full else self._crop
        made = draw(item, size_wh, rng)
        if not full and rng.random() < self.augment.mixup:
            other = self._crop(self._any(rng), size_wh, rng)
            made = mixup(made, other, float(rng.uniform(0.4, 0.6)))
        return recolour(flipped(made, self.augment, rng), self.augment, rng)

    def _crop(self, item: Labelled, size_wh: tuple[int, int], rng: np.random.Generator) -> Labelled:
        scale = (self.enlarged * self.augment.scale[0], self.enlarged * self.augment.scale[1])
        if rng.random() < self.augment.mosaic:
            four = [item, *(self._any(rng) for _ in range(3))]
            return mosaic(four, size_wh, rng, scale, self.augment.stretch)
        return random_crop(item, size_wh, rng, scale, self.augment.stretch)

    def _full_frame(self, item: Labelled, size_wh: tuple[int, int], rng: np.random.Generator) -> Labelled:
        scale = (self.augment.full_scale[0], self.augment.full_scale[1])
        fit = min(size_wh[0] / item.image.shape[1], size_wh[1] / item.image.shape[0])
        return random_crop(item, size_wh, rng, (scale[0] * fit, scale[1] * fit), self.augment.stretch, focus=0.0)

    def _any(self, rng: np.random.Generator) -> Labelled:
        return self.mixed[int(rng.integers(len(self.mixed)))]

    def _pool(self, full: bool) -> Sequence[Labelled]:
        return self.items if full else self.mixed


def full_frames(loader: Loader, recipe: Recipe, count: int) -> Iterator[Tensor]:
    """Network input, (B, C, H, W) each: at least `count` full frames, of an epoch that is never trained on."""
    batch = min(recipe.full_batch, count)
    frames = loader.epoch(recipe.epochs, batch, (recipe.width, recipe.height), full=True)
    return (each.x_nchw for each in itertools.islice(frames, -(-count // batch)))


def flipped(item: Labelled, augment: Augment, rng: np.random.Generator) -> Labelled:
    """Mirror by the recipe's probabilities."""
    if rng.random() < augment.flip_lr:
        item = flip_lr(item)
    if rng.random() < augment.flip_ud:
        item = flip_ud(item)
    return item


def recolour(item: Labelled, augment: Augment, rng: np.random.Generator) -> Labelled:
    """Vary brightness, and the colours of colour images; the infrared plane of a pair varies alike in brightness."""
    gain = 1 + augment.gain * rng.uniform(-1, 1)
    item = gain_bias(item, gain, augment.bias * rng.uniform(-1, 1))
    if item.image.ndim == 3:
        h, s, v = augment.hsv
        item = hsv(item, h * rng.uniform(-1, 1), 1 + s * rng.uniform(-1, 1), 1 + v * rng.uniform(-1, 1))
    return item


def collate(items: Sequence[Labelled]) -> Batch:
    """Stack samples of one size; grey images are repeated over three channels."""
    x_nchw = _stacked(items)
    targets = [
        Targets(torch.from_numpy(i.xyxy), torch.from_numpy(i.class_id), torch.from_numpy(i.ignore_xyxy)) for i in items
    ]
    return Batch(x_nchw.contiguous(memory_format=torch.channels_last), targets)


def collate_sharp(items: Sequence[Labelled]) -> Batch:
    """Stack samples of twice the network's size: the input is the mean of 2 x 2 pixels, so that both are aligned.

    SuperYOLO reduces by bilinear sampling with aligned corners, which shifts by up to half a pixel.
    """
    sharp_nchw = _stacked(items)
    x_nchw = functional.avg_pool2d(sharp_nchw, 2)
    targets = [
        Targets(torch.from_numpy(i.xyxy / 2), torch.from_numpy(i.class_id), torch.from_numpy(i.ignore_xyxy / 2))
        for i in items
    ]
    return Batch(x_nchw.contiguous(memory_format=torch.channels_last), targets, sharp_nchw)


def _stacked(items: Sequence[Labelled]) -> Tensor:
    """(B, C, H, W) float32 in [0, 1]."""
    images = [torch.from_numpy(item.image) for item in items]
    planes = [im.expand(3, -1, -1) if im.ndim == 2 else im.permute(2, 0, 1) for im in images]
    return torch.stack([plane.float() for plane in planes]).mul_(1 / 255)
