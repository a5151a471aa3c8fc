"""A network of many precisions: each is an ordinary quantised network, and only the weights are shared."""

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import ModelError
from edgekit.graph.constants import constant_value
from edgekit.graph.lower import lower
from edgekit.models import build
from edgekit.precision import QuantPlan, container_codes, midrise_codes, quantize
from edgekit.quant import LsqQuantizer, QuantConv2d, calibrate, float_twin, freeze_norms, plan_for_graph, prepare
from edgekit.quant.layered import (
    LayeredConv2d,
    at_precision,
    calibration_pass,
    layered,
    precisions_of,
    set_precision,
)
from edgekit.quant.modules import LayerBits, input_quantizer_of
from edgekit.quant.swap import quant_layers
from tests.quant.nets import Block, Forked, graph_of, images, trained, widths
from tests.quant.test_plan import compare_node_by_node, nodes_of

ALL = (8, 7, 6, 4, 3, 2, 1)
WHOLE = ("stem.conv",)


def many(precisions: tuple[int, ...] = ALL, seed: int = 0) -> nn.Module:
    model = layered(prepare(trained(Forked(), seed), images(), widths()), precisions, WHOLE)
    calibrate(model, [images(4)], run=lambda x: calibration_pass(model, x))
    # steps and norms of the precisions go their own ways in training
    with torch.no_grad():
        for index, bits in enumerate(precisions):
            for layer in quant_layers(model).values():
                assert isinstance(layer, LayeredConv2d)
                layer.norms[str(bits)].weight.mul_(1 + 0.01 * index)
                layer.norms[str(bits)].bias.add_(0.01 * index)
                if layer.input_quantizer is not None:
                    layer.input_quantizer.at(bits).step.mul_(1 + 0.02 * index)
    return model.eval()


@pytest.mark.parametrize("bits", ALL)
def test_one_precision_is_an_ordinary_network_of_the_same_function(bits: int) -> None:
    model = many()
    one = at_precision(model, bits)
    set_precision(model, bits)
    assert torch.equal(model(images()), one(images()))
    assert all(type(layer) is QuantConv2d for layer in quant_layers(one).values())
    assert precisions_of(one) == ()


@pytest.mark.parametrize("bits", ALL)
def test_trt8_computes_what_was_trained_node_by_node(bits: int) -> None:
    one = at_precision(many(), bits)
    graph = graph_of(float_twin(one))
    assert compare_node_by_node(one, graph, lower("trt8", graph, plan_for_graph(graph, one)).model, images(1)) == 4


@pytest.mark.parametrize("lowering", ["ort-x86", "ort-arm", "trt8", "trt10"])
@pytest.mark.parametrize("bits", ALL)
def test_weights_of_every_lowering_are_those_of_training(bits: int, lowering: str) -> None:
    """Codes times scales are the fake-quantised weights bit for bit; codes are the container's, halved up to 6 bits."""
    model = many()
    one = at_precision(model, bits)
    graph = graph_of(float_twin(one))
    lowered = lower(lowering, graph, plan_for_graph(graph, one)).model
    set_precision(model, bits)
    layers, nodes, written = quant_layers(model), nodes_of(graph, one), 0
    stored = lowered.graph.initializers
    for name, layer in layers.items():
        assert isinstance(layer, LayeredConv2d)
        node = str(nodes[name].name)
        expected = layer.weight_quantizer(layer.weight, layer._gain()).detach().numpy()
        if f"{node}.codes" in stored:
            codes, scale = (stored[f"{node}.{part}"].const_value.numpy() for part in ("codes", "scale"))
            if lowering != "trt10":  # its scales are float16
                assert np.array_equal(codes.astype(np.float32) * scale.reshape(-1, 1, 1, 1), expected)
            container = container_codes(
                layer.weight_quantizer.master(layer.weight).numpy(), layer.weight_quantizer.bits
            )
            assert np.array_equal(codes * (2 if bits <= 6 and not layer.whole else 1), container)
        elif f"{node}.values" in stored:
            assert np.array_equal(stored[f"{node}.values"].const_value.numpy(), expected)
        else:
            continue
        written += 1
    assert written >= 3  # the last layer of all runs in float on processors


def test_codes_of_all_precisions_are_slices_of_one_set() -> None:
    model = many()
    master = {name: layer.weight_quantizer.master(layer.weight).numpy() for name, layer in quant_layers(model).items()}
    for bits in ALL:
        one = at_precision(model, bits)
        graph = graph_of(float_twin(one))
        plan, nodes = plan_for_graph(graph, one), nodes_of(graph, one)
        for name, codes in master.items():
            spec = plan.weights[str(nodes[name].name)]
            expected = codes if name in WHOLE else midrise_codes(codes, bits)
            assert np.array_equal(quantize(constant_value(nodes[name].inputs[1]), spec), expected), name


