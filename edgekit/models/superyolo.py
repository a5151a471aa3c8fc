"""SuperYOLO (Zhang et al., TGRS 61, 2023, arXiv 2209.13351) and the network that GHOST quantises (arXiv 2301.00131).

YOLOv5s without Focus: the stem is a stride-1 convolution, every map is twice as large, and the heads sit at strides 4,
8 and 16. SuperYOLO keeps the head at stride 4 alone and uses SiLU; GHOST keeps all three and uses ReLU. Differs from
the papers: anchors are the fixed ones of YOLOv5, none are fitted to a dataset; see `fusion`, `super_resolution` and
`anchor_head` for the pieces.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.models.anchor_head import COARSE, FINE, MIDDLE, AnchorHead
from edgekit.models.blocks import ConvBnAct, CspLayer, SppBottleneck
from edgekit.models.detector import PICTURES, DetectorModule
from edgekit.models.fold import fold_batch_norms
from edgekit.models.fusion import MultimodalFusion
from edgekit.models.neck import Pafpn
from edgekit.models.super_resolution import SuperResolution
from edgekit.process import DecodeSpec

STRIDES = (4, 8, 16)
PICTURES_OF = {"rgb": "rgb", "ir": "ir", "concat": "rgb+ir", "mf": "rgb+ir"}
"""What each modality looks at."""
INPUT_CHANNELS = {modality: PICTURES[pictures] for modality, pictures in PICTURES_OF.items()}
"""Input channels of each modality; infrared alone is fed as three equal channels, as published."""


@dataclass(frozen=True, slots=True)
class SuperYoloNumbers:
    """Literal numbers of one detector.

    Attributes:
        num_classes: classes, background excluded.
        modality: rgb | ir | concat (four channels into one stem) | mf (pixel-level fusion in place of the stem).
        heads: 1 (stride 4) or 3 (strides 4, 8, 16).
        act: silu | relu.
        super_resolution: with the training-only branch.
        decoder: of the branch: channels and residual blocks.
        channels: of the stem and of the stages at strides 2, 4, 8, 16.
        repeats: bottlenecks of the four stages.
    """

    num_classes: int
    modality: str = "rgb"
    heads: int = 1
    act: str = "silu"
    super_resolution: bool = False
    decoder: tuple[int, int] = (64, 16)
    channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    repeats: tuple[int, int, int, int] = (1, 3, 3, 1)

    def __post_init__(self) -> None:
        if self.modality not in INPUT_CHANNELS:
            raise ValueError(f"modality {self.modality!r} is unknown; choose one of {', '.join(INPUT_CHANNELS)}")
        if self.heads not in (1, 3):
            raise ValueError(f"the network has 1 or 3 heads, got {self.heads}")


def superyolo(num_classes: int, modality: str = "rgb", super_resolution: bool = True) -> SuperYolo:
    """SuperYOLO for training, with its branch: 4.83 M deployed parameters and 16.6 GMAC at 512 x 512."""
    return SuperYolo(SuperYoloNumbers(num_classes, modality, super_resolution=super_resolution))


def superyolo_small(num_classes: int, modality: str = "rgb") -> SuperYolo:
    """SuperYOLO for processors: a quarter of the widths, one bottleneck a stage, no branch; not published."""
    return SuperYolo(
        SuperYoloNumbers(num_classes, modality, decoder=(16, 4), channels=(8, 16, 32, 64, 128), repeats=(1, 1, 1, 1))
    )


def ghost_network(num_classes: int, modality: str = "concat") -> SuperYolo:
    """The network that GHOST quantises, three heads and ReLU: 7.07 M deployed parameters."""
    return SuperYolo(SuperYoloNumbers(num_classes, modality, heads=3, act="relu"))


class TrainingOutputs(NamedTuple):
    """What training sees.

    Attributes:
        maps: raw predictions, one (B, 3, H/s, W/s, 5 + classes) a head, finest first.
        picture: (B, C, 2H, 2W) restored by the branch; None without it.
    """

    maps: list[Tensor]
    picture: Tensor | None


class SuperYolo(DetectorModule):
    """The detector.

    In training mode the forward pass returns `TrainingOutputs`. In eval mode it returns one tensor (B, N, 5 + classes)
    in [0, 1], the layout of decode family `yolov5`, and never runs the super-resolution branch.
    """

    training_only = ("super_resolution",)

    def __init__(self, numbers: SuperYoloNumbers):
        super().__init__()
        self.numbers = numbers
        self.num_classes = numbers.num_classes
        self.pictures = PICTURES_OF[numbers.modality]
        self.strides = STRIDES[: numbers.heads]
        _, _, c4, c8, c16 = numbers.channels
        self.backbone = SuperYoloBackbone(numbers)
        self.neck: nn.Module = (
            TopDown((c4, c8, c16), numbers.act) if numbers.heads == 1 else Pafpn((c4, c8, c16), 1, numbers.act, False)
        )
        self.head = AnchorHead(
            (c4, c8, c16)[: numbers.heads],
            (FINE, MIDDLE, COARSE)[: numbers.heads],
            numbers.num_classes,
            self.strides,
        )
        self.super_resolution: SuperResolution | None = None
        if numbers.super_resolution:
            self.add_branch()

    def add_branch(self) -> None:
        """Give the network its training-only branch, randomly initialised."""
        channels = self.numbers.channels
        self.super_resolution = SuperResolution(channels[2], channels[4], self.in_channels, *self.numbers.decoder)

    def forward(self, x_nchw: Tensor) -> TrainingOutputs | Tensor:
        """(B, 3 or 4, H, W), H and W divisible by 16 -> `TrainingOutputs` when training, else (B, N, 5 + classes).

        Raises:
            ValueError: the channels are not those of the modality.
        """
        if x_nchw.shape[1] != self.in_channels:
            raise ValueError(
                f"modality {self.numbers.modality} takes {self.in_channels} channels, got {x_nchw.shape[1]}; see "
                "fusion.stack_pair"
            )
        found = self.backbone(x_nchw)
        maps = self.neck(found.stride4, found.stride8, found.stride16)
        predicted: list[Tensor] | Tensor = self.head(maps)
        if isinstance(predicted, Tensor):
            return predicted
        picture = None if self.super_resolution is None else self.super_resolution(found.stride4, found.pooled)
        return TrainingOutputs(predicted, picture)

    @property
    def decode_spec(self) -> DecodeSpec:
        """Family `yolov5`, with the anchors."""
        return DecodeSpec("yolov5", self.num_classes, self.strides, anchors=self.head.anchors)

    def deploy(self) -> SuperYolo:
        """A copy for inference: no super-resolution branch, batch norms folded, the same output."""
        model = copy.deepcopy(self).eval()
        model.super_resolution = None
        fold_batch_norms(model)
        return model


class BackboneMaps(NamedTuple):
    """Maps of the backbone, (B, C, H/s, W/s); `pooled` is at stride 16, before the last stage's CSP layer."""

    stride4: Tensor
    stride8: Tensor
    pooled: Tensor
    stride16: Tensor


