"""The linter against NVIDIA's own importer, that of TensorRT-RTX 1.7, on graphs of a few nodes.

`EXPECTED` is what TensorRT-RTX 1.7.1 said, recorded; the linter must say "refused" of exactly what it refuses. TensorRT
11 reads ONNX with the same importer. TensorRT 8 refuses more: `ONLY_8` says what, by which rule, from the source of its
importer (onnx-tensorrt, branches 8.2 to 8.6).
"""

import os

import onnx
import onnx_ir as ir
import pytest

from edgekit.graph.findings import SEVERITIES
from edgekit.graph.lint import lint
from edgekit.graph.lower import lower
from tests.graph.importer_graphs import GRAPHS
from tests.graph.test_overflow import network
from tests.nvidia.rtx import rtx_build, rtx_python

# Graph -> (what TensorRT-RTX did with it, what the linter fears of it at most for trt10, speed of float32 aside).
EXPECTED = {
    "float weights with Q and DQ": ("built", None),
    "int8 weights with DQ": ("built", None),
    "narrow range of weights": ("built", None),
    "full range of weights": ("built", None),
    "one scale for all weights": ("built", None),
    "weight scales along axis 1": ("built", "slow"),
    "float16 with float16 scales, opset 19": ("built", None),
    "float16 with float16 scales, opset 13": ("built", "accuracy"),
    "float32 scales cast to float16": ("built", None),
    "float bias": ("built", None),
    "uint8, zero point 128": ("refused", "refused"),
    "uint8, zero point 0": ("built", "accuracy"),
    "no zero point": ("built", "accuracy"),
    "int8, zero point 3": ("refused", "refused"),
    "zero scale": ("refused", "refused"),
    "negative scale": ("refused", "refused"),
    "NaN scale": ("refused", "refused"),
    "infinite scale": ("built", "accuracy"),
    "computed scale": ("crashed", "refused"),
    "one activation scale a channel": ("built", "slow"),
    "int32 bias with DQ": ("refused", "refused"),
    "int8 bias with Q and DQ": ("built", "accuracy"),
    "activation alone": ("built", "slow"),
    "float weight with Q and DQ alone": ("built", "slow"),
    "int8 weight with DQ alone": ("built", "slow"),
    "INT4 weights of a convolution": ("not built", "refused"),
    "INT4 weights of a MatMul": ("built", "accuracy"),  # opset 21, which TensorRT 10.0 does not know
    "between Pad and Conv": ("built", "slow"),
    "Concat of one scale": ("built", None),
    "Concat of two scales": ("built", "slow"),
    "residual, skip alone": ("built", None),
    "residual, both": ("built", "slow"),
    "pair on the output": ("built", "slow"),
    "codes as the output": ("built", "accuracy"),
    "pair behind a pair": ("built", "accuracy"),
    "one tensor quantised twice": ("built", "slow"),
    "Softmax of a quantised tensor": ("built", "accuracy"),
    "quantised shape": ("built", "accuracy"),
    "transposed convolution, axis 1": ("built", None),
    "transposed convolution, axis 0": ("built", "slow"),
    "Gemm with transB": ("built", None),
    "Gemm without transB": ("built", None),
    "MatMul": ("built", None),
    "QLinearConv": ("refused", "refused"),
    "ConvInteger": ("refused", "refused"),
    "DynamicQuantizeLinear": ("refused", "refused"),
    "one scale a channel at opset 12": ("built", "accuracy"),
    "one scale a tensor at opset 12": ("built", None),
    "GridSample": ("built", None),
    "LayerNormalization": ("built", None),
    "HardSwish": ("built", None),
    "Mish": ("built", None),
    "Gelu": ("built", None),
    "Mod": ("built", None),
    "DeformConv": ("refused", "refused"),
    "Det": ("refused", "refused"),
    "opset 17": ("built", None),
    "opset 40": ("built", "accuracy"),
}

ONLY_8 = {
    "int8 weights with DQ": "R8",
    "float16 with float16 scales, opset 19": "R8",
    "float16 with float16 scales, opset 13": "R8",
    "int8 weight with DQ alone": "R8",
    "INT4 weights of a MatMul": "R8",
    "no zero point": "R0",
    "GridSample": "R15",
    "LayerNormalization": "R15",
    "HardSwish": "R15",
    "Mish": "R15",
    "Gelu": "R15",
    "Mod": "R15",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the installed TensorRT-RTX does with each graph, in the words of `EXPECTED`."""
    rtx_python()
    folder = tmp_path_factory.mktemp("graphs")
    paths = [str(folder / f"{index}.onnx") for index in range(len(GRAPHS))]
    for path, make in zip(paths, GRAPHS.values(), strict=True):
        onnx.save(make(), path)
    return dict(zip(GRAPHS, map(_verdict, rtx_build(paths)), strict=True))


def _verdict(told):
    if told.get("crashed"):
        return "crashed"
    if not told["parsed"]:
        return "refused"
    return "built" if told["built"] else "not built"


def findings(name, target):
    return lint(ir.from_proto(GRAPHS[name]()), target)


def test_every_graph_has_a_verdict_and_some_of_each_kind():
    assert list(EXPECTED) == list(GRAPHS)
    refused = [name for name, (verdict, _) in EXPECTED.items() if verdict != "built"]
    assert len(refused) >= 8
    assert len(EXPECTED) - len(refused) >= 8


@pytest.mark.parametrize("name", list(EXPECTED))
def test_rtx_does_what_is_recorded(told, name):
    assert told[name] == EXPECTED[name][0]


@pytest.mark.parametrize("kind", ["constant", "conv", "shared"])
def test_rtx_builds_float32_islands(kind, tmp_path):
    rtx_python()
    model, plan, overflow = network(kind)
    paths = [str(tmp_path / f"{name}.onnx") for name in ("fp16", "trt8", "trt10")]
    for path in paths:
        lowered = lower(os.path.basename(path)[:-5], model, plan, overflow)
        assert lowered.float32_nodes
        onnx.save(ir.to_proto(lowered.model), path)
    assert [(one["built"], one["errors"]) for one in rtx_build(paths)] == [(True, [])] * 3


@pytest.mark.parametrize("name", list(EXPECTED))
def test_the_linter_refuses_for_tensorrt_10_what_rtx_refuses(name):
    verdict, worst = EXPECTED[name]
    seen = {finding.severity for finding in findings(name, "trt10") if finding.rule != "R14"}
    assert next((severity for severity in SEVERITIES if severity in seen), None) == worst
    assert ("refused" in seen) == (verdict != "built")


@pytest.mark.parametrize("name", list(EXPECTED))
def test_the_linter_refuses_for_tensorrt_8_the_same_and_what_its_importer_refuses(name):
    refused = {finding.rule for finding in findings(name, "trt8") if finding.severity == "refused"}
    assert bool(refused) == (EXPECTED[name][0] != "built" or name in ONLY_8)
    if name in ONLY_8:
        assert refused == {ONLY_8[name]}
