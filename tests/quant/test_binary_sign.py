import copy

import pytest
import torch

from edgekit.quant.binary_sign import SAMPLE, BinarySign, magnitude_quantile, sample
from edgekit.quant.estimators import Sharpness


def normal(count: int, std: float = 1.0, seed: int = 0) -> torch.Tensor:
    return std * torch.randn(count, generator=torch.Generator().manual_seed(seed))


def at(module: BinarySign, t: float) -> BinarySign:
    module.scheduled = Sharpness(t)
    return module.train()


def test_the_guard_bites_in_the_second_stage_alone() -> None:
    module = at(BinarySign("dte"), 0.9)
    module(normal(50_000, std=4.0))
    assert module.sharpness.t == 0.9
    module.scheduled = Sharpness(10.0)
    assert module.sharpness.t == pytest.approx(7.01 / 4, rel=0.03)
    module.scheduled = Sharpness(1.5)
    assert module.sharpness.t == 1.5


def test_the_guard_keeps_the_share_alive_that_ede_loses() -> None:
    x = normal(50_000, std=2.0)
    alive = {}
    for estimator in ("dte", "ede"):
        module = at(BinarySign(estimator, eps=0.1), 10.0)
        module(x)
        alive[estimator] = module.alive()
    assert alive["dte"] == pytest.approx(0.1, abs=0.005)
    assert alive["ede"] == pytest.approx(0.035, abs=0.005)


def test_the_gradient_is_that_of_the_capped_sharpness() -> None:
    module = at(BinarySign("dte"), 10.0)
    module.measure(torch.full((10,), 2.0))  # the 10 % quantile is 2: cap 0.44
    module.running = False
    x = torch.tensor([0.0, 2.0], requires_grad=True)
    module(x).sum().backward()
    assert x.grad[1] == pytest.approx(0.5 * x.grad[0].item())
    assert x.grad[0] == pytest.approx(1.0)  # k makes up for t < 1


def test_the_quantile_of_batches_is_a_running_mean() -> None:
    module = at(BinarySign("dte"), 10.0)
    module(torch.full((100,), 1.0))
    module(torch.full((100,), 2.0))
    assert module.quantile.item() == pytest.approx(1.1)
    module.eval()(torch.full((100,), 9.0))
    assert module.quantile.item() == pytest.approx(1.1)


def test_weights_are_measured_and_not_followed() -> None:
    module = at(BinarySign("dte", running=False), 10.0)
    module.measure(torch.arange(1, 101.0))
    module(torch.full((100,), 1000.0))
    assert module.quantile.item() == 10.0


def test_the_quantile_travels_in_the_state() -> None:
    one, other = at(BinarySign("dte"), 10.0), BinarySign("dte")
    one(normal(1000))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.quantile, other.quantile)
    copied = copy.deepcopy(one)
    assert copied.alive() == one.alive()


def test_quantiles_and_samples_by_hand() -> None:
    assert magnitude_quantile(torch.tensor([-4.0, 1.0, -2.0, 3.0]), 0.5) == 2.0
    assert magnitude_quantile(torch.tensor([-4.0, 1.0]), 0.01) == 1.0
    assert magnitude_quantile(torch.empty(0), 0.1) == 0.0
    assert len(sample(torch.zeros(3, SAMPLE))) <= SAMPLE and len(sample(torch.zeros(3, 7))) == 21
    assert len(sample(torch.zeros(0, 3))) == 0


def test_nothing_is_known_before_the_first_step() -> None:
    module = BinarySign("ede")
    assert module.alive() is None
    module.eval()(normal(10))
    assert module.alive() is None
