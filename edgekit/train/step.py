"""One optimiser step."""

from __future__ import annotations

import math

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from edgekit.errors import DataError
from edgekit.train.loader import Batch
from edgekit.train.run import Run
from edgekit.train.schedule import learning_rate


def train_step(run: Run, batch: Batch, total: int, use_l1: bool) -> dict[str, float]:
    """Forward, assign, backward, step, average; returns each loss per positive cell, and a distiller's as they are.

    Args:
        run: changed in place.
        batch: this process's samples.
        total: steps of the whole run, for the schedule.
        use_l1: add the L1 box loss.

    Raises:
        DataError: the loss is not finite; weights are as before the step.
    """
    _set_learning_rate(run, total)
    batch = batch.to(run.fabric.device)
    taught: dict[str, Tensor] = {}
    if run.teaching is None:
        maps = run.forward(batch.x_nchw)
    else:
        maps, taught = run.teaching.forward(run.model, batch.x_nchw, run.progress, run.recipe)
    loss, named = with_taught(*normalised(run.fabric, run.loss(maps, batch.targets, use_l1)), taught)
    if not math.isfinite(named["loss"]):
        raise DataError(
            f"the loss became {named['loss']} at step {run.progress.step}; "
            f"lower optim.lr (now {run.recipe.optim.lr}) or check the labels, then resume"
        )
    run.optimizer.zero_grad(set_to_none=True)
    run.fabric.backward(loss)
    if run.recipe.optim.clip_norm:
        clipped = [*run.model.parameters(), *(run.teaching.distiller.parameters() if run.teaching else ())]
        nn.utils.clip_grad_norm_(clipped, run.recipe.optim.clip_norm, foreach=True)
    run.optimizer.step()
    run.ema.update(run.model)
    run.progress.step += 1
    run.progress.step_in_epoch += 1
    run.progress.ema_updates = run.ema.updates
    return named if run.teaching is None else named | run.teaching.distiller.state()


def _set_learning_rate(run: Run, total: int) -> None:
    optim = run.recipe.optim
    lr = learning_rate(run.progress.step, total, peak=optim.lr, warmup=optim.warmup_steps, min_ratio=optim.min_ratio)
    for group in run.optimizer.param_groups:
        group["lr"] = lr


def normalised(fabric: Fabric, sums: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """The loss to step on, and each part as a number.

    Sums are divided by the positives of *all* processes. Gradients are averaged over processes, so that the loss is
    multiplied by their number: the step is then that of one process with the whole batch.
    """
    parts = [name for name in sums if name != "positives"]
    values = torch.stack([sums[name].detach() for name in (*parts, "positives")])
    if fabric.world_size > 1:
        values = torch.as_tensor(fabric.all_reduce(values, reduce_op="sum"))
    positives = values[-1].clamp(min=1.0)
    loss = torch.stack([sums[name] for name in parts]).sum() * (fabric.world_size / positives)
    named: dict[str, float] = dict(zip(parts, (values[:-1] / positives).tolist(), strict=True))
    return loss, {"loss": sum(named.values()), **named}


def with_taught(loss: Tensor, named: dict[str, float], taught: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Add a distiller's losses, each a mean over the batch already, to the sum and to the names."""
    for name, value in taught.items():
        loss = loss + value
        named = {**named, name: value.item(), "loss": named["loss"] + value.item()}
    return loss, named
