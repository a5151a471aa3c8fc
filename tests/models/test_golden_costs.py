"""Parameters and multiply-accumulates of necks and heads against the published and recomputed figures."""

import pytest
import torch
from torch import nn

from edgekit.models import build
from edgekit.models.head import Head, PixsfLevel, YoloxLevel
from edgekit.models.neck import Pafpn, SlimFpn

S_CHANNELS = (128, 256, 512)
SLIM_CHANNELS = (128, 128, 128)


def millions(module: nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def gmac(module: nn.Module, *inputs: object) -> float:
    total = 0

    def count(layer: nn.Conv2d, args: object, out: torch.Tensor) -> None:
        nonlocal total
        taps = layer.weight[0].numel()
        total += out.numel() * taps

    hooks = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        module.eval()(*inputs)
    for hook in hooks:
        hook.remove()
    return total / 1e9


def maps_at_640(channels: tuple[int, int, int]) -> list[torch.Tensor]:
    return [torch.zeros(1, c, 640 // s, 640 // s) for c, s in zip(channels, (8, 16, 32), strict=True)]


@pytest.mark.parametrize(
    ("name", "published"),
    [("yolox_nano", 0.91), ("yolox_tiny", 5.06), ("yolox_s", 8.97)],
)
def test_yolox_has_the_published_parameters(name: str, published: float) -> None:
    assert millions(build(name, 80)) == pytest.approx(published, abs=0.006)


HEADS = [
    ("yolox", lambda c: YoloxLevel(c, 128, 10, 2, "silu", False), S_CHANNELS, 1.894, 5.15),
    ("yolox, DS towers", lambda c: YoloxLevel(c, 128, 10, 2, "silu", True), S_CHANNELS, 0.338, 0.79),
    ("pixsf", lambda c: PixsfLevel(c, 128, 10, 2, "silu", False), S_CHANNELS, 2.234, 1.43),
    ("pixsf, DS towers", lambda c: PixsfLevel(c, 128, 10, 2, "silu", True), S_CHANNELS, 0.678, 0.33),
    ("pixsf, DS, slim", lambda c: PixsfLevel(c, 128, 10, 2, "silu", True), SLIM_CHANNELS, 0.415, 0.29),
]


@pytest.mark.parametrize(("name", "level", "channels", "params", "macs"), HEADS, ids=[row[0] for row in HEADS])
def test_head_cost(name: str, level: object, channels: tuple[int, int, int], params: float, macs: float) -> None:
    head = Head([level(c) for c in channels])  # type: ignore[operator]
    assert millions(head) == pytest.approx(params, abs=0.002)
    assert gmac(head, maps_at_640(channels)) == pytest.approx(macs, abs=0.02)


def test_neck_costs_and_slim_is_less_than_a_tenth() -> None:
    pafpn = Pafpn(S_CHANNELS, 1, "silu", False)
    slim = SlimFpn(S_CHANNELS, 128, "silu", True)
    assert millions(pafpn) == pytest.approx(2.835, abs=0.002)
    assert gmac(pafpn, *maps_at_640(S_CHANNELS)) == pytest.approx(2.67, abs=0.02)
    assert millions(slim) == pytest.approx(0.188, abs=0.002)
    assert gmac(slim, *maps_at_640(S_CHANNELS)) == pytest.approx(0.36, abs=0.02)
    assert millions(slim) <= 0.1 * millions(pafpn)


def test_student_fits_its_file() -> None:
    assert millions(build("fasterx_student", 4)) * 4 <= 3.9
