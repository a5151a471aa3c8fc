import pytest
import torch
from torch import nn

from edgekit.distill import Taps
from edgekit.errors import ModelError
from tests.distill.toys import Net, Part


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_features_are_what_the_modules_gave() -> None:
    model = Net().eval()
    x = torch.rand(2, 3, 5, 7)
    with Taps(model, ("body.0", "head")) as taps:
        y = model(x)
    assert torch.equal(taps.features["head"][0], y)
    assert [tuple(f.shape) for f in taps.features["body.0"]] == [(2, 8, 5, 7)]
    assert hooks(model) == 0


def test_a_module_that_runs_twice_gives_two() -> None:
    part = Part(3, 3).eval()
    model = nn.Sequential(part, part)
    with Taps(model, ("0",)) as taps:
        model(torch.rand(1, 3, 4, 4))
    assert len(taps.features["0"]) == 2
    with taps:
        model(torch.rand(1, 3, 4, 4))
    assert len(taps.features["0"]) == 2


def test_gradient_flows_through_a_tap() -> None:
    model = Net()
    with Taps(model, ("body.1",)) as taps:
        model(torch.rand(2, 3, 4, 4))
    taps.features["body.1"][0].sum().backward()
    assert model.body[0].conv.weight.grad is not None
    assert model.head.weight.grad is None


def test_a_wrong_path_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ModelError, match=r"the student has no module 'body.7' to tap; did you mean 'body.[01]'"):
        Taps(Net(), ("body.7",), "student")
    with pytest.raises(ModelError, match="no module '' to tap"):
        Taps(Net(), ("",))


def test_a_path_of_a_wrapped_model_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no module 'module.body.0' to tap; did you mean 'body.0'"):
        Taps(Net(), ("module.body.0",))


def test_a_silent_tap_is_an_error() -> None:
    model = Net()
    with pytest.raises(ModelError, match="module 'head' of the student did not run"):
        with Taps(model, ("body.0", "head"), "student"):
            model.body(torch.rand(2, 3, 4, 4))
    assert hooks(model) == 0


def test_an_error_inside_is_not_hidden_and_hooks_go() -> None:
    model = Net()
    with pytest.raises(ZeroDivisionError):
        with Taps(model, ("head",)):
            raise ZeroDivisionError
    assert hooks(model) == 0


def test_only_tensors_can_be_tapped() -> None:
    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x

    model = nn.Sequential(Pair())
    with pytest.raises(ModelError, match="module '0' of the model gives a tuple, expected a tensor"):
        with Taps(model, ("0",)):
            model(torch.rand(1))
    assert hooks(model) == 0


def test_two_taps_on_one_model_do_not_meet() -> None:
    model = Net().eval()
    with Taps(model, ("head",)) as outer, Taps(model, ("head", "body.0")) as inner:
        model(torch.rand(1, 3, 4, 4))
    assert len(outer.features["head"]) == len(inner.features["head"]) == 1
    assert set(outer.features) == {"head"}
