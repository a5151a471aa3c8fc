"""The anchor-based head of YOLOv5 v5.0, which SuperYOLO and GHOST use: three boxes a cell, one 1x1 convolution a level.

A box of anchor (aw, ah) in cell (gx, gy) at stride s, with p = sigmoid(raw):

    cx = (2 px - 0.5 + gx) * s    cy = (2 py - 0.5 + gy) * s    w = (2 pw)^2 * aw    h = (2 ph)^2 * ah

Differs from YOLOv5: the network ends at the sigmoid, and boxes are made of it behind the network (decode family
`yolov5`), so that one output in [0, 1] serves integers as well as floats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

Anchors = tuple[tuple[float, float], ...]

# Width and height in input pixels, three a level, as YOLOv5 has them.
FINE: Anchors = ((10, 13), (16, 30), (33, 23))
MIDDLE: Anchors = ((30, 61), (62, 45), (59, 119))
COARSE: Anchors = ((116, 90), (156, 198), (373, 326))


class AnchorHead(nn.Module):
    """Raw predictions of tx, ty, tw, th, objectness and classes for each anchor of each cell.

    Args:
        channels: of the maps, one a level.
        anchors: of each level; the same number on all.
        num_classes: background excluded.
        strides: input pixels a cell of each level.
    """

    def __init__(self, channels: Sequence[int], anchors: Sequence[Anchors], num_classes: int, strides: Sequence[int]):
        super().__init__()
        self.anchors = tuple(anchors)
        self.outputs = 5 + num_classes
        self.levels = nn.ModuleList(
            nn.Conv2d(c, len(boxes) * self.outputs, 1) for c, boxes in zip(channels, anchors, strict=True)
        )
        for level, stride in zip(self.levels, strides, strict=True):
            _expect_few_objects(level, self.outputs, stride)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor] | Tensor:
        """Maps (B, C, H, W), finest first -> `raw` when training, else `flat`."""
        # Both through one call of the module: exported nodes then have its name, by which plans know their layers.
        return self.raw(maps) if self.training else self.flat(maps)

    def raw(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C, H, W), finest first -> raw (B, A, H, W, 5 + classes) of A anchors each."""
        raw = [level(x) for level, x in zip(self.levels, maps, strict=True)]
        return [y.unflatten(1, (-1, self.outputs)).permute(0, 1, 3, 4, 2) for y in raw]

    def flat(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps -> (B, N, 5 + classes), all in [0, 1]; level by level, in it anchor by anchor, in it row by row."""
        return torch.cat([self._rows(level(x)) for level, x in zip(self.levels, maps, strict=True)], dim=1)

    def _rows(self, raw_nchw: Tensor) -> Tensor:
        # Plain integers, so that an exported graph holds constant shapes and no arithmetic on them.
        batch, channels, height, width = (int(n) for n in raw_nchw.shape)
        anchors = channels // self.outputs
        rows = raw_nchw.sigmoid().reshape(batch, anchors, self.outputs, height * width).transpose(2, 3)
        return rows.reshape(batch, anchors * height * width, self.outputs)


@torch.no_grad()
def _expect_few_objects(level: nn.Module, outputs: int, stride: int) -> None:
    """Start scores where YOLOv5 does: 8 objects in 640 x 640 pixels, each class at 0.6 over all of them."""
    assert isinstance(level, nn.Conv2d) and level.bias is not None
    bias = level.bias.view(-1, outputs)
    bias[:, 4] += math.log(8 / (640 / stride) ** 2)
    bias[:, 5:] += math.log(0.6 / (outputs - 5 - 0.99))
