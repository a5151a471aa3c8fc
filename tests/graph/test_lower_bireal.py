"""The detector that is trained with signs, from its modules to the native operators."""

import fnmatch

import numpy as np
import pytest

from edgekit.graph.binary import binary_layers
from edgekit.graph.families import detect_family
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import lower
from edgekit.graph.parity import ParityCheck
from edgekit.graph.plan import PlanOptions, make_plan
from edgekit.graph.tidy import tidy
from edgekit.ops.library import operators
from tests.graph import small

torch = pytest.importorskip("torch")
from edgekit.models import build, export_onnx  # noqa: E402
from edgekit.models.bireal_detector import BODY  # noqa: E402
from edgekit.quant import BinaryConfig  # noqa: E402
from edgekit.quant.binary import binarize, deployed_twin  # noqa: E402


@pytest.mark.skipif(operators().path is None, reason=str(operators().problem))
def test_the_student_with_signs_is_lowered_and_faithful(tmp_path):
    torch.manual_seed(0)
    model = build("fasterx_student_bireal", 2).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
            module.running_mean.normal_(0, 0.3)
    config = BinaryConfig(padding="one")
    chosen = binarize(
        model, torch.rand(1, 3, 64, 64), config, lambda name, _: any(fnmatch.fnmatch(name, each) for each in BODY)
    )
    export_onnx(deployed_twin(chosen.eval()), tmp_path / "net.onnx", (64, 64), ["car", "person"])
    graph = load_canonical(tmp_path / "net.onnx")
    tidy(graph)
    layers = binary_layers(graph.graph)
    assert len(layers) == 41
    # A 1x1 convolution has nothing outside, whatever it was trained with.
    assert {layer.geometry.padding for layer in layers.values() if layer.geometry.kernel != (1, 1)} == {"one"}
    plan = make_plan(graph, small.ranges_of(graph, 1), PlanOptions("minmax"))
    lowered = lower("binary", graph, plan)
    found = [node.op_type for node in lowered.model.graph]
    assert found.count("BinaryConvSum") + found.count("BinaryConvBits") == 41
    assert "Where" not in found
    inputs = [np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 64)).astype(np.float32)]
    parity = ParityCheck(graph, graph, plan, detect_family(graph), inputs).check(lowered)
    assert parity.codes.binary.layers == 41
    assert not [each for each in parity.failures if "binary" in each or "codes" in each]
