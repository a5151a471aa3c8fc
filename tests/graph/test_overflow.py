"""Networks that float16 cannot hold: what is found of them, and that their lowerings still compute."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgekit.errors import ModelError
from edgekit.graph.external import whole
from edgekit.graph.half import ISLAND, to_half
from edgekit.graph.half_arithmetic import rounding_to_half
from edgekit.graph.lint import lint
from edgekit.graph.lower import lower
from edgekit.graph.overflow import LIMIT, float32_nodes, overflow_of, overflowing, scan_overflow
from edgekit.graph.runner import Runner
from edgekit.metrics.arrays import snr_db
from tests.graph import small
from tests.graph.tiny import Net

HALF = ("fp16", "trt10")


def loud_net(kind):
    """stem -> something of up to 1e5 or more -> quiet -> last: all but the middle is near 1."""
    net = Net(size=small.SIZE)
    x = net.op("Relu", [net.conv("images", "stem", 3, 32)], "stem_relu")
    if kind == "constant":
        x = net.op("Mul", [x, net.constant("gain", np.float32(1e5))], "loud")
    else:
        net.conv(x, "loud", 32, 32)
        scale(net, "loud_w", 1e3)
        x = net.op("Relu", ["loud"], "loud_relu")
    x = net.op("Relu", [net.conv(x, "quiet", 32, 32)], "quiet_relu")
    scale(net, "quiet_w", 1e-3 if kind != "constant" else 1e-5)
    if kind == "shared":
        x = net.op("Add", [x, net.op("Mul", ["loud_relu", net.constant("less", np.float32(1e-3))], "less_loud")], "sum")
    net.conv(x, "last", 32, 32, 1)
    return net


def scale(net, name, factor):
    tensor = next(t for t in net.constants if t.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.float32(factor), name))


def network(kind):
    """The canonical graph, its plan, and what overflows in it."""
    model = small.canonical(loud_net(kind))
    ranges = small.ranges_of(model)
    return model, small.plan_of(model), overflowing(ranges)


def values_of(lowered, model):
    return Runner(rounding_to_half(lowered.model), optimised=False).run(small.inputs(model)[0])[0]


@pytest.mark.parametrize("kind", ["constant", "conv", "shared"])
@pytest.mark.parametrize("name", HALF)
def test_without_islands_nothing_is_left_and_with_them_it_computes(kind, name):
    model, plan, overflow = network(kind)
    reference = Runner(model).run(small.inputs(model)[0])[0]
    if kind != "constant":  # a constant beyond float16 makes its island by itself
        assert not np.isfinite(values_of(lower("fp16", model, None), model)).all()
    lowered = lower(name, model, plan if name == "trt10" else None, overflow)
    onnx.checker.check_model(onnx.load_from_string(whole(lowered.model)), full_check=True)
    assert snr_db(reference, values_of(lowered, model)) > (25 if name == "trt10" else 45)
    assert lint(lowered.model, name) == []


def test_an_island_is_what_reads_or_writes_such_a_tensor_and_no_more():
    model, plan, overflow = network("conv")
    assert list(overflow) == ["loud", "loud_relu"]
    assert all(value > LIMIT for value in overflow.values())
    lowered = lower("fp16", model, plan, overflow)
    assert list(lowered.float32_nodes) == ["loud_node", "loud_relu_node", "quiet_node"]
    assert lowered.float32_nodes["loud_node"].startswith("writes loud, up to ")
    assert lowered.float32_nodes["quiet_node"].startswith("reads loud_relu, up to ")
    nodes = {node.name: node for node in lowered.model.graph}
    assert nodes["quiet_node"].doc_string == ISLAND + lowered.float32_nodes["quiet_node"]
    types = {str(v.name): v.dtype for n in lowered.model.graph for v in n.outputs}
    assert types["loud"] == types["loud_relu"] == types["quiet"] == ir.DataType.FLOAT
    assert types["stem_relu"] == types["quiet_relu"] == types["last_half"] == ir.DataType.FLOAT16
    casts = [node.name for node in nodes.values() if node.op_type == "Cast"]
    assert casts == ["images_to_half", "stem_relu_to_float32", "quiet_to_half", "last_to_float"]
    initializers = lowered.model.graph.initializers
    assert initializers["loud_node.weight"].dtype == ir.DataType.FLOAT
    assert initializers["last_node.weight"].dtype == ir.DataType.FLOAT16


def test_no_cast_stands_between_a_pair_and_its_convolution():
    """quiet reads the pair on loud_relu, whose codes stand for more than float16 holds: DQ is float32 itself."""
    model, plan, overflow = network("conv")
    graph = lower("trt10", model, plan, overflow).model.graph
    convs = [node for node in graph if node.op_type == "Conv" and node.name in ("loud_node", "quiet_node", "last_node")]
    assert len(convs) == 3
    for conv in convs:
        pairs = [conv.inputs[index].producer() for index in (0, 1)]
        assert [dq.op_type for dq in pairs] == ["DequantizeLinear"] * 2
        wide = conv.name != "last_node"
        assert {dq.inputs[1].dtype for dq in pairs} == {ir.DataType.FLOAT if wide else ir.DataType.FLOAT16}


def test_a_pair_with_readers_of_both_types_becomes_two_of_one_grid():
    """Of the two readers of the stem's pair one writes beyond float16, the other does not."""
    net = Net(size=small.SIZE)
    x = net.op("Relu", [net.conv("images", "stem", 3, 32)], "stem_relu")
    net.conv(x, "loud", 32, 32)
    scale(net, "loud_w", 1e3)
    less = net.op("Mul", ["loud", net.constant("less", np.float32(1e-3))], "less_loud")
    net.conv(net.op("Add", [less, net.conv(x, "calm", 32, 32)], "sum"), "last", 32, 32, 1)
    model = small.canonical(net)
    plan = small.plan_of(model)
    lowered = lower("trt10", model, plan, overflowing(small.ranges_of(model)))
    nodes = {node.name: node for node in lowered.model.graph}
    loud, calm = (nodes[name].inputs[0].producer() for name in ("loud_node", "calm_node"))
    assert loud is not calm
    assert loud.inputs[0] is calm.inputs[0]
    scales = [dq.inputs[1].const_value.numpy() for dq in (loud, calm)]
    assert [s.dtype for s in scales] == [np.float32, np.float16]
    assert float(scales[0]) == float(scales[1])
    reference = Runner(model).run(small.inputs(model)[0])[0]
    assert snr_db(reference, values_of(lowered, model)) > 25
    assert lint(lowered.model, "trt10") == []


