import numpy as np
import onnx_ir as ir
import pytest

from edgekit.graph.equalize import equalize, find_pairs
from edgekit.graph.load import load_canonical
from edgekit.graph.plan import weighted_layers
from edgekit.graph.runner import Runner
from tests.graph import tiny


def chain(activation: str | None, group: int = 1):
    """conv -> activation -> (grouped) conv -> conv, with channels of very unlike range."""
    net = tiny.Net()
    x = net.conv("images", "one", 3, 8)
    scale = 2.0 ** np.arange(-4, 4)
    w = np.frombuffer(net.constants[0].raw_data, np.float32).reshape(8, 3, 3, 3) * scale[:, None, None, None]
    net.constants[0].raw_data = w.astype(np.float32).tobytes()
    if activation is not None:
        x = net.op(activation, [x], "between")
    x = net.conv(x, "two", 8, 8, group=group)
    net.conv(x, "output", 8, 4, 1)
    return load_canonical(net.bytes(["output"]))


def picture() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (1, 3, tiny.SIZE, tiny.SIZE)).astype(np.float32)


def ranges(model, layer: int) -> np.ndarray:
    weight = weighted_layers(model)[layer].inputs[1].const_value.numpy()
    return np.abs(weight).reshape(len(weight), -1).max(axis=1)


@pytest.mark.parametrize("activation", [None, "Relu", "LeakyRelu"])
@pytest.mark.parametrize("group", [1, 2, 8])
def test_same_function_with_channels_alike(activation, group):
    model = chain(activation, group)
    before, spread = Runner(model).run(picture())[0], np.ptp(np.log2(ranges(model, 0)))
    assert equalize(model) == [("one_node", "two_node"), ("two_node", "output_node")]
    np.testing.assert_allclose(Runner(model).run(picture())[0], before, rtol=1e-3, atol=1e-4)
    assert np.ptp(np.log2(ranges(model, 0))) < 0.6 * spread
    settled = ranges(model, 0)
    equalize(model)
    np.testing.assert_allclose(ranges(model, 0), settled, rtol=0.02)


@pytest.mark.parametrize("activation", ["Sigmoid", "Tanh", "HardSigmoid"])
def test_other_activations_are_left_alone(activation):
    assert [pair.first.name for pair in find_pairs(chain(activation).graph)] == ["two_node"]


def test_tensors_with_other_readers_are_left_alone():
    net = tiny.Net()
    x = net.op("Relu", [net.conv("images", "one", 3, 8)], "between")
    net.op("Add", [net.conv(x, "two", 8, 8), x], "output")
    assert find_pairs(load_canonical(net.bytes(["output"])).graph) == []


def test_a_dead_channel_stays_dead():
    model = chain("Relu")
    node = weighted_layers(model)[0]
    weight = node.inputs[1].const_value.numpy().copy()
    weight[3] = 0
    node.inputs[1].const_value = ir.tensor(weight, name=node.inputs[1].name)
    before = Runner(model).run(picture())[0]
    equalize(model)
    assert not weighted_layers(model)[0].inputs[1].const_value.numpy()[3].any()
    np.testing.assert_allclose(Runner(model).run(picture())[0], before, rtol=1e-3, atol=1e-4)
