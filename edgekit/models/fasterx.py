"""YOLOX (arXiv 2107.08430) and FasterX (arXiv 2209.03157) as one network whose pieces are flags.

All flags off is plain YOLOX. FasterX has no public code: PixSF and SlimFPN are rebuilt from its abstract, see
`head` and `neck` for what is ours.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import Tensor

from edgekit.models.csp_darknet import CspDarknet
from edgekit.models.detector import DetectorModule
from edgekit.models.fold import fold_batch_norms, fold_space_to_depth
from edgekit.models.head import Head, PixsfLevel, YoloxLevel, flatten_maps
from edgekit.models.neck import Pafpn, SlimFpn
from edgekit.process import DecodeSpec

STRIDES = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class Architecture:
    """Literal numbers of one detector.

    Attributes:
        num_classes: classes, background excluded.
        channels: stem and stages at strides 4, 8, 16, 32.
        repeats: bottlenecks of the four stages.
        act: silu | relu.
        depthwise: depthwise-separable 3x3 convolutions in backbone, neck and head.
        neck: pafpn | slim.
        neck_width: SlimFPN's width; unused with pafpn.
        neck_depthwise: depthwise-separable SlimFPN.
        head: yolox | pixsf.
        head_width: width of the towers.
        head_convs: 3x3 convolutions in each tower.
        head_depthwise: depthwise-separable towers.
        attention: none | eca | se | cbam, PixSF only.
    """

    num_classes: int
    channels: tuple[int, int, int, int, int]
    repeats: tuple[int, int, int, int]
    act: str = "silu"
    depthwise: bool = False
    neck: str = "pafpn"
    neck_width: int = 0
    neck_depthwise: bool = True
    head: str = "yolox"
    head_width: int = 128
    head_convs: int = 2
    head_depthwise: bool = False
    attention: str = "none"


class Fasterx(DetectorModule):
    """The detector.

    In training mode the forward pass returns raw maps per level, (B, 5 + classes, H, W). In eval mode it returns one
    tensor (B, N, 5 + classes): tx, ty, tw, th as regressed, objectness and classes after the sigmoid; rows of a
    level first, levels by ascending stride. That is the layout of decode family `yolox`.
    """

    def __init__(self, arch: Architecture):
        super().__init__()
        self.arch = arch
        self.strides = STRIDES
        self.num_classes = arch.num_classes
        self.backbone = CspDarknet(arch.channels, arch.repeats, arch.act, arch.depthwise)
        self.neck = _neck(arch, self.backbone.out_channels)
        self.head = _head(arch, self.neck.out_channels)

    def features(self, x_nchw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W), H and W divisible by 32 (64 with PixSF) -> neck maps at strides 8, 16, 32."""
        p3, p4, p5 = self.neck(*self.backbone(x_nchw))
        return p3, p4, p5

    def forward(self, x_nchw: Tensor) -> list[Tensor] | Tensor:
        """(B, 3, H, W) -> raw maps when training, else (B, N, 5 + classes)."""
        maps: list[Tensor] = self.head(self.features(x_nchw))
        return maps if self.training else flatten_maps(maps)

    @property
    def decode_spec(self) -> DecodeSpec:
        """Family `yolox`."""
        return DecodeSpec("yolox", self.num_classes, self.strides)

    def deploy(self) -> Fasterx:
        """A copy for inference: batch norms and space-to-depth folded into convolutions, the same output."""
        model = copy.deepcopy(self).eval()
        fold_batch_norms(model)
        fold_space_to_depth(model)
        return model


def _neck(arch: Architecture, channels: tuple[int, int, int]) -> Pafpn | SlimFpn:
    if arch.neck == "pafpn":
        return Pafpn(channels, arch.repeats[0], arch.act, arch.depthwise)
    if arch.neck == "slim":
        return SlimFpn(channels, arch.neck_width, arch.act, arch.neck_depthwise)
    raise ValueError(f"neck {arch.neck!r} is unknown; choose pafpn or slim")


def _head(arch: Architecture, channels: tuple[int, int, int]) -> Head:
    size = (arch.head_width, arch.num_classes, arch.head_convs, arch.act)
    if arch.head == "yolox":
        return Head([YoloxLevel(c, *size, arch.depthwise or arch.head_depthwise) for c in channels])
    if arch.head == "pixsf":
        return Head([PixsfLevel(c, *size, arch.head_depthwise, arch.attention) for c in channels])
    raise ValueError(f"head {arch.head!r} is unknown; choose yolox or pixsf")
