"""SuperYOLO's training-only branch: from two maps of the backbone back to the picture at twice the input's size.

Zhang et al., SuperYOLO, TGRS 61 (2023), arXiv 2209.13351; the decoder is EDSR (Lim et al., CVPRW 2017) with 16 blocks.
Differs from the paper: its figure has batch norm, dropout and transposed convolutions, the released network none of
them, and this one follows the network. At 512 x 512 it costs 91 G multiply-accumulates, five times the detector, which
is why it leaves in `SuperYolo.deploy`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_DOUBLINGS = 3  # from stride 4 to twice the input's size


class SuperResolution(nn.Module):
    """Encoder over a fine and a coarse map, EDSR decoder.

    Args:
        fine_channels: of the map at stride 4.
        coarse_channels: of the map at stride 16.
        picture_channels: of the picture to restore: 3, or 4 with infrared.
        width: channels of the decoder.
        blocks: its residual blocks.
    """

    def __init__(
        self, fine_channels: int, coarse_channels: int, picture_channels: int, width: int = 64, blocks: int = 16
    ):
        super().__init__()
        self.fine = nn.Conv2d(fine_channels, fine_channels // 2, 1, bias=False)
        self.coarse = nn.Conv2d(coarse_channels, coarse_channels // 2, 1, bias=False)
        merged = fine_channels // 2 + coarse_channels // 2
        self.merge = nn.Sequential(
            nn.Conv2d(merged, 4 * width, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(4 * width, 2 * width, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(2 * width, width, 1),
        )
        self.decode = Edsr(picture_channels, width, blocks)
        for layer in (self.fine, self.coarse, *self.merge):
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)

    def forward(self, fine_nchw: Tensor, coarse_nchw: Tensor) -> Tensor:
        """(B, C, H/4, W/4) and (B, C', H/16, W/16) -> the picture, (B, picture_channels, 2H, 2W)."""
        fine = self.fine(fine_nchw).relu()
        coarse = self.coarse(coarse_nchw).relu()
        coarse = functional.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=True)
        y: Tensor = self.decode(self.merge(torch.cat((fine, coarse), dim=1)))
        return y


class Edsr(nn.Module):
    """EDSR of `width` channels and residual blocks without batch norm; enlarges eight times."""

    def __init__(self, picture_channels: int, width: int, blocks: int):
        super().__init__()
        self.enter = _conv3(width, width)
        self.blocks = nn.Sequential(*(_Residual(width) for _ in range(blocks)), _conv3(width, width))
        doublings = [layer for _ in range(_DOUBLINGS) for layer in (_conv3(width, 4 * width), nn.PixelShuffle(2))]
        self.enlarge = nn.Sequential(*doublings, _conv3(width, picture_channels))

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, width, H, W) -> (B, picture_channels, 8H, 8W)."""
        x = self.enter(x_nchw)
        y: Tensor = self.enlarge(x + self.blocks(x))
        return y


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _conv3(width, width), _conv3(width, width)

    def forward(self, x_nchw: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x_nchw).relu())
        return x_nchw + y


def _conv3(c_in: int, c_out: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, padding=1)
