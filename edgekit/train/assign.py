"""SimOTA label assignment (YOLOX, arXiv 2107.08430): each object takes the k cells that cost it least.

Candidates are the cells whose centre lies within 1.5 strides of an object's centre; cost is the class loss plus three
times -log IoU; k is the sum of the object's ten best IoUs. A cell that two objects want goes to the cheaper one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CENTER_RADIUS = 1.5
FORBIDDEN = 1e6


class Grid(NamedTuple):
    """The cells of all levels, levels by ascending stride, rows first.

    Attributes:
        corner: (N, 2) float32 column and row index of each cell.
        stride: (N,) float32 stride of each cell, pixels.
    """

    corner: Tensor
    stride: Tensor

    @property
    def center(self) -> Tensor:
        """(N, 2) cell centres, pixels."""
        return (self.corner + 0.5) * self.stride[:, None]


class Assignment(NamedTuple):
    """Positive cells of one image.

    Attributes:
        cell: (P,) int64 cell index, each at most once.
        target: (P,) int64 object index.
        iou: (P,) float32 IoU of the cell's present box with the object.
    """

    cell: Tensor
    target: Tensor
    iou: Tensor


def make_grid(sizes_hw: list[tuple[int, int]], strides: tuple[int, ...]) -> Grid:
    """Grid of maps of those sizes."""
    corners, columns = [], []
    for (height, width), stride in zip(sizes_hw, strides, strict=True):
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        corners.append(torch.stack((x, y), dim=2).reshape(-1, 2).float())
        columns.append(torch.full((height * width,), float(stride)))
    return Grid(torch.cat(corners), torch.cat(columns))


def pairwise_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """(A, 4) and (B, 4) corners -> (A, B) intersection over union."""
    low = torch.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = torch.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    inter = (high - low).clamp_(min=0).prod(dim=2)
    area_a = (a_xyxy[:, 2:] - a_xyxy[:, :2]).prod(dim=1)
    area_b = (b_xyxy[:, 2:] - b_xyxy[:, :2]).prod(dim=1)
    return inter / (area_a[:, None] + area_b[None, :] - inter + 1e-9)


@torch.no_grad()
def simota(
    pred_xyxy: Tensor, obj_logit: Tensor, cls_logit: Tensor, gt_xyxy: Tensor, gt_class: Tensor, grid: Grid
) -> Assignment:
    """Assign the cells of one image.

    Args:
        pred_xyxy: (N, 4) float32 predicted boxes, pixels.
        obj_logit: (N,) objectness before the sigmoid.
        cls_logit: (N, C) classes before the sigmoid.
        gt_xyxy: (G, 4) objects, pixels.
        gt_class: (G,) int64.
        grid: the N cells.
    """
    near = _near_center(gt_xyxy, grid)
    cells = near.any(dim=0).nonzero().squeeze(1)
    if len(cells) == 0:
        return Assignment(cells, cells.clone(), pred_xyxy.new_zeros(0))
    iou = pairwise_iou(gt_xyxy, pred_xyxy[cells])
    cost = _class_cost(obj_logit[cells], cls_logit[cells], gt_class) - 3.0 * (iou + 1e-8).log()
    cost += FORBIDDEN * ~near[:, cells]
    chosen = _cheapest(cost, iou)
    target, column = chosen.nonzero(as_tuple=True)
    return Assignment(cells[column], target, iou[target, column])


def _near_center(gt_xyxy: Tensor, grid: Grid) -> Tensor:
    gt_center = (gt_xyxy[:, :2] + gt_xyxy[:, 2:]) / 2
    distance = (gt_center[:, None] - grid.center[None]).abs().amax(dim=2)
    return distance < CENTER_RADIUS * grid.stride[None]


def _class_cost(obj_logit: Tensor, cls_logit: Tensor, gt_class: Tensor) -> Tensor:
    """(G, M) binary cross-entropy of p = sqrt(cls * obj) against each object's one-hot class."""
    p = (cls_logit.sigmoid() * obj_logit.sigmoid()[:, None]).sqrt().clamp_(1e-6, 1 - 1e-6)
    negative = -(1 - p).log()
    positive_minus_negative = -p.log() - negative
    return negative.sum(dim=1)[None] + positive_minus_negative[:, gt_class].T


def _cheapest(cost: Tensor, iou: Tensor) -> Tensor:
    """(G, M) bool: the k cheapest cells of each object, every cell used at most once."""
    top = min(10, iou.shape[1])
    k = iou.topk(top, dim=1).values.sum(dim=1).int().clamp_(min=1)
    order = cost.argsort(dim=1)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(cost.shape[1], device=cost.device).expand_as(order))
    chosen = (rank < k[:, None]) & (cost < FORBIDDEN)
    contested = chosen.sum(dim=0) > 1
    if contested.any():
        winner = cost[:, contested].argmin(dim=0)
        chosen[:, contested] = False
        chosen[winner, contested.nonzero().squeeze(1)] = True
    return chosen
