import pytest
import torch
from torch.nn import functional

from edgekit.models.blocks import Focus, SppBottleneck, activation, conv


def test_unknown_activation_names_the_choices() -> None:
    with pytest.raises(ValueError, match="'gelu' is unknown; choose one of silu, relu"):
        activation("gelu")


def test_pixel_shuffle_inverts_unshuffle_bit_for_bit() -> None:
    x = torch.randn(2, 3, 6, 10)
    assert torch.equal(functional.pixel_shuffle(functional.pixel_unshuffle(x, 2), 2), x)


def test_yolox_focus_is_a_channel_permutation_of_pixel_unshuffle() -> None:
    x = torch.randn(1, 3, 6, 10)
    corners = (x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2])
    yolox = torch.cat(corners, dim=1)
    unshuffled = functional.pixel_unshuffle(x, 2)
    # ours: channel * 4 + row * 2 + column; theirs: (column * 2 + row) * 3 + channel
    order = [c * 4 + row * 2 + column for column in (0, 1) for row in (0, 1) for c in range(3)]
    assert torch.equal(unshuffled[:, order], yolox)


@pytest.mark.parametrize("size", [64, 128])
def test_focus_halves_the_resolution(size: int) -> None:
    assert Focus(3, 8, 3, "relu")(torch.zeros(1, 3, size, size)).shape == (1, 8, size // 2, size // 2)


def test_spp_pools_equal_the_large_ones() -> None:
    spp = SppBottleneck(8, 8, "relu").eval()
    x = torch.randn(1, 8, 20, 20)
    hidden = spp.conv1(x)
    pools = [hidden] + [functional.max_pool2d(hidden, k, 1, k // 2) for k in (5, 9, 13)]
    assert torch.equal(spp(x), spp.conv2(torch.cat(pools, dim=1)))


def test_depthwise_flag_changes_parameters_not_shapes() -> None:
    x = torch.zeros(1, 16, 8, 8)
    full, separable = conv(16, 24, 3, 2, "relu", False), conv(16, 24, 3, 2, "relu", True)
    assert full(x).shape == separable(x).shape == (1, 24, 4, 4)
    assert sum(p.numel() for p in separable.parameters()) < sum(p.numel() for p in full.parameters())