def test_a_plan_tells_by_itself_what_its_codes_reach():
    model, plan, overflow = network("conv")
    told = overflow_of(plan)
    assert told == pytest.approx(overflow)
    assert (
        lower("trt10", model, plan).float32_nodes.keys() == lower("trt10", model, plan, overflow).float32_nodes.keys()
    )
    assert overflow_of(small.plan_of(small.canonical(small.relu_net()))) == {}


def test_a_constant_beyond_float16_is_an_island_without_any_picture():
    model = small.canonical(loud_net("constant"))
    assert float32_nodes(model.graph, {}) == {"loud_node": "reads gain, up to 1e+05"}


def test_trt8_names_the_nodes_that_its_builder_pins():
    model, plan, overflow = network("conv")
    lowered = lower("trt8", model, plan, overflow)
    assert {"loud_node", "loud_relu_node"} <= set(lowered.float32_nodes)
    assert not any("dequantized" in name for name in lowered.float32_nodes)
    assert all(v.dtype != ir.DataType.FLOAT16 for n in lowered.model.graph for v in n.outputs)


def test_a_quiet_network_has_no_island_and_its_casts_at_the_ends_alone():
    model = small.canonical(small.relu_net())
    overflow = overflowing(small.ranges_of(model))
    assert overflow == {}
    lowered = lower("trt10", model, small.plan_of(model), overflow)
    assert lowered.float32_nodes == {}
    assert [n.name for n in lowered.model.graph if n.op_type == "Cast"] == ["images_to_half", "last_to_float"]


def test_to_half_with_islands_twice_changes_nothing():
    model, _, overflow = network("shared")
    model = model.clone()
    islands = to_half(model, overflow)
    before = whole(model)
    assert to_half(model, overflow) == islands
    assert whole(model) == before


def test_a_cast_to_float_becomes_one_to_float16():
    net = small.relu_net()
    size = net.op("Cast", [net.op("ArgMax", ["last"], "best", axis=1)], "best_float", to=1)
    net.op("Add", ["last", size], "total")
    model = small.canonical(net, ["total"])
    lowered = lower("fp16", model, None)
    onnx.checker.check_model(onnx.load_from_string(whole(lowered.model)), full_check=True)
    assert np.isfinite(values_of(lowered, model)).all()


@pytest.mark.parametrize("net", [small.silu_net, small.concat_net, lambda: small.residual_net(True)])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", HALF)
def test_islands_anywhere_make_a_valid_graph_that_computes_the_same(net, seed, name):
    model = small.canonical(net())
    plan = small.plan_of(model) if name == "trt10" else None
    names = [str(v.name) for node in model.graph for v in node.outputs if v.dtype == ir.DataType.FLOAT]
    chosen = np.random.default_rng(seed).choice(names, 1 + 2 * seed, replace=False)
    lowered = lower(name, model, plan, {str(each): 1e5 for each in chosen})
    onnx.checker.check_model(onnx.load_from_string(whole(lowered.model)), full_check=True)
    assert lint(lowered.model, name) == []
    reference = Runner(model).run(small.inputs(model)[0])[0]
    assert snr_db(reference, values_of(lowered, model)) > (22 if name == "trt10" else 50)


def test_a_scan_over_pictures_finds_what_the_ranges_of_a_calibration_say():
    model, _, overflow = network("conv")
    steps = []
    pictures = [(str(i), x) for i, x in enumerate(small.inputs(model))]
    found = scan_overflow(model, pictures, 3, lambda *step: steps.append(step))
    assert steps == [(1, 3, "float16 range"), (2, 3, "float16 range"), (3, 3, "float16 range")]
    assert dict(found.tensors) == pytest.approx(overflow)
    assert found.images == 3
    assert found.to_json()["limit"] == LIMIT


def test_a_network_that_is_infinite_in_float32_is_refused():
    net = loud_net("conv")
    scale(net, "loud_w", 1e30)
    scale(net, "quiet_w", 1e30)
    model = small.canonical(net)
    with pytest.raises(ModelError, match=r"tensor quiet is not finite for a\.jpg; check the network's weights"):
        scan_overflow(model, [("a.jpg", small.inputs(model)[0])], 1)
