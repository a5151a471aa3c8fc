"""CSPDarknet, the YOLOX backbone: Focus stem and four stages that halve the resolution."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edgekit.models.blocks import CspLayer, Focus, SppBottleneck, conv


class CspDarknet(nn.Module):
    """Maps at strides 8, 16 and 32.

    Args:
        channels: widths of the stem and of the stages at strides 4, 8, 16, 32 (five numbers).
        repeats: bottlenecks of the four stages.
        act: activation name.
        depthwise: 3x3 convolutions of the stages are depthwise separable.
    """

    def __init__(self, channels: Sequence[int], repeats: Sequence[int], act: str, depthwise: bool):
        super().__init__()
        stem, c2, c3, c4, c5 = channels
        self.stem = Focus(3, stem, 3, act)
        self.dark2 = _stage(stem, c2, repeats[0], act, depthwise)
        self.dark3 = _stage(c2, c3, repeats[1], act, depthwise)
        self.dark4 = _stage(c3, c4, repeats[2], act, depthwise)
        self.dark5 = nn.Sequential(
            conv(c4, c5, 3, 2, act, depthwise),
            SppBottleneck(c5, c5, act),
            CspLayer(c5, c5, repeats[3], False, act, depthwise),
        )
        self.out_channels = (c3, c4, c5)

    def forward(self, x_nchw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> maps of c3, c4, c5 channels at strides 8, 16, 32."""
        c3 = self.dark3(self.dark2(self.stem(x_nchw)))
        c4 = self.dark4(c3)
        return c3, c4, self.dark5(c4)


def _stage(c_in: int, c_out: int, repeats: int, act: str, depthwise: bool) -> nn.Sequential:
    return nn.Sequential(conv(c_in, c_out, 3, 2, act, depthwise), CspLayer(c_out, c_out, repeats, True, act, depthwise))
