import copy

import pytest
import torch
from torch import nn

from edgekit.quant import LayerBits, calibrate, prepare, share_inputs, swap
from edgekit.quant.modules import QuantConv2d, input_quantizer_of
from edgekit.quant.swap import dry_run, quant_layers
from tests.quant.nets import Block, Forked, images, trained, widths


def relu_to_identity(name: str, module: nn.Module) -> nn.Module | None:
    return nn.Identity() if isinstance(module, nn.ReLU) else None


def test_swap_replaces_where_the_rule_says_so() -> None:
    model = nn.Sequential(Block(3, 4), nn.Sequential(Block(4, 5), nn.ReLU()))
    asked: list[str] = []

    def rule(name: str, module: nn.Module) -> nn.Module | None:
        asked.append(name)
        return nn.Identity() if name in ("0.act", "1.1") else None

    assert swap(model, rule) is model
    assert isinstance(model[0].act, nn.Identity) and isinstance(model[1][1], nn.Identity)
    assert isinstance(model[1][0].act, nn.ReLU)
    assert asked[0] == "" and len(asked) == len(set(asked)) == 11


def test_swap_asks_nothing_about_what_is_gone() -> None:
    model = nn.Sequential(Block(3, 4))
    asked: list[str] = []

    def rule(name: str, module: nn.Module) -> nn.Module | None:
        asked.append(name)
        return nn.Conv2d(3, 4, 1) if name == "0" else None

    swap(model, rule)
    assert asked == ["", "0"]


def test_swap_of_the_whole_model_and_of_a_shared_module() -> None:
    new = nn.Identity()
    assert swap(nn.ReLU(), lambda name, module: new) is new
    act = nn.ReLU()
    model = swap(nn.Sequential(act, nn.Linear(1, 1), act), relu_to_identity)
    assert isinstance(model[0], nn.Identity) and model[0] is model[2]


def test_swap_leaves_other_models_alone() -> None:
    one, other = Block(3, 4), Block(3, 4)
    swap(one, relu_to_identity)
    assert isinstance(other.act, nn.ReLU) and isinstance(Block(3, 4).act, nn.ReLU)


def test_layers_that_read_one_tensor_share_its_quantiser() -> None:
    model = prepare(trained(Forked()), images(), widths())
    layers = quant_layers(model)
    assert input_quantizer_of(layers["right.0.conv"]) is layers["left.conv"].input_quantizer
    assert input_quantizer_of(layers["right.1.conv"]) is layers["right.1.conv"].input_quantizer
    assert layers["stem.conv"].input_quantizer is None
    assert share_inputs(model, images()) == [("left.conv", "right.0.conv")]


def test_layers_of_one_tensor_have_to_agree() -> None:
    def rule(name: str, module: nn.Module) -> LayerBits:
        return LayerBits(8, 4 if name == "left.conv" else 8)

    with pytest.raises(ValueError, match=r"left.conv and right.0.conv read one tensor, as .*4 bits"):
        prepare(trained(Forked()), images(), rule)


def test_dry_run_leaves_no_trace() -> None:
    model = trained(Forked()).train()
    before = copy.deepcopy(model.state_dict())
    calls = dry_run(model, images(), tuple(m for m in model.modules() if isinstance(m, nn.Conv2d)))
    assert [call.module for call in calls] == [
        model.stem.conv, model.left.conv, model.right[0].conv, model.right[1].conv, model.last,
    ]  # fmt: skip
    assert model.training and model.left.training
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert not any(module._forward_hooks for module in model.modules())


def test_dry_run_cleans_up_behind_an_error() -> None:
    model = trained(Forked()).train()
    with pytest.raises(RuntimeError):
        dry_run(model, torch.zeros(1, 4, 8, 8), (model.last,))
    assert model.training and not model.last._forward_hooks


def test_a_prepared_model_trains() -> None:
    torch.manual_seed(0)
    model = prepare(trained(Forked()), images(8), widths(4, 4)).train()
    calibrate(model, [images(8)])
    target = torch.randn(8, 21, 8, 7)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = ((model(images(8)) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert all(isinstance(layer, QuantConv2d) for layer in quant_layers(model).values())
