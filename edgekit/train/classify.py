"""The training loop of classifiers."""

from __future__ import annotations

import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import ConfigError, DataError
from edgekit.models.classifiers import export_classifier
from edgekit.quant.binary import alive
from edgekit.train.binarised import begin_epoch
from edgekit.train.classify_recipe import ClassifyRecipe
from edgekit.train.classify_run import ClassifyRun, freeze_from, latest, restore, save, size_of, start
from edgekit.train.interrupt import TrainingInterrupted, stop_requested
from edgekit.train.loop import Report
from edgekit.train.pictures import Pictures, batches, read_pictures, steps_of, tensor_of
from edgekit.train.schedule import learning_rate
from edgekit.train.step import with_taught

log = logging.getLogger(__name__)


def train_classifier(recipe: ClassifyRecipe, *, resume: bool = False, progress: Report | None = None) -> Path:
    """Train what a recipe says; returns the checkpoint, beside which lies the model as `<recipe.name>.onnx`.

    A quantised or binary network has no ONNX file beside it, which would be without its plan: export the checkpoint.

    Args:
        recipe: the run.
        resume: continue from the checkpoint in the recipe's folder.
        progress: called with (steps done, steps in all, text) after each step.

    Raises:
        ConfigError: the recipe cannot be used, or its folder holds another run already.
        DataError: the pictures cannot be read, or the loss is not finite.
        TrainingInterrupted: Ctrl-C; a checkpoint was written.
    """
    if not resume and latest(recipe).exists():
        raise ConfigError(f"{recipe.out} holds a run already; resume it, or delete the folder to start again")
    size_hw = size_of(recipe)
    sets = [read_pictures(folder, size_hw) for folder in (recipe.data.train, recipe.data.val)]
    run = fit_classifier(recipe, sets[0], sets[1], resume=resume, progress=progress)
    if recipe.quant is None and recipe.binary is None:
        onnx = latest(recipe).with_name(f"{recipe.name}.onnx")
        export_classifier(run.ema.module, onnx, size_hw, run.train_set.classes, run.preprocess)
    return latest(recipe)


def fit_classifier(
    recipe: ClassifyRecipe,
    train_set: Pictures,
    val_set: Pictures,
    *,
    resume: bool = False,
    progress: Report | None = None,
) -> ClassifyRun:
    """Train on pictures in memory; the run as it stands at the end.

    Raises:
        DataError: the loss is not finite.
        TrainingInterrupted: Ctrl-C; a checkpoint was written.
    """
    run = start(recipe, train_set, val_set)
    if resume:
        restore(run)
    else:
        _metrics(recipe).unlink(missing_ok=True)
    steps = steps_of(train_set, recipe.batch)
    began = time.monotonic() - run.progress.seconds
    with stop_requested() as stop:
        for epoch in range(run.progress.epoch, recipe.epochs):
            begin_epoch(run.model, epoch, recipe.epochs, run.progress.step_in_epoch)
            freeze_from(run, epoch)
            sums: dict[str, float] = {}
            for x, labels in batches(
                train_set, recipe.batch, recipe.augment, run.preprocess, recipe.seed, epoch, run.progress.step_in_epoch
            ):
                for name, value in {"steps": 1.0, **train_step(run, x, labels, recipe.epochs * steps)}.items():
                    sums[name] = sums.get(name, 0.0) + value
                run.progress.seconds = time.monotonic() - began
                if progress:
                    progress(run.progress.step, recipe.epochs * steps, f"epoch {epoch + 1}/{recipe.epochs}")
                if stop():
                    save(run)
                    raise TrainingInterrupted(
                        f"stopped after step {run.progress.step} of {recipe.epochs * steps}; everything is kept in "
                        f"{latest(recipe)}. Go on with: edgekit train RECIPE --resume"
                    )
            _finish_epoch(run, epoch, sums)
    return run


def train_step(run: ClassifyRun, x_nchw: Tensor, labels: Tensor, total: int) -> dict[str, float]:
    """One optimiser step; each loss by name, and what a distiller says about itself.

    Raises:
        DataError: the loss is not finite; weights are as before the step.
    """
    optim = run.recipe.optim
    lr = learning_rate(run.progress.step, total, peak=optim.lr, warmup=optim.warmup_steps, min_ratio=optim.min_ratio)
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    run.model.train()
    x = x_nchw.to(run.device, memory_format=torch.channels_last)
    taught: dict[str, Tensor] = {}
    if run.teaching is None:
        logits = run.model(x)
    else:
        logits, taught = run.teaching.forward(run.model, x, run.progress, run.recipe.seed, run.recipe.epochs)
    ce = functional.cross_entropy(logits, labels.to(run.device))
    loss, named = with_taught(ce, {"loss": ce.item(), "ce": ce.item()}, taught)
    if not math.isfinite(named["loss"]):
        raise DataError(
            f"the loss became {named['loss']} at step {run.progress.step}; lower optim.lr (now {optim.lr}), then resume"
        )
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if optim.clip_norm:
        nn.utils.clip_grad_norm_(run.model.parameters(), optim.clip_norm)
    run.optimizer.step()
    run.ema.update(run.model)
    run.progress.step += 1
    run.progress.step_in_epoch += 1
    run.progress.ema_updates = run.ema.updates
    return named if run.teaching is None else named | run.teaching.distiller.state()


def accuracy(model: nn.Module, run: ClassifyRun, batch: int = 250) -> float:
    """The share of the validation pictures whose largest logit is the right one."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for begin in range(0, len(run.val_set), batch):
            x = tensor_of(run.val_set.images[begin : begin + batch], run.preprocess).to(run.device)
            labels = torch.from_numpy(run.val_set.labels[begin : begin + batch]).to(run.device)
            right += int((model(x).argmax(dim=1) == labels).sum())
    return right / len(run.val_set)


def _metrics(recipe: ClassifyRecipe) -> Path:
    return Path(recipe.out) / "metrics.jsonl"


def _finish_epoch(run: ClassifyRun, epoch: int, sums: dict[str, float]) -> None:
    """Score if it is time, write the checkpoint, append a line to `metrics.jsonl`."""
    run.progress.epoch, run.progress.step_in_epoch = epoch + 1, 0
    steps = max(1.0, sums.pop("steps", 0.0))
    row: dict[str, Any] = {"epoch": epoch + 1, "step": run.progress.step, "seconds": round(run.progress.seconds, 1)}
    row["lr"] = run.optimizer.param_groups[0]["lr"]
    row |= {name: round(value / steps, 5) for name, value in sums.items()}
    row |= {name: round(share, 4) for name, share in alive(run.model).items()}
    if (epoch + 1) % run.recipe.eval_every == 0 or epoch + 1 == run.recipe.epochs:
        row["top1"] = round(accuracy(run.ema.module, run), 4)
    save(run)
    with open(_metrics(run.recipe), "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    log.info("%s", row)
