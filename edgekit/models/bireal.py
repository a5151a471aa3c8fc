"""Classification networks whose convolutions can be signs: residual networks in Bi-Real wiring, and VGG-Small.

Bi-Real Net (Liu et al., ECCV 2018) puts a shortcut around every 3x3 convolution, so that real numbers pass beside its
signs; IR-Net (Qin et al., CVPR 2020) ends each with Hardtanh. One unit is

    y = hardtanh( norm(conv(x)) + shortcut(x) )

There is no ReLU: the sign of a number that is never negative says nothing. In float these are plain networks; which of
their convolutions become binary is somebody else's rule, and `BODY` names them. What stays is the stem, the
classifier, and the 1x1 projections of the shortcuts.

Differs from the papers: the projection of a shortcut is a strided 1x1 convolution and a norm, as in He et al., CVPR
2016 and IR-Net (Bi-Real pools first); the stem ends with Hardtanh too; no norms around the last layer; VGG-Small
pools behind its norms, not before them, so that each norm folds into its convolution.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

BODY = ("stages.*.conv",)
"""Patterns of the names of the convolutions that become binary."""


class Unit(nn.Module):
    """k x k convolution, norm, shortcut around both, Hardtanh."""

    def __init__(self, c_in: int, c_out: int, stride: int, projected: bool):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(c_out)
        self.shortcut = _shortcut(c_in, c_out, stride, projected)
        self.act = nn.Hardtanh()

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H/stride, W/stride), in [-1, 1]."""
        y: Tensor = self.act(self.bn(self.conv(x_nchw)) + self.shortcut(x_nchw))
        return y


class Thinned(nn.Module):
    """Every `stride`-th position, channels padded with zeros on both sides: a shortcut without weights (option A)."""

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.stride = stride
        self.before = (c_out - c_in) // 2
        self.after = c_out - c_in - self.before

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H/stride, W/stride)."""
        thin = x_nchw[:, :, :: self.stride, :: self.stride]
        return functional.pad(thin, (0, 0, 0, 0, self.before, self.after))


class ResNet(nn.Module):
    """A residual network in Bi-Real wiring: two units where He et al. have one block of two convolutions.

    Args:
        num_classes: classes.
        widths: channels of each stage; each but the first halves the resolution.
        units: units of each stage.
        imagenet: a 7x7 stride-2 stem and a pool, for large pictures; else a 3x3 stem.
        projected: shortcuts that change shape are 1x1 convolutions; else `Thinned`.
        size_hw: height and width of the pictures that it is trained on.
    """

    def __init__(
        self,
        num_classes: int,
        widths: tuple[int, ...],
        units: tuple[int, ...],
        imagenet: bool,
        projected: bool,
        size_hw: tuple[int, int],
    ):
        super().__init__()
        self.num_classes = num_classes
        self.size_hw = size_hw
        self.stem = _stem(widths[0], imagenet)
        channels, made = widths[0], []
        for index, (width, count) in enumerate(zip(widths, units, strict=True)):
            strides = [2 if index else 1] + [1] * (count - 1)
            inputs = [channels] + [width] * (count - 1)
            made.append(nn.Sequential(*(Unit(c, width, s, projected) for c, s in zip(inputs, strides, strict=True))))
            channels = width
        self.stages = nn.Sequential(*made)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, classes)."""
        y: Tensor = self.fc(self.pool(self.stages(self.stem(x_nchw))).flatten(1))
        return y


class ChainUnit(nn.Module):
    """3x3 convolution, norm, optional 2x2 max pool, Hardtanh."""

    def __init__(self, c_in: int, c_out: int, pooled: bool):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(c_out)
        self.pool: nn.Module = nn.MaxPool2d(2) if pooled else nn.Identity()
        self.act = nn.Hardtanh()

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H or H/2, W or W/2), in [-1, 1]."""
        y: Tensor = self.act(self.pool(self.bn(self.conv(x_nchw))))
        return y


class VggSmall(nn.Module):
    """VGG-Small (Zhang et al., LQ-Nets, ECCV 2018): six convolutions in a chain and one linear layer, for 32 x 32."""

    def __init__(self, num_classes: int, width: int):
        super().__init__()
        self.num_classes = num_classes
        self.size_hw = (32, 32)
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.Hardtanh())
        shapes = ((1, 1, True), (1, 2, False), (2, 2, True), (2, 4, False), (4, 4, True))
        self.stages = nn.Sequential(*(ChainUnit(a * width, b * width, pooled) for a, b, pooled in shapes))
        self.fc = nn.Linear(4 * width * 16, num_classes)
        initialise(self)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> logits (B, classes)."""
        y: Tensor = self.fc(self.stages(self.stem(x_nchw)).flatten(1))
        return y


def initialise(model: nn.Module) -> None:
    """Convolutions as He et al. 2015; linear layers and norms as torch has them."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)


def _stem(width: int, imagenet: bool) -> nn.Sequential:
    if not imagenet:
        return nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.Hardtanh())
    conv = nn.Conv2d(3, width, 7, 2, 3, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.Hardtanh(), nn.MaxPool2d(3, 2, 1))


def _shortcut(c_in: int, c_out: int, stride: int, projected: bool) -> nn.Module:
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    if not projected:
        return Thinned(c_in, c_out, stride)
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
