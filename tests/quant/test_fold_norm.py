import copy

import pytest
import torch
from torch import nn

from edgekit.models import build
from edgekit.quant import LayerBits, calibrate, float_twin, freeze_norms, prepare
from edgekit.quant.fold_norm import norm_pairs
from edgekit.quant.swap import quant_layers
from tests.quant.nets import Block, Forked, images, trained, widths


def test_each_convolution_finds_the_norm_behind_it() -> None:
    model = trained(Forked())
    pairs = norm_pairs(model, images())
    assert pairs == {block.conv: block.bn for block in (model.stem, model.left, *model.right)}


def test_a_convolution_that_runs_twice_keeps_its_norm() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.block(self.block(x))
            return y

    assert norm_pairs(trained(Twice()), images()) == {}


def test_prepare_moves_norms_and_leaves_the_float_model_alone() -> None:
    model = trained(Forked())
    before = copy.deepcopy(model.state_dict())
    ready = prepare(model, images(), widths())
    assert isinstance(ready.stem.bn, nn.Identity)
    assert isinstance(ready.stem.conv.norm, nn.BatchNorm2d)
    assert isinstance(model.stem.bn, nn.BatchNorm2d)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def test_a_layer_that_the_rule_leaves_keeps_its_norm() -> None:
    ready = prepare(trained(Forked()), images(), lambda name, m: None if name == "left.conv" else LayerBits(8, None))
    assert isinstance(ready.left.bn, nn.BatchNorm2d) and type(ready.left.conv) is nn.Conv2d
    assert "left.conv" not in quant_layers(ready)


def test_float_twin_is_the_float_network() -> None:
    model = trained(Forked())
    twin = float_twin(prepare(model, images(), widths(2, 2)))
    assert torch.allclose(twin(images()), model(images()), atol=1e-4)
    assert not quant_layers(twin)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in twin.modules())


def test_freezing_makes_training_the_deployed_function() -> None:
    ready = prepare(trained(Forked()), images(), widths(4, 4))
    calibrate(ready, [images()])
    deployed = ready.eval()(images())
    ready.train()
    live = copy.deepcopy(ready)
    assert not torch.allclose(live(images()), deployed, atol=1e-2)
    freeze_norms(ready)
    assert torch.equal(ready(images()), deployed)
    freeze_norms(ready, frozen=False)
    assert not torch.allclose(ready(images()), deployed, atol=1e-2)


@pytest.mark.parametrize("name", ["fasterx_student", "yolox_nano"])
def test_our_detectors_prepare_and_deploy(name: str) -> None:
    torch.manual_seed(0)
    model = trained(build(name, 3))
    example = torch.rand(1, 3, 64, 64)
    ready = prepare(model, example, lambda _, m: LayerBits(8, None))
    layers = quant_layers(ready)
    assert len(layers) == sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules())
    absorbed = {layer.norm for layer in layers.values() if layer.norm is not None}
    assert len(absorbed) == sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert absorbed == {m for m in ready.modules() if isinstance(m, nn.BatchNorm2d)}
    with torch.no_grad():
        expected = model(example)
        assert torch.allclose(float_twin(ready).deploy()(example), expected, atol=1e-3)
