"""The binary layer against `edgekit.ops.binary`, and what is exported of it."""

import copy

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import ModelError
from edgekit.graph.constants import constant_value
from edgekit.graph.runner import Runner
from edgekit.ops.binary import BinaryGeometry, binary_conv2d, binary_dot, fold_batch_norm
from edgekit.precision import QuantPlan, fake_quantize
from edgekit.quant import LayerBits, apply_plan, calibrate, plan_for_graph, plan_of, prepare
from edgekit.quant.binary import (
    BinaryConfig,
    BinaryConv2d,
    SignConv2d,
    alive,
    balanced,
    binarize,
    binary_layers,
    channel_scale,
    deployed_twin,
    measure_weights,
    sharpen,
)
from tests.quant.nets import graph_of, images, trained


class Mixed(nn.Module):
    """A stem and a last layer in integers, binary convolutions between: strided, grouped, with a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, padding=1)
        self.down = nn.Conv2d(24, 36, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(36)
        self.act = nn.Hardtanh()
        self.group = nn.Conv2d(36, 36, 3, padding=1, groups=4)
        self.last = nn.Conv2d(36, 21, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.down(self.stem(x))))
        y: Tensor = self.last(x + self.group(x))
        return y


CHOSEN = ("down", "group")


def chosen(name: str, module: nn.Module) -> bool:
    return name in CHOSEN


def binary(padding: str = "one", scale: str = "pow2", estimator: str = "dte") -> nn.Module:
    return binarize(trained(Mixed()), images(), BinaryConfig(padding, scale, estimator=estimator), chosen)


def layer(c_in: int = 7, c_out: int = 5, kernel: int = 3, outside: str = "one", **geometry: int) -> BinaryConv2d:
    torch.manual_seed(0)
    config = BinaryConfig(outside, "none")
    return BinaryConv2d.from_float(nn.Conv2d(c_in, c_out, kernel, bias=False, **geometry), config).eval()


@pytest.mark.parametrize("padding", ["one", "zero"])
@pytest.mark.parametrize(
    ("c_in", "c_out", "kernel", "stride", "pad", "groups"),
    [(1, 1, 3, 1, 1, 1), (63, 65, 3, 1, 1, 1), (64, 32, 3, 2, 1, 2), (65, 3, 1, 1, 0, 1), (32, 8, 5, 3, 2, 4)],
)
def test_the_sums_are_those_of_the_kernels(c_in, c_out, kernel, stride, pad, groups, padding) -> None:
    conv = layer(c_in, c_out, kernel, padding, stride=stride, padding=pad, groups=groups)
    x = torch.randn(2, c_in, 11, 9).round(decimals=1)  # with zeros among them
    weights = conv.balanced_weight().detach().permute(0, 2, 3, 1).numpy()
    geometry = BinaryGeometry(c_in, c_out, (kernel, kernel), (stride, stride), (pad, pad, pad, pad), groups, padding)
    expected = binary_dot(x.permute(0, 2, 3, 1).numpy(), weights, geometry)
    assert np.array_equal(conv(x).detach().permute(0, 2, 3, 1).numpy(), expected.astype(np.float32))


def test_the_norm_is_folded_as_the_kernels_fold_it() -> None:
    conv = binary(padding="zero", scale="l1mean").down
    x = torch.randn(1, 24, 9, 7)
    geometry = BinaryGeometry(24, 36, (3, 3), (2, 2), (1, 1, 1, 1), padding="zero")
    norm, weight = conv.norm, conv.balanced_weight().detach()
    alpha = channel_scale(weight, "l1mean").numpy()
    statistics = [t.detach().numpy() for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var)]
    m, b = fold_batch_norm(alpha, *statistics, norm.eps)
    expected = binary_conv2d(x.permute(0, 2, 3, 1).numpy(), weight.permute(0, 2, 3, 1).numpy(), m, b, geometry)
    for each in (conv, conv.to_deployed()):
        y = each(x).detach().permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_weights_are_balanced() -> None:
    torch.manual_seed(3)
    weight = torch.randn(64, 16, 3, 3) * (0.2 + torch.rand(64, 1, 1, 1)) + 0.3
    wn = balanced(weight)
    assert wn.mean(dim=(1, 2, 3)).abs().max() < 1e-6
    torch.testing.assert_close(wn.std(dim=(1, 2, 3)), torch.ones(64))
    assert ((wn >= 0).float().mean() - 0.5).abs() < 0.02
    whole = balanced(weight, "per-tensor")
    assert whole.std().item() == pytest.approx(1.0) and whole.std(dim=(1, 2, 3)).std() > 0.1
    assert whole.mean(dim=(1, 2, 3)).abs().max() < 1e-6


def test_scales_by_hand() -> None:
    weight = torch.tensor([[[[3.0, -3.0]]], [[[0.6, -0.6]]], [[[0.0, 0.0]]]])
    assert channel_scale(weight, "pow2")[:2].tolist() == [4.0, 0.5]  # 2^round(1.58), 2^round(-0.74)
    assert channel_scale(weight, "l1mean")[:2].tolist() == pytest.approx([3.0, 0.6])
    assert channel_scale(weight, "none").tolist() == [1, 1, 1]
    assert all((channel_scale(weight, kind) > 0).all() for kind in ("pow2", "l1mean", "none"))


def test_pow2_is_1_for_bell_shaped_weights() -> None:
    """mean|N(0,1)| is 0.798, above 2^-1/2: IR-Net's shift says nothing then."""
    assert set(channel_scale(balanced(torch.randn(32, 64, 3, 3)), "pow2").tolist()) == {1.0}


