"""Exact rewrites before quantisation: the same outputs, the same names of layers, nothing on a second pass."""

import numpy as np
import pytest

from edgekit.graph.cascade_pools import cascade_pools
from edgekit.graph.channels_last_head import channels_last_head
from edgekit.graph.fold_focus import fold_focus
from edgekit.graph.load import load_canonical, model_bytes
from edgekit.graph.runner import Runner
from edgekit.graph.tidy import tidy
from tests.graph import small, tiny
from tests.graph.tiny import Net


def focus_net(kernel=3, step=2, order=((0, 0), (1, 0), (0, 1), (1, 1)), size=16):
    """Focus as YOLOX exports it: two Slices a phase (rows, then columns), Concat, convolution."""
    net = Net(size=size)
    net.constant("end", np.array([2**63 - 1]))
    net.constant("step", np.array([step]))
    for axis in (2, 3):
        net.constant(f"axis{axis}", np.array([axis]))
        net.constant(f"one{axis}", np.array([1]))
        net.constant(f"zero{axis}", np.array([0]))
    parts = []
    for i, (dy, dx) in enumerate(order):
        rows = net.op("Slice", ["images", f"{'one' if dy else 'zero'}2", "end", "axis2", "step"], f"rows{i}")
        parts.append(net.op("Slice", [rows, f"{'one' if dx else 'zero'}3", "end", "axis3", "step"], f"part{i}"))
    net.conv(net.op("Concat", parts, "focus", axis=1), "stem", 12, 8, kernel)
    net.op("Relu", ["stem"], "last")
    return net


def pools_net(sizes=(5, 9, 13), strides=1, same=True):
    net = Net(size=32)
    x = net.conv("images", "stem", 3, 8)
    source = [x, x, x] if same else [x, net.op("Relu", [x], "other"), x]
    pools = [
        net.op("MaxPool", [s], f"pool{k}", kernel_shape=[k, k], pads=[k // 2] * 4, strides=[strides] * 2)
        for k, s in zip(sizes, source, strict=False)
    ]
    net.op("Concat", pools, "last", axis=1)
    return net


def check_same(net, rewrite, outputs=("last",)):
    model = small.canonical(net, outputs) if isinstance(net, Net) else load_canonical(net)
    before = [Runner(model).run(x) for x in small.inputs(model)]
    layers = [n.name for n in model.graph if n.op_type == "Conv"]
    assert rewrite(model)
    after = [Runner(model).run(x) for x in small.inputs(model)]
    for old, new in zip(before, after, strict=True):
        for a, b in zip(old, new, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=np.abs(a).max() * 1e-5)
    assert [n.name for n in model.graph if n.op_type == "Conv"] == layers
    done = model_bytes(model)
    assert not rewrite(model)
    assert model_bytes(model) == done
    return model


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("order", [((0, 0), (1, 0), (0, 1), (1, 1)), ((1, 1), (0, 0), (0, 1), (1, 0))])
def test_focus_becomes_one_convolution(kernel, order):
    model = check_same(focus_net(kernel, order=order), fold_focus)
    assert small.operators(model) == ["Conv", "Relu"]
    assert model.graph.initializers["stem_w.unfocused"].const_value.shape.numpy() == (8, 3, 2 * kernel, 2 * kernel)


@pytest.mark.parametrize(
    "net",
    [focus_net(step=4, size=16), focus_net(order=((0, 0), (0, 0), (0, 1), (1, 1))), small.silu_net()],
    ids=["step 4", "a phase twice", "no focus"],
)
def test_what_is_no_focus_stays(net):
    model = small.canonical(net) if net.nodes[-1].output[0] == "last" else None
    before = model_bytes(model)
    assert not fold_focus(model)
    assert model_bytes(model) == before


def test_pools_are_chained():
    model = check_same(pools_net(), cascade_pools)
    pools = {n.outputs[0].name: n for n in model.graph if n.op_type == "MaxPool"}
    assert [list(pools[f"pool{k}"].attributes["kernel_shape"].as_ints()) for k in (5, 9, 13)] == [[5, 5]] * 3
    assert pools["pool13"].inputs[0].name == "pool9"


def test_pools_in_falling_order_are_chained_too():
    check_same(pools_net((13, 9, 5)), cascade_pools)


@pytest.mark.parametrize("net", [pools_net(strides=2), pools_net((5, 9), same=False)], ids=["strided", "two tensors"])
def test_other_pools_stay(net):
    if "other" in [n.output[0] for n in net.nodes]:
        net.nodes[-1].input[:] = net.nodes[-1].input[:2]
    model = small.canonical(net)
    before = model_bytes(model)
    assert not cascade_pools(model)
    assert model_bytes(model) == before


def test_head_is_transposed_behind_its_convolutions():
    model = check_same(tiny.yolox(), channels_last_head)
    transposes = [n for n in model.graph if n.op_type == "Transpose"]
    assert len(transposes) == 9
    assert all(n.inputs[0].producer().op_type == "Conv" for n in transposes)
    assert model.graph.outputs[0].name == "output"


@pytest.mark.parametrize("make", [tiny.yolov8, tiny.nanodet])
def test_other_heads_stay(make):
    model = load_canonical(make())
    before = model_bytes(model)
    assert not channels_last_head(model)
    assert model_bytes(model) == before


def test_tidy_says_whether_anything_changed():
    assert tidy(small.canonical(focus_net()))
    assert not tidy(small.canonical(small.silu_net()))