class SuperYoloBackbone(nn.Module):
    """CSPDarknet with a stem that keeps the resolution."""

    def __init__(self, numbers: SuperYoloNumbers):
        super().__init__()
        act, repeats = numbers.act, numbers.repeats
        stem, c2, c4, c8, c16 = numbers.channels
        if numbers.modality == "mf":
            self.stem: nn.Module = MultimodalFusion(2 * stem)
            stem = 2 * stem
        else:
            self.stem = ConvBnAct(INPUT_CHANNELS[numbers.modality], stem, 3, act=act)
        self.stage2 = _stage(stem, c2, repeats[0], act)
        self.stage4 = _stage(c2, c4, repeats[1], act)
        self.stage8 = _stage(c4, c8, repeats[2], act)
        self.pool = nn.Sequential(ConvBnAct(c8, c16, 3, 2, act=act), SppBottleneck(c16, c16, act))
        self.stage16 = CspLayer(c16, c16, repeats[3], False, act, False)

    def forward(self, x_nchw: Tensor) -> BackboneMaps:
        """(B, 3 or 4, H, W) -> maps at strides 4, 8 and 16."""
        stride4 = self.stage4(self.stage2(self.stem(x_nchw)))
        stride8 = self.stage8(stride4)
        pooled = self.pool(stride8)
        return BackboneMaps(stride4, stride8, pooled, self.stage16(pooled))


def _stage(c_in: int, c_out: int, repeats: int, act: str) -> nn.Sequential:
    return nn.Sequential(ConvBnAct(c_in, c_out, 3, 2, act=act), CspLayer(c_out, c_out, repeats, True, act, False))


class TopDown(nn.Module):
    """The top-down half of PAFPN: one map at the finest stride, for a single head."""

    def __init__(self, channels: tuple[int, int, int], act: str):
        super().__init__()
        fine, middle, coarse = channels
        self.lateral5 = ConvBnAct(coarse, middle, 1, act=act)
        self.merge4 = CspLayer(2 * middle, middle, 1, False, act, False)
        self.lateral4 = ConvBnAct(middle, fine, 1, act=act)
        self.merge3 = CspLayer(2 * fine, fine, 1, False, act, False)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> tuple[Tensor]:
        """Maps at strides 4, 8, 16 -> one map at stride 4."""
        top = functional.interpolate(self.lateral5(coarse), scale_factor=2.0, mode="nearest")
        top = self.lateral4(self.merge4(torch.cat((top, middle), dim=1)))
        top = functional.interpolate(top, scale_factor=2.0, mode="nearest")
        return (self.merge3(torch.cat((top, fine), dim=1)),)
