"""Batch norm over all processes, so that N processes train as one with the whole batch.

torch's SyncBatchNorm needs CUDA; this one is plain tensor algebra over any backend, gloo included.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


class _AllReduceSum(torch.autograd.Function):
    """Sum over processes; the gradient of a sum that everyone reads is the sum of everyone's gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        distributed.all_reduce(total)
        return total


class SyncNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` whose training statistics are those of the global batch; same parameters and buffers."""

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        if not self.training:
            return super().forward(x_nchw)
        x = x_nchw.to(torch.promote_types(x_nchw.dtype, torch.float32))
        count = float(x.numel() // x.shape[1] * distributed.get_world_size())
        mean = _sum_over_all(x.sum(dim=(0, 2, 3))) / count
        centred = x - mean[:, None, None]
        var = _sum_over_all(centred.square().sum(dim=(0, 2, 3))) / count
        self._follow(mean.detach(), var.detach() * (count / (count - 1)))
        gain = self.weight * (var + self.eps).rsqrt()
        return (centred * gain[:, None, None] + self.bias[:, None, None]).to(x_nchw.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, unbiased_var: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased_var, self.momentum)
        self.num_batches_tracked.add_(1)


def _sum_over_all(value: Tensor) -> Tensor:
    total: Tensor = _AllReduceSum.apply(value)
    return total


def synchronise_norms(model: nn.Module) -> None:
    """Replace every `BatchNorm2d` by a `SyncNorm2d` of the same parameters, in place; an optimiser may hold them."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                synced = SyncNorm2d(child.num_features, eps=child.eps, momentum=child.momentum)
                synced.load_state_dict(child.state_dict())
                synced.weight, synced.bias = child.weight, child.bias
                setattr(parent, name, synced)
