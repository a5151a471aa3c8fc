"""Graphs with operators of the native library: when they run, and what is said when they do not."""

import logging
import os
import sys

import numpy as np
import pytest

from edgekit.errors import BackendError
from edgekit.onnx_scan import imported_domains
from edgekit.ops import library
from edgekit.runtime import lowering, operators
from edgekit.runtime.session import open_session

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

needs_library = pytest.mark.skipif(library.operators().path is None, reason=str(library.operators().problem))
NEW = "1.31.1"


def signs_model(path):
    """bits = BinarySigns(x): the smallest graph with one of the operators."""
    node = helper.make_node("BinarySigns", ["x"], ["bits"], domain="edgekit", group=1)
    cast = helper.make_node("Cast", ["bits"], ["y"], to=TensorProto.INT64)
    graph = helper.make_graph(
        [node, cast],
        "signs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [1, 2, 2, 1])],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("edgekit", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return str(path)


@needs_library
@pytest.mark.parametrize("keep", [False, True])
def test_a_session_takes_the_library_by_itself_each_time(tmp_path, keep):
    path = signs_model(tmp_path / "model.onnx")
    x = np.array([[[[1, -1, 0], [-0.0, np.nan, -2]], [[3, 3, 3], [-1, -1, -1]]]], np.float32)
    for _ in range(3):  # with `keep` the second and third load the optimised graph
        with open_session(path, keep_optimized=keep) as session:
            assert session.run({"x": x})[0].reshape(-1).tolist() == [2, 4, 0, 7]
    assert len([name for name in os.listdir(str(tmp_path)) if name.endswith(".optimized")]) == int(keep)


def test_without_the_library_one_line_says_so(tmp_path, monkeypatch):
    path = signs_model(tmp_path / "model.onnx")
    monkeypatch.setenv("EDGEKIT_NATIVE", "off")
    with pytest.raises(BackendError, match=r"model.onnx has operators .* absent \(EDGEKIT_NATIVE=off\)$"):
        open_session(path)


def test_a_path_that_is_no_library(tmp_path, monkeypatch):
    path = signs_model(tmp_path / "model.onnx")
    monkeypatch.setenv("EDGEKIT_NATIVE", str(tmp_path / "gone.so"))
    with pytest.raises(BackendError, match=r"cannot use .*gone\.so.*make native"):
        open_session(path)
    (tmp_path / "text.so").write_text("no library")
    monkeypatch.setenv("EDGEKIT_NATIVE", str(tmp_path / "text.so"))
    with pytest.raises(BackendError, match=r"cannot use .*text\.so.*make native"):
        open_session(path)


@needs_library
def test_a_library_of_another_processor(tmp_path, monkeypatch):
    """ELF's e_machine, the number at byte 18, is of a processor that this is not."""
    with open(library.operators().path, "rb") as stream:
        data = bytearray(stream.read())
    data[18:20] = (21).to_bytes(2, sys.byteorder)  # PowerPC 64
    (tmp_path / "other.so").write_bytes(bytes(data))
    monkeypatch.setenv("EDGEKIT_NATIVE", str(tmp_path / "other.so"))
    with pytest.raises(BackendError, match=r"has operators .*other\.so.*make native"):
        open_session(signs_model(tmp_path / "model.onnx"))


class Older:
    """A library from before the operators."""


def test_a_library_that_is_older_than_the_operators(monkeypatch):
    monkeypatch.setattr(library, "native", lambda: library.Native("/opt/libedgekit.so", "avx2", None))
    monkeypatch.setattr(library, "library", lambda: Older())
    assert library.operators().path is None
    assert (
        library.operators().problem == "/opt/libedgekit.so is of an older edgekit and lacks some of them; make native"
    )


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (None, "onnxruntime is not installed"),
        ("1.10.0", "onnxruntime 1.10.0 does not take them, 1.16 and later do"),
        ("1.15.1", "pip install 'onnxruntime>=1.16'"),
    ],
)
def test_a_runtime_that_cannot(version, expected):
    assert expected in operators.operators_obstacle(version)


