"""The student in Bi-Real wiring, so that the convolutions of its backbone and neck can be signs.

As in `edgekit.models.bireal`: real numbers pass beside every convolution that may become binary, and Hardtanh stands
where ReLU was, because the sign of what is never negative says nothing. Stem and head keep their convolutions; the
stem ends with Hardtanh too. Shortcuts have no weights: the same tensor, pooled by 2 where the convolution strides,
channels repeated where there are more behind it and averaged where there are fewer; none where the widths do not
divide. The plain layers are FasterX's, `edgekit.models.fasterx`; the wiring is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.models.blocks import ConvBnAct
from edgekit.models.fasterx import Fasterx

BODY = ("backbone.dark*.conv", "neck.*.conv")
"""Patterns of the names of the convolutions that become binary."""


class Beside(nn.Module):
    """A shortcut without weights to a convolution of other shape."""

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        if c_in % c_out and c_out % c_in:
            raise ValueError(f"{c_in} and {c_out} channels do not divide")
        self.c_in = c_in
        self.c_out = c_out
        self.stride = stride

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W), H and W divisible by the stride -> (B, c_out, H/stride, W/stride)."""
        x = x_nchw if self.stride == 1 else functional.avg_pool2d(x_nchw, self.stride)
        if self.c_out >= self.c_in:
            return x if self.c_out == self.c_in else torch.cat((x,) * (self.c_out // self.c_in), dim=1)
        parts = x.split(self.c_out, dim=1)
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total * (self.c_out / self.c_in)


class BiRealConv(ConvBnAct):
    """Convolution, norm, a shortcut around both, Hardtanh."""

    shortcut: Beside | None

    @classmethod
    def from_plain(cls, block: ConvBnAct) -> BiRealConv:
        """Around the *same* convolution and norm; without a shortcut where none fits."""
        c_in, c_out, stride = block.conv.in_channels, block.conv.out_channels, int(block.conv.stride[0])
        new = cls(c_in, c_out, 1)
        new.conv, new.bn, new.act = block.conv, block.bn, nn.Hardtanh()
        fits = c_in % c_out == 0 or c_out % c_in == 0
        new.shortcut = Beside(c_in, c_out, stride) if fits else None
        return new

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H/stride, W/stride), in [-1, 1]."""
        y: Tensor = self.bn(self.conv(x_nchw))
        if self.shortcut is not None:
            y = y + self.shortcut(x_nchw)
        bounded: Tensor = self.act(y)
        return bounded


def with_shortcuts(model: Fasterx) -> Fasterx:
    """Rewire a detector's backbone and neck in place, and return it; weights and their names stay."""
    backbone = model.backbone
    backbone.stem.conv.act = nn.Hardtanh()
    for part in (backbone.dark2, backbone.dark3, backbone.dark4, backbone.dark5, model.neck):
        for parent in list(part.modules()):
            for name, child in list(parent.named_children()):
                if type(child) is ConvBnAct:
                    setattr(parent, name, BiRealConv.from_plain(child))
    return model
