"""Which operators become tables, with an `evaluate` that is not onnxruntime."""

import numpy as np
import pytest

from edgekit.runtime.backends.onnx_file import field, read_onnx
from edgekit.runtime.backends.ort_tables import COUNT, with_tables
from tests.onnx_bytes import constant, model_of, node, scalar

SCALARS = {name: scalar(name, np.float32(value)) for name, value in {"s": 0.05, "half": 0.5}.items()}
SCALARS["z"] = scalar("z", np.uint8(128))
MICROSOFT = "com.microsoft"


def silu(x, y):
    """The two operators that onnxruntime makes of SiLU, with the sigmoid `y`_gate between."""
    gate = y + "_gate"
    return [
        node("QLinearSigmoid", [x, "s", "z", "s", "z"], gate, MICROSOFT),
        node("QLinearMul", [x, "s", "z", gate, "s", "z", "s", "z"], y, MICROSOFT),
    ]


def conv(x, y):
    return node("QLinearConv", [x, "s", "z", "w", "s", "wz", "s", "z"], y)


def evaluated(asked):
    """An `evaluate` that notes what it was asked for, and gives 0 to 255 backwards for everything."""

    def evaluate(data):
        file = read_onnx(data)
        asked.append(file)
        return {name: np.arange(256, dtype=np.uint8)[::-1] for name in file.outputs}

    return evaluate


def rewritten(nodes, outputs, constants=None):
    """The file with tables, and the model that was evaluated for it."""
    asked = []
    made = with_tables(model_of(nodes, dict(SCALARS, **(constants or {})), outputs), evaluated(asked))
    assert made is not None
    file = read_onnx(made)
    count = operators(file).count("Table")
    assert field(14, field(1, COUNT.encode()) + field(2, str(count).encode())) in file.head
    return file, asked[0], count


def operators(file):
    return [each.op_type for each in file.nodes]


def test_silu_between_convolutions():
    file, asked, count = rewritten([conv("x", "a"), *silu("a", "b"), conv("b", "c")], ["c"])
    assert operators(file) == ["QLinearConv", "Table", "QLinearConv"]
    table = file.nodes[1]
    assert (table.domain, table.inputs, table.outputs) == ("edgekit", ("a", "b_table"), ("b",))
    assert count == 1 and file.opsets["edgekit"] == 1
    assert file.constants["b_table"].shape == (256,)
    assert file.constants["b_table"].raw.endswith(bytes(range(255, -1, -1)))
    assert operators(asked) == ["QLinearSigmoid", "QLinearMul"]
    assert set(asked.constants) == {"s", "z"} and asked.outputs == ["b"]


def test_a_sigmoid_that_others_read_is_a_table_as_well():
    nodes = [conv("x", "a"), *silu("a", "b"), conv("b", "c"), conv("b_gate", "d")]
    file, _, count = rewritten(nodes, ["c", "d"])
    assert operators(file) == ["QLinearConv", "Table", "Table", "QLinearConv", "QLinearConv"]
    assert count == 2


def test_what_an_output_of_the_network_reads():
    file, _, _ = rewritten([conv("x", "a"), *silu("a", "b")], ["b"])
    assert operators(file) == ["QLinearConv", "Table"]


def test_floats_between_are_looked_up_too():
    """Hard swish: float operators between DQ and Q, and a product of codes."""
    nodes = [
        conv("x", "a"),
        node("DequantizeLinear", ["a", "s", "z"], "f"),
        node("HardSigmoid", ["f"], "g", floats={"alpha": 1 / 6}),
        node("QuantizeLinear", ["g", "s", "z"], "h"),
        node("QLinearMul", ["a", "s", "z", "h", "s", "z", "s", "z"], "b", MICROSOFT),
        conv("b", "c"),
    ]
    file, asked, count = rewritten(nodes, ["c"])
    assert operators(file) == ["QLinearConv", "Table", "QLinearConv"] and count == 1
    assert operators(asked) == ["DequantizeLinear", "HardSigmoid", "QuantizeLinear", "QLinearMul"]


def test_a_float_that_others_read_stays_and_reads_the_table():
    nodes = [
        conv("x", "a"),
        *silu("a", "b"),
        node("DequantizeLinear", ["b", "s", "z"], "f"),
        node("Transpose", ["f"], "t"),
        node("QuantizeLinear", ["t", "s", "z"], "q"),
    ]
    file, _, _ = rewritten(nodes, ["q"])
    assert operators(file) == ["QLinearConv", "Table", "DequantizeLinear", "Transpose", "QuantizeLinear"]


def test_one_function_of_another_has_a_table_of_its_own():
    nodes = [conv("x", "a"), *silu("a", "b"), *silu("b", "c"), conv("b", "d"), conv("c", "e")]
    file, _, count = rewritten(nodes, ["d", "e"])
    assert operators(file) == ["QLinearConv", "Table", "Table", "QLinearConv", "QLinearConv"]
    assert [each.inputs[0] for each in file.nodes[1:3]] == ["a", "a"] and count == 2


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([conv("x", "a"), conv("a", "b")], {}),
        # a sum of two tensors
        ([conv("x", "a"), conv("x", "c"), node("QLinearAdd", ["a", "s", "z", "c", "s", "z", "s", "z"], "b")], {}),
        # a scale for each channel
        (
            [conv("x", "a"), node("QLinearSigmoid", ["a", "v", "z", "s", "z"], "b", MICROSOFT)],
            {"v": constant("v", np.ones(3, np.float32))},
        ),
        # int8
        (
            [conv("x", "a"), node("QLinearSigmoid", ["a", "s", "n", "s", "n"], "b", MICROSOFT)],
            {"n": scalar("n", np.int8(0))},
        ),
        # floats in, codes out
        ([node("Identity", ["x"], "a"), node("Sigmoid", ["a"], "f"), node("QuantizeLinear", ["f", "s", "z"], "b")], {}),
        # a graph inside a node may read anything
        ([conv("x", "a"), *silu("a", "b"), node("If", ["b"], "c")], {}),
    ],
    ids=["none", "two", "channels", "int8", "float", "if"],
)
def test_what_is_no_table(nodes, constants):
    data = model_of(nodes, dict(SCALARS, **constants), ["b"])
    assert with_tables(data, lambda data: pytest.fail("nothing to evaluate")) is None


def test_what_is_evaluated_must_be_tables():
    data = model_of([conv("x", "a"), *silu("a", "b")], SCALARS, ["b"])
    with pytest.raises(ValueError, match=r"b is float32 .256,., no table"):
        with_tables(data, lambda data: {"b": np.zeros(256, np.float32)})
    with pytest.raises(ValueError, match="not an ONNX file"):
        with_tables(b"", lambda data: {})
