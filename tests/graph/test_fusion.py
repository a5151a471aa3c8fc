"""What onnxruntime makes of the lowerings: the point of placing Q/DQ on every tensor."""

from collections import Counter

import pytest

from edgekit.graph import placement
from edgekit.graph.insert import QdqStyle, insert_qdq
from edgekit.graph.lower import ort_x86
from tests.graph import small


@pytest.fixture(autouse=True)
def _whole(monkeypatch):
    monkeypatch.setattr(placement, "float_prefix", lambda graph, planned, looked_up=False: {})


def count(net, tmp_path, style=ort_x86.STYLE, kind="every-tensor"):
    model = small.canonical(net)
    return Counter(small.optimised_operators(insert_qdq(model, small.plan_of(model), kind, style), tmp_path))


def test_silu_becomes_integer_operators(tmp_path):
    found = count(small.silu_net(), tmp_path)
    assert found["QLinearConv"] == 2  # the last one writes the network's output: float
    assert found["QLinearSigmoid"] == found["QLinearMul"] == 2
    assert found["Conv"] == 1
    assert found["QuantizeLinear"] == 1


def test_relu_disappears_into_its_convolution(tmp_path):
    found = count(small.relu_net(), tmp_path)
    assert (found["QLinearConv"], found["Relu"], found["QuantizeLinear"]) == (2, 0, 1)


def test_relu_stays_where_the_zero_point_is_128(tmp_path):
    found = count(small.relu_net(), tmp_path, QdqStyle("uint8", bias="int32"))
    assert found["QLinearConv"] == 0


@pytest.mark.parametrize("activation", [False, True])
def test_residual_adds_are_integer(tmp_path, activation):
    found = count(small.residual_net(activation), tmp_path)
    assert found["QLinearAdd"] == 1
    assert found["QLinearConv"] == 3
    assert found["Conv"] == 1


def test_concat_pool_and_resize_stay_in_uint8(tmp_path):
    found = count(small.concat_net(), tmp_path)
    assert found["QLinearConv"] == 3
    assert found["QLinearConcat"] == 1
    assert found["QuantizeLinear"] == 1
    assert found["DequantizeLinear"] <= 2  # input and weight of the last, float, convolution


def test_the_tensorrt_placement_does_not_fuse(tmp_path):
    """Why there are two placements: numerically right, and slower than float32."""
    assert count(small.silu_net(), tmp_path, kind="trt")["QLinearConv"] == 0
