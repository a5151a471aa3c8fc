"""The native library's lookup operator in onnxruntime."""

import numpy as np
import pytest

from edgekit.ops.library import native
from tests.operator_sessions import session

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

PATH = native().path
pytestmark = pytest.mark.skipif(PATH is None, reason="the native library is not built: make native")


def model(table, shape, constant=True, element=TensorProto.UINT8):
    inputs = [helper.make_tensor_value_info("x", element, shape)]
    if not constant:
        inputs.append(helper.make_tensor_value_info("t", TensorProto.UINT8, [256]))
    graph = helper.make_graph(
        [
            helper.make_node("Table", ["x", "t"], ["y"], domain="edgekit"),
            helper.make_node("Identity", ["y"], ["z"]),
        ],
        "table",
        inputs,
        [helper.make_tensor_value_info("z", TensorProto.UINT8, None)],
        [numpy_helper.from_array(table, "t")] if constant else [],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("edgekit", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def random_table():
    return np.random.RandomState(1).randint(0, 256, 256).astype(np.uint8)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [[], [0, 5], [1], [2, 3, 5, 7], [1, 257, 129, 11]])
def test_operator_equals_indexing(shape, threads):
    table = random_table()
    x = np.asarray(np.random.RandomState(2).randint(0, 256, shape)).astype(np.uint8)
    opened = session(model(table, shape), threads)
    found = opened.run(None, {"x": x})[0]
    assert found.shape == tuple(shape)
    np.testing.assert_array_equal(found, table[x])
    if tuple(int(part) for part in ort.__version__.split(".")[:2]) >= (1, 23):
        assert opened.get_outputs()[0].shape == shape  # inferred before anything runs


def test_sides_that_are_known_only_at_the_run():
    table = random_table()
    opened = session(model(table, ["n", 3, "w"]))
    for shape in ((1, 3, 1), (5, 3, 40), (0, 3, 2)):
        x = np.random.RandomState(3).randint(0, 256, shape).astype(np.uint8)
        np.testing.assert_array_equal(opened.run(None, {"x": x})[0], table[x])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (model(np.zeros(255, np.uint8), [4]), "a table has 256 entries, this one 255"),
        (model(np.zeros((16, 16), np.uint8), [4]), "input 1 has another type or rank"),
        (model(np.zeros(256, np.uint8), [4], constant=False), "input 1 is not a constant of the model"),
        (model(np.zeros(256, np.float32), [4]), "[Tt]ype"),
        (model(np.zeros(256, np.uint8), [4], element=TensorProto.FLOAT), "[Tt]ype"),
    ],
)
def test_what_cannot_be_is_refused_when_the_model_is_opened(data, message):
    with pytest.raises(Exception, match=message):
        session(data)
