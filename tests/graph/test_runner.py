import numpy as np
import onnx_ir as ir
import pytest

from edgekit.errors import BackendError
from edgekit.graph.load import load_canonical
from edgekit.graph.runner import Runner
from tests.graph import tiny


def picture() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (1, 3, tiny.SIZE, tiny.SIZE)).astype(np.float32)


@pytest.mark.parametrize("optimised", [True, False])
def test_any_tensor_can_be_seen(optimised):
    model = load_canonical(tiny.yolox())
    runner = Runner(model, ["stem", "output", "stem_silu"], optimised=optimised)
    stem, output, silu = runner.run(picture())
    np.testing.assert_allclose(silu, stem / (1 + np.exp(-stem)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output, Runner(model).run(picture())[0], rtol=1e-4, atol=1e-5)


def test_unknown_tensor():
    with pytest.raises(ValueError, match="no tensor 'nothing'"):
        Runner(load_canonical(tiny.yolox()), ["nothing"])


def test_a_graph_that_onnxruntime_refuses():
    model = load_canonical(tiny.yolox())
    model.graph.append(ir.node("Teleport", [model.graph.outputs[0]]))
    with pytest.raises(BackendError, match="onnxruntime cannot open the graph"):
        Runner(model)
