"""Colour and infrared before the first stage: stacked as channels, or fused pixel by pixel (SuperYOLO's MF).

Zhang et al., SuperYOLO, TGRS 61 (2023), arXiv 2209.13351, section on multimodal fusion, as its released code computes
it. Differs from the paper: the figure draws a squeeze-and-excitation block on each input; the released network, whose
scores are published, halves the input in its place, and so does this one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def stack_pair(colour_nchw: Tensor, infrared_nchw: Tensor) -> Tensor:
    """A registered pair as the input of a network for both: colour first, infrared as the fourth channel.

    Args:
        colour_nchw: (B, 3, H, W).
        infrared_nchw: (B, 1, H, W), or (B, 3, H, W) as decoded from a grey file, of which channel 0 is taken.

    Returns:
        (B, 4, H, W).

    Raises:
        ValueError: the channels are not those of a colour and an infrared image, or the sizes differ.
    """
    colours, infrareds = colour_nchw.shape[1], infrared_nchw.shape[1]
    if colours != 3 or infrareds not in (1, 3):
        raise ValueError(f"a pair has 3 colour and then 1 or 3 infrared channels, got {colours} and {infrareds}")
    if colour_nchw.shape[-2:] != infrared_nchw.shape[-2:]:
        seen = f"{tuple(colour_nchw.shape[-2:])} and {tuple(infrared_nchw.shape[-2:])}"
        raise ValueError(f"colour and infrared are registered and of one size, got {seen}")
    return torch.cat((colour_nchw, infrared_nchw[:, :1]), dim=1)


class MultimodalFusion(nn.Module):
    """Each modality weighted by a mask of itself, convolved apart, concatenated, channels rescaled: 1,958 parameters.

    R' = R + m(R/2) * R/2 with m a 1x1 convolution to one channel, and the same for infrared. No batch norm and no
    activation follow. Three quarters of the channels come from colour.

    Args:
        out_channels: 64 as published, of which a sixteenth are squeezed to, 4 at least.
    """

    def __init__(self, out_channels: int = 64) -> None:
        super().__init__()
        infrared, squeezed = out_channels // 4, max(4, out_channels // 16)
        self.colour_mask = nn.Conv2d(3, 1, 1)
        self.infrared_mask = nn.Conv2d(1, 1, 1)
        self.colour = nn.Conv2d(3, out_channels - infrared, 3, padding=1, bias=False)
        self.infrared = nn.Conv2d(1, infrared, 3, padding=1, bias=False)
        self.squeeze = nn.Linear(out_channels, squeezed, bias=False)
        self.excite = nn.Linear(squeezed, out_channels, bias=False)

    def forward(self, x_nchw: Tensor) -> Tensor:
        """(B, 4, H, W), colour then infrared -> (B, out_channels, H, W)."""
        colour, infrared = x_nchw[:, :3], x_nchw[:, 3:]
        colour = colour + self.colour_mask(0.5 * colour) * (0.5 * colour)
        infrared = infrared + self.infrared_mask(0.5 * infrared) * (0.5 * infrared)
        fused = torch.cat((self.colour(colour), self.infrared(infrared)), dim=1)
        gate = self.excite(self.squeeze(fused.mean(dim=(2, 3))).relu()).sigmoid()
        return fused * gate[:, :, None, None]
