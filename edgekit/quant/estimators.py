"""The sign and what stands for its derivative, which is 0 almost everywhere: one forward pass, five backward passes.

    forward    sign(x) = -1 where x < 0, else +1           as in `edgekit.ops.binary`; torch.sign(0) = 0 has no bit
    backward   dL/dx = dL/dsign * g(x)

With a sharpness t that grows over training (k = max(1/t, 1); both below are IR-Net's names):

    ste          g = 1 where |x| <= 1, else 0                                     BinaryNet, Hubara et al., NIPS 2016
    approxsign   g = 2 - 2 |x| where |x| < 1, else 0                              Bi-Real Net, Liu et al., ECCV 2018
    ede          g = k t (1 - tanh(t x)^2)                                        IR-Net, Qin et al., CVPR 2020, eq. 13
    dte          g = ede's, with t no larger than `sharpness_cap`                 DIR-Net, Qin et al., IJCV 2023
    reste        g = |x|^(1/o - 1) / o where m < |x| <= 1.5, m^(1/o - 1) where |x| <= m = 0.1, else 0
                                                                                  ReSTE, Wu et al., ICCV 2023

t of ede and dte goes from t_min to t_max on a logarithmic scale; while t < 1 the slope at 0 is 1 and the support
shrinks, from then on the slope at 0 is t. o of reste goes from 1 to 3 on a linear scale.

DTE is a reconstruction: of DIR-Net only the abstract was to be had, which says that the estimator is a soft
approximation of sign in two stages that minds the distribution. Here the second stage is never sharper than leaves a
share `eps` of a tensor with at least a share `delta` of the slope at 0. Differs from the paper: unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sharpness:
    """Where the schedule of an estimator stands.

    Attributes:
        t: sharpness of ede and dte, > 0.
        power: o of reste, >= 1.
    """

    t: float = 0.1
    power: float = 1.0

    @property
    def k(self) -> float:
        """What keeps the slope at 0 at least 1."""
        return max(1.0 / self.t, 1.0)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How sharp an estimator is in each epoch.

    Attributes:
        t_min: sharpness of epoch 0 (0.1; IR-Net's trainer of ResNet-20 has 0.001).
        t_max: what it grows to.
        power_max: what reste's power grows to.
    """

    t_min: float = 0.1
    t_max: float = 10.0
    power_max: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.t_min <= self.t_max < math.inf:
            raise ValueError(f"t_min {self.t_min} and t_max {self.t_max}: expected 0 < t_min <= t_max")
        if not 1 <= self.power_max < math.inf:
            raise ValueError(f"power_max {self.power_max} must be 1 or more")

    def at(self, epoch: int, epochs: int) -> Sharpness:
        """Sharpness during `epoch` (from 0) of `epochs`: t_max itself is where an epoch after the last would be."""
        share = min(1.0, epoch / max(1, epochs))
        low, high = math.log10(self.t_min), math.log10(self.t_max)
        return Sharpness(10 ** (low + (high - low) * share), 1.0 + (self.power_max - 1.0) * share)


Slope = Callable[[Tensor, Sharpness], Tensor]


def ste_slope(x: Tensor, now: Sharpness) -> Tensor:
    """1 inside [-1, 1]."""
    return (x.abs() <= 1).to(x.dtype)


def approxsign_slope(x: Tensor, now: Sharpness) -> Tensor:
    """A triangle of height 2 over [-1, 1]."""
    return 2 * (1 - x.abs()).clamp(min=0)


def tanh_slope(x: Tensor, now: Sharpness) -> Tensor:
    """The derivative of k tanh(t x)."""
    # in place: activations are large, and this is most of what a sign costs in training
    return (now.t * x).tanh_().square_().neg_().add_(1).mul_(now.k * now.t)


def reste_slope(x: Tensor, now: Sharpness, near: float = 0.1, far: float = 1.5) -> Tensor:
    """The derivative of sign(x) |x|^(1/o); a secant near 0, where that is infinite, and 0 far out."""
    distance, power = x.abs(), 1.0 / now.power
    slope = power * distance.clamp(min=near) ** (power - 1.0)
    return torch.where(distance <= near, near ** (power - 1.0), slope) * (distance <= far)


ESTIMATORS: dict[str, Slope] = {
    "ste": ste_slope,
    "approxsign": approxsign_slope,
    "ede": tanh_slope,
    "dte": tanh_slope,
    "reste": reste_slope,
}
"""Name -> g(x). The sharpness of "dte" is capped by whoever knows the tensor (`edgekit.quant.binary_sign`)."""


def sign(x: Tensor) -> Tensor:
    """-1 where x < 0, else +1: for 0, minus zero and NaN too; the shape and dtype of `x`."""
    return torch.where(x < 0, -1.0, 1.0).to(x.dtype)


def estimated_sign(x: Tensor, estimator: str, now: Sharpness) -> Tensor:
    """`sign(x)` whose gradient is that of `estimator`, any shape.

    Raises:
        ValueError: there is no such estimator.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator {estimator!r} is unknown; choose one of {', '.join(ESTIMATORS)}")
    result: Tensor = _Sign.apply(x, ESTIMATORS[estimator], now)
    return result


def sharpness_cap(quantile: float, delta: float) -> float:
    """The largest t at which |x| = `quantile` keeps a share `delta` of the slope at 0; infinite for a quantile of 0.

    1 - tanh(t q)^2 >= delta  <=>  t <= atanh(sqrt(1 - delta)) / q
    """
    return math.inf if quantile <= 0 else math.atanh(math.sqrt(1.0 - delta)) / quantile


def alive_fraction(x: Tensor, estimator: str, now: Sharpness, delta: float = 0.5) -> float:
    """The share of `x` whose gradient is at least `delta` of what it is at 0."""
    slope = ESTIMATORS[estimator]
    largest = slope(x.new_zeros(1), now)
    return float((slope(x, now) >= delta * largest).float().mean())


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Slope, now: Sharpness) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope, ctx.now = slope, now
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return gradients[0] * ctx.slope(x, ctx.now), None, None
