"""What a network is trained on: its outputs and a batch to the terms of a loss, one function for each kind of head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from edgekit.models import DetectorModule
from edgekit.train.anchor_loss import AnchorLoss
from edgekit.train.loader import Batch
from edgekit.train.losses import DetectionLoss
from edgekit.train.recipe import Recipe


class Term(NamedTuple):
    """A part of a loss; the step divides `total` by `over`, both summed over all processes.

    Attributes:
        name: what the log calls it; terms of one name are added.
        total: () weighted sum, with gradient.
        over: () what it is a sum of: positive cells, images, …; less than 1 counts as 1.
    """

    name: str
    total: Tensor
    over: Tensor


class Criterion(Protocol):
    """A loss."""

    def __call__(self, outputs: Any, batch: Batch, full: bool) -> list[Term]:
        """The terms of one step.

        Args:
            outputs: what the network returned in training mode.
            batch: what it saw, and the labels.
            full: whether these are the full frames of the last epochs.
        """


class SimotaCriterion:
    """The YOLOX loss, every part per positive cell; the L1 box loss joins in the last epochs."""

    def __init__(self, model: DetectorModule, recipe: Recipe):
        self._loss = DetectionLoss(model.strides, recipe.box_loss)

    def __call__(self, outputs: Any, batch: Batch, full: bool) -> list[Term]:
        """See `Criterion`; `outputs` are the raw maps (B, 5 + C, H, W)."""
        sums = self._loss(outputs, batch.targets, full)
        count = sums.pop("positives")
        return [Term(name, total, count) for name, total in sums.items()]


class AnchorCriterion:
    """The YOLOv5 loss, and SuperYOLO's mean absolute error of the restored picture where the network restores one.

    Published as 0.1 * L1 of the colour planes and, added to it, of the infrared plane, beside a detection loss that
    is multiplied by its batch.
    """

    def __init__(self, model: DetectorModule, recipe: Recipe):
        self._loss = AnchorLoss(model.strides, model.decode_spec.anchors, recipe.anchors)
        self._restoring = recipe.super_resolution

    def __call__(self, outputs: Any, batch: Batch, full: bool) -> list[Term]:
        """See `Criterion`; `outputs` are `edgekit.models.superyolo.TrainingOutputs`."""
        terms = []
        for level in self._loss(outputs.maps, batch.targets):
            positives, places = (level.box.new_tensor(float(n)) for n in (level.positives, level.places))
            terms += [
                Term("box", level.box, positives),
                Term("obj", level.obj, places),
                Term("cls", level.cls, positives),
            ]
        if outputs.picture is not None and self._restoring is not None and batch.sharp_nchw is not None:
            terms += restoring_terms(outputs.picture, batch.sharp_nchw, self._restoring.weight)
        return terms


def restoring_terms(picture_nchw: Tensor, sharp_nchw: Tensor, weight: float) -> list[Term]:
    """Weighted mean absolute errors of colour and, where there is a fourth channel, of infrared.

    Args:
        picture_nchw: (B, C, 2H, 2W) restored.
        sharp_nchw: the same, as it was, in [0, 1].
        weight: of each.
    """
    terms = []
    for restored, sharp in zip(picture_nchw.split(3, dim=1), sharp_nchw.split(3, dim=1), strict=True):
        error = functional.l1_loss(restored.to(sharp.dtype), sharp, reduction="sum")
        terms.append(Term("restored", weight * error, error.new_tensor(float(sharp.numel()))))
    return terms


CRITERIA: dict[str, Callable[[DetectorModule, Recipe], Criterion]] = {
    "yolox": SimotaCriterion,
    "yolov5": AnchorCriterion,
}
"""Decode family of a network -> what makes its loss."""


def criterion_for(model: DetectorModule, recipe: Recipe) -> Criterion:
    """The loss of a network."""
    return CRITERIA[model.decode_spec.family](model, recipe)


def total_of(terms: list[Term], world: int, reduce: Callable[[Tensor], Tensor]) -> tuple[Tensor, dict[str, float]]:
    """The loss to step on, and each part as a number.

    Sums are divided by the counts of *all* processes. Gradients are averaged over processes, so that the loss is
    multiplied by their number: the step is then that of one process with the whole batch.

    Args:
        terms: of this process; the others have the same names in the same order.
        world: number of processes.
        reduce: adds a tensor up over the processes.
    """
    values = torch.stack([torch.stack([term.total.detach(), term.over.to(term.total)]) for term in terms], dim=1)
    if world > 1:
        values = reduce(values)
    totals, counts = values[0], values[1].clamp(min=1.0)
    loss = (torch.stack([term.total for term in terms]) / counts).sum() * world
    named: dict[str, float] = {}
    for term, value in zip(terms, (totals / counts).tolist(), strict=True):
        named[term.name] = named.get(term.name, 0.0) + value
    return loss, {"loss": sum(named.values()), **named}
