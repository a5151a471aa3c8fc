"""Space to depth in front of an INT8 stem: the same codes, and what is left as it is."""

import numpy as np
import onnx_ir as ir
import pytest

from edgekit.graph.insert import insert_qdq
from edgekit.graph.load import load_canonical
from edgekit.graph.lower.ort_x86 import STYLE
from edgekit.graph.runner import Runner
from edgekit.graph.strided_stem import space_to_depth, stem_cost
from tests.graph import small
from tests.graph.tiny import Net

SHAPES = [  # kernel, stride, pads (top, left, bottom, right), size
    ((7, 7), 2, (3, 3, 3, 3), 32),
    ((3, 3), 2, (1, 1, 1, 1), 24),
    ((3, 3), 2, (0, 1, 1, 0), 24),
    ((2, 2), 2, (0, 0, 0, 0), 16),
    ((5, 4), 3, (2, 1, 2, 1), 24),
    ((6, 6), 4, (2, 3, 1, 2), 32),
    ((1, 3), 2, (0, 1, 0, 1), 16),
]


def stem_net(kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1), size=24, c_in=3, clamp="Relu", **attributes):
    """A stem of `c_in` channels, a clamp, and a layer behind it that makes both INT8."""
    net = Net(size=size)
    x = "images" if c_in == 3 else net.conv("images", "wider", 3, c_in, 1)
    shape = (24, c_in // attributes.get("group", 1), *kernel)
    w = net.constant("stem_w", net.rng.normal(0, 0.3, shape).astype(np.float32))
    b = net.constant("stem_b", net.rng.normal(0, 0.2, 24).astype(np.float32))
    if "auto_pad" not in attributes:
        attributes["pads"] = list(pads)
    y = net.op("Conv", [x, w, b], "stem", kernel_shape=list(kernel), strides=list(stride), **attributes)
    if clamp == "Clip":
        bounds = [net.constant(name, np.array(bound, np.float32)) for name, bound in (("low", -1.0), ("high", 1.0))]
        y = net.op("Clip", [y, *bounds], "clamped")
    elif clamp == "Relu":
        y = net.op("Relu", [y], "clamped")
    net.conv(y, "last", 24, 8, 1)
    return load_canonical(net.bytes(["last"]))


def lowered(model):
    return insert_qdq(model, small.plan_of(model), "islands", STYLE)


def stem_codes(graph, x, optimised):
    return Runner(graph, ["clamped_quantized"], optimised=optimised).run(x)[0]


@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "pads", "size"), SHAPES, ids=str)
def test_the_codes_are_the_same(kernel, stride, pads, size, optimised):
    """To the bit in integers; node by node the floats are added up in another order."""
    model = stem_net(kernel, (stride, stride), pads, size)
    plain, deep = lowered(model), lowered(model)
    assert space_to_depth(deep.graph) == 1
    conv = next(node for node in deep.graph if node.name == "stem_node")
    assert list(conv.attributes["strides"].as_ints()) == [1, 1]
    assert conv.inputs[0].shape.numpy() == (1, 3 * stride * stride, size // stride, size // stride)
    for x in small.inputs(model, 2):
        expected, got = stem_codes(plain, x, optimised), stem_codes(deep, x, optimised)
        assert len(np.unique(expected)) > 50
        assert got.shape == expected.shape
        difference = np.abs(got.astype(int) - expected)
        assert difference.max() <= (0 if optimised else 1)
        assert np.mean(difference > 0) < 1e-3


def test_an_integer_kernel_runs_it(tmp_path):
    deep = lowered(stem_net())
    space_to_depth(deep.graph)
    found = small.optimised_operators(deep, tmp_path)
    assert found.count("QLinearConv") == 1
    assert "Pad" not in found  # the weights were turned when the graph was loaded


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": (1, 1)},
        {"stride": (2, 1)},
        {"stride": (5, 5), "kernel": (5, 5), "pads": (0, 0, 0, 0), "size": 25},
        {"size": 25},
        {"c_in": 16},
        {"c_in": 12, "group": 4},
        {"dilations": [2, 2]},
        {"auto_pad": "SAME_UPPER"},
        {"kernel": (1, 1), "pads": (0, 0, 0, 0), "size": 25},
    ],
    ids=str,
)
def test_what_stays_as_it_is(changes):
    model = stem_net(**changes)
    graph = lowered(model)
    before = [node.op_type for node in graph.graph]
    assert space_to_depth(graph.graph) == 0
    assert [node.op_type for node in graph.graph] == before
    stem = next(node for node in model.graph if node.name == "stem_node")
    assert stem_cost(stem) is None


def test_a_float_layer_stays_as_it_is():
    model = stem_net()
    assert space_to_depth(model.graph) == 0


def test_what_it_costs():
    def cost(**arguments):
        return stem_cost(next(n for n in stem_net(**arguments).graph if n.name == "stem_node"))

    assert cost(kernel=(7, 7), pads=(3, 3, 3, 3), size=224) < -50_000
    assert cost(kernel=(1, 1), pads=(0, 0, 0, 0), size=224) > 0  # turning the picture takes longer
    assert cost(clamp=None, size=224) == cost(size=224)
    assert cost(clamp="Clip", size=224) is None


def test_weights_keep_their_source():
    """In a bundle the codes of a layer are stored once, as the plan has them."""
    graph = lowered(stem_net())
    stored = {name: value.const_value.numpy() for name, value in graph.graph.initializers.items() if value.meta}
    space_to_depth(graph.graph)
    kept = {name: value.const_value.numpy() for name, value in graph.graph.initializers.items() if value.meta}
    assert set(kept) == set(stored)
    assert all(np.array_equal(kept[name], stored[name]) for name in stored)
    assert ir.to_proto(graph).ByteSize() > 0
