"""How much a change of weights hurts a detector: the detection loss, with the float network's outputs as labels.

For each cell i of the output grid, p_i is the float network's objectness, c_i its class probabilities and B_i its box;
primes are those of the changed network:

    damage = sum_i [ KL(p_i || p'_i) + p_i (sum_k KL(c_ik || c'_ik) + 5 (1 - IoU(B_i, B'_i)^2)) ] / sum_i p_i

KL is that of two Bernoulli variables. These are the terms and weights of the training loss (`edgekit.train.losses`),
per object cell as there, less the entropy of the labels: 0 where nothing changed, and in the unit of the loss that
fine-tuning has to win back. Objectness counts in every cell, because a false alarm is an error; classes and boxes
count as much as the float network sees an object there. It needs pictures and no labels. Near 0 it is quadratic in the
change of each output (a Fisher form that is evaluated, not expanded, so there is no Hessian), which is why the damages
of layers whose errors are independent add up.

Differs from the literature: HAWQ (arXiv 1911.03852) and others expand the loss to second order; noise power at the
outputs weighs background as much as objects; AP on few pictures is a step function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from edgekit.train.assign import Grid, make_grid
from edgekit.train.losses import BOX_WEIGHT, decode_boxes

_LEAST = 1e-6


def output_grid(size_hw: tuple[int, int], strides: Sequence[int]) -> Grid:
    """The cells of a network's output, (N,) of each, levels by ascending stride."""
    height, width = size_hw
    return make_grid([(height // stride, width // stride) for stride in strides], tuple(strides))


def damage_parts(reference: Tensor, changed: Tensor, grid: Grid) -> dict[str, float]:
    """The sums of the formula for one picture, not yet divided.

    Args:
        reference: (1, N, 5 + C) output of the float network in eval mode: tx, ty, tw, th, objectness, classes.
        changed: the same of the changed network.
        grid: its cells.

    Returns:
        `obj`, `cls` and `box`, weighted, and `objects`, the sum of p. Infinite or not-a-number outputs of the changed
        network give infinite parts.
    """
    ours, theirs = reference[0].double(), changed[0].double()
    seen = ours[:, 4]
    obj = bernoulli_kl(seen, theirs[:, 4]).sum()
    cls = (seen[:, None] * bernoulli_kl(ours[:, 5:], theirs[:, 5:])).sum()
    overlap = _iou(decode_boxes(ours[:, :4], grid), decode_boxes(theirs[:, :4], grid))
    box = BOX_WEIGHT * (seen * (1 - overlap**2)).sum()
    parts = {"obj": obj, "cls": cls, "box": box}
    return {name: _finite(float(value)) for name, value in parts.items()} | {"objects": float(seen.sum())}


def total_damage(parts: Sequence[Mapping[str, float]]) -> float:
    """The damage over pictures, from the parts of each."""
    objects = sum(each["objects"] for each in parts)
    return sum(each["obj"] + each["cls"] + each["box"] for each in parts) / max(objects, _LEAST)


def bernoulli_kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of probabilities, element by element; both are kept 1e-6 off 0 and 1."""
    p, q = p.clamp(_LEAST, 1 - _LEAST), q.clamp(_LEAST, 1 - _LEAST)
    return p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()


def _iou(a: Tensor, b: Tensor) -> Tensor:
    """(N,) of boxes (N, 4) and (N, 4), corners."""
    common = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(dim=1)
    whole = (a[:, 2:] - a[:, :2]).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1) - common
    return common / whole.clamp(min=1e-9)


def _finite(value: float) -> float:
    return value if value == value else float("inf")
