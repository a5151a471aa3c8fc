"""A sign that knows the tensor which it is taken of: its estimator's sharpness, and how much gradient stays alive."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgekit.quant.estimators import Sharpness, alive_fraction, estimated_sign, sharpness_cap, sign

SAMPLE = 100_000
"""Values of a tensor that are looked at in a step."""

_MOMENTUM = 0.1


class BinarySign(nn.Module):
    """`edgekit.quant.estimators.sign` of one tensor of one layer, with an estimator's gradient in training.

    Attributes:
        estimator: key of `ESTIMATORS`.
        eps: share of the values that "dte" keeps alive.
        delta: share of the slope at 0 that counts as alive.
        running: "dte" follows the batches; False waits for `measure`, which weights do once an epoch.
        scheduled: what the schedule asks for.
        quantile: |x| of which a share `eps` is smaller, as far as was seen; 0 before.
    """

    quantile: Tensor

    def __init__(self, estimator: str, eps: float = 0.1, delta: float = 0.5, running: bool = True):
        super().__init__()
        self.estimator = estimator
        self.eps = eps
        self.delta = delta
        self.running = running
        self.scheduled = Sharpness()
        self.register_buffer("quantile", torch.zeros(()))
        self._seen: Tensor | None = None

    @property
    def sharpness(self) -> Sharpness:
        """What is in use: for "dte" in its second stage (t >= 1) no sharper than the tensor allows."""
        if self.estimator != "dte" or self.scheduled.t < 1:
            return self.scheduled
        cap = sharpness_cap(float(self.quantile), self.delta)
        return Sharpness(min(self.scheduled.t, cap), self.scheduled.power)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> +1 and -1, the same shape and dtype."""
        if not self.training:
            return sign(x)
        self._seen = sample(x)
        if self.estimator == "dte" and self.running:
            self._follow(self._seen)
        return estimated_sign(x, self.estimator, self.sharpness)

    def measure(self, x: Tensor) -> None:
        """Take the quantile of all of `x`, any shape."""
        with torch.no_grad():
            self.quantile.copy_(magnitude_quantile(x, self.eps))

    def alive(self) -> float | None:
        """The share of the latest step's values with gradient, see `alive_fraction`; None before the first step."""
        if self._seen is None:
            return None
        return alive_fraction(self._seen, self.estimator, self.sharpness, self.delta)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return self.estimator

    def _follow(self, values: Tensor) -> None:
        with torch.no_grad():
            now = magnitude_quantile(values, self.eps).to(self.quantile)
            self.quantile.copy_(now if self.quantile == 0 else self.quantile.lerp(now, _MOMENTUM))


def sample(x: Tensor) -> Tensor:
    """At most `SAMPLE` values of `x`, evenly spread over it: (n,), without gradient, a copy."""
    flat = x.detach().flatten()
    return flat[:: math.ceil(flat.numel() / SAMPLE) or 1].clone()


def magnitude_quantile(x: Tensor, share: float) -> Tensor:
    """The |x| that a `share` of the values does not exceed, exactly: a scalar; 0 of nothing."""
    if x.numel() == 0:
        return x.new_zeros(())
    return x.detach().abs().flatten().float().kthvalue(max(1, math.ceil(share * x.numel()))).values
