import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import ConfigError, DataError
from edgekit.graph.calibrate.histogram import Histogram
from edgekit.quant import calibrate, prepare
from edgekit.quant.observers import activation_step, weight_steps
from edgekit.quant.swap import quant_layers
from tests.quant.nets import Forked, images, trained, widths


def histogram_of(values: torch.Tensor) -> Histogram:
    histogram = Histogram()
    histogram.add(values.numpy())
    return histogram


def error(values: torch.Tensor, step: float, qmax: int, signed: bool = True) -> float:
    codes = (values / step).round().clamp(-qmax if signed else 0, qmax)
    return float(((codes * step - values) ** 2).sum())


def test_minmax_covers_everything() -> None:
    seen = torch.tensor([-3.0, 0.5, 2.0])
    assert activation_step(histogram_of(seen), 127, True, "minmax") == pytest.approx(3 / 127)
    assert activation_step(histogram_of(seen), 127, False, "minmax") == pytest.approx(2 / 127)


def test_percentile_ignores_one_outlier() -> None:
    seen = torch.randn(100_001, generator=torch.Generator().manual_seed(0))
    seen[0] = 100.0
    assert activation_step(histogram_of(seen), 127, True, "percentile") * 127 < 6
    assert activation_step(histogram_of(seen), 127, True, "minmax") * 127 == pytest.approx(100)


@pytest.mark.parametrize("qmax", [1, 3, 7, 31, 127])
def test_mse_beats_minmax_and_its_neighbours(qmax: int) -> None:
    seen = torch.randn(20_001, generator=torch.Generator().manual_seed(1))
    histogram = histogram_of(seen)
    best = activation_step(histogram, qmax, True, "mse")
    least = error(seen, best, qmax)
    assert least <= error(seen, activation_step(histogram, qmax, True, "minmax"), qmax)
    assert least <= 1.001 * min(error(seen, best * factor, qmax) for factor in (0.8, 0.9, 1.1, 1.25))


def test_lsq_formula() -> None:
    seen = torch.randn(5001, generator=torch.Generator().manual_seed(1))
    expected = 2 * seen.abs().mean().item() / 7**0.5
    assert activation_step(histogram_of(seen), 7, True, "lsq") == pytest.approx(expected, rel=1e-3)
    w = seen[:65].reshape(1, 65)
    assert weight_steps(w, 7, "lsq").item() == pytest.approx(2 * w.abs().mean().item() / 7**0.5)


def test_what_is_never_positive_has_some_step() -> None:
    assert activation_step(histogram_of(torch.zeros(3)), 127, True, "mse") == 1.0
    assert activation_step(histogram_of(-torch.ones(3)), 127, False, "minmax") == 1.0


@pytest.mark.parametrize("method", ["minmax", "mse", "lsq"])
def test_weight_steps_are_one_a_channel(method: str) -> None:
    w = (
        torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1, 10, 0.1, 0, 1])[:, None, None, None]
    )
    steps = weight_steps(w, 7, method)
    assert steps.shape == (5,)
    assert steps[3] == 1.0
    assert torch.allclose(weight_steps(w[1:2], 7, method), steps[1:2])
    assert torch.allclose(weight_steps(w * 2, 7, method)[[0, 1, 2, 4]], 2 * steps[[0, 1, 2, 4]])


def test_weights_have_no_percentile() -> None:
    with pytest.raises(ConfigError, match="expected minmax, mse or lsq"):
        weight_steps(torch.ones(1, 1), 7, "percentile")


def test_calibrate_sets_every_step_and_leaves_the_model_as_it_was() -> None:
    model = prepare(trained(Forked()), images(), widths()).train()
    state = {k: v.clone() for k, v in model.state_dict().items() if "input_quantizer" not in k}
    calibrate(model, [images(seed=2), images(seed=3)], "minmax")
    assert model.training and model.stem.training
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in state.items())
    last = quant_layers(model)["last"].input_quantizer
    assert last.histogram is None and 0 < last.step.item() < 1


def test_calibrate_looks_at_the_float_network() -> None:
    model = prepare(trained(Forked()), images(), widths(read=2))
    calibrate(model, [images()], "minmax")
    fine = prepare(trained(Forked()), images(), widths(read=8))
    calibrate(fine, [images()], "minmax")
    coarse_layers, fine_layers = quant_layers(model), quant_layers(fine)
    for name in ("left", "last"):
        layer = next(n for n in fine_layers if n.startswith(name))
        coarse = coarse_layers[layer].input_quantizer
        assert coarse.step.item() == pytest.approx(127 * fine_layers[layer].input_quantizer.step.item())


def test_calibration_mistakes() -> None:
    model = prepare(trained(Forked()), images(), widths())
    with pytest.raises(ConfigError, match="unknown method 'max'"):
        calibrate(model, [images()], "max")
    with pytest.raises(DataError, match=r"input of left.conv saw no values"):
        calibrate(model, [])
    with pytest.raises(DataError, match="not finite"):
        calibrate(model, [images() * np.nan])
    assert all(m.histogram is None for m in model.modules() if hasattr(m, "histogram"))
    assert isinstance(model, nn.Module) and not model.training
