"""First steps from data: for weights from their values, for activations from a histogram of calibration batches.

minmax       everything that was seen fits
percentile   99.99 % of the magnitudes fit
mse          rounding and clipping together cost least squared error at this width
lsq          2 mean|v| / sqrt(qmax), Esser et al. 2020, section 2.1
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.errors import ConfigError, DataError
from edgekit.graph.calibrate.histogram import Histogram
from edgekit.graph.calibrate.percentile import percentile_ranges
from edgekit.quant.lsq import LsqQuantizer

METHODS = ("minmax", "percentile", "mse", "lsq")
_RATIOS = 2.0 ** (-np.arange(96) / 16.0)
"""Candidates of "mse", times the step at which everything fits."""


def calibrate(
    model: nn.Module, batches: Iterable[Any], method: str = "mse", run: Callable[[Any], Any] | None = None
) -> None:
    """Give every activation quantiser of `model` its first step.

    The batches run in eval mode with activations in float; afterwards each module is in the mode that it was in.

    Args:
        model: with the layers of `edgekit.quant`.
        batches: what `model` takes, x_nchw (B, C, H, W) as a rule.
        method: one of `METHODS`.
        run: what to call with a batch; `model` where None.

    Raises:
        ConfigError: there is no such method.
        DataError: a quantiser saw no values, or one that is not finite.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r} for first steps, expected one of {', '.join(METHODS)}")
    quantizers = {name: m for name, m in model.named_modules() if isinstance(m, LsqQuantizer) and not m.channels}
    modes = {module: module.training for module in model.modules()}
    model.eval()
    for quantizer in quantizers.values():
        quantizer.histogram = Histogram()
    try:
        with torch.no_grad():
            for batch in batches:
                (run or model)(batch)
        for name, quantizer in quantizers.items():
            quantizer.set_step(_step_of(name, quantizer, method))
    finally:
        for quantizer in quantizers.values():
            quantizer.histogram = None
        for module, training in modes.items():
            module.training = training


def activation_step(histogram: Histogram, qmax: int, signed: bool, method: str) -> float:
    """The step by `method` for what `histogram` counted; 1 where all of it was 0, or negative with unsigned codes."""
    low, high = histogram.low, histogram.high
    if method == "percentile":
        low, high = percentile_ranges([histogram], 99.99)[0]
    largest = max(-low, high) if signed else high
    if largest <= 0:
        return 1.0
    if method == "lsq":
        mean = float((histogram.counts * np.abs(histogram.centres())).sum()) / histogram.total
        return 2.0 * mean / float(np.sqrt(qmax))
    if method == "mse":
        filled = histogram.counts > 0
        centres, counts = histogram.centres()[filled][None], histogram.counts[filled]
        return float(_best(centres, counts, np.array([largest / qmax]), -qmax if signed else 0, qmax)[0])
    return largest / qmax


def weight_steps(weight: Tensor, qmax: int, method: str = "mse") -> Tensor:
    """The steps (O,) by `method` for weights (O, ...); 1 for a channel of zeros.

    "percentile" has too few values in a channel to mean anything and is refused.

    Raises:
        ConfigError: there is no such method for weights.
    """
    if method not in METHODS or method == "percentile":
        raise ConfigError(f"unknown method {method!r} for steps of weights, expected minmax, mse or lsq")
    rows = weight.detach().double().cpu().reshape(weight.shape[0], -1).numpy()
    largest = np.abs(rows).max(axis=1) / qmax
    if method == "lsq":
        steps = 2.0 * np.abs(rows).mean(axis=1) / np.sqrt(qmax)
    elif method == "mse":
        steps = _best(rows, np.ones(rows.shape[1]), largest, -qmax, qmax)
    else:
        steps = largest
    return torch.from_numpy(np.where(steps > 0, steps, 1.0)).float()


def _best(values: np.ndarray, counts: np.ndarray, largest: np.ndarray, qmin: int, qmax: int) -> np.ndarray:
    """For each row (R, N) of `values`, seen `counts` (N,) times each: the step (R,) with the least squared error.

    The candidates are `_RATIOS` times `largest` (R,); where that is 0 it is returned.
    """
    best, least = largest.copy(), np.full(len(values), np.inf)
    for ratio in _RATIOS:
        step = np.where(largest > 0, largest * ratio, 1.0)[:, None]
        error = (counts * (values - np.clip(np.rint(values / step), qmin, qmax) * step) ** 2).sum(axis=1)
        best = np.where(error < least, largest * ratio, best)
        least = np.minimum(error, least)
    return best


def _step_of(name: str, quantizer: LsqQuantizer, method: str) -> float:
    histogram = quantizer.histogram
    if histogram is None or histogram.low > histogram.high:
        raise DataError(
            f"the input of {name.rpartition('.')[0]} saw no values in calibration; give it batches that run it"
        )
    return activation_step(histogram, quantizer.qmax, quantizer.signed, method)
