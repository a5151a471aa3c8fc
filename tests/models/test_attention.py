import pytest
import torch

from edgekit.models.attention import ATTENTION, attention


@pytest.mark.parametrize("name", ATTENTION)
def test_keeps_the_shape_and_is_finite(name: str) -> None:
    x = torch.randn(2, 16, 5, 7)
    y = attention(name, 16)(x)
    assert y.shape == x.shape
    assert torch.isfinite(y).all()


def test_eca_has_three_parameters() -> None:
    assert sum(p.numel() for p in attention("eca", 64).parameters()) == 3


def test_none_is_the_identity() -> None:
    x = torch.randn(1, 4, 2, 2)
    assert torch.equal(attention("none", 4)(x), x)


def test_unknown_name_is_told_the_choices() -> None:
    with pytest.raises(ValueError, match="'ulsam' is unknown; choose one of none, eca, se, cbam"):
        attention("ulsam", 4)
