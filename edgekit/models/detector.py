"""What training, export and evaluation know of a network, whichever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from edgekit.process import DecodeSpec

PICTURES = {"rgb": 3, "ir": 3, "rgb+ir": 4}
"""What a network looks at -> its input channels; infrared alone is fed as three equal channels."""


class DetectorModule(nn.Module, ABC):
    """A detector. In training mode it returns what its loss reads, in eval mode one tensor (B, N, 5 + classes).

    Attributes:
        num_classes: classes, background excluded.
        strides: of its maps, ascending.
        pictures: key of `PICTURES`; a network for "rgb" takes any picture of a single camera.
        training_only: names of the submodules that only training has; checkpoints hold them, deployed networks do not.
    """

    num_classes: int
    strides: tuple[int, ...]
    pictures: str = "rgb"
    training_only: ClassVar[tuple[str, ...]] = ()

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return PICTURES[self.pictures]

    @property
    @abstractmethod
    def decode_spec(self) -> DecodeSpec:
        """How the output of eval mode becomes boxes."""

    @abstractmethod
    def deploy(self) -> DetectorModule:
        """A copy for inference: batch norms folded, nothing that only training needs, the same output."""
