"""float16 as a GPU computes it, on onnxruntime: against NumPy's, and where onnxruntime alone would not round."""

import numpy as np
import onnx_ir as ir
import pytest

from edgekit.graph.half_arithmetic import rounding_to_half
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import lower
from edgekit.graph.runner import Runner
from tests.graph import small, tiny


@pytest.mark.parametrize("count", [1, 63, 64, 65])
def test_every_operator_rounds_as_numpy_does(count):
    rng = np.random.default_rng(count)
    shape = (1, 3, 1, count)
    factor, term = (rng.normal(0, 1, shape).astype(np.float32) for _ in range(2))
    net = tiny.Net(size=1)
    net.input.type.tensor_type.shape.dim[3].dim_value = count
    x = net.op("Mul", ["images", net.constant("factor", factor)], "product")
    net.op("Add", [x, net.constant("term", term)], "sum")
    net.conv("sum", "last", 3, 1, 1)  # what is no convolution is refused
    model = load_canonical(net.bytes(["sum", "last"]))
    x_nchw = rng.normal(0, 100, shape).astype(np.float32)
    expected = x_nchw.astype(np.float16) * factor.astype(np.float16) + term.astype(np.float16)
    found = Runner(rounding_to_half(lower("fp16", model, None).model)).run(x_nchw)[0]
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_what_lies_beyond_float16_becomes_infinite():
    net = small.relu_net()
    net.op("Mul", ["last", net.constant("gain", np.float32(6e4))], "loud")
    model = small.canonical(net, ["loud"])
    lowered = lower("fp16", model, None)
    x = small.inputs(model)[0]
    assert np.isfinite(Runner(lowered.model, optimised=False).run(x)[0]).all()
    assert not np.isfinite(Runner(rounding_to_half(lowered.model), optimised=False).run(x)[0]).all()


def test_names_of_tensors_and_the_graph_itself_stay():
    model = load_canonical(tiny.yolox())
    lowered = lower("trt10", model, small.plan_of(model)).model
    names = {str(v.name) for n in lowered.graph for v in n.outputs}
    rounding = rounding_to_half(lowered)
    assert names <= {str(v.name) for n in rounding.graph for v in n.outputs}
    assert [v.name for v in rounding.graph.outputs] == [v.name for v in lowered.graph.outputs]
    assert {v.dtype for n in lowered.graph if n.op_type == "Conv" for v in n.outputs} == {ir.DataType.FLOAT16}
    assert {v.dtype for n in rounding.graph if n.op_type == "Conv" for v in n.outputs} == {ir.DataType.FLOAT}


def test_a_graph_without_float16_is_returned_as_it_is():
    model = small.canonical(small.relu_net())
    assert rounding_to_half(model) is model
