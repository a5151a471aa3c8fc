"""The YOLOX loss: 5 * box IoU + objectness + classes (+ L1 in the last epochs), per assigned cell.

Cells whose centre lies in an ignored region, and that no object took, teach no objectness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from edgekit.train.assign import Assignment, Grid, make_grid, simota

BOX_WEIGHT = 5.0


class Targets(NamedTuple):
    """Labels of one image, in network pixels.

    Attributes:
        xyxy: (G, 4) float32.
        class_id: (G,) int64.
        ignore_xyxy: (R, 4) float32.
    """

    xyxy: Tensor
    class_id: Tensor
    ignore_xyxy: Tensor


class DetectionLoss:
    """Raw maps and labels to named loss sums.

    Args:
        strides: of the maps, ascending.
        box_loss: iou (1 - IoU^2, as YOLOX) | giou | ciou.
    """

    def __init__(self, strides: tuple[int, ...], box_loss: str = "iou"):
        self.strides = strides
        self.box_loss = BOX_LOSSES[box_loss]
        self._grids: dict[tuple[tuple[int, int], ...], Grid] = {}

    def __call__(self, maps: Sequence[Tensor], targets: Sequence[Targets], use_l1: bool) -> dict[str, Tensor]:
        """Sums over the batch, not yet divided by the number of positives.

        Args:
            maps: per level (B, 5 + C, H, W) raw outputs.
            targets: one per image.
            use_l1: add the L1 loss of the raw box outputs.

        Returns:
            `box`, `obj`, `cls`, `l1` (weighted sums with gradient) and `positives` (count, no gradient).
        """
        grid = self._grid(maps)
        raw = torch.cat([level.flatten(2) for level in maps], dim=2).transpose(1, 2)
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        boxes = decode_boxes(raw[..., :4], grid)
        found = [
            simota(boxes[i], raw[i, :, 4], raw[i, :, 5:], target.xyxy, target.class_id, grid)
            for i, target in enumerate(targets)
        ]
        return self._sums(raw, boxes, grid, targets, found, use_l1)

    def _sums(
        self,
        raw: Tensor,
        boxes: Tensor,
        grid: Grid,
        targets: Sequence[Targets],
        found: Sequence[Assignment],
        use_l1: bool,
    ) -> dict[str, Tensor]:
        image = torch.cat([torch.full_like(a.cell, i) for i, a in enumerate(found)])
        cell = torch.cat([a.cell for a in found])
        gt_xyxy = torch.cat([t.xyxy[a.target] for t, a in zip(targets, found, strict=True)])
        gt_class = torch.cat([t.class_id[a.target] for t, a in zip(targets, found, strict=True)])
        iou = torch.cat([a.iou for a in found])
        wanted = functional.one_hot(gt_class, raw.shape[2] - 5).to(raw.dtype) * iou[:, None]
        cls = functional.binary_cross_entropy_with_logits(raw[image, cell, 5:], wanted, reduction="sum")
        box = self.box_loss(boxes[image, cell], gt_xyxy).sum()
        zero = raw.new_zeros(())
        l1 = _l1(raw[image, cell, :4], gt_xyxy, grid, cell) if use_l1 else zero
        obj = _objectness(raw[..., 4], image, cell, targets, grid)
        positives = raw.new_tensor(float(len(cell)))
        return {"box": BOX_WEIGHT * box, "obj": obj, "cls": cls, "l1": l1, "positives": positives}

    def _grid(self, maps: Sequence[Tensor]) -> Grid:
        sizes = tuple((level.shape[2], level.shape[3]) for level in maps)
        if sizes not in self._grids:
            grid = make_grid(list(sizes), self.strides)
            self._grids[sizes] = Grid(grid.corner.to(maps[0].device), grid.stride.to(maps[0].device))
        return self._grids[sizes]


def decode_boxes(txtytwth: Tensor, grid: Grid) -> Tensor:
    """Raw (..., N, 4) -> corners (..., N, 4), pixels: centre (t + cell) * stride, size exp(t) * stride."""
    center = (txtytwth[..., :2] + grid.corner) * grid.stride[:, None]
    half = txtytwth[..., 2:].clamp(max=8.0).exp() * (0.5 * grid.stride[:, None])
    return torch.cat((center - half, center + half), dim=-1)


def _objectness(logit: Tensor, image: Tensor, cell: Tensor, targets: Sequence[Targets], grid: Grid) -> Tensor:
    wanted = torch.zeros_like(logit)
    weight = torch.ones_like(logit)
    for i, target in enumerate(targets):
        if len(target.ignore_xyxy):
            weight[i, _inside(grid.center, target.ignore_xyxy)] = 0.0
    wanted[image, cell] = 1.0
    weight[image, cell] = 1.0
    return functional.binary_cross_entropy_with_logits(logit, wanted, weight, reduction="sum")


def _inside(points: Tensor, regions_xyxy: Tensor) -> Tensor:
    """(N,) bool: the points (N, 2) that lie in any of the regions (R, 4)."""
    low = (points[:, None] >= regions_xyxy[None, :, :2]).all(dim=2)
    high = (points[:, None] < regions_xyxy[None, :, 2:]).all(dim=2)
    return (low & high).any(dim=1)


def _l1(raw: Tensor, gt_xyxy: Tensor, grid: Grid, cell: Tensor) -> Tensor:
    stride, corner = grid.stride[cell, None], grid.corner[cell]
    center = (gt_xyxy[:, :2] + gt_xyxy[:, 2:]) / 2 / stride - corner
    size = ((gt_xyxy[:, 2:] - gt_xyxy[:, :2]) / stride + 1e-8).log()
    return functional.l1_loss(raw, torch.cat((center, size), dim=1), reduction="sum")


class _Overlap(NamedTuple):
    iou: Tensor
    union: Tensor
    hull: Tensor


def _overlap(a: Tensor, b: Tensor) -> _Overlap:
    inter = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(dim=1)
    union = (a[:, 2:] - a[:, :2]).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1) - inter
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    return _Overlap(inter / (union + 1e-9), union, hull)


def iou_loss(pred_xyxy: Tensor, gt_xyxy: Tensor) -> Tensor:
    """(P,) 1 - IoU^2."""
    return 1 - _overlap(pred_xyxy, gt_xyxy).iou ** 2


def giou_loss(pred_xyxy: Tensor, gt_xyxy: Tensor) -> Tensor:
    """(P,) 1 - GIoU (arXiv 1902.09630)."""
    overlap = _overlap(pred_xyxy, gt_xyxy)
    hull = overlap.hull.prod(dim=1)
    return 1 - overlap.iou + (hull - overlap.union) / (hull + 1e-9)


def ciou_loss(pred_xyxy: Tensor, gt_xyxy: Tensor) -> Tensor:
    """(P,) 1 - CIoU (arXiv 1911.08287): centre distance and aspect ratio besides the overlap."""
    overlap = _overlap(pred_xyxy, gt_xyxy)
    size_p, size_g = pred_xyxy[:, 2:] - pred_xyxy[:, :2], gt_xyxy[:, 2:] - gt_xyxy[:, :2]
    offset = (pred_xyxy[:, :2] + pred_xyxy[:, 2:] - gt_xyxy[:, :2] - gt_xyxy[:, 2:]) / 2
    distance = offset.square().sum(dim=1) / (overlap.hull.square().sum(dim=1) + 1e-9)
    angle = (size_g[:, 0] / size_g[:, 1]).atan() - (size_p[:, 0] / (size_p[:, 1] + 1e-9)).atan()
    aspect = 4 / math.pi**2 * angle.square()
    with torch.no_grad():
        trade = aspect / (1 - overlap.iou + aspect + 1e-9)
    return 1 - overlap.iou + distance + trade * aspect


BOX_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": iou_loss,
    "giou": giou_loss,
    "ciou": ciou_loss,
}
