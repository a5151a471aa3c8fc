import numpy as np
import onnx_ir as ir
import pytest

from edgekit.graph.calibrate.readers import activation_reader
from edgekit.graph.load import load_canonical
from tests.graph import tiny

X = np.linspace(-8, 8, 33)


def value(model: ir.Model, name: str) -> ir.Value:
    return next(v for node in model.graph for v in node.outputs if v.name == name)


def network(build) -> ir.Model:
    net = tiny.Net()
    build(net, net.conv("images", "z", 3, 8))
    return load_canonical(net.bytes([net.nodes[-1].output[0]]))


def test_silu():
    found = activation_reader(value(network(lambda net, z: net.silu(z)), "z"))
    np.testing.assert_allclose(found(X), X / (1 + np.exp(-X)))


def test_hardswish():
    def build(net, z):
        net.op("Mul", [net.op("HardSigmoid", [z], "gate", alpha=1 / 6, beta=0.5), z], "y")

    np.testing.assert_allclose(
        activation_reader(value(network(build), "z"))(X), X * np.clip(X / 6 + 0.5, 0, 1), atol=1e-6
    )


@pytest.mark.parametrize(
    ("op", "attributes", "expected"),
    [
        ("Relu", {}, np.maximum(X, 0)),
        ("LeakyRelu", {"alpha": 0.1}, np.where(X < 0, np.float32(0.1) * X, X)),
        ("Sigmoid", {}, 1 / (1 + np.exp(-X))),
    ],
)
def test_functions_of_one_reader(op, attributes, expected):
    model = network(lambda net, z: net.op(op, [z], "y", **attributes))
    np.testing.assert_allclose(activation_reader(value(model, "z"))(X), expected)


def test_other_readers_forbid_it():
    def residual(net, z):
        net.op("Add", [net.silu(z), z], "sum")

    def read_twice(net, z):
        net.op("Add", [net.op("Relu", [z], "a"), net.op("Tanh", [z], "b")], "sum")

    def two_gates(net, z):
        other = net.conv("images", "other", 3, 8)
        net.op("Add", [net.op("Sigmoid", [z], "a"), net.op("Mul", [z, other], "b")], "sum")

    for build in (residual, read_twice, two_gates):
        assert activation_reader(value(network(build), "z")) is None
    assert activation_reader(value(network(lambda net, z: net.silu(z)), "z_silu")) is None
