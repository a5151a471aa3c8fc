"""A run under way: what changes while training, how it starts, and how it is kept."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from edgekit.data.augment import Labelled
from edgekit.errors import ConfigError, DataError
from edgekit.models import DetectorModule, build
from edgekit.quant import freeze_norms, plan_of
from edgekit.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from edgekit.train.criterion import Criterion, criterion_for
from edgekit.train.ema import Ema
from edgekit.train.initial import load_initial, measure_norms
from edgekit.train.loader import Loader, full_frames
from edgekit.train.quantised import binarised_detector, check_deployable, example_of, one_precision, quantised
from edgekit.train.recipe import Optim, Recipe
from edgekit.train.sync_norm import synchronise_norms
from edgekit.train.teaching import Teaching, start_teaching

_NORM_IMAGES = 64


@dataclass(slots=True)
class Run:
    """Everything that changes while training.

    Attributes:
        recipe: what was asked for.
        fabric: devices and processes.
        model: the network itself.
        forward: the same network as Fabric runs it (precision, gradient averaging).
        ema: averaged weights.
        optimizer: over `model`'s parameters.
        loader: training batches.
        criterion: outputs and labels to the loss.
        classes: class names.
        progress: where the run stands.
        teaching: the distiller and its teacher, or None.
    """

    recipe: Recipe
    fabric: Fabric
    model: DetectorModule
    forward: nn.Module
    ema: Ema
    optimizer: torch.optim.Optimizer
    loader: Loader
    criterion: Criterion
    classes: tuple[str, ...]
    progress: Progress
    teaching: Teaching | None = None

    @property
    def latest(self) -> Path:
        """The checkpoint that a resumed run starts from."""
        return latest_checkpoint(self.recipe)


def latest_checkpoint(recipe: Recipe) -> Path:
    """Where a run of `recipe` keeps its checkpoint."""
    return Path(recipe.out) / "last.safetensors"


def start(recipe: Recipe, items: Sequence[Labelled], classes: tuple[str, ...], extra: Sequence[Labelled] = ()) -> Run:
    """Build everything at step 0, from random weights or from `recipe.init`; `extra` is mixed into crop epochs.

    Raises:
        ConfigError: a batch does not divide among the processes, or the recipe quantises or distils in several.
        DataError: there are no training images.
        ModelError: `recipe.init` is not a model of this network, or a layer that is quantised could not be deployed.
    """
    if not items:
        raise DataError("the training set has no images; check the recipe's [data]")
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    fabric = _fabric(recipe)
    _check_processes(recipe, fabric.world_size)
    fabric.seed_everything(recipe.seed, verbose=False)
    sharp = recipe.super_resolution is not None
    loader = Loader(items, recipe.augment, recipe.seed, fabric.global_rank, fabric.world_size, extra, sharp)
    model, teaching, parameters = _networks(recipe, loader, len(classes))
    if fabric.world_size > 1:
        synchronise_norms(model)
    # Before DDP sees it: its buckets keep the strides that parameters have when it is built.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(parameters, recipe.optim)
    forward = fabric.setup_module(model)
    if teaching is not None:
        teaching.to(fabric.device)
    ema = Ema(model, recipe.optim.ema)  # after Fabric has put the model where and in the precision that it runs
    criterion = criterion_for(model, recipe)
    return Run(recipe, fabric, model, forward, ema, optimizer, loader, criterion, classes, Progress(), teaching)


def _check_processes(recipe: Recipe, processes: int) -> None:
    if recipe.batch % processes or recipe.full_batch % processes:
        raise ConfigError(
            f"batch {recipe.batch} and full_batch {recipe.full_batch} must be multiples of the {processes} "
            "processes; change them or --nproc-per-node"
        )
    if processes > 1 and (recipe.quant or recipe.binary or recipe.distill):
        raise ConfigError(
            f"[quant], [binary] and [distill] train in one process, and there are {processes}; leave torchrun out"
        )


def _networks(
    recipe: Recipe, loader: Loader, num_classes: int
) -> tuple[DetectorModule, Teaching | None, Sequence[nn.Parameter]]:
    """What is trained, who teaches it, and the parameters that the optimiser holds."""
    restoring = recipe.super_resolution is not None and recipe.super_resolution.weight > 0
    model = build(recipe.model, num_classes, restoring)
    if recipe.init:
        load_initial(model, Path(recipe.init))
    if recipe.measures_norms:
        measure_norms(model, full_frames(loader, recipe, _NORM_IMAGES))
    student = model
    if recipe.binary is not None:
        student = binarised_detector(model, recipe.binary)
    if recipe.quant is not None:
        student = quantised(student, recipe, recipe.quant, loader)
    elif recipe.binary is not None:
        check_deployable(student)
    if student is model:
        return model, None, list(model.parameters())
    if recipe.distill is None:
        return student, None, list(student.parameters())
    return student, *start_teaching(recipe.distill, student, model, example_of(student, 2))


def _fabric(recipe: Recipe) -> Fabric:
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    strategy = "ddp" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else "auto"
    precision: Any = recipe.precision
    fabric = Fabric(devices=processes, strategy=strategy, precision=precision, accelerator=recipe.device)
    fabric.launch()
    return fabric


def make_optimizer(parameters: Sequence[nn.Parameter], optim: Optim) -> torch.optim.Optimizer:
    """Weight decay on kernels only: batch norms, biases and steps of quantisers are left alone."""
    kernels = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": optim.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if optim.name == "adamw":
        return torch.optim.AdamW(groups, lr=optim.lr, fused=True)
    return torch.optim.SGD(groups, lr=optim.lr, momentum=0.9, nesterov=True)


def freeze_from(run: Run, epoch: int) -> None:
    """From the recipe's `freeze_epoch` on, train the function that is deployed."""
    if run.recipe.quant is not None:
        freeze_norms(run.model, epoch >= run.recipe.quant.freeze_epoch)


def save(run: Run) -> None:
    """Write `last.safetensors`, from the first process only."""
    if not run.fabric.is_global_zero:
        return
    about: dict[str, Any] = {
        "model": run.recipe.model,
        "classes": list(run.classes),
        "size_hw": [run.recipe.height, run.recipe.width],
        "recipe": dataclasses.asdict(run.recipe),
    }
    if run.recipe.quant is not None or run.recipe.binary is not None:
        averaged = run.ema.module
        assert isinstance(averaged, DetectorModule)
        about["plan"] = plan_of(one_precision(averaged)).to_json()
    save_checkpoint(run.latest, run.model, run.ema, run.optimizer, run.progress, about, _adapters(run))


def restore(run: Run) -> None:
    """Continue where `last.safetensors` stands; raises `ModelError` when there is none."""
    run.progress = load_checkpoint(run.latest, run.model, run.ema, run.optimizer, _adapters(run))


def _adapters(run: Run) -> nn.Module | None:
    return None if run.teaching is None else run.teaching.distiller
