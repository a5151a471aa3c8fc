"""One set of weights for every precision: 8-bit master codes whose first b bits are the weights of b bits.

The idea is vertical layering (H. Wu et al., "Vertical Layering of Quantized Neural Networks for Heterogeneous
Inference", TPAMI 2023, arXiv 2212.05326). Only its abstract was at hand: the formulas here are a reconstruction. With
s the step of the master, r = w / s, d = 8 - b, g >= 0 a gain of the precision:

    master     q  = clip(round_half_even(r), -127, 127)
    slice      qb = q >> d                                       the first b bit planes, rounded down
    container  c  = 2^d qb + 2^(d-1),  c = q for b = 8           the middle of the slice's cell (edgekit.precision)
    forward    w' = c (s g)
    dw'/dw  =  g where -127 < r < 127, else 0                    straight through all of it
    dw'/ds  =  g (c - r) where -127 < r < 127, else g c          LSQ (edgekit/quant/lsq.py) of that forward
    dw'/dg  =  c s

A slice of a slice is the slice, so that mapping 8 bits down step by step ("cascade") is mapping them down at once.

Differs from the paper: whether it rounds or truncates, what it adds to a truncated code and how it treats batch norms
is not known; the half cell, the gain and a batch norm a precision are ours. Codes stop at -127, as everywhere here.
The middle of a cell of *rounded* codes is half a master step lower than the container, which integers cannot hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.quant.lsq import LsqQuantizer

MASTER_MAX = 127
_LEARNED = 16.0
"""The parameter is the step of 4 bits: that of 8 is so small that one update of Adam would throw it about."""
_LEAST = 1e-8


class VerticalQuantizer(nn.Module):
    """Fake quantisation of weights at one precision of many.

    A new one has no step: its output is NaN until `set_step` or a checkpoint gives it one.

    Attributes:
        bits: the precision that `forward` computes with, 1 to 8.
        channels: steps along axis 0.
        step: the learned parameter, (channels,): 16 times the step of the master.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.bits = 8
        self.channels = channels
        self.step = nn.Parameter(torch.full((channels,), float("nan")))

    @property
    def scale(self) -> Tensor:
        """The step of the master in use, (channels,), > 0."""
        return (self.step.abs() / _LEARNED).clamp(min=_LEAST)

    def set_step(self, step: Tensor | Sequence[float]) -> None:
        """Overwrite the step of the master, one value a channel."""
        with torch.no_grad():
            self.step.copy_(torch.as_tensor(step, dtype=self.step.dtype) * _LEARNED)

    def forward(self, weight: Tensor, gain: Tensor | None = None) -> Tensor:
        """(O, ...) -> the same shape, on the grid of `bits`; `gain` (O,) multiplies the step, 1 where None."""
        gain = torch.ones_like(self.step) if gain is None else gain
        result: Tensor = _Vertical.apply(
            weight, self._column(weight, self.scale), self._column(weight, gain), self.bits
        )
        return result

    def master(self, weight: Tensor) -> Tensor:
        """The 8-bit codes: int8, the shape of `weight`."""
        with torch.no_grad():
            return _master(weight / self._column(weight, self.scale)).to(torch.int8)

    def best_gain(self, weight: Tensor, bits: int) -> Tensor:
        """The gain (O,) with the least squared error at `bits`; at one bit it makes every weight +- mean |w|."""
        with torch.no_grad():
            levels = (container(self.master(weight).to(weight.dtype), bits)).flatten(1)
            levels = levels * self.scale[:, None]
            energy = levels.square().sum(dim=1)
            fitted = (weight.flatten(1) * levels).sum(dim=1) / energy.clamp(min=1e-30)
            return torch.where((energy > 0) & (fitted > 0), fitted, torch.ones_like(fitted))

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"{self.bits} of 8 bits, {self.channels} steps"

    @staticmethod
    def _column(weight: Tensor, values: Tensor) -> Tensor:
        return values.reshape(-1, *[1] * (weight.ndim - 1))


class PrecisionInput(nn.Module):
    """The quantisers of what a layer reads, one a precision: each precision has a step of its own.

    Attributes:
        quantizers: precision, as text, -> quantiser.
        bits: the precision in use.
    """

    def __init__(self, quantizer: LsqQuantizer, precisions: Sequence[int]):
        super().__init__()
        self.quantizers = nn.ModuleDict({str(bits): _like(quantizer) for bits in precisions})
        self.bits = precisions[0]

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape, on the grid of the precision in use."""
        y: Tensor = self.at(self.bits)(x)
        return y

    def at(self, bits: int) -> LsqQuantizer:
        """The quantiser of one precision."""
        quantizer = self.quantizers[str(bits)]
        assert isinstance(quantizer, LsqQuantizer)
        return quantizer


def container(master: Tensor, bits: int) -> Tensor:
    """Container codes of master codes, both as floats: `edgekit.precision.container_codes` in torch."""
    if bits == 8:
        return master
    cell = 2.0 ** (8 - bits)
    return torch.floor(master / cell) * cell + cell / 2


def _master(ratio: Tensor) -> Tensor:
    # An integer has no negative zero; a float that was rounded up to zero has.
    return ratio.round().clamp(-MASTER_MAX, MASTER_MAX) + 0.0


def _like(quantizer: LsqQuantizer) -> LsqQuantizer:
    return LsqQuantizer(quantizer.bits, quantizer.signed).to(quantizer.step.device)


class _Vertical(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, step: Tensor, gain: Tensor, bits: int) -> Tensor:
        ratio = weight / step
        codes = container(_master(ratio), bits)
        ctx.save_for_backward(ratio, codes, step, gain)
        return codes * (step * gain)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ratio, codes, step, gain = ctx.saved_tensors
        inside = ratio.abs() < MASTER_MAX
        by_step = torch.where(inside, codes - ratio, codes)
        shared = ratio[0].numel()
        grad_step = (gradients[0] * by_step * gain).sum_to_size(step.shape) * float((shared * MASTER_MAX) ** -0.5)
        grad_gain = (gradients[0] * codes * step).sum_to_size(gain.shape)
        return gradients[0] * inside * gain, grad_step, grad_gain, None
