import logging
import sys
import types

import pytest

from edgekit.errors import BackendError
from edgekit.nvidia.trt import VERSIONED, Message, errors_in, make_logger, open_tensorrt, optional
from edgekit.nvidia.trt_build import drop_tactic_sources, make_builder, set_flags, set_level
from tests.nvidia.fake_tensorrt import VERSIONS


@pytest.mark.parametrize(
    ("version", "generation", "typed"),
    [("8.2.1.8", 8, False), ("8.6.1.6", 8, False), ("10.3.0", 10, True), ("11.4.1", 11, True), ("rtx-1.7.1", 11, True)],
)
def test_the_version_and_what_it_means(tensorrt, version, generation, typed):
    tensorrt(version)
    opened = open_tensorrt()
    assert opened.generation == generation and opened.strongly_typed is typed
    assert opened.keeps_timings is not version.startswith("rtx")
    assert opened.library == ("tensorrt_rtx" if version.startswith("rtx") else "tensorrt")


def test_without_tensorrt_the_message_says_how_to_get_it(monkeypatch):
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match="no TensorRT for this Python; on a Jetson use the system's Python"):
        open_tensorrt()


def test_a_library_that_tensorrt_lacks_is_named(monkeypatch, tmp_path):
    (tmp_path / "tensorrt.py").write_text(
        "raise ImportError('libnvinfer.so.10: cannot open shared object file: No such file or directory')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(BackendError, match="does not import here: tensorrt: libnvinfer.so.10: cannot open"):
        open_tensorrt()


def test_an_old_tensorrt_with_a_new_numpy(monkeypatch, tmp_path):
    (tmp_path / "tensorrt.py").write_text("raise AttributeError(\"module 'numpy' has no attribute 'bool'\")")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(BackendError, match="older than this NumPy: pip install 'numpy<1.24'"):
        open_tensorrt()


def test_no_builder_without_a_gpu():
    def broken(logger):
        raise TypeError("pybind11::init(): factory function returned nullptr")

    module = types.SimpleNamespace(Builder=broken, __version__="8.6.1", BuilderFlag=None)
    opened = types.SimpleNamespace(module=module, version="8.6.1")
    with pytest.raises(BackendError, match="gives no builder here: CUDA initialization failure with error: 35"):
        make_builder(opened, None, [Message("ERROR", "CUDA initialization failure with error: 35")])
    with pytest.raises(BackendError, match="gives no builder here: pybind11"):
        make_builder(opened, None, [])


def test_the_log_is_kept_and_passed_on(trt, caplog):
    messages = []
    logger = make_logger(open_tensorrt(), messages)
    with caplog.at_level(logging.DEBUG):
        for name in ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"):
            logger.log(getattr(trt.ILogger.Severity, name), "text of " + name)
    assert [one.severity for one in messages] == ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO"]
    assert errors_in(messages) == ["text of INTERNAL_ERROR", "text of ERROR"]
    assert "TensorRT: text of VERBOSE" in caplog.text


def test_flags_that_a_version_lacks_are_left_out(tensorrt):
    names = ["FP16", "INT8", "GPU_FALLBACK"]
    tensorrt("8.2.1.8")
    opened = open_tensorrt()
    config = make_builder(opened, make_logger(opened, []), []).create_builder_config()
    assert set_flags(opened, config, names) == names
    tensorrt("11.4.1")
    opened = open_tensorrt()
    config = make_builder(opened, make_logger(opened, []), []).create_builder_config()
    assert set_flags(opened, config, names) == ["GPU_FALLBACK"]


def test_levels_and_tactic_sources(tensorrt):
    found = {}
    for version in VERSIONS:
        tensorrt(version)
        opened = open_tensorrt()
        config = make_builder(opened, make_logger(opened, []), []).create_builder_config()
        found[version] = (set_level(config, 2), drop_tactic_sources(opened, config, ("CUDNN", "CUBLAS_LT")))
    assert [level for level, _ in found.values()] == [False, False, True, True, True, True]
    assert found["8.2.1.8"][1] == ["CUDNN", "CUBLAS_LT"] and found["11.4.1"][1] == []


def test_a_versioned_name_is_missing_where_the_table_says_so(trt):
    numbers = tuple(int(part) for part in trt.__version__.split(".")[:2])
    for owner, names in VERSIONED.items():
        for name, (first, last) in names.items():
            after = not first or numbers >= tuple(int(part) for part in first.split("."))
            before = not last or numbers[: len(last.split("."))] <= tuple(int(part) for part in last.split("."))
            there = optional(optional(trt, owner), name) is not None
            assert there is (after and before), (owner, name)
