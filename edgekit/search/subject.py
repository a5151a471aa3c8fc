"""What is searched: the float network of a training recipe, its layers, and the pictures that damage is measured on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import torch
from torch import Tensor

from edgekit.config import read_toml
from edgekit.data.dataset import Dataset
from edgekit.errors import ConfigError, DataError
from edgekit.files import atomic_write, sha256_file, storage_errors
from edgekit.graph.calibrate.images import CalibrationImages, choose_images, prepared
from edgekit.models import DetectorModule, build, network_preprocess
from edgekit.models.cost_trace import NetworkShape, trace
from edgekit.quant import float_twin
from edgekit.quant.lsq import LsqQuantizer, fake_quantize
from edgekit.quant.modules import input_quantizer_of
from edgekit.quant.observers import weight_steps
from edgekit.quant.swap import quant_layers
from edgekit.search.recipe import FLOAT, SearchRecipe
from edgekit.train.datasets import Report, rendered_items, validation_set
from edgekit.train.initial import load_initial
from edgekit.train.quantised import fixed_bits, swapped
from edgekit.train.recipe import Quant, Recipe

Bits = dict[str, int]
"""Layer -> bits of its weights, `FLOAT` where it stays in float."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A float network and what is to be decided about it.

    Attributes:
        training: the training recipe.
        quant: its `[quant]`.
        model: the float network, in eval mode.
        twin: the same with plain convolutions that hold the weights which are quantised: norms folded.
        shape: layers of the network with sizes, in the order in which they run.
        input_bits: quantisable layer -> width of what it reads, `FLOAT` where it reads float.
        fixed: layer -> bits that are not searched.
        searched: names of the layers that are, in the order in which they run.
        folder: of pictures like those in flight.
        images: the pictures of it that damage is measured on.
        validation: scored in the end.
    """

    training: Recipe
    quant: Quant
    model: DetectorModule
    twin: DetectorModule
    shape: NetworkShape
    input_bits: Mapping[str, int]
    fixed: Mapping[str, int]
    searched: tuple[str, ...]
    folder: str
    images: CalibrationImages
    validation: Dataset

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return self.training.height, self.training.width

    def inputs(self) -> Iterator[tuple[str, Tensor]]:
        """(sha256, x_nchw (1, 3, H, W)) of each picture."""
        pictures = prepared(self.images.images, network_preprocess(*self.size_hw))
        for digest, (_, x_nchw) in zip(self.images.sha256, pictures, strict=True):
            yield digest, torch.from_numpy(x_nchw)

    def weight(self, layer: str) -> Tensor:
        """(O, ...) weight of a layer as it is quantised, in float."""
        found: Tensor = self.twin.get_submodule(layer).weight.detach()  # type: ignore[union-attr,operator]
        return found

    def rounded(self, layer: str, bits: int) -> Tensor:
        """The weight of a layer with `bits`, as the first step of fine-tuning has it; `FLOAT` leaves it."""
        weight = self.weight(layer)
        if bits == FLOAT:
            return weight
        quantizer = LsqQuantizer(bits, channels=len(weight))
        steps = weight_steps(weight, quantizer.qmax)
        shaped = steps.reshape(-1, *[1] * (weight.ndim - 1))
        rounded = fake_quantize(weight, shaped, quantizer.qmin, quantizer.qmax)
        return rounded.contiguous(memory_format=torch.channels_last) if rounded.ndim == 4 else rounded

    def widths(self, bits: Mapping[str, int]) -> Bits:
        """Bits of every quantisable layer, in the order in which they run, from those of the searched ones."""
        known = {**self.fixed, **bits}
        return {layer.name: known[layer.name] for layer in self.shape.layers if layer.name in self.input_bits}


def open_subject(recipe: SearchRecipe, progress: Report | None = None) -> Subject:
    """Read the training recipe, its float weights and the pictures.

    Raises:
        ConfigError: the training recipe has no `[quant]` of one width a layer or no `init`, its model has anchors, or
            all its layers have a fixed width.
        ModelError: the float weights are missing or of another network.
        DataError: there are no pictures, or fewer than asked for.
    """
    training = read_toml(recipe.train, Recipe)
    if training.quant is None:
        raise ConfigError(
            f"{recipe.train} has no [quant], so there are no widths to search; add one (docs/training.md)"
        )
    if training.quant.precisions or training.binary:
        raise ConfigError(
            f"{recipe.train} has quant.precisions or [binary]; a search gives each layer one width, so leave them out"
        )
    if not training.init:
        raise ConfigError(f"{recipe.train} has no `init`; a search starts from trained float weights, so name them")
    quant = training.quant
    validation = validation_set(replace(training, out=str(Path(recipe.out) / "data")))
    model = build(training.model, len(validation.classes))
    if model.decode_spec.family != "yolox":
        raise ConfigError(
            f"{recipe.train} trains {training.model}, whose head has anchors; a search measures damage on the outputs "
            "of yolox and fasterx models"
        )
    load_initial(model, Path(training.init))
    model.eval()
    ready = swapped(model, replace(quant, layers={}))
    shape = trace(model, (training.height, training.width))
    input_bits = _input_bits(ready)
    fixed = fixed_bits(model, quant, outer=not recipe.search.outer)
    searched = tuple(layer.name for layer in shape.layers if layer.name in input_bits and layer.name not in fixed)
    if not searched:
        raise ConfigError(f"every layer of {recipe.train} has a fixed width; leave some out of quant.layers")
    twin = float_twin(ready)
    assert isinstance(twin, DetectorModule)
    folder = recipe.calibration or _pictures(training, Path(recipe.out) / "pictures", recipe, progress)
    images = choose_images(folder, recipe.search.images, recipe.search.seed)
    return Subject(training, quant, model, twin.eval(), shape, input_bits, fixed, searched, folder, images, validation)


def digest_of(subject: Subject) -> dict[str, object]:
    """What results depend on beyond the recipes: the float weights and the pictures."""
    return {"init": sha256_file(subject.training.init), "images": list(subject.images.sha256)}


def _input_bits(model: DetectorModule) -> dict[str, int]:
    found = {}
    for name, layer in quant_layers(model).items():
        quantizer = input_quantizer_of(layer)
        found[name] = quantizer.bits if isinstance(quantizer, LsqQuantizer) else FLOAT
    return found


def _pictures(training: Recipe, folder: Path, recipe: SearchRecipe, progress: Report | None) -> str:
    """The folder of the training images; where there is none, of rendered frames that are written there."""
    if training.data.train_images:
        return os.path.expandvars(training.data.train_images)
    count = recipe.search.images
    if training.data.synth_frames < count:
        raise DataError(
            f"search.images asks for {count} pictures and {recipe.train} renders {training.data.synth_frames}; "
            "raise data.synth_frames, or name a folder as `calibration`"
        )
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.glob("*.png"))) != count:
        frames = rendered_items(replace(training.data, synth_frames=count), training.seed, progress)
        for number, frame in enumerate(frames):
            with atomic_write(folder / f"{number:04d}.png") as stream:
                stream.write(cv2.imencode(".png", frame.image)[1].tobytes())
    return str(folder)
