"""The training loop: `train` reads a recipe and its data, `fit` is the loop itself."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgekit.data.augment import Labelled
from edgekit.data.dataset import Dataset
from edgekit.errors import ConfigError
from edgekit.models import DetectorModule, network_preprocess, onnx_from_checkpoint
from edgekit.quant.binary import alive
from edgekit.train.binarised import begin_epoch
from edgekit.train.datasets import open_sets
from edgekit.train.evaluate import evaluate
from edgekit.train.interrupt import TrainingInterrupted, stop_requested
from edgekit.train.quantised import narrower, one_precision
from edgekit.train.recipe import Recipe
from edgekit.train.run import Run, freeze_from, latest_checkpoint, restore, save, start
from edgekit.train.step import train_step

log = logging.getLogger(__name__)

Report = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Phase:
    """How samples of an epoch are made: crops first, full frames last."""

    size_wh: tuple[int, int]
    batch: int
    full: bool


def phase_of(recipe: Recipe, epoch: int) -> Phase:
    """Crops until the last `full_epochs`, then full frames."""
    if epoch >= recipe.epochs - recipe.full_epochs:
        return Phase((recipe.width, recipe.height), recipe.full_batch, True)
    return Phase((recipe.crop, recipe.crop), recipe.batch, False)


def train(recipe: Recipe, *, resume: bool = False, progress: Report | None = None) -> Path:
    """Train the detector of a recipe; returns the checkpoint, beside which lies the model as `<recipe.name>.onnx`.

    A quantised network has no ONNX file beside it, which would be without its grids: export the checkpoint.

    Args:
        recipe: the run; `edgekit.train.train` reads one from its file.
        resume: continue from the checkpoint in the recipe's folder.
        progress: called with (steps done, steps in all, text) after each step.

    Raises:
        ConfigError: the recipe cannot be used, or its folder holds another run already.
        DataError: the data cannot be read, or the loss is not finite.
        TrainingInterrupted: Ctrl-C; a checkpoint was written.
    """
    if not resume and latest_checkpoint(recipe).exists():
        raise ConfigError(f"{recipe.out} holds a run already; resume it, or delete the folder to start again")
    sets = open_sets(recipe, progress)
    checkpoint = fit(recipe, sets.items, sets.val, extra=sets.extra, resume=resume, progress=progress)
    if os.environ.get("RANK", "0") == "0" and recipe.quant is None and recipe.binary is None:
        onnx_from_checkpoint(checkpoint, checkpoint.with_name(f"{recipe.name}.onnx"))
    return checkpoint


def fit(
    recipe: Recipe,
    items: Sequence[Labelled],
    val_set: Dataset,
    *,
    extra: Sequence[Labelled] = (),
    resume: bool = False,
    progress: Report | None = None,
) -> Path:
    """Train on images in memory.

    Args:
        recipe: the run.
        items: training set.
        val_set: scored every `eval_every` epochs; its class names are the model's.
        extra: rendered samples, mixed into the crop epochs.
        resume: continue from the checkpoint in the recipe's folder.
        progress: see `train`.

    Raises:
        DataError: the loss is not finite.
        TrainingInterrupted: Ctrl-C; a checkpoint was written.
    """
    run = start(recipe, items, val_set.classes, extra)
    if resume:
        restore(run)
    elif run.fabric.is_global_zero:
        _metrics(recipe).unlink(missing_ok=True)
    phases = [phase_of(recipe, epoch) for epoch in range(recipe.epochs)]
    total = sum(run.loader.steps(phase.batch, phase.full) for phase in phases)
    began = time.monotonic() - run.progress.seconds
    with stop_requested() as stop:
        for epoch in range(run.progress.epoch, recipe.epochs):
            phase = phases[epoch]
            begin_epoch(run.model, epoch, recipe.epochs, run.progress.step_in_epoch)
            freeze_from(run, epoch)
            sums: dict[str, float] = {}
            for batch in run.loader.epoch(epoch, phase.batch, phase.size_wh, phase.full, run.progress.step_in_epoch):
                losses = train_step(run, batch, total, full=phase.full)
                run.progress.seconds = time.monotonic() - began
                _accumulate(sums, losses)
                if progress:
                    progress(run.progress.step, total, _text(run, total, losses))
                if _anyone(run, stop()):
                    save(run)
                    raise TrainingInterrupted(
                        f"stopped after step {run.progress.step} of {total}; everything is kept in {run.latest}. "
                        "Go on with: edgekit train RECIPE --resume"
                    )
            _finish_epoch(run, epoch, sums, val_set)
    return run.latest


def _metrics(recipe: Recipe) -> Path:
    return Path(recipe.out) / "metrics.jsonl"


def _anyone(run: Run, asked: bool) -> bool:
    """Whether any process was asked to stop: all have to leave after the same step, or the others wait for ever."""
    if run.fabric.world_size == 1:
        return asked
    flag = torch.tensor(float(asked), device=run.fabric.device)
    return bool(torch.as_tensor(run.fabric.all_reduce(flag, reduce_op="sum")) > 0)


def _finish_epoch(run: Run, epoch: int, sums: dict[str, float], val_set: Dataset) -> None:
    """Score if it is time, write the checkpoint, append a line to `metrics.jsonl`."""
    run.progress.epoch, run.progress.step_in_epoch = epoch + 1, 0
    if run.fabric.is_global_zero:
        row = _row(run, sums)
        if len(val_set) and ((epoch + 1) % run.recipe.eval_every == 0 or epoch + 1 == run.recipe.epochs):
            row |= _scores(run, val_set)
        save(run)
        with open(_metrics(run.recipe), "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        log.info("%s", row)
    run.fabric.barrier()


def _row(run: Run, sums: dict[str, float]) -> dict[str, Any]:
    steps = max(1.0, sums.pop("steps", 0.0))
    done = run.progress
    row: dict[str, Any] = {"epoch": done.epoch, "step": done.step, "seconds": round(done.seconds, 1)}
    row["lr"] = run.optimizer.param_groups[0]["lr"]
    row |= {name: round(value / steps, 5) for name, value in sums.items()}
    return row | {name: round(share, 4) for name, share in alive(run.model).items()}


def _scores(run: Run, val_set: Dataset) -> dict[str, Any]:
    recipe, module = run.recipe, run.ema.module
    assert isinstance(module, DetectorModule)
    preprocess = network_preprocess(recipe.height, recipe.width, module.pictures)
    chosen, everything = evaluate(one_precision(module), val_set, preprocess, recipe.data.score_classes)
    run.progress.best_ap50 = max(run.progress.best_ap50, chosen.ap50)
    per_class = {name: _rounded(score.ap50) for name, score in everything.per_class.items()}
    scores = {"AP": chosen.ap, "AP50": chosen.ap50, "AP_small": chosen.ap_small}
    row: dict[str, Any] = {**{name: _rounded(value) for name, value in scores.items()}, "AP50_per_class": per_class}
    lower = {
        str(bits): evaluate(one, val_set, preprocess, recipe.data.score_classes)[0] for bits, one in narrower(module)
    }
    if lower:
        row["by_bits"] = {bits: {"AP": _rounded(s.ap), "AP50": _rounded(s.ap50)} for bits, s in lower.items()}
    return row


def _rounded(score: float) -> float | None:
    """Four places, and None where no object was there to score: JSON has no NaN."""
    return None if math.isnan(score) else round(score, 4)


def _accumulate(sums: dict[str, float], losses: dict[str, float]) -> None:
    for name, value in {"steps": 1.0, **losses}.items():
        sums[name] = sums.get(name, 0.0) + value


def _text(run: Run, total: int, losses: dict[str, float]) -> str:
    done = run.progress
    left = done.seconds / max(1, done.step) * (total - done.step)
    best = f", AP50 {done.best_ap50:.3f}" if done.best_ap50 >= 0 else ""
    return f"epoch {done.epoch + 1}/{run.recipe.epochs}, loss {losses['loss']:.2f}{best}, {left / 60:.0f} min left"
