"""Channel attention for the head: none, ECA (1910.03151), SE (1709.01507) or CBAM (1807.06521)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Eca(nn.Module):
    """Global average, a 1-D convolution of 3 taps over the channels, sigmoid gate: three parameters."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape, channels rescaled."""
        mean = x_nchw.mean(dim=(2, 3))
        gate = self.conv(mean.unsqueeze(1)).squeeze(1).sigmoid()
        return x_nchw * gate[:, :, None, None]


class Se(nn.Module):
    """Squeeze and excitation with reduction 4."""

    def __init__(self, channels: int):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 4, 1)
        self.excite = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape, channels rescaled."""
        mean = x_nchw.mean(dim=(2, 3), keepdim=True)
        gate: Tensor = self.excite(self.squeeze(mean).relu()).sigmoid()
        return x_nchw * gate


class Cbam(nn.Module):
    """Channel gate from average and max pooling, then a 7x7 spatial gate."""

    def __init__(self, channels: int):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 4, 1)
        self.excite = nn.Conv2d(channels // 4, channels, 1)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        pools = (x_nchw.mean(dim=(2, 3), keepdim=True), x_nchw.amax(dim=(2, 3), keepdim=True))
        average, peak = (self.excite(self.squeeze(pool).relu()) for pool in pools)
        x = x_nchw * (average + peak).sigmoid()
        plane = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        gate: Tensor = self.spatial(plane).sigmoid()
        return x * gate


def _none(channels: int) -> nn.Module:
    return nn.Identity()


ATTENTION: dict[str, Callable[[int], nn.Module]] = {"none": _none, "eca": Eca, "se": Se, "cbam": Cbam}


def attention(name: str, channels: int) -> nn.Module:
    """A fresh attention module over `channels`; `ValueError` names the choices."""
    if name not in ATTENTION:
        raise ValueError(f"attention {name!r} is unknown; choose one of {', '.join(ATTENTION)}")
    return ATTENTION[name](channels)
