"""What a lowering tells a device that cannot read its graph."""

import json
import math

import pytest

from edgekit.graph.hints import TENSORRT, hints_of, weight_bytes
from edgekit.graph.lower import BINARY_LOWERINGS, LOWERINGS, lower
from edgekit.graph.overflow import overflowing
from tests.graph import small
from tests.graph.test_overflow import network
from tests.graph.tiny import Net

GENERAL = [name for name in LOWERINGS if name not in BINARY_LOWERINGS]


@pytest.fixture(scope="module")
def relu():
    model = small.canonical(small.relu_net())
    return model, small.plan_of(model, keep=["last_node"])


def hints(name, pair):
    model, plan = pair
    return hints_of(lower(name, model, plan), plan)


def test_layers_are_named_with_why_they_are_not_integers(relu):
    found = hints("trt8", relu)
    assert found["qdq"] is True
    assert found["strongly_typed"] is False
    assert found["int8_layers"] == ["stem_node", "mix_node"]
    assert found["float_layers"] == {"last_node": "asked for"}
    assert found["weight_axis"] == {}
    assert found["pin_fp32"] == found["float32_nodes"] == {}


def test_a_layer_without_an_int8_kernel_is_among_the_float_ones():
    net = Net(size=small.SIZE)
    net.conv(net.op("Relu", [net.conv("images", "stem", 3, 4)], "stem_relu"), "last", 4, 32)
    model = small.canonical(net)
    reasons = hints("trt8", (model, small.plan_of(model)))["float_layers"]
    assert reasons["stem_node"] == "3 input and 4 output channels: too few for an INT8 kernel (R9)"


def test_a_graph_without_pairs_says_so(relu):
    found = hints("fp16", relu)
    assert (found["qdq"], found["strongly_typed"], found["int8_layers"]) == (False, True, [])
    assert hints("trt10", relu)["strongly_typed"] is True


def test_scales_along_another_axis_are_named():
    net = Net(size=small.SIZE)
    x = net.op("Relu", [net.conv("images", "stem", 3, 32)], "stem_relu")
    w = net.constant("up_w", net.rng.normal(0, 0.1, (32, 32, 2, 2)).astype("float32"))
    net.conv(net.op("ConvTranspose", [x, w], "up", strides=[2, 2]), "last", 32, 32, 1)
    model = small.canonical(net)
    assert hints("trt10", (model, small.plan_of(model)))["weight_axis"] == {"up_node": 1}


def test_what_float16_may_not_hold_is_pinned_where_the_builder_chooses_types():
    model, plan, overflow = network("conv")
    for name, pinned in (("trt8", True), ("fp16", True), ("trt10", False), ("fp32", False)):
        found = hints_of(lower(name, model, plan, overflow), plan)
        assert bool(found["pin_fp32"]) == pinned
        assert bool(found["float32_nodes"]) == (name != "fp32")
    calm = small.canonical(small.relu_net())
    assert overflowing(small.ranges_of(calm)) == {}


def test_weights_count_as_an_engine_keeps_them(relu):
    model, plan = relu
    stem, mix, last = 32 * 3 * 9, 32 * 32 * 9, 32 * 32
    biases = 3 * 32
    assert weight_bytes(lower("fp32", model, plan)) == 4 * (stem + mix + last + biases)
    assert weight_bytes(lower("fp16", model, plan)) == 2 * (stem + mix + last + biases)
    assert weight_bytes(lower("trt8", model, plan)) == 4 * (last + biases) + stem + mix
    assert weight_bytes(lower("trt10", model, plan)) == 2 * (last + biases) + stem + mix


@pytest.mark.parametrize("name", GENERAL)
def test_hints_are_plain_values_and_for_tensorrt_alone(relu, name):
    found = hints(name, relu)
    assert json.loads(json.dumps(found)) == found
    assert bool(found) == (name in TENSORRT)
    if found:
        assert found["activation_bytes_peak"] >= math.prod((32, 16, 16))
