"""One optimiser step."""

from __future__ import annotations

import math
from functools import partial

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from edgekit.errors import DataError
from edgekit.train.criterion import total_of
from edgekit.train.loader import Batch
from edgekit.train.once import backward_once
from edgekit.train.run import Run
from edgekit.train.schedule import learning_rate


def train_step(run: Run, batch: Batch, total: int, full: bool) -> dict[str, float]:
    """Forward, assign, backward, step, average; returns each part of the loss by name, and a distiller's as they are.

    Args:
        run: changed in place.
        batch: this process's samples.
        total: steps of the whole run, for the schedule.
        full: whether these are the full frames of the last epochs.

    Raises:
        DataError: the loss is not finite; weights are as before the step.
    """
    _set_learning_rate(run, total)
    batch = batch.to(run.fabric.device)
    named = _gradients_of_all(run, batch, full) if _has_precisions(run) else _gradients(run, batch, full)
    if run.recipe.optim.clip_norm:
        clipped = [*run.model.parameters(), *(run.teaching.distiller.parameters() if run.teaching else ())]
        nn.utils.clip_grad_norm_(clipped, run.recipe.optim.clip_norm, foreach=True)
    run.optimizer.step()
    run.ema.update(run.model)
    run.progress.step += 1
    run.progress.step_in_epoch += 1
    run.progress.ema_updates = run.ema.updates
    return named if run.teaching is None else named | run.teaching.distiller.state()


def _gradients(run: Run, batch: Batch, full: bool) -> dict[str, float]:
    """Backward of a network of one precision, and of what a teacher adds; the losses by name."""
    taught: dict[str, Tensor] = {}
    if run.teaching is None:
        outputs = run.forward(batch.x_nchw)
    else:
        outputs, taught = run.teaching.forward(
            run.model, batch.x_nchw, run.progress, run.recipe.seed, run.recipe.epochs
        )
    terms = run.criterion(outputs, batch, full)
    loss, named = with_taught(*total_of(terms, run.fabric.world_size, partial(_summed, run.fabric)), taught)
    _check_finite(run, named["loss"])
    run.optimizer.zero_grad(set_to_none=True)
    run.fabric.backward(loss)
    return named


def _has_precisions(run: Run) -> bool:
    return run.recipe.quant is not None and bool(run.recipe.quant.precisions)


def _gradients_of_all(run: Run, batch: Batch, full: bool) -> dict[str, float]:
    """The same of a network of many precisions."""
    quant = run.recipe.quant
    assert quant is not None
    run.optimizer.zero_grad(set_to_none=True)
    named = backward_once(run.model, batch, run.criterion, full=full, recursive=quant.recursive, combine=quant.combine)
    _check_finite(run, named["loss"])
    return named


def _check_finite(run: Run, loss: float) -> None:
    if not math.isfinite(loss):
        raise DataError(
            f"the loss became {loss} at step {run.progress.step}; "
            f"lower optim.lr (now {run.recipe.optim.lr}) or check the labels, then resume"
        )


def _set_learning_rate(run: Run, total: int) -> None:
    optim = run.recipe.optim
    lr = learning_rate(run.progress.step, total, peak=optim.lr, warmup=optim.warmup_steps, min_ratio=optim.min_ratio)
    for group in run.optimizer.param_groups:
        group["lr"] = lr


def _summed(fabric: Fabric, values: Tensor) -> Tensor:
    return torch.as_tensor(fabric.all_reduce(values, reduce_op="sum"))


def with_taught(loss: Tensor, named: dict[str, float], taught: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Add a distiller's losses, each a mean over the batch already, to the sum and to the names."""
    for name, value in taught.items():
        loss = loss + value
        named = {**named, name: value.item(), "loss": named["loss"] + value.item()}
    return loss, named
