"""Exact rewrites of trained modules for inference: batch norm into its convolution, space-to-depth into a stride."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.models.blocks import ConvBnAct, Focus
from edgekit.models.head import PixelEncoder


def fold_batch_norms(model: nn.Module) -> None:
    """Fold every `ConvBnAct`'s batch norm into its convolution, in place; the model must be in eval mode."""
    for module in model.modules():
        if isinstance(module, ConvBnAct) and isinstance(module.bn, nn.BatchNorm2d):
            module.conv = _folded(module.conv, module.bn)
            module.bn = nn.Identity()


def _folded(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    # bn(w*x) = g*(w*x - mean)/sqrt(var + eps) + b, so w' = w*g/sqrt(var + eps) and b' = b - mean*g/sqrt(var + eps)
    assert bn.running_var is not None and bn.running_mean is not None
    gain = bn.weight.double() / (bn.running_var.double() + bn.eps).sqrt()
    folded = _conv_like(conv, conv.weight.double() * gain[:, None, None, None])
    assert folded.bias is not None
    folded.bias.data.copy_(bn.bias.double() - bn.running_mean.double() * gain)
    return folded


def _conv_like(conv: nn.Conv2d, weight: Tensor) -> nn.Conv2d:
    new = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        (conv.kernel_size[0], conv.kernel_size[1]),
        (conv.stride[0], conv.stride[1]),
        (int(conv.padding[0]), int(conv.padding[1])),
        groups=conv.groups,
    )
    new.weight.data.copy_(weight)
    return new


def fold_space_to_depth(model: nn.Module) -> None:
    """Replace Focus and PixSF encoders (batch norms folded before) by one strided convolution each, in place."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Focus | PixelEncoder):
                setattr(parent, name, nn.Sequential(strided_from_unshuffled(child.conv.conv), child.conv.act))


def strided_from_unshuffled(conv: nn.Conv2d) -> nn.Conv2d:
    """k x k convolution over `pixel_unshuffle(x, 2)` -> the equal 2k x 2k stride-2 convolution over x.

    Channel 4c + 2i + j of the unshuffled map at (y, x) is pixel (2y + i, 2x + j) of channel c, so tap (u, v) of that
    channel is tap (2u + i, 2v + j) of the large kernel; the padding doubles with the kernel.
    """
    c_out, c_in4, k, _ = conv.weight.shape
    weight = conv.weight.detach().reshape(c_out, c_in4 // 4, 2, 2, k, k)
    weight = weight.permute(0, 1, 4, 2, 5, 3).reshape(c_out, c_in4 // 4, 2 * k, 2 * k)
    strided = nn.Conv2d(c_in4 // 4, c_out, 2 * k, 2, 2 * int(conv.padding[0]))
    strided.weight.data.copy_(weight)
    assert strided.bias is not None
    strided.bias.data.copy_(torch.zeros(c_out) if conv.bias is None else conv.bias.detach())
    return strided
