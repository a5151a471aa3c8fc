"""Checkpoints: one safetensors file with weights, averaged weights and optimiser state; progress is JSON inside it.

No pickle: opening a checkpoint runs no code. Tensors are named `model.*`, `ema.*`, `optim.<parameter>.<state>`, and
`adapters.*` where a distiller has some; the metadata key `edgekit` holds the rest.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from edgekit.files import atomic_write
from edgekit.models.weights import load_weights, read_checkpoint
from edgekit.train.ema import Ema


@dataclass(slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        epoch: the epoch that is under way.
        step_in_epoch: its steps that are done.
        step: steps done since the start.
        ema_updates: updates of the averaged weights.
        best_ap50: best score so far, -1 before the first evaluation.
        seconds: training time so far, all sittings together.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    ema_updates: int = 0
    best_ap50: float = -1.0
    seconds: float = 0.0


def save_checkpoint(
    path: Path,
    model: nn.Module,
    ema: Ema,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    about: dict[str, Any],
    adapters: nn.Module | None = None,
) -> None:
    """Write everything that a resumed run needs, atomically.

    Args:
        path: the file; its folder is made.
        model: the trained weights, not the averaged ones.
        ema: the averaged weights.
        optimizer: its state per parameter.
        progress: where the run stands.
        about: JSON values kept with it: model name, classes, recipe.
        adapters: a distiller, whose weights are trained and never exported.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in ema.module.state_dict().items()}
    if adapters is not None:
        tensors |= {f"adapters.{name}": value for name, value in adapters.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optim.{index}.{key}": value for key, value in state.items() if isinstance(value, Tensor)}
    note = json.dumps({"progress": dataclasses.asdict(progress), **about})
    # Contiguous copies: safetensors refuses channels-last strides and shared storage.
    whole = {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(save(whole, metadata={"edgekit": note}))


def load_checkpoint(
    path: Path, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer, adapters: nn.Module | None = None
) -> Progress:
    """Put a checkpoint into `model`, `ema`, `optimizer` and `adapters`; return where the run stood.

    Raises:
        ModelError: the file is missing, damaged, or of another network.
    """
    tensors, about = read_checkpoint(path)
    load_weights(model, tensors, "model.", path)
    load_weights(ema.module, tensors, "ema.", path)
    if adapters is not None:
        load_weights(adapters, tensors, "adapters.", path)
    _load_optimizer(optimizer, tensors)
    progress = Progress(**about["progress"])
    ema.updates = progress.ema_updates
    return progress


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optim."):
            _, index, key = name.split(".", 2)
            parameter = parameters[int(index)]
            # Fused optimisers walk parameter and moments by memory order: the strides have to be the parameter's.
            if value.shape == parameter.shape:
                value = torch.empty_like(parameter).copy_(value)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
