"""The fake importer reads ONNX, and refuses what each version's importer refuses."""

import os

import numpy as np
import pytest

from tests.nvidia.fake_build import BOUND, TINY, Build, tiny
from tests.nvidia.fake_tensorrt import VERSIONS, make_tensorrt
from tests.nvidia.fake_tensorrt.onnx_reader import read_onnx
from tests.nvidia.fake_tensorrt.parser import IMPORTERS, opset_limit


@pytest.mark.parametrize("version", VERSIONS)
def test_network_is_the_graph(version):
    built = tiny(version)
    assert built.parsed
    network = built.network
    assert (network.get_input(0).name, tuple(network.get_input(0).shape)) == ("images", (1, 3, 32, 32))
    assert network.get_output(0).name == "output"
    assert network.get_output(0).is_network_output
    assert built.layer("conv8").type == built.trt.LayerType.CONVOLUTION
    assert built.layer("conv8").get_input(0) is built.layer("pool8").get_output(0)


@pytest.mark.parametrize(("version", "parses"), [(version, version[0] != "8") for version in VERSIONS])
def test_opset_19_needs_a_new_importer(version, parses, lowering):
    built = Build(make_tensorrt(version), lowering("trt10"))
    assert built.parsed == parses
    assert built.parser.num_errors == (0 if parses else 1)
    if not parses:
        assert "opset 19 is above" in built.parser.get_error(0).desc()


@pytest.mark.parametrize("version", VERSIONS)
def test_graphs_for_onnxruntime_are_refused(version, lowering):
    built = Build(make_tensorrt(version), lowering("ort-x86"))
    assert not built.parsed
    assert "type Int32 but must have type" in built.parser.get_error(0).desc()
    assert built.log[0].startswith("ERROR: ")


def test_missing_external_weights_are_said(lowering, tmp_path):
    path = str(tmp_path / "model.onnx")
    with open(lowering("trt8"), "rb") as source, open(path, "wb") as target:
        target.write(source.read())
    built = Build(make_tensorrt("10.3.0"), path)
    assert not built.parsed
    assert "external weights" in built.parser.get_error(0).desc()


def test_what_is_no_onnx_is_said(tmp_path):
    path = str(tmp_path / "model.onnx")
    with open(path, "wb") as stream:
        stream.write(b"this is no protocol buffer")
    built = Build(make_tensorrt("10.3.0"), path)
    assert not built.parsed
    assert "no ModelProto" in built.parser.get_error(0).desc()


def test_reader_agrees_with_the_onnx_package(lowering):
    onnx = pytest.importorskip("onnx")
    path = lowering("trt10")
    with open(path, "rb") as stream:
        mine = read_onnx(stream.read(), os.path.dirname(path))
    theirs = onnx.load(path).graph
    assert [(node.op, node.name, node.inputs, node.outputs) for node in mine.nodes] == [
        (node.op_type, node.name, list(node.input), list(node.output)) for node in theirs.node
    ]
    for tensor in theirs.initializer:
        assert np.array_equal(mine.initializers[tensor.name].values, onnx.numpy_helper.to_array(tensor))
    dims = [dim.dim_value for dim in theirs.input[0].type.tensor_type.shape.dim]
    assert list(mine.inputs[0].shape) == dims


@pytest.mark.parametrize("version", VERSIONS)
def test_operators_are_those_that_the_linter_expects(version):
    limits = pytest.importorskip("edgekit.graph.limits")
    built = tiny(version)
    release = tuple(map(int, version.split(".")[:2]))
    for operator in IMPORTERS:
        there = operator not in limits.NEVER and limits.FIRST.get(operator, limits.OLDEST) <= release
        assert built.parser.supports_operator(operator) == there, operator
    for operator in limits.NEVER:
        assert not built.parser.supports_operator(operator)
    assert opset_limit(built.trt.fake.numbers) == limits.opset_range(release)[1]


def test_unknown_operators_are_named_as_each_version_does(tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(TINY)
    model.graph.node[0].op_type = "Det"
    model.graph.node[0].name = "odd"
    onnx.save(model, str(tmp_path / "odd.onnx"))
    for version, text in (("8.5.2.2", "No importer registered for op: Det"), ("10.3.0", "Plugin not found")):
        built = Build(make_tensorrt(version), str(tmp_path / "odd.onnx"))
        assert not built.parsed
        assert text in built.parser.get_error(0).desc()
        assert built.parser.get_error(0).node() == 0


@pytest.mark.parametrize("version", BOUND)
def test_implicit_batch_is_refused_by_the_importer(version):
    trt = make_tensorrt(version)
    logger = trt.Logger()
    network = trt.Builder(logger).create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert not parser.parse_from_file(TINY)
    assert "explicit batch" in parser.get_error(0).desc()


# Where the fakes are stricter than NVIDIA's importer, so that nothing of ours depends on it: opsets that a version does
# not document.
STRICTER = {
    "rtx-1.7.1": {"opset 40"},
    "8.2.1.8": {"opset 17", "opset 40", "float32 scales cast to float16"},
}


@pytest.mark.parametrize("version", list(STRICTER))
def test_good_and_bad_graphs_fare_as_with_the_real_importer(version, tmp_path):
    """As recorded of TensorRT-RTX 1.7.1, and as the sources of the importer of 8.2 say."""
    pytest.importorskip("onnx_ir")
    import onnx

    from tests.graph.importer_graphs import GRAPHS
    from tests.graph.test_rtx_lint import EXPECTED, ONLY_8

    wrong = set()
    for name, (verdict, _) in EXPECTED.items():
        onnx.save(GRAPHS[name](), str(tmp_path / "graph.onnx"))
        built = Build(make_tensorrt(version), str(tmp_path / "graph.onnx"), flags=["INT8", "FP16"])
        good = built.parsed and built.plan() is not None
        if good != (verdict == "built" and (version.startswith("rtx") or name not in ONLY_8)):
            wrong.add(name)
    assert wrong == STRICTER[version]


@pytest.mark.parametrize(("version", "parses"), [("8.2.1.8", False), ("8.5.2.2", True), ("10.3.0", True)])
def test_weights_as_int8_alone_need_a_newer_importer(version, parses, tmp_path):
    onnx = pytest.importorskip("onnx")
    from tests.graph.importer_graphs import GRAPHS

    onnx.save(GRAPHS["int8 weights with DQ"](), str(tmp_path / "graph.onnx"))
    assert Build(make_tensorrt(version), str(tmp_path / "graph.onnx")).parsed == parses
