import pytest
import torch

from edgekit.models.head import PixsfLevel, YoloxLevel, flatten_maps


@pytest.mark.parametrize("height", [2, 8, 80])
def test_pixsf_and_yolox_have_one_output_grid(height: int) -> None:
    x = torch.randn(2, 24, height, 6)
    plain = YoloxLevel(24, 16, 3, 2, "relu", False).eval()(x)
    pixsf = PixsfLevel(24, 16, 3, 2, "relu", False).eval()(x)
    assert plain.shape == pixsf.shape == (2, 8, height, 6)


def test_pixsf_with_1x1_towers_is_local_to_its_2x2_cell() -> None:
    level = _level_without_3x3()
    x = torch.randn(1, 4, 8, 8)
    bumped = x.clone()
    bumped[0, 1, 5, 2] += 1.0
    changed = (level(x) != level(bumped)).any(dim=1)[0]
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[4:6, 2:4] = True
    assert changed[inside].all()
    assert not changed[~inside].any()


def _level_without_3x3() -> PixsfLevel:
    level = PixsfLevel(4, 16, 3, 1, "silu", False).eval()
    for tower in (level.cls_tower, level.reg_tower):
        with torch.no_grad():
            weight = tower[0].conv.weight
            centre = weight[..., 1, 1].clone()
            weight.zero_()
            weight[..., 1, 1] = centre + torch.randn_like(centre)
    return level


def test_pixsf_starts_without_checkerboard() -> None:
    level = PixsfLevel(4, 16, 3, 1, "relu", False).eval()
    out = level(torch.randn(1, 4, 8, 8))
    cells = out.reshape(1, 8, 4, 2, 4, 2)
    assert torch.allclose(cells, cells[:, :, :, :1, :, :1].expand_as(cells))


def test_pixsf_refuses_a_width_that_does_not_divide() -> None:
    with pytest.raises(ValueError, match="divisible by 4, got 18"):
        PixsfLevel(8, 18, 3, 1, "relu", False)


def test_scores_are_logits_in_training_and_probabilities_in_eval() -> None:
    level = YoloxLevel(4, 8, 3, 1, "relu", False)
    x = torch.randn(1, 4, 4, 4)
    level.eval()
    probabilities = level(x)[:, 4:]
    level.predict.train()
    logits = level(x)[:, 4:]
    assert torch.allclose(probabilities, logits.sigmoid())
    assert float(probabilities.detach().mean()) == pytest.approx(0.01, abs=0.01)


def test_flatten_runs_along_rows_then_levels() -> None:
    first = torch.arange(6.0).reshape(1, 1, 2, 3)
    second = torch.tensor([[[[10.0]]]])
    assert flatten_maps([first, second]).squeeze().tolist() == [0, 1, 2, 3, 4, 5, 10]
