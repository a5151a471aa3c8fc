"""DoReFa quantisers, as GHOST trains with them.

S. Zhou et al., "DoReFa-Net", arXiv 1606.06160; GHOST (Zhang et al., TGRS 2023). With Q_b(u) = round(u (2^b - 1)) /
(2^b - 1), whose gradient is taken as 1:

    weights       t = tanh(w),  v = t / (2 max|t|) + 1/2,  w' = 2 Q_b(v) - 1          2 <= b <= 8
                  w' = sign(w) mean|w|                                                b = 1
    activations   a' = Q_b(clip(a, 0, 1)), gradient 0 outside [0, 1]

max|t| and mean|w| are taken over the whole tensor and carry no gradient. w' fills [-1, 1] whatever the size of w, so a
batch norm has to follow; and 2^b - 1 is odd, so 0 is not among the levels. That is not the grid of
`edgekit.precision`: a network trained so is for comparison with GHOST, not for export, and `plan_of` refuses it.

Differs from the paper: 2 <= b <= 8 or 32 for activations, and gradients are not quantised (GHOST does neither).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FLOAT = 32
"""The width at which both functions return their argument."""


class DorefaWeight(nn.Module):
    """`dorefa_weight` as a module."""

    def __init__(self, bits: int):
        super().__init__()
        self.bits = _checked(bits, least=1)

    def forward(self, weight: Tensor) -> Tensor:
        """Any shape -> the same shape, in [-1, 1] (2 to 8 bits)."""
        return dorefa_weight(weight, self.bits)


class DorefaActivation(nn.Module):
    """`dorefa_activation` as a module."""

    def __init__(self, bits: int):
        super().__init__()
        self.bits = _checked(bits, least=2)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape, in [0, 1]."""
        return dorefa_activation(x, self.bits)


def dorefa_weight(weight: Tensor, bits: int) -> Tensor:
    """The weights, any shape, on at most 2^bits levels; 32 bits returns them as they are."""
    if _checked(bits, least=1) == FLOAT:
        return weight
    if bits == 1:
        mean = weight.detach().abs().mean()
        return _straight_through(weight, torch.where(weight >= 0, mean, -mean))
    t = weight.tanh()
    largest = t.detach().abs().max()
    unit = t / (2 * torch.where(largest > 0, largest, torch.ones_like(largest))) + 0.5
    return 2 * _rounded(unit, bits) - 1


def dorefa_activation(x: Tensor, bits: int) -> Tensor:
    """The activations, any shape, on 2^bits levels in [0, 1]; 32 bits returns them as they are."""
    return x if _checked(bits, least=2) == FLOAT else _rounded(x.clamp(0, 1), bits)


def _rounded(unit: Tensor, bits: int) -> Tensor:
    steps = 2**bits - 1
    return _straight_through(unit, (unit * steps).round() / steps)


def _straight_through(x: Tensor, value: Tensor) -> Tensor:
    """`value` forward, the gradient of `x` backward."""
    result: Tensor = _StraightThrough.apply(x, value)
    return result


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor, value: Tensor) -> Tensor:
        return value.detach().clone()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def _checked(bits: int, least: int) -> int:
    if bits != FLOAT and not least <= bits <= 8:
        raise ValueError(f"bits is {least} to 8, or {FLOAT} for float; got {bits}")
    return bits
