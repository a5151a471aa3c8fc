from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest

from edgekit.graph.load import load_canonical
from edgekit.graph.runner import Runner
from edgekit.graph.transposes import cancel_transposes, pointwise_in_nhwc
from tests.graph import small
from tests.graph.tiny import Net


def kinds(model: ir.Model) -> Counter:
    return Counter(node.op_type for node in model.graph)


def back_and_forth() -> Net:
    """stem -> NHWC -> NCHW -> NHWC -> Relu -> NCHW -> last, and NHWC of the stem once more."""
    net = Net(size=small.SIZE)
    x = net.conv("images", "stem", 3, 32)
    y = net.op("Transpose", [x], "there", perm=[0, 2, 3, 1])
    y = net.op("Transpose", [y], "back", perm=[0, 3, 1, 2])
    y = net.op("Relu", [net.op("Transpose", [y], "again", perm=[0, 2, 3, 1])], "nhwc_relu")
    z = net.op("Neg", [net.op("Transpose", [x], "twin", perm=[0, 2, 3, 1])], "nhwc_neg")
    y = net.op("Transpose", [net.op("Add", [y, z], "nhwc_sum")], "home", perm=[0, 3, 1, 2])
    net.conv(y, "last", 32, 32, 1)
    return net


def test_transposes_that_undo_each_other_go_away():
    model = load_canonical(back_and_forth().bytes(["last"]))
    expected = Runner(model).run(small.inputs(model, 1)[0])[0]
    cancel_transposes(model.graph)
    assert kinds(model)["Transpose"] == 2
    np.testing.assert_array_equal(Runner(model).run(small.inputs(model, 1)[0])[0], expected)
    before = [node.name for node in model.graph]
    cancel_transposes(model.graph)
    assert [node.name for node in model.graph] == before


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_pointwise_convolution_between_nhwc_becomes_a_product(stride):
    net = Net(size=17)
    x = net.op("Transpose", [net.conv("images", "stem", 3, 32)], "there", perm=[0, 2, 3, 1])
    x = net.op("Transpose", [net.op("Relu", [x], "nhwc_relu")], "back", perm=[0, 3, 1, 2])
    x = net.op("Transpose", [net.conv(x, "point", 32, 40, 1, stride)], "again", perm=[0, 2, 3, 1])
    net.conv(net.op("Transpose", [net.op("Relu", [x], "end")], "home", perm=[0, 3, 1, 2]), "last", 40, 32, 1)
    model = load_canonical(net.bytes(["last"]))
    x_nchw = np.random.default_rng(0).normal(size=(1, 3, 17, 17)).astype(np.float32)
    expected = Runner(model).run(x_nchw)[0]
    assert pointwise_in_nhwc(model.graph) == 1
    cancel_transposes(model.graph)
    found = kinds(model)
    assert (found["MatMul"], found["Conv"], found["Slice"]) == (1, 2, int(stride > 1))
    np.testing.assert_allclose(Runner(model).run(x_nchw)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel", "group", "nhwc"), [(3, 1, True), (1, 2, True), (1, 1, False)])
def test_other_convolutions_stay(kernel, group, nhwc):
    net = Net(size=small.SIZE)
    x = net.conv("images", "stem", 3, 32)
    if nhwc:
        x = net.op("Relu", [net.op("Transpose", [x], "there", perm=[0, 2, 3, 1])], "nhwc_relu")
        x = net.op("Transpose", [x], "back", perm=[0, 3, 1, 2])
    x = net.op("Transpose", [net.conv(x, "other", 32, 32, kernel, 1, group)], "again", perm=[0, 2, 3, 1])
    net.conv(net.op("Transpose", [net.op("Relu", [x], "end")], "home", perm=[0, 3, 1, 2]), "last", 32, 32, 1)
    model = load_canonical(net.bytes(["last"]))
    assert pointwise_in_nhwc(model.graph) == 0
    assert kinds(model)["Conv"] == 3