@pytest.mark.parametrize("version", ["1.16.0", "1.31.1", "2.0.0", "1.17.0rc1"])
def test_a_runtime_that_can(monkeypatch, version):
    monkeypatch.setattr(operators, "operators", lambda: library.Operators("/opt/libedgekit.so", None))
    assert operators.operators_obstacle(version) is None


class Settings:
    """Session options that refuse a library."""

    def __init__(self, error=None):
        self.libraries = []
        self.error = error

    def register_custom_ops_library(self, path):
        if self.error is not None:
            raise self.error
        self.libraries.append(path)


def test_only_graphs_that_import_the_domain_get_the_library(monkeypatch):
    monkeypatch.setattr(operators, "operators", lambda: library.Operators("/opt/libedgekit.so", None))
    settings = Settings()
    operators.add_operators(settings, ["", "com.microsoft"], "x.onnx", NEW)
    assert settings.libraries == []
    operators.add_operators(settings, ["", "edgekit"], "x.onnx", NEW)
    assert settings.libraries == ["/opt/libedgekit.so"]


def test_what_onnxruntime_says_of_the_library_is_passed_on(monkeypatch):
    monkeypatch.setattr(operators, "operators", lambda: library.Operators("/opt/libedgekit.so", None))
    with pytest.raises(BackendError, match=r"cannot load /opt/libedgekit.so: no such symbol here\. Build it"):
        operators.add_operators(Settings(RuntimeError("no such\nsymbol here")), ["edgekit"], "x.onnx", NEW)


@needs_library
def test_twice_in_one_options_is_refused_by_onnxruntime():
    """Why `add_operators` is called once for each settings."""
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    for _ in range(2):
        operators.add_operators(settings, ["edgekit"], "x.onnx", ort.__version__)
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "plain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    with pytest.raises(Exception, match=r"[Dd]omain"):
        ort.InferenceSession(data, settings, providers=["CPUExecutionProvider"])


def test_domains_are_read_without_onnx(tmp_path):
    with open(signs_model(tmp_path / "model.onnx"), "rb") as stream:
        data = stream.read()
    assert imported_domains(data) == ["", "edgekit"]
    assert imported_domains(b"no ONNX") == []
    assert imported_domains(b"") == []


AVAILABLE = ("binary", "ort-x86", "ort-arm", "fp32")
NEEDS = {"binary": {"operators": "edgekit"}}


@pytest.fixture
def with_vnni(monkeypatch):
    monkeypatch.setattr(lowering, "is_x86", lambda: True)
    monkeypatch.setattr(lowering, "has_vnni", lambda: True)


def test_the_native_graph_is_the_best_where_it_runs(with_vnni, monkeypatch, caplog):
    monkeypatch.setattr(lowering, "operators_obstacle", lambda version: None)
    assert lowering.choose_lowering(AVAILABLE, NEEDS) == "binary"
    assert not caplog.records
    monkeypatch.setattr(lowering, "is_x86", lambda: False)
    assert lowering.choose_lowering(AVAILABLE, NEEDS) == "binary"


def test_where_it_does_not_run_the_next_best_does_and_the_log_says_why(with_vnni, monkeypatch, caplog):
    monkeypatch.setattr(lowering, "operators_obstacle", lambda version: "the native library is absent (off)")
    with caplog.at_level(logging.WARNING):
        assert lowering.choose_lowering(AVAILABLE, NEEDS) == "ort-x86"
    assert "binary has operators of the native library: the native library is absent (off); ort-x86 runs" in caplog.text


def test_eight_bit_layers_of_it_need_vnni(monkeypatch):
    monkeypatch.setattr(lowering, "is_x86", lambda: True)
    monkeypatch.setattr(lowering, "has_vnni", lambda: False)
    monkeypatch.setattr(lowering, "operators_obstacle", lambda version: None)
    needs = {"binary": {"operators": "edgekit", "cpu": "vnni"}}
    assert lowering.choose_lowering(("binary", "ort-x86-narrow"), needs) == "ort-x86-narrow"


def test_a_bundle_with_nothing_else_says_what_is_missing(with_vnni, monkeypatch):
    monkeypatch.setattr(lowering, "operators_obstacle", lambda version: "the native library is absent (off)")
    with pytest.raises(BackendError, match=r"has the lowerings binary; .* absent \(off\)"):
        lowering.choose_lowering(("binary",), NEEDS)
