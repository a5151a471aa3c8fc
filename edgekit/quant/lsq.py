"""Uniform symmetric quantisation with a learned step, on the grid of `edgekit.precision`.

S. K. Esser et al., "Learned Step Size Quantization", ICLR 2020 (arXiv 1902.08153). With v a value, s its step and
r = v / s:

    forward    q = clip(round_half_even(r), qmin, qmax),  v' = q s
    dv'/dv  =  1 where qmin < r < qmax, else 0                     straight through, eq. 5
    dv'/ds  =  q - r where qmin < r < qmax, else q                 eq. 3
    the gradient of s is multiplied by 1 / sqrt(n qmax), n the values of one sample that share s (section 2.2)

The forward pass gives, bit for bit, what `precision.fake_quantize` gives in NumPy: what is trained is what a lowering
computes.

Differs from the paper: weights have one step an output channel, not one a layer; signed codes are narrow, from
-(2^(b-1) - 1); the step in use is at least 1e-8 and 1/1024 of the largest of its layer, so an update that crosses zero
cannot turn signs around. Without the second floor the step of a channel whose weights die runs to zero, and then its
bias does not fit the int32 in which integer kernels add it, in steps of input scale times weight scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import DataError
from edgekit.graph.calibrate.histogram import Histogram
from edgekit.precision import QuantSpec

SOURCE = "qat:lsq"
_LEAST = 1e-8
_LEAST_OF_LAYER = 2.0**-10


class LsqQuantizer(nn.Module):
    """Fake quantisation of one tensor.

    A new one has no step: its output is NaN until `set_step`, `edgekit.quant.calibrate` or a checkpoint gives it one.

    Attributes:
        bits: 2 to 8.
        signed: False for tensors that are never negative; then at most 7 bits, because codes travel as int8.
        channels: steps along axis 0; 0 for a single step.
        step: the learned parameter, (channels,) or ().
        histogram: while it is there, values are counted into it and pass unchanged.
    """

    def __init__(self, bits: int, signed: bool = True, channels: int = 0):
        super().__init__()
        if not 2 <= bits <= 8:
            raise ValueError(f"bits is 2 to 8, got {bits}")
        if not signed and bits == 8:
            raise ValueError("8 unsigned bits do not fit the int8 of TensorRT; take 7, or signed")
        self.bits = bits
        self.signed = signed
        self.channels = channels
        self.qmax = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        self.qmin = -self.qmax if signed else 0
        self.step = nn.Parameter(torch.full((channels,) if channels else (), float("nan")))
        self.histogram: Histogram | None = None

    @property
    def scale(self) -> Tensor:
        """The step in use, > 0, the shape of `step`."""
        size = self.step.abs()
        return torch.maximum(size, (size.detach().max() * _LEAST_OF_LAYER).clamp(min=_LEAST))

    def set_step(self, step: Tensor | Sequence[float] | float) -> None:
        """Overwrite the step: one value, or one a channel."""
        values = torch.as_tensor(step, dtype=self.step.dtype)
        with torch.no_grad():
            self.step.copy_(values.reshape(self.step.shape))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, channels first if there is a step for each -> the same shape, on the grid.

        Raises:
            DataError: a value to count is not finite.
        """
        if self.histogram is not None:
            return self._counted(x, self.histogram)
        return fake_quantize(x, self._broadcast(x), self.qmin, self.qmax, self._gradient_scale(x))

    def codes(self, x: Tensor) -> Tensor:
        """The integers that `forward` multiplies by the step: int16, the shape of `x`."""
        with torch.no_grad():
            return (x / self._broadcast(x)).round().clamp(self.qmin, self.qmax).to(torch.int16)

    def spec(self) -> QuantSpec:
        """This grid in the words of a plan; below 8 bits with the clip that an int8 runtime needs before it rounds.

        Raises:
            ValueError: there is no step yet.
        """
        scale = tuple(float(value) for value in self.scale.detach().reshape(-1))
        if self.channels:
            return QuantSpec(self.bits, scale, granularity="channel", source=SOURCE)
        clip = (self.qmin * scale[0], self.qmax * scale[0]) if self.bits < 8 else None
        return QuantSpec(self.bits, scale, signed=self.signed, clip=clip, source=SOURCE)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        steps = f"{self.channels} steps" if self.channels else "1 step"
        return f"{self.bits} bits, {'signed' if self.signed else 'unsigned'}, {steps}"

    def _counted(self, x: Tensor, histogram: Histogram) -> Tensor:
        values = x.detach().float().cpu().numpy()
        try:
            histogram.add(values)
        except ValueError as error:
            raise DataError(
                f"an activation in calibration is not finite ({error}); check weights and images"
            ) from error
        return x

    def _broadcast(self, x: Tensor) -> Tensor:
        return self.scale.reshape(-1, *[1] * (x.ndim - 1)) if self.channels else self.scale

    def _gradient_scale(self, x: Tensor) -> float:
        # A weight tensor is one sample whose rows have a step each; of a batch of activations each row is a sample.
        shared = max(1, x.numel() // max(1, x.shape[0]))
        return float((shared * self.qmax) ** -0.5)


def fake_quantize(x: Tensor, scale: Tensor, qmin: int, qmax: int, gradient_scale: float = 1.0) -> Tensor:
    """`x` on the grid of `scale`, with the gradients at the head of this file.

    Args:
        x: any shape.
        scale: > 0, broadcasts against `x`.
        qmin: smallest code.
        qmax: largest code.
        gradient_scale: multiplies the gradient of `scale`.
    """
    result: Tensor = _Lsq.apply(x, scale, qmin, qmax, gradient_scale)
    return result


class _Lsq(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, qmin: int, qmax: int, gradient_scale: float) -> Tensor:
        ratio = x / scale
        ctx.save_for_backward(ratio, scale)
        ctx.limits = qmin, qmax, gradient_scale
        # An integer has no negative zero; a float that was rounded up to zero has.
        return (ratio.round().clamp(qmin, qmax) + 0.0) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ratio, scale = ctx.saved_tensors
        qmin, qmax, gradient_scale = ctx.limits
        inside = (ratio > qmin) & (ratio < qmax)
        by_step = torch.where(inside, ratio.round() - ratio, ratio.clamp(qmin, qmax))
        grad_scale = (gradients[0] * by_step).sum_to_size(scale.shape) * gradient_scale
        return gradients[0] * inside, grad_scale, None, None, None
