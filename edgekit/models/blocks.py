"""The convolution blocks of YOLOX (Ge et al., arXiv 2107.08430): conv-BN-activation, bottleneck, CSP, SPP, Focus."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU}


def activation(name: str) -> nn.Module:
    """A fresh activation module by name; `ValueError` names the choices."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation {name!r} is unknown; choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


class ConvBnAct(nn.Module):
    """k x k convolution without bias, batch norm (eps 1e-3, momentum 0.03 as YOLOX), activation."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1, act: str = "silu"):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03)
        self.act = activation(act)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H/stride, W/stride)."""
        y: Tensor = self.act(self.bn(self.conv(x_nchw)))
        return y


class DepthwiseSeparable(nn.Module):
    """Depthwise k x k then pointwise 1 x 1, each with batch norm and activation."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, act: str = "silu"):
        super().__init__()
        self.depthwise = ConvBnAct(c_in, c_in, kernel, stride, groups=c_in, act=act)
        self.pointwise = ConvBnAct(c_in, c_out, 1, act=act)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H/stride, W/stride)."""
        y: Tensor = self.pointwise(self.depthwise(x_nchw))
        return y


def conv(c_in: int, c_out: int, kernel: int, stride: int, act: str, depthwise: bool) -> nn.Module:
    """A full or a depthwise-separable convolution block, by flag."""
    if depthwise:
        return DepthwiseSeparable(c_in, c_out, kernel, stride, act)
    return ConvBnAct(c_in, c_out, kernel, stride, act=act)


class Bottleneck(nn.Module):
    """1x1 then 3x3 at constant width, with an optional residual sum."""

    def __init__(self, channels: int, shortcut: bool, act: str, depthwise: bool):
        super().__init__()
        self.conv1 = ConvBnAct(channels, channels, 1, act=act)
        self.conv2 = conv(channels, channels, 3, 1, act, depthwise)
        self.shortcut = shortcut

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        y: Tensor = self.conv2(self.conv1(x_nchw))
        return x_nchw + y if self.shortcut else y


class CspLayer(nn.Module):
    """Cross-stage-partial stage: half of the width through `repeats` bottlenecks, half around them."""

    def __init__(self, c_in: int, c_out: int, repeats: int, shortcut: bool, act: str, depthwise: bool):
        super().__init__()
        hidden = c_out // 2
        self.conv1 = ConvBnAct(c_in, hidden, 1, act=act)
        self.conv2 = ConvBnAct(c_in, hidden, 1, act=act)
        self.blocks = nn.Sequential(*(Bottleneck(hidden, shortcut, act, depthwise) for _ in range(repeats)))
        self.conv3 = ConvBnAct(2 * hidden, c_out, 1, act=act)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H, W)."""
        y: Tensor = self.conv3(torch.cat((self.blocks(self.conv1(x_nchw)), self.conv2(x_nchw)), dim=1))
        return y


class SppBottleneck(nn.Module):
    """Spatial pyramid pooling: max pools of 5, 9 and 13 beside the input, between two 1x1 convolutions."""

    def __init__(self, c_in: int, c_out: int, act: str):
        super().__init__()
        hidden = c_in // 2
        self.conv1 = ConvBnAct(c_in, hidden, 1, act=act)
        self.conv2 = ConvBnAct(4 * hidden, c_out, 1, act=act)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H, W)."""
        x = self.conv1(x_nchw)
        # A 5x5 stride-1 max pool applied twice is the 9x9 one and three times the 13x13 one, exactly.
        pool5 = functional.max_pool2d(x, 5, 1, 2)
        pool9 = functional.max_pool2d(pool5, 5, 1, 2)
        pool13 = functional.max_pool2d(pool9, 5, 1, 2)
        y: Tensor = self.conv2(torch.cat((x, pool5, pool9, pool13), dim=1))
        return y


class Focus(nn.Module):
    """2x2 space to depth, then a convolution: no pixel is lost, every later layer sees a quarter of the positions.

    Differs from YOLOX: channels are ordered as `pixel_unshuffle` orders them (channel, row, column), so that the
    whole block folds into one stride-2 convolution (`fold.fold_focus`).
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, act: str):
        super().__init__()
        self.conv = ConvBnAct(4 * c_in, c_out, kernel, act=act)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W), H and W even -> (B, c_out, H/2, W/2)."""
        y: Tensor = self.conv(functional.pixel_unshuffle(x_nchw, 2))
        return y
