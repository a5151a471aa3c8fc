import numpy as np
import pytest

from edgekit.runtime.backends import onnx_file
from edgekit.runtime.backends.onnx_file import UINT8, Constant, read_onnx, uint8_constant, vector_model, write_onnx
from tests.onnx_bytes import model_of, node, scalar


def small():
    return model_of(
        [node("QLinearSigmoid", ["x", "s", "z", "s", "z"], "y", "com.microsoft"), node("Identity", ["y"], "out")],
        {"s": scalar("s", np.float32(0.5)), "z": scalar("z", np.uint8(7))},
        ["out"],
    )


def test_reads_what_stands_there():
    file = read_onnx(small())
    first, second = file.nodes
    assert (first.op_type, first.domain, first.outputs) == ("QLinearSigmoid", "com.microsoft", ("y",))
    assert first.inputs == ("x", "s", "z", "s", "z")
    assert (second.op_type, second.domain) == ("Identity", "")
    assert file.constants["z"][:2] == (UINT8, ()) and file.constants["s"][:2] == (1, ())
    assert file.outputs == ["out"]
    assert file.opsets == {"": 13, "com.microsoft": 1}


def test_writes_what_it_read():
    file = read_onnx(small())
    again = read_onnx(write_onnx(file, file.nodes, [], {}, {}))
    assert again.nodes == file.nodes and again.constants == file.constants and again.outputs == file.outputs
    assert again.opsets == file.opsets and again.head == file.head


def test_adds_nodes_constants_operator_sets_and_metadata():
    file = read_onnx(small())
    table = uint8_constant("t", np.arange(256, dtype=np.uint8))
    data = write_onnx(file, file.nodes[1:], [table], {"edgekit": 1}, {"tables": "1"})
    again = read_onnx(data)
    assert [each.op_type for each in again.nodes] == ["Identity"]
    assert again.constants["t"] == Constant(UINT8, (256,), table.raw)
    assert again.opsets["edgekit"] == 1
    assert b"tables" in again.head


def test_shapes_in_either_form():
    """Numbers of a repeated field one by one, or packed into one: both are legal, and writers differ."""
    one_by_one = onnx_file.number(1, 3) + onnx_file.number(1, 300)
    packed = onnx_file.field(1, b"\x03\xac\x02")
    for dims in (one_by_one, packed):
        raw = dims + onnx_file.number(2, UINT8) + onnx_file.field(8, b"c")
        file = read_onnx(model_of([node("Identity", ["c"], "out")], {"c": Constant(UINT8, (), raw)}, ["out"]))
        assert file.constants["c"].shape == (3, 300)


def test_a_model_of_some_nodes():
    file = read_onnx(small())
    part = read_onnx(vector_model(file, file.nodes[:1], list(file.constants.values()), ["x"], ["y"]))
    assert [each.op_type for each in part.nodes] == ["QLinearSigmoid"]
    assert set(part.constants) == {"s", "z"} and part.outputs == ["y"] and part.opsets == file.opsets


@pytest.mark.parametrize("data", [b"", b"this is no graph", small()[:-5], b"\x3a\x02\x0a\xff"])
def test_other_files(data):
    with pytest.raises(ValueError, match="not an ONNX file|field past the end|wire type"):
        read_onnx(data)


def test_onnx_reads_what_is_written():
    onnx = pytest.importorskip("onnx")
    file = read_onnx(small())
    table = uint8_constant("t", np.arange(256, dtype=np.uint8))
    nodes = [onnx_file.plain_node("Table", "edgekit", ["x", "t"], "y"), file.nodes[1]]
    loaded = onnx.load_from_string(write_onnx(file, nodes, [table], {"edgekit": 1}, {"tables": "1"}))
    assert next((each.op_type, each.domain, each.name) for each in loaded.graph.node) == ("Table", "edgekit", "y")
    assert {each.domain: each.version for each in loaded.opset_import}["edgekit"] == 1
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in loaded.graph.initializer}["t"]
    np.testing.assert_array_equal(stored, np.arange(256, dtype=np.uint8))
    assert {each.key: each.value for each in loaded.metadata_props} == {"tables": "1"}
