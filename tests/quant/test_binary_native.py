"""Networks trained with signs, on the native library's operators: what was trained is what flies."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.graph.load import load_canonical
from edgekit.graph.lower import lower
from edgekit.graph.runner import Runner
from edgekit.graph.tidy import tidy
from edgekit.models.bireal import BODY
from edgekit.models.classifiers import build_classifier, classifier_preprocess, export_classifier
from edgekit.ops.library import operators
from edgekit.quant import BinaryConfig, deployed_twin, plan_for_graph
from edgekit.quant.binary import binary_layers
from edgekit.train.binarised import Binary, binarised

pytestmark = pytest.mark.skipif(operators().path is None, reason=str(operators().problem))


@pytest.mark.parametrize("padding", ["one", "zero"])
@pytest.mark.parametrize("name", ["resnet8_cifar", "vgg_small"])
def test_logits_of_the_operators_are_those_of_training(tmp_path: Path, name: str, padding: str) -> None:
    """Bi-Real wiring with its sums and limits, and a chain that stays in bits."""
    torch.manual_seed(0)
    config = BinaryConfig(padding=padding, estimator="ede")
    model = binarised(build_classifier(name, 5), Binary(BODY, config), torch.zeros(1, 3, 32, 32)).train()
    model(torch.randn(4, 3, 32, 32))  # statistics of the norms
    path = tmp_path / "net.onnx"
    export_classifier(deployed_twin(model.eval()), path, (32, 32), tuple("abcde"), classifier_preprocess(32, 32))
    graph = load_canonical(path)
    tidy(graph)
    lowered = lower("binary", graph, plan_for_graph(graph, model))
    assert sum(node.op_type.startswith("BinaryConv") for node in lowered.model.graph) == len(binary_layers(model))
    runner = Runner(lowered.model, threads=1)
    errors = []
    for x in torch.randn(5, 1, 3, 32, 32):
        ours, native = model(x).detach().numpy(), runner.run(x.numpy())[0]
        errors.append(np.abs(native - ours).max() / np.abs(ours).max())
    # rarely a normalised sum is within rounding of 0 and takes the other sign, and what follows is another number
    assert np.median(errors) < 1e-4