def test_equal_weights_are_plus_1_and_finite() -> None:
    conv = layer()
    conv.weight.data.fill_(0.25)
    assert conv(torch.randn(1, 7, 5, 5)).isfinite().all() and conv.to_deployed().weight.min() > 0


@pytest.mark.parametrize("scale", ["pow2", "l1mean", "none"])
@pytest.mark.parametrize("padding", ["one", "zero"])
def test_what_is_exported_computes_what_was_trained(padding: str, scale: str) -> None:
    model = binary(padding, scale).eval()
    twin = deployed_twin(model).eval()
    x = images(3)
    torch.testing.assert_close(twin(x), model(x), rtol=1e-5, atol=1e-5)
    output = Runner(graph_of(twin)).run(x[:1].numpy())[0]
    torch.testing.assert_close(torch.from_numpy(output), model(x[:1]), rtol=1e-4, atol=1e-4)
    assert not binary_layers(twin) and binary_layers(model)


@pytest.mark.parametrize("padding", ["one", "zero"])
def test_the_graph_is_comparison_choice_padding_convolution(padding: str) -> None:
    graph = graph_of(deployed_twin(binary(padding)))
    conv = next(node for node in graph.graph if node.name == "/down/Conv")
    pads = conv.attributes["pads"].as_ints()
    before = conv.inputs[0].producer()
    if padding == "one":
        assert before.op_type == "Pad" and constant_value(before.inputs[2]) == 1
        assert constant_value(before.inputs[1]).tolist() == [0, 0, 1, 1, 0, 0, 1, 1] and tuple(pads) == (0, 0, 0, 0)
        before = before.inputs[0].producer()
    else:
        assert tuple(pads) == (1, 1, 1, 1)
    assert before.op_type == "Where" and [constant_value(v).item() for v in before.inputs[1:]] == [1, -1]
    compare = before.inputs[0].producer()
    assert compare.op_type == "GreaterOrEqual" and constant_value(compare.inputs[1]).item() == 0
    weight = constant_value(conv.inputs[1])
    steps = np.abs(weight).reshape(len(weight), -1)
    assert (steps == steps[:, :1]).all() and (steps > 0).all() and (weight < 0).any() and (weight > 0).any()


def test_a_negative_gamma_turns_bits_around_and_0_keeps_the_bias() -> None:
    model = binary()
    norm = model.down.norm
    norm.weight.data[0] *= -1
    norm.weight.data[1] = 0
    deployed = model.down.to_deployed()
    bits = model.down.balanced_weight()[0] >= 0
    assert torch.equal(deployed.weight[0] > 0, ~bits)
    x = images(2).repeat(1, 8, 1, 1)
    torch.testing.assert_close(deployed(x)[:, 1], norm.bias[1].expand(2, 8, 7), rtol=0, atol=1e-5)
    assert min(model.down.spec().scale) > 0


def test_the_plan_has_one_bit_and_says_nothing_of_signs() -> None:
    model = ready()
    plan = plan_of(model)
    assert {name: spec.bits for name, spec in plan.weights.items()} == {"stem": 8, "last": 6, "down": 1, "group": 1}
    assert set(plan.activations) == {"last"} and not plan.excluded
    spec = plan.weights["down"]
    assert (spec.signed, spec.granularity, spec.axis, len(spec.scale)) == (True, "channel", 0, 36)
    weight = model.down.to_deployed().weight.detach().numpy()
    assert np.array_equal(fake_quantize(weight, spec), weight)
    assert QuantPlan.from_json(plan.to_json()) == plan


def test_the_plan_goes_to_the_nodes() -> None:
    model = ready()
    graph = graph_of(deployed_twin(model))
    plan = plan_for_graph(graph, model)
    assert {name: spec.bits for name, spec in plan.weights.items()} == {
        "/stem/Conv": 8,
        "/last/Conv": 6,
        "/down/Conv": 1,
        "/group/Conv": 1,
    }
    nodes: dict[str, ir.Node] = {str(node.name): node for node in graph.graph}
    for name in ("/down/Conv", "/group/Conv"):
        weight = constant_value(nodes[name].inputs[1])
        assert np.array_equal(fake_quantize(weight, plan.weights[name]), weight)
        assert str(nodes[name].inputs[0].name) not in plan.activations


def test_layers_in_containers_in_containers_are_found() -> None:
    inner = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)))
    model = binarize(nn.Sequential(inner), images(), BinaryConfig(), lambda name, _: name.startswith("0.1."))
    plan = plan_for_graph(graph_of(deployed_twin(model)), model)
    assert [name.split("/")[-2] for name in plan.weights] == ["0.1.0", "0.1.1"]


