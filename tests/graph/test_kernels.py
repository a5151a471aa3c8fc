import numpy as np
import pytest

from edgekit.graph.kernels import Flow, fuse
from edgekit.graph.lower import lower
from tests.graph import small
from tests.graph.tiny import Net


def kernels(model, smooth=True):
    """The fused operators of each kernel."""
    return ["+".join(node.op_type for node in kernel.nodes) for kernel in fuse(Flow(model.graph), smooth)]


def lowered(net, name="trt8", keep=("stem_node",)):
    model = small.canonical(net)
    return lower(name, model, small.plan_of(model, keep=keep)).model


def test_relu_goes_with_its_convolution_everywhere():
    model = small.canonical(small.relu_net())
    assert kernels(model, smooth=True) == kernels(model, smooth=False) == ["Conv+Relu", "Conv+Relu", "Conv"]


def test_silu_goes_with_its_convolution_from_ampere_on_and_is_one_kernel_before():
    model = small.canonical(small.silu_net())
    assert kernels(model, smooth=True) == ["Conv+Sigmoid+Mul", "Conv+Sigmoid+Mul", "Conv"]
    assert kernels(model, smooth=False) == ["Conv", "Sigmoid+Mul", "Conv", "Sigmoid+Mul", "Conv"]


def test_a_residual_add_goes_with_the_convolution_straight_before_it():
    model = small.canonical(small.residual_net(activation=False))
    assert kernels(model) == ["Conv+Relu", "Conv+Relu", "Conv+Add+Relu", "Conv"]


def test_an_activation_between_keeps_the_add_apart():
    model = small.canonical(small.residual_net(activation=True))
    assert kernels(model) == ["Conv+Relu", "Conv+Relu", "Conv+Sigmoid+Mul", "Add+Relu", "Conv"]


def test_the_add_waits_for_the_later_of_two_convolutions():
    net = Net(size=small.SIZE)
    stem = net.conv("images", "stem", 3, 32)
    total = net.op("Add", [net.conv(stem, "left", 32, 32), net.conv(stem, "right", 32, 32)], "total")
    net.conv(total, "last", 32, 32, 1)
    found = fuse(Flow(small.canonical(net).graph), smooth=True)
    assert [kernel.nodes[0].name for kernel in found if len(kernel.nodes) > 1] == ["right_node"]


@pytest.mark.parametrize("name", ["trt8", "trt10"])
def test_q_dq_and_casts_are_no_kernels(name):
    assert kernels(lowered(small.relu_net(), name)) == ["Conv+Relu", "Conv+Relu", "Conv"]


@pytest.mark.parametrize("name", ["trt8", "trt10"])
def test_types_follow_q_dq(name):
    flow = Flow(lowered(small.relu_net(), name).graph)
    convolutions = [node for node in flow.nodes if node.op_type == "Conv"]
    assert [flow.runs_int8(node) for node in convolutions] == [False, True, True]
    relus = [node.outputs[0] for node in flow.nodes if node.op_type == "Relu"]
    assert [flow.is_int8(value) for value in relus] == [True, True]
    assert not flow.is_int8(flow.outputs[0])


def test_the_stem_is_int8_when_nothing_keeps_it_in_float():
    flow = Flow(lowered(small.relu_net(), keep=()).graph)
    assert flow.runs_int8(flow.nodes[0])
    assert flow.is_int8(flow.inputs[0])


def test_pool_and_resize_pass_int8_on():
    flow = Flow(lowered(small.concat_net()).graph)
    by_op = {node.op_type: node for node in flow.nodes}
    assert flow.is_int8(by_op["Concat"].outputs[0])
    assert flow.is_int8(by_op["MaxPool"].outputs[0]) and flow.is_int8(by_op["Resize"].outputs[0])
    assert flow.runs_int8(by_op["MaxPool"])


def test_a_tensor_with_readers_of_both_kinds_is_mixed():
    net = Net(size=small.SIZE)
    x = net.op("Relu", [net.conv("images", "stem", 3, 32)], "stem_relu")
    y = net.op("Relu", [net.conv(x, "mix", 32, 32)], "mix_relu")
    net.conv(net.op("Mul", [y, x], "gated"), "last", 32, 32, 1)
    flow = Flow(lowered(net).graph)
    relu = next(node for node in flow.nodes if node.op_type == "Relu")
    assert flow.is_mixed(relu.outputs[0]) and not flow.is_int8(relu.outputs[0])


def concat_copies(channels, twice=False):
    """What a Concat of two branches has to copy; with `twice` a second Concat joins the first branch again."""
    net = Net(size=small.SIZE)
    x = net.conv("images", "stem", 3, 32)
    left, right = net.conv(x, "left", 32, channels), net.conv(x, "right", 32, channels)
    joined = net.op("Concat", [left, right], "joined", axis=1)
    y = net.conv(joined, "after", 2 * channels, 32)
    if twice:
        y = net.op("Concat", [left, y], "again", axis=1)
    net.conv(y, "last", 32 + channels * twice, 32, 1)
    found = fuse(Flow(small.canonical(net).graph), smooth=True)
    return [len(kernel.copies) for kernel in found if kernel.nodes[0].op_type == "Concat"]


def test_concat_of_whole_vectors_is_free():
    assert concat_copies(32) == [0]


def test_concat_copies_channels_that_end_in_the_middle_of_a_vector():
    assert concat_copies(24) == [2]


def test_a_tensor_lies_in_one_concat_only():
    assert concat_copies(32, twice=True) == [0, 1]


def test_elementwise_operators_are_one_kernel_up_to_a_second_reader():
    net = Net(size=small.SIZE)
    x = net.conv("images", "stem", 3, 32)
    half = net.constant("half", np.array(0.5, np.float32))
    y = net.op("Exp", [net.op("Mul", [net.op("Neg", [x], "a"), half], "b")], "c")
    net.op("Add", [net.op("Sqrt", [y], "d"), net.op("Neg", [y], "e")], "last")
    assert kernels(small.canonical(net), smooth=False) == ["Conv", "Neg+Mul+Exp", "Sqrt", "Neg+Add"]
