import pytest

from edgekit.graph.codes import activation_codes
from edgekit.graph.floors import HARDSWISH_FLOOR, SILU_FLOOR, floors
from edgekit.graph.load import load_canonical
from edgekit.graph.plan import weighted_layers
from edgekit.graph.prefix import float_prefix, layer_cost
from edgekit.graph.residual import node_depths, skip_operand
from edgekit.graph.scales import shared_grids
from edgekit.precision import QuantPlan, QuantSpec
from tests.graph import small
from tests.graph.tiny import Net


def spec(scale, bits=8):
    return QuantSpec(bits, (scale,))


def grids(scales, ratio=4.0, bits=None):
    model = small.canonical(small.concat_net())
    plan = QuantPlan(activations={name: spec(s, (bits or {}).get(name, 8)) for name, s in scales.items()})
    return shared_grids(model.graph, plan, ratio)


def test_the_largest_scale_of_a_group_serves_all():
    found = grids({"stem_relu": 1.0, "right": 0.5, "left_relu": 3.0, "left_up": 2.9, "both": 3.0})
    assert {found.specs[n].scale for n in ("stem_relu", "right", "left_relu", "left_up", "both")} == {(3.0,)}
    assert len(set(found.group.values())) == 1


def test_scales_too_far_apart_stay_apart():
    found = grids({"stem_relu": 1.0, "right": 0.5, "left_relu": 4.5, "left_up": 2.9, "both": 3.0})
    assert found.specs["right"].scale == (1.0,)
    assert found.specs["left_up"].scale == (4.5,)
    assert found.specs["both"].scale == (3.0,)


def test_tensors_without_a_scale_or_of_other_width_join_nothing():
    assert grids({"stem_relu": 1.0, "both": 1.5}).specs["both"].scale == (1.5,)
    found = grids({"stem_relu": 1.0, "right": 2.0}, bits={"right": 4})
    assert found.specs["stem_relu"].scale == (1.0,)


def test_a_floor_holds_for_a_group_when_every_member_has_one():
    found = grids({"stem_relu": 1.0, "right": 1.0, "left_relu": 1.0, "left_up": 1.0, "both": 1.0})
    known = dict.fromkeys(["stem_relu", "right", "left_relu", "left_up"], 0.0)
    assert found.floors(known) == {}
    assert set(found.floors({**known, "both": -0.25}).values()) == {-0.25}


@pytest.mark.parametrize(
    ("dtype", "floor", "zero", "scale"),
    [
        ("uint8", None, 128, 1.0),
        ("int8", None, 0, 1.0),
        ("uint8", 0.0, 0, 127 / 255),
        ("int8", 0.0, -128, 127 / 255),
        ("uint8", -10.0, 19, 137 / 255),
        ("uint8", 3.0, 0, 127 / 255),
        ("uint8", -200.0, 128, 1.0),
    ],
)
def test_codes_of_a_grid(dtype, floor, zero, scale):
    codes = activation_codes(spec(1.0), dtype, floor)
    assert (int(codes.zero_point), str(codes.zero_point.dtype)) == (zero, dtype)
    assert float(codes.scale) == pytest.approx(scale, rel=1e-6)


def test_narrow_codes_stay_symmetric():
    assert int(activation_codes(spec(1.0, bits=4), "uint8", 0.0).zero_point) == 128


def floors_of(build):
    net = Net(size=16)
    x = net.conv("images", "stem", 3, 8)
    build(net, x)
    net.conv("result", "last", 8, 8, 1)
    return floors(load_canonical(net.bytes(["last"])).graph)


def test_floors_of_activation_functions():
    assert floors_of(lambda net, x: net.op("Relu", [x], "result"))["result"] == 0.0
    found = floors_of(lambda net, x: net.op("Mul", [x, net.op("Sigmoid", [x], "gate")], "result"))
    assert found == {"gate": 0.0, "result": SILU_FLOOR}
    found = floors_of(lambda net, x: net.op("Mul", [net.op("HardSigmoid", [x], "gate"), x], "result"))
    assert found["result"] == HARDSWISH_FLOOR
    assert "result" not in floors_of(lambda net, x: net.op("LeakyRelu", [x], "result"))
    assert "result" not in floors_of(lambda net, x: net.op("Mul", [x, x], "result"))


def test_floors_pass_through_what_moves_values():
    def pooled(net, x):
        net.op("MaxPool", [net.silu(x)], "result", kernel_shape=[3, 3], pads=[1] * 4)

    assert floors_of(pooled)["result"] == SILU_FLOOR

    def summed(net, x):
        net.op("Add", [net.op("Relu", [x], "positive"), net.silu(x)], "result")

    assert floors_of(summed)["result"] == SILU_FLOOR

    def shifted(net, x):
        net.op("Add", [net.op("Relu", [x], "positive"), net.constant("one", small.np.float32([-1.0]))], "result")

    assert "result" not in floors_of(shifted)


def test_integers_begin_where_the_sum_is_least():
    """Grouped layers and SiLU on few channels cost more as integers; wide 1x1 convolutions pay for it."""
    net = Net(size=64)
    x = net.silu(net.conv("images", "stem", 3, 16, stride=2))
    x = net.silu(net.conv(x, "depthwise", 16, 16, group=16))
    x = net.silu(net.conv(x, "narrow", 16, 16, 1))
    x = net.silu(net.conv(x, "down", 16, 128, stride=2))
    x = net.silu(net.conv(x, "wide", 128, 128, 1))
    net.conv(x, "last", 128, 128, 1)
    model = small.canonical(net)
    layers = weighted_layers(model)
    cost = {node.name: layer_cost(node) for node in layers}
    assert cost["depthwise_node"] > 0 > cost["wide_node"]
    assert list(float_prefix(model.graph, layers)) == ["stem_node", "depthwise_node", "narrow_node"]
    assert float_prefix(model.graph, []) == {}
    # Looked up, SiLU is no reason to stay in float.
    assert all(layer_cost(node, looked_up=True) < cost[node.name] for node in layers[:-1])
    assert list(float_prefix(model.graph, layers, looked_up=True)) == ["stem_node", "depthwise_node"]


def test_the_shortcut_of_a_downsampling_block_is_the_shorter_path():
    net = Net(size=16)
    x = net.op("Relu", [net.conv("images", "stem", 3, 32)], "stem_relu")
    y = net.conv(net.op("Relu", [net.conv(x, "a", 32, 32, stride=2)], "a_relu"), "b", 32, 32)
    net.conv(net.op("Add", [y, net.conv(x, "shortcut", 32, 32, 1, stride=2)], "total"), "last", 32, 32, 1)
    model = small.canonical(net)
    add = next(n for n in model.graph if n.op_type == "Add")
    assert skip_operand(add, node_depths(model.graph)) == 1
