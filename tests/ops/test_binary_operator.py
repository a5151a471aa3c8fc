"""The native library's operators in onnxruntime against the oracle."""

import numpy as np
import pytest

from edgekit.ops.binary import BinaryGeometry, binary_conv2d, pack_signs, unpack_signs
from edgekit.ops.library import native
from tests.operator_sessions import GEOMETRIES, attributes_of, session

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

PATH = native().path
pytestmark = pytest.mark.skipif(PATH is None, reason="the native library is not built: make native")


def arrays(geometry, height=19, width=23):
    random = np.random.RandomState(geometry.in_channels)
    x = random.randn(2, height, width, geometry.in_channels).astype(np.float32)
    multiplier, offset = random.randn(2, geometry.out_channels).astype(np.float32)
    return x, random.randn(*geometry.weight_shape), multiplier, offset


def model(geometry, weights, multiplier, offset, shape, changes=None):
    attributes = {**attributes_of(geometry), **(changes or {})}
    constants = {"w": pack_signs(weights), "m": multiplier, "b": offset}
    graph = helper.make_graph(
        [
            helper.make_node("BinaryConv", ["x", "w", "m", "b"], ["y"], domain="edgekit", **attributes),
            helper.make_node("Neg", ["y"], ["z"]),
        ],
        "binary",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("edgekit", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_operator_equals_the_oracle(geometry, threads):
    x, weights, multiplier, offset = arrays(geometry)
    opened = session(model(geometry, weights, multiplier, offset, list(x.shape)), threads)
    expected = -binary_conv2d(x, weights, multiplier, offset, geometry)
    np.testing.assert_array_equal(opened.run(None, {"x": x})[0], expected)
    if tuple(int(part) for part in ort.__version__.split(".")[:2]) >= (1, 23):
        assert opened.get_outputs()[0].shape == list(expected.shape)  # inferred before anything runs


def test_sides_that_are_known_only_at_the_run():
    geometry = GEOMETRIES[0]
    x, weights, multiplier, offset = arrays(geometry)
    opened = session(model(geometry, weights, multiplier, offset, ["n", "h", "w", 64]))
    for each in (x, x[:1, :7, :3], x[:, :1, :1]):
        each = np.ascontiguousarray(each)
        expected = -binary_conv2d(each, weights, multiplier, offset, geometry)
        np.testing.assert_array_equal(opened.run(None, {"x": each})[0], expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 640}, "weights, channels and group do not fit each other"),
        ({"channels": -64}, "weights, channels and group do not fit each other"),
        ({"group": 0}, "weights, channels and group do not fit each other"),
        ({"strides": [1]}, "strides"),
        ({"pads": [3, 0, 0, 0]}, "a size is negative"),
        ({"padding": 2}, "a size is negative"),
    ],
)
def test_attributes_that_cannot_be(changes, message):
    geometry = GEOMETRIES[0]
    _, weights, multiplier, offset = arrays(geometry)
    with pytest.raises(Exception, match=message):
        session(model(geometry, weights, multiplier, offset, ["n", "h", "w", 64], changes))


def test_arrays_that_do_not_fit():
    geometry = GEOMETRIES[0]
    x, weights, multiplier, offset = arrays(geometry)
    with pytest.raises(Exception, match="multiplier and offset do not have a value for each output channel"):
        session(model(geometry, weights, multiplier[:5], offset, list(x.shape)))
    opened = session(model(geometry, weights, multiplier, offset, ["n", "h", "w", "c"]))
    with pytest.raises(Exception, match=r"x is not \(N, H, W, 64\)"):
        opened.run(None, {"x": np.ascontiguousarray(x[..., :32])})


def test_weights_that_are_no_constant():
    geometry = GEOMETRIES[3]
    _, weights, multiplier, offset = arrays(geometry)
    loaded = onnx.load_from_string(model(geometry, weights, multiplier, offset, [2, 19, 23, 1]))
    del loaded.graph.initializer[1]
    loaded.graph.input.append(helper.make_tensor_value_info("m", TensorProto.FLOAT, [3]))
    with pytest.raises(Exception, match="input 2 is not a constant of the model"):
        session(loaded.SerializeToString())


def chain(geometry, multiplier, offset, weights, shape, residual=True, low=-0.75, high=0.5):
    """BinarySigns, BinaryConvBits, BinaryConvSum: two convolutions that hand over bits."""
    second = BinaryGeometry(geometry.out_channels, geometry.out_channels, (3, 3), pads=(1, 1, 1, 1))
    constants = {"w": pack_signs(weights[0]), "v": pack_signs(weights[1]), "m": multiplier, "b": offset}
    sums = ["hidden", "v", "m", "b", "r"] if residual else ["hidden", "v", "m", "b"]
    limits = {"low": low, "high": high}
    nodes = [
        helper.make_node("BinarySigns", ["x"], ["bits"], domain="edgekit", group=geometry.groups),
        helper.make_node(
            "BinaryConvBits", ["bits", "w", "m", "b"], ["hidden"], domain="edgekit", **attributes_of(geometry)
        ),
        helper.make_node("BinaryConvSum", sums, ["y", "signs"], domain="edgekit", **attributes_of(second), **limits),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    inputs += [helper.make_tensor_value_info("r", TensorProto.FLOAT, [2, None, None, None])] if residual else []
    outputs = [
        helper.make_tensor_value_info("hidden", TensorProto.UINT32, None),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("signs", TensorProto.UINT32, None),
    ]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "chain", inputs, outputs, stored)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("edgekit", 1)]
    return second, helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("residual", [True, False])
def test_operators_hand_over_bits(geometry, residual):
    x, weights, multiplier, offset = arrays(geometry)
    random = np.random.RandomState(3)
    second = random.randn(geometry.out_channels, 3, 3, geometry.out_channels)
    inner, data = chain(geometry, multiplier, offset, (weights, second), list(x.shape), residual)
    hidden = binary_conv2d(x, weights, multiplier, offset, geometry, "bits")
    y = binary_conv2d(unpack_signs(hidden, geometry.out_channels), second, multiplier, offset, inner)
    added = random.randn(*y.shape).astype(np.float32)
    feeds = {"x": x, "r": added} if residual else {"x": x}
    expected = np.clip(y + added if residual else y, np.float32(-0.75), np.float32(0.5))
    got = session(data, threads=2).run(None, feeds)
    np.testing.assert_array_equal(got[0], hidden)
    np.testing.assert_array_equal(got[1], expected)
    np.testing.assert_array_equal(got[2], pack_signs(expected))


def test_what_the_chain_does_not_take():
    geometry = GEOMETRIES[0]
    x, weights, multiplier, offset = arrays(geometry)
    second = np.ones((64, 3, 3, 64))
    _, data = chain(geometry, multiplier, offset, (weights, second), list(x.shape))
    with pytest.raises(Exception, match="residual does not have the shape of the output"):
        session(data).run(None, {"x": x, "r": x[:, :4]})
    _, data = chain(geometry, multiplier, offset, (weights, second), list(x.shape), low=1.0)
    with pytest.raises(Exception, match="low is above high"):
        session(data)
    geometry, second = GEOMETRIES[2], np.ones((70, 3, 3, 70))
    _, weights, multiplier, offset = arrays(geometry)
    opened = session(chain(geometry, multiplier, offset, (weights, second), ["n", "h", "w", "c"])[1])
    odd = np.zeros((2, 5, 5, 65), np.float32)
    with pytest.raises(Exception, match="channels a multiple of group"):
        opened.run(None, {"x": odd, "r": odd})
