"""The loss of heads with anchors, as SuperYOLO (Zhang et al., TGRS 61, 2023) and GHOST (TGRS 2023) train theirs.

It is that of YOLOv5 v5.0: 1 - CIoU over the positives of a level, cross-entropy of their classes, and cross-entropy
of objectness over all its cells, where a positive is asked for the IoU that its box has now. Finer levels weigh more
in objectness. Differs from YOLOv5: what lies in an ignored region teaches no objectness; where two objects want one
place, the better box sets its objectness, not the later one; classes are taught also where there is only one; the
batch does not multiply the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from edgekit.train.anchor_assign import AnchorTargets, assign_to_anchors
from edgekit.train.losses import Targets, ciou_loss

Anchors = tuple[tuple[float, float], ...]

BALANCE = (4.0, 1.0, 0.4)
"""Of objectness, by level, finest first; a single level takes the first."""
_USUAL_LEVELS = 3
_USUAL_CLASSES = 80


@dataclass(frozen=True, slots=True)
class AnchorGains:
    """Weights of the loss of networks with anchors, as YOLOv5 v5.0 and SuperYOLO have them.

    Attributes:
        box: of 1 - CIoU, for three levels together: one level alone weighs three times as much.
        obj: of objectness, likewise; SuperYOLO trains with (1024 / 640)^2, whatever the input.
        cls: of the classes, likewise, for 80 of them: fewer classes weigh less.
        ratio: an anchor takes an object of which no side is so many times as long as its own, or as short.
    """

    box: float = 0.05
    obj: float = 2.56
    cls: float = 0.5
    ratio: float = 4.0

    def __post_init__(self) -> None:
        if min(self.box, self.obj, self.cls) < 0:
            raise ValueError(f"anchors.box, obj and cls must be 0 or more, got {self.box}, {self.obj}, {self.cls}")
        if self.ratio <= 1:
            raise ValueError(f"anchors.ratio {self.ratio} must be above 1")


class LevelSums(NamedTuple):
    """Weighted sums of one level, with gradient, and what they are sums of.

    Attributes:
        box: over the positives.
        cls: over the positives, a mean over the classes.
        obj: over the places.
        positives: how many.
        places: how many: anchors times cells times images.
    """

    box: Tensor
    cls: Tensor
    obj: Tensor
    positives: int
    places: int


class AnchorLoss:
    """Raw maps and labels to weighted sums.

    Args:
        strides: pixels a cell of each level, finest first.
        anchors: width and height of each level's anchors, pixels.
        gains: weights.
    """

    def __init__(self, strides: Sequence[int], anchors: Sequence[Anchors], gains: AnchorGains):
        self.levels = tuple(zip(strides, anchors, BALANCE, strict=False))
        self.gains = gains

    def __call__(self, maps: Sequence[Tensor], targets: Sequence[Targets]) -> list[LevelSums]:
        """The sums of each level.

        Args:
            maps: raw (B, A, H, W, 5 + C) of each level.
            targets: one an image.
        """
        image = torch.cat([torch.full_like(t.class_id, i) for i, t in enumerate(targets)])
        xyxy = torch.cat([t.xyxy for t in targets])
        class_id = torch.cat([t.class_id for t in targets])
        sums = []
        for raw, (stride, anchors, balance) in zip(maps, self.levels, strict=True):
            raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
            size_hw = (raw.shape[2], raw.shape[3])
            found = assign_to_anchors(image, xyxy, class_id, anchors, stride, size_hw, self.gains.ratio)
            sums.append(self._sums(raw, found, targets, (stride, anchors, balance)))
        return sums

    def _sums(
        self, raw: Tensor, found: AnchorTargets, targets: Sequence[Targets], level: tuple[int, Anchors, float]
    ) -> LevelSums:
        stride, anchors, balance = level
        classes, share = raw.shape[4] - 5, _USUAL_LEVELS / len(self.levels)
        at = (found.image, found.anchor, found.row, found.column)
        picked = raw[at]
        missing = ciou_loss(decoded(picked, found, anchors, stride), found.xyxy)
        wanted = functional.one_hot(found.class_id, classes).to(raw.dtype)
        cls = functional.binary_cross_entropy_with_logits(picked[:, 5:], wanted, reduction="sum") / classes
        asked = raw.new_zeros(raw.shape[:4])  # not zeros_like: contiguous, whatever the strides of the map
        asked.view(-1).scatter_reduce_(0, _flat(at, asked), (1 - missing).detach().clamp(min=0), "amax")
        weight = _taught(raw[..., 4], targets, stride)
        weight[at] = 1.0
        obj = functional.binary_cross_entropy_with_logits(raw[..., 4], asked, weight, reduction="sum")
        gains = self.gains
        return LevelSums(
            gains.box * share * missing.sum(),
            gains.cls * share * classes / _USUAL_CLASSES * cls,
            gains.obj * share * balance * obj,
            len(found.image),
            asked.numel(),
        )


def decoded(raw: Tensor, found: AnchorTargets, anchors: Anchors, stride: int) -> Tensor:
    """Boxes (P, 4), corners in pixels, of raw predictions (P, 5 + C) at the places found."""
    p = raw[:, :4].sigmoid()
    cell = torch.stack((found.column, found.row), dim=1)
    centre = (2 * p[:, :2] - 0.5 + cell) * stride
    half = (2 * p[:, 2:]).square() * p.new_tensor(anchors)[found.anchor] / 2
    return torch.cat((centre - half, centre + half), dim=1)


def _flat(at: tuple[Tensor, Tensor, Tensor, Tensor], like: Tensor) -> Tensor:
    """(P,) places as indices of the flattened (B, A, H, W)."""
    _, anchors, height, width = like.shape
    image, anchor, row, column = at
    return ((image * anchors + anchor) * height + row) * width + column


def _taught(logit: Tensor, targets: Sequence[Targets], stride: int) -> Tensor:
    """(B, A, H, W): 0 where a cell's centre lies in an ignored region, 1 elsewhere."""
    height, width = logit.shape[2:]
    weight = torch.ones_like(logit)
    x = (torch.arange(width, device=logit.device) + 0.5) * stride
    y = (torch.arange(height, device=logit.device) + 0.5) * stride
    for i, target in enumerate(targets):
        for x1, y1, x2, y2 in target.ignore_xyxy.tolist():
            inside = ((y >= y1) & (y < y2))[:, None] & ((x >= x1) & (x < x2))[None]
            weight[i].masked_fill_(inside, 0.0)
    return weight