def test_apply_plan_gives_the_same_function() -> None:
    model = ready()
    plan = QuantPlan.from_json(plan_of(model).to_json())
    again = apply_plan(trained(Mixed()), plan, images(), BinaryConfig())
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(images()), model(images()))
    assert plan_of(again) == plan_of(model)


def test_a_binary_plan_wants_to_know_how_it_was_trained() -> None:
    with pytest.raises(ModelError, match=r"the plan has binary layers \(down\); give the BinaryConfig"):
        apply_plan(trained(Mixed()), plan_of(ready()), images())


def test_the_float_model_stays_as_it_is() -> None:
    model = trained(Mixed())
    before = copy.deepcopy(model.state_dict())
    binarize(model, images(), BinaryConfig(), chosen).train()(images())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert type(model.down) is nn.Conv2d and type(model.norm) is nn.BatchNorm2d


def test_gradients_reach_weights_through_mean_and_deviation() -> None:
    model = binary(estimator="ede").train()
    model(images(4)).square().mean().backward()
    for conv in binary_layers(model).values():
        assert conv.weight.grad.abs().sum() > 0
        # the loss does not change with the size of a channel's weights
        along = (conv.weight.grad * (conv.weight - conv.weight.mean(dim=(1, 2, 3), keepdim=True))).sum(dim=(1, 2, 3))
        assert along.abs().max() < 1e-3 * conv.weight.grad.abs().sum()
    assert model.stem.weight.grad.abs().sum() > 0


def test_sharpen_and_measure_and_alive() -> None:
    model = binary(estimator="dte").train()
    assert alive(model) == {}
    sharpen(model, 9, 10)
    measure_weights(model)
    model(images(2))
    shares = alive(model)
    assert set(shares) == {f"alive/{kind}/{name}" for kind in ("weight", "input") for name in CHOSEN}
    assert model.down.weight_sign.scheduled.t == pytest.approx(10**0.8)
    assert model.down.weight_sign.quantile.item() == pytest.approx(0.126, abs=0.03)
    assert all(share >= 0.09 for share in shares.values())


def test_training_learns_a_function_of_signs() -> None:
    """A binary layer between float ones fits a target that a constant does not."""
    torch.manual_seed(0)
    config = BinaryConfig("zero", estimator="ede")
    model = binarize(
        nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Conv2d(16, 1, 1)
        ),
        images(),
        config,
        lambda name, _: name == "1",
    ).train()
    x = images(16)
    target = (x[:, :1] - x[:, 1:2]).detach()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for step in range(60):
        sharpen(model, step, 120)
        loss = (model(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * target.var().item()


@pytest.mark.parametrize(
    ("conv", "message"),
    [
        (nn.Conv2d(3, 24, 3, padding=2, dilation=2), r"down has dilation \(2, 2\) and cannot be binary"),
        (nn.Conv2d(3, 24, 3, padding="same"), r"padding 'same'"),
        (nn.Conv2d(3, 24, 1, padding=1), r"padding \(1, 1\) not less than its kernel \(1, 1\)"),
        (nn.Conv2d(3, 24, 17, padding=8), r"kernel \(17, 17\) and stride \(1, 1\), more than 15"),
        (nn.Conv2d(3, 3, 1, groups=3), r"one weight a channel"),
    ],
)
def test_geometry_without_a_kernel_is_refused(conv: nn.Conv2d, message: str) -> None:
    model = nn.Sequential()
    model.add_module("down", conv)
    with pytest.raises(ModelError, match=message):
        binarize(model, torch.zeros(1, 3, 32, 32), BinaryConfig(), chosen)
    with pytest.raises(ValueError, match="cannot be binary"):
        BinaryConv2d.from_float(conv, BinaryConfig())


def test_nothing_chosen_is_an_error() -> None:
    with pytest.raises(ModelError, match="no convolution was chosen to be binary"):
        binarize(Mixed(), images(), BinaryConfig(), lambda name, _: False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"padding": "same"}, r"binary.padding 'same' is unknown; choose one, zero"),
        ({"scale": "mean"}, r"binary.scale 'mean' is unknown; choose pow2, l1mean, none"),
        ({"standardise": "yes"}, r"binary.standardise 'yes' is unknown; choose per-channel, per-tensor"),
        ({"estimator": "tanh"}, r"binary.estimator 'tanh' is unknown; choose ste, approxsign, ede, dte, reste"),
        ({"eps": 0.0}, r"binary.eps 0.0 must be between 0 and 1"),
        ({"delta": 1.0}, r"binary.delta 1.0 must be between 0 and 1"),
    ],
)
def test_a_config_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BinaryConfig(**change)


def ready() -> nn.Module:
    """Binary in the middle, integers around, calibrated."""

    def bits(name: str, module: nn.Module) -> LayerBits:
        return LayerBits(8, None) if name == "stem" else LayerBits(6, 8)

    model = prepare(binary(), images(), bits)
    calibrate(model, [images(4)])
    return model.eval()


def test_signs_in_plain_operators_are_plain() -> None:
    deployed = binary().down.to_deployed()
    assert type(deployed) is SignConv2d and dict(deployed.named_buffers()) == {}
