"""A classifier's run under way: what changes while training, how it starts, and how it is kept."""

from __future__ import annotations

import copy
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgekit.errors import ConfigError, DataError, ModelError
from edgekit.graph.load import load_canonical
from edgekit.graph.tidy import tidy
from edgekit.models.classifiers import build_classifier, classifier_preprocess, export_classifier
from edgekit.models.weights import load_weights, read_checkpoint
from edgekit.precision import QuantPlan
from edgekit.process import Preprocess
from edgekit.quant import (
    LayerBits,
    LsqQuantizer,
    QuantConv2d,
    calibrate,
    deployed_twin,
    plan_for_graph,
    plan_of,
    prepare,
    uniform_bits,
)
from edgekit.quant.binary import binary_layers
from edgekit.quant.swap import quant_layers
from edgekit.train.binarised import binarised
from edgekit.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from edgekit.train.classify_recipe import ClassifyRecipe
from edgekit.train.ema import Ema
from edgekit.train.pictures import Pictures, batches
from edgekit.train.recipe import Quant
from edgekit.train.run import make_optimizer
from edgekit.train.teaching import Teaching, start_teaching


@dataclass(slots=True)
class ClassifyRun:
    """Everything that changes while training, and the sets.

    Attributes:
        recipe: what was asked for.
        train_set: trained on.
        val_set: scored.
        preprocess: how pictures become the input.
        device: where the networks are.
        model: trained.
        ema: averaged weights; the weights themselves where the recipe averages nothing.
        optimizer: over the model's parameters.
        progress: where the run stands.
        teaching: the distiller and its teacher, or None.
    """

    recipe: ClassifyRecipe
    train_set: Pictures
    val_set: Pictures
    preprocess: Preprocess
    device: torch.device
    model: nn.Module
    ema: Ema
    optimizer: torch.optim.Optimizer
    progress: Progress
    teaching: Teaching | None = None


def size_of(recipe: ClassifyRecipe) -> tuple[int, int]:
    """Height and width of the network's input."""
    return (recipe.size, recipe.size) if recipe.size else build_classifier(recipe.model, 2).size_hw


def latest(recipe: ClassifyRecipe) -> Path:
    """Where a run of `recipe` keeps its checkpoint."""
    return Path(recipe.out) / "last.safetensors"


