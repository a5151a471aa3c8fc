"""Activation functions as tables in onnxruntime: the same bits as the operators that they stand for."""

import os
from collections import Counter

import numpy as np
import pytest

from edgekit.ops.library import native
from edgekit.runtime.session import open_session

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")
from edgekit.graph import placement  # noqa: E402
from edgekit.graph.external import whole  # noqa: E402
from edgekit.graph.lower import lower  # noqa: E402
from tests.graph import small  # noqa: E402
from tests.graph.tiny import Net  # noqa: E402

pytestmark = pytest.mark.skipif(native().path is None, reason="the native library is not built: make native")


@pytest.fixture(autouse=True)
def _whole(monkeypatch):
    """Integers from the first layer on: these networks are too small for the cost of it to count."""
    monkeypatch.setattr(placement, "float_prefix", lambda graph, planned, looked_up=False: {})


def two_layers(activation):
    """images -> stem -> activation -> mix -> activation -> last; an odd size, so that no vector fits."""
    net = Net(size=13)
    x = activation(net, net.conv("images", "stem", 3, 33))
    x = activation(net, net.conv(x, "mix", 33, 32))
    net.conv(x, "last", 32, 32, 1)
    return net


def hard_swish(net, x):
    gate = net.op("HardSigmoid", [x], x + "_gate", alpha=1 / 6, beta=0.5)
    return net.op("Mul", [x, gate], x + "_hard_swish")


def leaky(net, x):
    return net.op("LeakyRelu", [x], x + "_leaky", alpha=0.1)


def sigmoid(net, x):
    return net.op("Sigmoid", [x], x + "_sigmoid")


def written(net, folder, name="ort-x86"):
    model = small.canonical(net)
    path = str(folder / "model.onnx")
    with open(path, "wb") as stream:
        stream.write(whole(lower(name, model, small.plan_of(model)).model))
    return path, small.inputs(model, 2)


def outputs(path, inputs, **options):
    with open_session(path, threads=1, **options) as session:
        return session.backend, [session.run({session.inputs[0].name: x})[0].copy() for x in inputs]


def kept_operators(folder):
    (name,) = [name for name in os.listdir(str(folder)) if name.endswith(".optimized")]
    return Counter(node.op_type for node in onnx.load(str(folder / name)).graph.node)


@pytest.mark.parametrize("activation", [Net.silu, hard_swish, leaky, sigmoid])
def test_the_same_bits_as_the_operators(activation, tmp_path):
    path, inputs = written(two_layers(activation), tmp_path)
    _, expected = outputs(path, inputs)
    for _ in range(2):  # made, then kept
        backend, found = outputs(path, inputs, keep_optimized=True)
        assert backend.endswith(" with 2 activation tables")
        np.testing.assert_array_equal(found, expected)
    operators = kept_operators(tmp_path)
    assert operators["Table"] == 2 and operators["QLinearConv"] == 2
    assert not {name for name in operators if name in ("QLinearSigmoid", "QLinearMul", "HardSigmoid", "Sigmoid")}
    plain = Counter(small.optimised_operators(ir.load(path), tmp_path))
    assert operators["Transpose"] == plain["Transpose"], "an operator in the way of the layout"


def test_without_the_library_the_operators_run(tmp_path, monkeypatch):
    path, inputs = written(two_layers(Net.silu), tmp_path)
    _, expected = outputs(path, inputs, keep_optimized=True)
    monkeypatch.setenv("EDGEKIT_NATIVE", "off")
    backend, found = outputs(path, inputs, keep_optimized=True)
    assert "tables" not in backend
    np.testing.assert_array_equal(found, expected)


def test_a_network_of_relus_has_none(tmp_path):
    path, inputs = written(small.relu_net(), tmp_path)
    backend, _ = outputs(path, inputs, keep_optimized=True)
    assert "tables" not in backend
    assert kept_operators(tmp_path)["QLinearConv"] == 2


def test_tables_that_cannot_be_made_are_no_reason_not_to_run(tmp_path, monkeypatch, caplog):
    from edgekit.runtime.backends import ort as backend_module

    path, inputs = written(two_layers(Net.silu), tmp_path)
    monkeypatch.setattr(backend_module, "_evaluate", lambda model: {"x": None}["y"])
    backend, found = outputs(path, inputs, keep_optimized=True)
    assert "tables" not in backend and "activation functions stay operators" in caplog.text
    np.testing.assert_array_equal(found, outputs(path, inputs)[1])
    assert kept_operators(tmp_path)["QLinearSigmoid"] == 2


def test_times_of_layers_name_the_tables(tmp_path):
    path, inputs = written(two_layers(Net.silu), tmp_path)
    for _ in range(2):
        with open_session(path, threads=1, keep_optimized=True, profile=True) as session:
            session.run({session.inputs[0].name: inputs[0]})
            assert [layer.op for layer in session.layer_times()].count("Table") == 2


def test_the_lowering_for_tables_holds_standard_operators(tmp_path):
    path, inputs = written(two_layers(Net.silu), tmp_path, "ort-x86-tables")
    domains = {entry.domain for entry in onnx.load(path).opset_import}
    assert domains == {""}
    backend, found = outputs(path, inputs, keep_optimized=True)
    assert backend.endswith(" with 2 activation tables")
    np.testing.assert_array_equal(found, outputs(path, inputs)[1])
