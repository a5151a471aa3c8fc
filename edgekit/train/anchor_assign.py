"""Label assignment of heads with anchors, as in YOLOv5 v5.0: the shape chooses the anchors, the place three cells.

An anchor takes an object when neither side is `ratio` times as long as the other's, however many anchors that are.
Each then predicts it from the cell that holds the object's centre and from the two cells next to it that are nearest
to the centre, as far as they exist: a cell can move a box by half a cell to either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_HALF = 0.5
_NEIGHBOURS = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))


class AnchorTargets(NamedTuple):
    """The positive places of one level; one place may be there twice, with two objects.

    Attributes:
        image, anchor, row, column: (P,) int64 each, where the prediction is.
        xyxy: (P, 4) the object, pixels.
        class_id: (P,) int64.
    """

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    xyxy: Tensor
    class_id: Tensor


@torch.no_grad()
def assign_to_anchors(
    image: Tensor,
    xyxy: Tensor,
    class_id: Tensor,
    anchors: Sequence[tuple[float, float]],
    stride: int,
    size_hw: tuple[int, int],
    ratio: float = 4.0,
) -> AnchorTargets:
    """The positive places of one level.

    Args:
        image: (G,) int64, which image of the batch each object is in.
        xyxy: (G, 4) objects, pixels.
        class_id: (G,) int64.
        anchors: width and height of the level's anchors, pixels.
        stride: pixels a cell.
        size_hw: rows and columns of the level.
        ratio: see above.
    """
    shapes = xyxy.new_tensor(anchors)
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2 / stride
    anchor, chosen = _matching(xyxy, shapes, ratio).nonzero(as_tuple=True)
    limit = centre.new_tensor((size_hw[1], size_hw[0]))
    parts = []
    for step in _NEIGHBOURS:
        keep = _reaches(centre[chosen], limit, step)
        parts.append((anchor[keep], chosen[keep], step))
    anchor = torch.cat([a for a, _, _ in parts])
    which = torch.cat([c for _, c, _ in parts])
    steps = torch.cat([centre.new_tensor(step).expand(len(c), 2) for _, c, step in parts])
    cell = (centre[which].floor() + steps).clamp(min=0).minimum(limit - 1).long()
    return AnchorTargets(image[which], anchor, cell[:, 1], cell[:, 0], xyxy[which], class_id[which])


def _matching(xyxy: Tensor, shapes: Tensor, ratio: float) -> Tensor:
    """(A, G) bool: which anchor takes which object."""
    times = (xyxy[:, 2:] - xyxy[:, :2])[None] / shapes[:, None]
    return torch.maximum(times, 1 / times).amax(dim=2) < ratio


def _reaches(centre: Tensor, limit: Tensor, step: tuple[int, int]) -> Tensor:
    """(P,) bool: centres, in cells, that are nearer to the cell `step` away than to the one across, if it exists."""
    if step == (0, 0):
        return torch.ones(len(centre), dtype=torch.bool, device=centre.device)
    axis = 0 if step[0] else 1
    along = centre[:, axis] if sum(step) < 0 else limit[axis] - centre[:, axis]
    return (along % 1 < _HALF) & (along > 1)
