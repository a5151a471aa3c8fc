"""Memory between the layers, on graphs whose sum can be done by hand."""

import numpy as np
import pytest

from edgekit.graph.liveness import activation_bytes_peak, tensor_bytes
from edgekit.graph.lower import lower
from tests.graph import small
from tests.graph.tiny import Net

SIZE = 16
PLANE = SIZE * SIZE


def chain(channels):
    """images -> a -> b -> last, of 3, c, 2c and 1 channels."""
    net = Net(size=SIZE)
    net.conv(net.conv("images", "a", 3, channels), "b", channels, 2 * channels)
    net.conv("b", "last", 2 * channels, 1, 1)
    return small.canonical(net)


@pytest.mark.parametrize("channels", [1, 7, 32])
def test_two_neighbours_of_a_chain_are_alive_at_once(channels):
    largest = max(3 + channels, 3 * channels, 2 * channels + 1)
    assert activation_bytes_peak(chain(channels)) == 4 * PLANE * largest


def test_a_skip_connection_lives_to_its_addition():
    net = Net(size=SIZE)
    x = net.conv("images", "skip", 3, 8)
    y = net.conv(net.conv(x, "wide", 8, 16), "narrow", 16, 8)
    net.conv(net.op("Add", [x, y], "total"), "last", 8, 8)
    # skip, wide and narrow while narrow is computed
    assert activation_bytes_peak(small.canonical(net)) == 4 * PLANE * (8 + 16 + 8)


def test_a_reshape_makes_no_second_copy():
    net = Net(size=SIZE)
    x = net.conv("images", "a", 3, 8)
    rows = net.constant("rows", np.array([1, 8, PLANE], np.int64))
    net.op("Sigmoid", [net.op("Reshape", [x, rows], "flat")], "last")
    assert activation_bytes_peak(small.canonical(net, ["last"])) == 4 * PLANE * (8 + 8)


def test_an_output_lives_to_the_end():
    net = Net(size=SIZE)
    net.conv("images", "early", 3, 4)
    net.conv(net.conv("images", "wide", 3, 16), "late", 16, 4)
    model = small.canonical(net, ["early", "late"])
    assert activation_bytes_peak(model) == 4 * PLANE * (4 + 16 + 4)


def test_codes_count_as_one_byte_and_weights_not_at_all():
    model = chain(32)
    plan = small.plan_of(model)
    full, half = activation_bytes_peak(model), activation_bytes_peak(lower("fp16", model, plan).model)
    assert half == full // 2
    # the largest step is that which makes b's codes of its 64 float32 channels
    assert activation_bytes_peak(lower("trt8", model, plan).model) == PLANE * (64 * 4 + 64)


def test_a_tensor_has_the_bytes_of_its_type():
    model = chain(3)
    assert tensor_bytes(model.graph.inputs[0]) == 4 * 3 * PLANE
    unknown = model.graph.outputs[0]
    unknown.shape = None
    assert tensor_bytes(unknown) == 0
