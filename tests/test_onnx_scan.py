import os

import pytest

from edgekit.onnx_scan import node_operators, signed_activation

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")


def read(name):
    with open(os.path.join(GOLDEN, name), "rb") as stream:
        return stream.read()


def test_finds_the_signed_activation():
    assert signed_activation(read("tiny_signed.onnx")) == "images"
    assert signed_activation(read("tiny_yolox.onnx")) is None


def test_lists_the_operators_of_the_nodes():
    operators = node_operators(read("tiny_signed.onnx"))
    assert operators.count("QuantizeLinear") >= 1 and "Conv" in operators
    assert node_operators(b"not onnx at all") == []


@pytest.mark.parametrize("cut", [1, 2, 3, 10, 63, 64, 65, 500, 1000])
def test_survives_a_cut_file(cut):
    signed_activation(read("tiny_signed.onnx")[:cut])


@pytest.mark.parametrize("data", [b"", b"not onnx at all", b"\xff" * 50, b"\x3a\x05"])
def test_what_is_not_onnx_has_none(data):
    assert signed_activation(data) is None


def test_weights_and_unsigned_activations_pass():
    onnx = pytest.importorskip("onnx")
    import numpy as np

    def model(zero, of_weight):
        helper, array = onnx.helper, onnx.numpy_helper.from_array
        name = "weight" if of_weight else "x"
        node = helper.make_node("QuantizeLinear", [name, "scale", "zero"], ["y"])
        kind = onnx.helper.np_dtype_to_tensor_dtype(zero.dtype)
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4])],
            [helper.make_tensor_value_info("y", kind, [4])],
            [array(np.float32(1), "scale"), array(zero, "zero"), array(np.zeros(4, np.float32), "weight")],
        )
        return helper.make_model(graph).SerializeToString()

    assert signed_activation(model(np.array(0, np.int8), of_weight=False)) == "x"
    assert signed_activation(model(np.array(128, np.uint8), of_weight=False)) is None
    assert signed_activation(model(np.array(0, np.int8), of_weight=True)) is None
