"""Exponential moving average of the weights: what is evaluated and shipped."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn


class Ema:
    """Averaged copy of a model; decay ramps up so that early, bad weights are forgotten.

    Args:
        model: the model to follow.
        decay: the limit of the decay.
        ramp: updates after which the decay is about two thirds of its limit.
    """

    def __init__(self, model: nn.Module, decay: float, ramp: int = 1000):
        self.module = copy.deepcopy(model).eval()
        self.module.requires_grad_(False)
        self.decay = decay
        self.ramp = ramp
        self.updates = 0

    def decay_now(self) -> float:
        """Decay of the latest update."""
        return self.decay * (1 - math.exp(-self.updates / self.ramp))

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards `model`; integer buffers are copied."""
        self.updates += 1
        mine = list(self.module.state_dict().values())
        theirs = list(model.state_dict().values())
        floats = [i for i, tensor in enumerate(mine) if tensor.is_floating_point()]
        torch._foreach_lerp_([mine[i] for i in floats], [theirs[i] for i in floats], 1 - self.decay_now())
        for i in set(range(len(mine))) - set(floats):
            mine[i].copy_(theirs[i])
