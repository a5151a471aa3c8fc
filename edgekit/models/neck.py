"""Feature pyramids: the PAFPN of YOLOX and FasterX's SlimFPN.

SlimFPN is reconstructed from the abstract of FasterX (Zhou et al., arXiv 2209.03157), which names it but does not
draw it. Differs from the paper: layer layout and width are ours (one width on every level, sums in place of
concatenations, one 3x3 per merge, no CSP blocks).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.models.blocks import ConvBnAct, CspLayer, conv

Maps = tuple[Tensor, Tensor, Tensor]


class Pafpn(nn.Module):
    """Top-down and bottom-up paths with CSP blocks after each concatenation (YOLOX)."""

    def __init__(self, channels: Sequence[int], repeats: int, act: str, depthwise: bool):
        super().__init__()
        c3, c4, c5 = channels
        self.lateral5 = ConvBnAct(c5, c4, 1, act=act)
        self.merge4 = CspLayer(2 * c4, c4, repeats, False, act, depthwise)
        self.lateral4 = ConvBnAct(c4, c3, 1, act=act)
        self.merge3 = CspLayer(2 * c3, c3, repeats, False, act, depthwise)
        self.down3 = conv(c3, c3, 3, 2, act, depthwise)
        self.out4 = CspLayer(2 * c3, c4, repeats, False, act, depthwise)
        self.down4 = conv(c4, c4, 3, 2, act, depthwise)
        self.out5 = CspLayer(2 * c4, c5, repeats, False, act, depthwise)
        self.out_channels = (c3, c4, c5)

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> Maps:
        """Maps at strides 8, 16, 32 -> maps of the same channels and sizes."""
        f5 = self.lateral5(c5)
        f4 = self.lateral4(self.merge4(torch.cat((_up(f5), c4), dim=1)))
        p3 = self.merge3(torch.cat((_up(f4), c3), dim=1))
        p4 = self.out4(torch.cat((self.down3(p3), f4), dim=1))
        p5 = self.out5(torch.cat((self.down4(p4), f5), dim=1))
        return p3, p4, p5


class SlimFpn(nn.Module):
    """One width on every level; sums, and one 3x3 after each: at most a tenth of PAFPN's parameters with DS convs.

    Args:
        channels: widths of the three input maps.
        width: channels of every output map.
        act: activation name.
        depthwise: 3x3 convolutions are depthwise separable.
    """

    def __init__(self, channels: Sequence[int], width: int, act: str, depthwise: bool):
        super().__init__()
        self.laterals = nn.ModuleList(ConvBnAct(c, width, 1, act=act) for c in channels)
        self.smooth4 = conv(width, width, 3, 1, act, depthwise)
        self.smooth3 = conv(width, width, 3, 1, act, depthwise)
        self.down3 = conv(width, width, 3, 2, act, depthwise)
        self.down4 = conv(width, width, 3, 2, act, depthwise)
        self.out_channels = (width, width, width)

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> Maps:
        """Maps at strides 8, 16, 32 -> maps of `width` channels and the same sizes."""
        l3, l4, p5 = self.laterals[0](c3), self.laterals[1](c4), self.laterals[2](c5)
        p4 = self.smooth4(l4 + _up(p5))
        p3 = self.smooth3(l3 + _up(p4))
        p4 = p4 + self.down3(p3)
        p5 = p5 + self.down4(p4)
        return p3, p4, p5


def _up(x_nchw: Tensor) -> Tensor:
    return functional.interpolate(x_nchw, scale_factor=2.0, mode="nearest")
