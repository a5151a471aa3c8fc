"""Detection heads: YOLOX's decoupled head and FasterX's PixSF head, with the same output grid.

Both return, per level, one raw map (B, 5 + classes, H, W) whose channels are tx, ty, tw, th, objectness, classes.
PixSF (pixel shuffle + Focus) is reconstructed from the abstract of FasterX (arXiv 2209.03157). Differs from the
paper: which layers the towers hold, the attention and the widths are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.models.attention import attention
from edgekit.models.blocks import ConvBnAct, conv


class Predictors(nn.Module):
    """The three last 1x1 convolutions; class and objectness biases start at a probability of 0.01.

    Objectness and classes leave as logits in training and as probabilities in eval mode.
    """

    def __init__(self, channels: int, num_classes: int):
        super().__init__()
        self.reg = nn.Conv2d(channels, 4, 1)
        self.obj = nn.Conv2d(channels, 1, 1)
        self.cls = nn.Conv2d(channels, num_classes, 1)
        for layer in (self.obj, self.cls):
            assert layer.bias is not None
            nn.init.constant_(layer.bias, -math.log((1 - 0.01) / 0.01))

    def forward(self, cls_feat: Tensor, reg_feat: Tensor) -> Tensor:
        """Two (B, C, H, W) tower maps -> (B, 5 + classes, H, W)."""
        obj, cls = self.obj(reg_feat), self.cls(cls_feat)
        if not self.training:
            obj, cls = obj.sigmoid(), cls.sigmoid()
        return torch.cat((self.reg(reg_feat), obj, cls), dim=1)


def _tower(width: int, convs: int, act: str, depthwise: bool) -> nn.Sequential:
    return nn.Sequential(*(conv(width, width, 3, 1, act, depthwise) for _ in range(convs)))


class YoloxLevel(nn.Module):
    """One level of the decoupled head: 1x1 stem, class and box towers, predictors."""

    def __init__(self, c_in: int, width: int, num_classes: int, convs: int, act: str, depthwise: bool):
        super().__init__()
        self.stem = ConvBnAct(c_in, width, 1, act=act)
        self.cls_tower = _tower(width, convs, act, depthwise)
        self.reg_tower = _tower(width, convs, act, depthwise)
        self.predict = Predictors(width, num_classes)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, 5 + classes, H, W)."""
        x = self.stem(x_nchw)
        y: Tensor = self.predict(self.cls_tower(x), self.reg_tower(x))
        return y


class PixelEncoder(nn.Module):
    """Space to depth, then 1x1: the position inside a 2x2 cell becomes a channel index."""

    def __init__(self, c_in: int, width: int, act: str):
        super().__init__()
        self.conv = ConvBnAct(4 * c_in, width, 1, act=act)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W), H and W even -> (B, width, H/2, W/2)."""
        y: Tensor = self.conv(functional.pixel_unshuffle(x_nchw, 2))
        return y


class PixsfLevel(nn.Module):
    """One PixSF level: encode to half resolution, attend, towers there, shuffle back to the dense grid."""

    def __init__(
        self, c_in: int, width: int, num_classes: int, convs: int, act: str, depthwise: bool, attend: str = "none"
    ):
        super().__init__()
        if width % 4:
            raise ValueError(f"PixSF needs a head width divisible by 4, got {width}")
        self.encode = PixelEncoder(c_in, width, act)
        self.attend = attention(attend, width)
        self.cls_tower = _tower(width, convs, act, depthwise)
        self.reg_tower = _tower(width, convs, act, depthwise)
        self.predict = Predictors(width // 4, num_classes)
        _repeat_groups(self.cls_tower)
        _repeat_groups(self.reg_tower)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W), H and W even -> (B, 5 + classes, H, W)."""
        x = self.attend(self.encode(x_nchw))
        cls_feat = functional.pixel_shuffle(self.cls_tower(x), 2)
        reg_feat = functional.pixel_shuffle(self.reg_tower(x), 2)
        y: Tensor = self.predict(cls_feat, reg_feat)
        return y


def _repeat_groups(tower: nn.Sequential) -> None:
    """Start the tower's last convolution with equal weights inside each 2x2 cell (ICNR, arXiv 1707.02937)."""
    last = [module for module in tower.modules() if isinstance(module, nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight.copy_(last.weight[::4].repeat_interleave(4, dim=0))


class Head(nn.Module):
    """A list of levels applied to a list of maps."""

    def __init__(self, levels: Sequence[nn.Module]):
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps at strides 8, 16, 32 -> raw maps (B, 5 + classes, H, W), same order."""
        return [level(x) for level, x in zip(self.levels, maps, strict=True)]


def flatten_maps(maps: Sequence[Tensor]) -> Tensor:
    """Maps (B, 5 + classes, H, W) -> (B, N, 5 + classes), rows first inside a level, levels by ascending stride."""
    # Plain integers, so that an exported graph holds constant shapes and no arithmetic on them.
    flat = [level.reshape(int(level.shape[0]), int(level.shape[1]), -1) for level in maps]
    return torch.cat(flat, dim=2).transpose(1, 2)