def test_what_a_precision_learns_is_its_own_but_for_the_weights() -> None:
    model = many((8, 2)).train()
    freeze_norms(model)
    set_precision(model, 2)
    model(images()).square().mean().backward()
    layer = quant_layers(model)["left.conv"]
    assert isinstance(layer, LayeredConv2d) and layer.input_quantizer is not None
    for parameter in (layer.weight, layer.weight_quantizer.step, layer.norms["2"].weight, layer.norms["2"].bias):
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0
    assert layer.input_quantizer.at(2).step.grad is not None and layer.input_quantizer.at(8).step.grad is None
    assert layer.norms["8"].weight.grad is None and layer.norms["8"].bias.grad is None


def test_live_norms_count_for_the_precision_that_ran() -> None:
    model = many((8, 4)).train()
    layer = quant_layers(model)["left.conv"]
    assert isinstance(layer, LayeredConv2d)
    before = {bits: layer.norms[bits].running_mean.clone() for bits in ("8", "4")}
    set_precision(model, 4)
    model(images(4))
    assert torch.equal(layer.norms["8"].running_mean, before["8"])
    assert not torch.equal(layer.norms["4"].running_mean, before["4"])


def test_live_and_frozen_norms_are_one_function_once_statistics_stand_still() -> None:
    net = nn.Sequential(Block(3, 17))
    model = layered(prepare(trained(net), images(), lambda *_: LayerBits(8, None)), (8, 3)).train()
    layer = next(iter(quant_layers(model).values()))
    assert isinstance(layer, LayeredConv2d)
    for norm in layer.norms.values():
        norm.momentum = 1.0
    set_precision(model, 3)
    x = images(64)
    live = model(x)
    freeze_norms(model)
    assert torch.allclose(model(x), live, atol=2e-3)  # batches are normalised by the biased variance


def test_negative_gammas_go_into_the_weights() -> None:
    net = trained(nn.Sequential(Block(3, 17)))
    with torch.no_grad():
        net[0].bn.weight[::2] *= -1
    expected = net(images())
    model = layered(prepare(net, images(), lambda *_: LayerBits(8, None)), (8, 1))
    found = model.eval()(images())
    assert (found - expected).square().mean() < 1e-3 * expected.square().mean()
    assert all((layer.deployed_steps() > 0).all() for layer in quant_layers(model).values())


def test_layers_that_read_one_tensor_share_its_steps_at_every_precision() -> None:
    model = many((8, 4))
    layers = quant_layers(model)
    assert input_quantizer_of(layers["left.conv"]) is input_quantizer_of(layers["right.0.conv"])
    one = at_precision(model, 4)
    shared = [input_quantizer_of(quant_layers(one)[name]) for name in ("left.conv", "right.0.conv")]
    assert isinstance(shared[0], LsqQuantizer) and shared[0] is shared[1]


def test_the_student_keeps_its_codes_through_deploy() -> None:
    torch.manual_seed(0)
    example = torch.rand(1, 3, 64, 64)
    ready = prepare(trained(build("fasterx_student", 3)), example, lambda _, m: LayerBits(8, 8))
    model = layered(ready, (8, 2), ("backbone.stem.conv.conv",))
    calibrate(model, [example], run=lambda x: calibration_pass(model, x))
    one = at_precision(model, 2).eval()
    graph = graph_of(float_twin(one).deploy(), (64, 64))
    plan: QuantPlan = plan_for_graph(graph, one)
    assert plan.layers_by_bits() == {8: 1, 3: len(quant_layers(one)) - 1}
    assert compare_node_by_node(one, graph, lower("trt8", graph, plan).model, example) == len(plan.weights) - 4


@pytest.mark.parametrize("precisions", [(), (4, 8), (8, 8), (9, 4), (8, 0), (8.0, 4)])
def test_precisions_that_are_none(precisions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="different widths of 1 to 8 bits, the widest first"):
        layered(prepare(trained(Forked()), images(), widths()), precisions)


def test_a_precision_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"has the precisions \(8, 4\), not 3"):
        set_precision(many((8, 4)), 3)


def test_a_linear_layer_has_one_precision() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 15 * 13, 4))
    with pytest.raises(ModelError, match="1 is a linear layer; only convolutions have many precisions"):
        layered(prepare(net, images(), widths()), (8, 4))