def start(recipe: ClassifyRecipe, train_set: Pictures, val_set: Pictures) -> ClassifyRun:
    """Build everything at step 0.

    Raises:
        ConfigError: several processes, or a pattern or layer that the model does not have.
        DataError: the two sets have other classes, or fewer pictures than a batch.
        ModelError: `init` or `teacher` is not a float checkpoint of this model, or a layer could not be deployed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("classifiers train in one process; leave torchrun out")
    if train_set.classes != val_set.classes:
        raise DataError(
            f"the training classes {', '.join(train_set.classes)} are not the validation classes "
            f"{', '.join(val_set.classes)}; give two splits of one set"
        )
    if len(train_set) < recipe.batch:
        raise DataError(f"{len(train_set)} training pictures are less than a batch of {recipe.batch}; lower batch")
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    device = _device(recipe.device)
    preprocess = classifier_preprocess(*size_of(recipe))
    model, teaching, parameters = _networks(recipe, train_set, preprocess)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(parameters, recipe.optim)
    if teaching is not None:
        teaching.to(device)
    ema = Ema(model, recipe.optim.ema)
    return ClassifyRun(recipe, train_set, val_set, preprocess, device, model, ema, optimizer, Progress(), teaching)


def _device(name: str) -> torch.device:
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("device 'cuda' is asked for, and torch finds none; take cpu or auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def _networks(
    recipe: ClassifyRecipe, train_set: Pictures, preprocess: Preprocess
) -> tuple[nn.Module, Teaching | None, Sequence[nn.Parameter]]:
    """What is trained, who teaches it, and the parameters that the optimiser holds."""
    classes = train_set.classes
    model: nn.Module = build_classifier(recipe.model, len(classes))
    example = torch.zeros(1, 3, preprocess.height, preprocess.width)
    if recipe.init:
        load_float(model, Path(recipe.init))
    if recipe.binary is not None:
        model = binarised(model, recipe.binary, example)
    if recipe.quant is not None:
        model = _quantised(model, recipe, recipe.quant, train_set, preprocess)
    if quant_layers(model) or binary_layers(model):
        _check_deployable(model, classes, preprocess)
    if recipe.distill is None:
        return model, None, list(model.parameters())
    teacher: nn.Module = build_classifier(recipe.model, len(classes))
    load_float(teacher, Path(recipe.teacher))
    return model, *start_teaching(recipe.distill, model, teacher, example.repeat(2, 1, 1, 1))


def load_float(model: nn.Module, path: Path) -> None:
    """Put the averaged float weights of a checkpoint into `model`.

    Raises:
        ModelError: the file is missing, damaged, of another network, or was trained quantised or binary.
    """
    tensors, about = read_checkpoint(path)
    if "plan" in about:
        raise ModelError(f"{path} was trained quantised or binary; give the float checkpoint of that network")
    load_weights(model, tensors, "ema.", path)


def _quantised(
    model: nn.Module, recipe: ClassifyRecipe, quant: Quant, train_set: Pictures, preprocess: Preprocess
) -> nn.Module:
    """All layers that are not binary, with first steps from training pictures."""
    ready = prepare(model, torch.zeros(1, 3, preprocess.height, preprocess.width), _bits_rule(model, quant))
    count = min(quant.images, len(train_set))
    pictures = batches(train_set, count, recipe.augment, preprocess, recipe.seed, recipe.epochs)
    calibrate(ready, [next(pictures)[0]], quant.method)
    return ready


def _bits_rule(model: nn.Module, quant: Quant) -> Any:
    plain = [name for name, module in model.named_modules() if type(module) in (nn.Conv2d, nn.Linear)]
    for name in quant.layers:
        if name not in plain:
            raise ConfigError(f"quant.layers names {name!r}, which is no layer with integers; one is {plain[0]}")
    widths = {plain[0]: quant.first, plain[-1]: quant.last, **quant.layers}
    everywhere = uniform_bits(quant.weight, quant.input)

    def rule(name: str, module: nn.Module) -> LayerBits:
        return dataclasses.replace(everywhere(name, module), weight=widths.get(name, quant.weight))

    return rule


def export_trained(model: nn.Module, path: Path, classes: Sequence[str], preprocess: Preprocess) -> QuantPlan:
    """Write a quantised or binary classifier as ONNX in plain layers; its plan, by names of nodes.

    Raises:
        ModelError: a layer would be deployed otherwise than it was trained.
    """
    twin = deployed_twin(model)
    export_classifier(twin, path, (preprocess.height, preprocess.width), classes, preprocess)
    graph = load_canonical(path)
    tidy(graph)
    return plan_for_graph(graph, model)


def _check_deployable(model: nn.Module, classes: Sequence[str], preprocess: Preprocess) -> None:
    """Seconds now, instead of an error after the training; equal steps are told apart, as training will."""
    apart = copy.deepcopy(model)
    inputs = [module for module in apart.modules() if isinstance(module, LsqQuantizer) and not module.channels]
    for index, quantizer in enumerate(inputs):
        quantizer.set_step(quantizer.scale.detach() * (1 + index / 1024))
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        export_trained(apart.eval(), Path(folder) / "network.onnx", classes, preprocess)


def freeze_from(run: ClassifyRun, epoch: int) -> None:
    """From `quant.freeze_epoch` on, layers in integers use running statistics in training too."""
    if run.recipe.quant is None:
        return
    for layer in quant_layers(run.model).values():
        if isinstance(layer, QuantConv2d):
            layer.frozen = epoch >= run.recipe.quant.freeze_epoch


def save(run: ClassifyRun) -> None:
    """Write `last.safetensors`."""
    about: dict[str, Any] = {
        "task": "classify",
        "model": run.recipe.model,
        "classes": list(run.train_set.classes),
        "size_hw": [run.preprocess.height, run.preprocess.width],
        "recipe": dataclasses.asdict(run.recipe),
    }
    if run.recipe.quant is not None or run.recipe.binary is not None:
        about["plan"] = plan_of(run.ema.module).to_json()
    save_checkpoint(latest(run.recipe), run.model, run.ema, run.optimizer, run.progress, about, _adapters(run))


def restore(run: ClassifyRun) -> None:
    """Continue where `last.safetensors` stands; raises `ModelError` when there is none."""
    run.progress = load_checkpoint(latest(run.recipe), run.model, run.ema, run.optimizer, _adapters(run))


def _adapters(run: ClassifyRun) -> nn.Module | None:
    return None if run.teaching is None else run.teaching.distiller
