import math

import numpy as np
import pytest
import torch

from edgekit.ops.binary import signs
from edgekit.quant.estimators import (
    ESTIMATORS,
    Schedule,
    Sharpness,
    alive_fraction,
    estimated_sign,
    sharpness_cap,
    sign,
)

WIDE = Sharpness()


def slope(estimator: str, x: list[float], now: Sharpness = WIDE) -> list[float]:
    values = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    estimated_sign(values, estimator, now).sum().backward()
    assert values.grad is not None
    return values.grad.tolist()


def test_the_sign_is_that_of_the_kernels() -> None:
    x = torch.tensor([-2.0, -1e-45, -0.0, 0.0, 1e-45, 3.0, math.inf, -math.inf])
    assert np.array_equal(sign(x).numpy(), signs(x.numpy()).astype(np.float32))
    assert sign(x).tolist() == [-1, -1, 1, 1, 1, 1, 1, -1]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_is_the_same_sign_forward(estimator: str) -> None:
    x = torch.tensor([-0.3, 0.0, 0.2], dtype=torch.bfloat16)
    y = estimated_sign(x, estimator, Sharpness())
    assert y.tolist() == [-1, 1, 1] and y.dtype == torch.bfloat16


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("now", [Sharpness(0.1, 1.0), Sharpness(1.0, 2.0), Sharpness(10.0, 3.0)])
def test_every_slope_is_even_finite_and_largest_at_0(estimator: str, now: Sharpness) -> None:
    x = torch.linspace(-3, 3, 601, dtype=torch.float64)
    g = ESTIMATORS[estimator](x, now)
    assert torch.equal(g, g.flip(0)) and g.isfinite().all() and (g >= 0).all()
    assert g[300] == g.max()


def test_slopes_by_hand() -> None:
    assert slope("ste", [-1.5, -1.0, 0.0, 0.5, 1.01]) == [0, 1, 1, 1, 0]
    assert slope("approxsign", [-2.0, -0.75, 0.0, 0.25, 1.0]) == [0, 0.5, 2, 1.5, 0]
    assert slope("ede", [0.0], Sharpness(0.1)) == [1.0]
    assert slope("ede", [0.0], Sharpness(10.0)) == [10.0]
    assert slope("ede", [0.3], Sharpness(4.0)) == pytest.approx([4 * (1 - math.tanh(1.2) ** 2)])


def test_tanh_slopes_are_the_derivative_of_the_soft_sign() -> None:
    now, x, step = Sharpness(0.3), 0.7, 1e-6
    soft = [now.k * math.tanh(now.t * (x + d)) for d in (-step, step)]
    assert slope("ede", [x], now) == pytest.approx([(soft[1] - soft[0]) / (2 * step)], rel=1e-6)


def test_reste_is_the_derivative_of_the_root_outside_its_secant() -> None:
    now, step = Sharpness(power=3.0), 1e-6
    root = [(0.4 + d) ** (1 / 3) for d in (-step, step)]
    assert slope("reste", [0.4], now) == pytest.approx([(root[1] - root[0]) / (2 * step)], rel=1e-6)
    assert slope("reste", [0.05, -0.1], now) == pytest.approx([0.1 ** (1 / 3) / 0.1] * 2)
    assert slope("reste", [1.5, 1.51], Sharpness(power=1.0)) == [1, 0]


def test_the_schedule_goes_from_wide_to_sharp() -> None:
    schedule = Schedule(0.1, 10.0, 3.0)
    assert [schedule.at(e, 8).t for e in (0, 4, 8)] == pytest.approx([0.1, 1.0, 10.0])
    assert [schedule.at(e, 8).power for e in (0, 4, 8)] == pytest.approx([1.0, 2.0, 3.0])
    assert [schedule.at(e, 8).k for e in (0, 4, 6)] == pytest.approx([10.0, 1.0, 1.0])
    late = Schedule(1e-3, 10.0)
    assert late.at(75, 100).t == pytest.approx(1.0)  # the switch is later with IR-Net's smaller start


def test_the_cap_leaves_the_quantile_its_share_of_the_slope() -> None:
    assert sharpness_cap(0.12566, 0.5) == pytest.approx(7.01, abs=0.01)  # the 10 % quantile of |N(0, 1)|
    t = sharpness_cap(0.3, 0.25)
    assert 1 - math.tanh(t * 0.3) ** 2 == pytest.approx(0.25)
    assert sharpness_cap(0.0, 0.5) == math.inf


def test_alive_fractions_of_a_normal_tensor() -> None:
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    assert alive_fraction(x, "ste", Sharpness()) == pytest.approx(0.683, abs=0.005)
    assert alive_fraction(x, "ede", Sharpness(10.0)) == pytest.approx(0.070, abs=0.003)
    assert alive_fraction(x, "ede", Sharpness(7.01)) == pytest.approx(0.100, abs=0.003)
    assert alive_fraction(x, "ede", Sharpness(0.1)) == 1.0


@pytest.mark.parametrize(("t_min", "t_max"), [(0.0, 1.0), (2.0, 1.0), (0.1, math.inf)])
def test_a_schedule_that_does_not_grow_is_refused(t_min: float, t_max: float) -> None:
    with pytest.raises(ValueError, match="expected 0 < t_min <= t_max"):
        Schedule(t_min, t_max)
    with pytest.raises(ValueError, match=r"power_max 0.5 must be 1 or more"):
        Schedule(power_max=0.5)


def test_an_unknown_estimator_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"estimator 'tanh' is unknown; choose one of ste, approxsign, ede, dte, reste"
    ):
        estimated_sign(torch.zeros(1), "tanh", Sharpness())
