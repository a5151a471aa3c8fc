"""ONNX Runtime's GPU providers: refused where they are missing or quietly replaced by the processor.

A stand-in answers as ONNX Runtime with a GPU would; what runs is the real one on the processor.
"""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from edgekit.errors import BackendError
from edgekit.runtime.backends import ort_gpu
from edgekit.runtime.session import open_session

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "golden")
TINY = os.path.join(GOLDEN, "tiny_yolox.onnx")
SIGNED = os.path.join(GOLDEN, "tiny_signed.onnx")
CUDA, TENSORRT, PROCESSOR = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"

onnxruntime = pytest.importorskip("onnxruntime")
ort = pytest.importorskip("edgekit.runtime.backends.ort")


class GpuRuntime:
    """`onnxruntime` as a GPU build shows itself.

    Attributes:
        starts: whether the providers start; where not, sessions silently run on the processor.
        on_processor: whether some nodes have no kernel on the GPU.
        created: (providers, options, keyword arguments) of each session, and whether it forbade the processor.
    """

    def __init__(self, version="1.31.1", starts=True, on_processor=False, available=(TENSORRT, CUDA, PROCESSOR)):
        self.__version__ = version
        self.starts = starts
        self.on_processor = on_processor
        self.created = []
        self.SessionOptions = onnxruntime.SessionOptions
        self.GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel
        self.get_available_providers = lambda: list(available)

    def InferenceSession(self, path, settings, providers, options, **rest):
        strict = _entry(settings) == "1"
        self.created.append(SimpleNamespace(providers=providers, options=options, rest=rest, strict=strict))
        if strict and (self.on_processor or not self.starts):
            raise RuntimeError("This session contains graph nodes that are assigned to the default CPU EP")
        session = onnxruntime.InferenceSession(path, providers=[PROCESSOR])
        return GpuSession(session, list(providers) + [PROCESSOR] if self.starts else [PROCESSOR])


class GpuSession:
    def __init__(self, session, providers):
        self._session, self._providers = session, providers
        self.get_inputs, self.get_outputs, self.run = session.get_inputs, session.get_outputs, session.run
        self.falls_back = True

    def get_providers(self):
        return self._providers

    def disable_fallback(self):
        self.falls_back = False


def _entry(settings):
    try:
        return settings.get_session_config_entry("session.disable_cpu_ep_fallback")
    except Exception:  # the library's way of saying that there is none
        return None


@pytest.fixture
def gpu(monkeypatch):
    """`gpu(**what)` makes ONNX Runtime a GPU build, on a machine with a driver."""
    monkeypatch.setattr(ort_gpu, "driver_problem", lambda: None)

    def make(**what):
        made = GpuRuntime(**what)
        monkeypatch.setattr(ort, "onnxruntime", made)
        return made

    return make


@pytest.mark.parametrize(("provider", "name"), [("cuda", CUDA), ("tensorrt", TENSORRT)])
def test_a_build_without_the_provider(provider, name):
    if name in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has it")
    with pytest.raises(BackendError, match="here has no {}, it has .*; pip install onnxruntime-gpu".format(name)):
        open_session(TINY, provider=provider)


def test_without_a_driver_nothing_is_tried(gpu, monkeypatch):
    runtime = gpu()
    monkeypatch.setattr(ort_gpu, "driver_problem", lambda: "there is no NVIDIA driver")
    with pytest.raises(BackendError, match="CUDAExecutionProvider cannot start: there is no NVIDIA driver; run with"):
        open_session(TINY, provider="cuda")
    assert runtime.created == []


@pytest.mark.parametrize(("provider", "name"), [("cuda", CUDA), ("tensorrt", TENSORRT)])
def test_runs_where_the_provider_starts(gpu, provider, name):
    runtime = gpu()
    with open_session(TINY, provider=provider, gpu=1) as session:
        assert session.backend == "onnxruntime 1.31.1 ({})".format(name)
        (output,) = session.run({"images": np.zeros((1, 3, 32, 32), np.float32)})
        assert output.shape == (1, 21, 7)
        assert not session._session.falls_back  # nor at a later run
    (created,) = runtime.created
    assert created.providers[0] == name
    assert [one["device_id"] for one in created.options] == ["1"] * len(created.providers)
    assert created.strict
    assert created.rest == {"enable_fallback": 0}


@pytest.mark.parametrize(("provider", "library"), [("cuda", "CUDA here"), ("tensorrt", "CUDA and TensorRT here")])
def test_the_silent_fallback_is_refused(gpu, provider, library):
    gpu(starts=False)
    with pytest.raises(BackendError, match="fell back to the processor: .* could not be started.*" + library) as caught:
        open_session(TINY, provider=provider)
    assert "\n" not in str(caught.value)


def test_the_silent_fallback_of_an_old_version_is_refused(gpu, monkeypatch):
    gpu(starts=False, version="1.10.0")
    monkeypatch.setattr(ort_gpu, "_NO_CPU", "session.unknown")  # before 1.16 the entry means nothing
    with pytest.raises(BackendError, match="onnxruntime fell back to the processor: CUDAExecutionProvider"):
        open_session(TINY, provider="cuda")


def test_a_part_on_the_processor_is_refused(gpu):
    gpu(on_processor=True)
    with pytest.raises(BackendError, match="part of tiny_yolox.onnx would run on the processor.*default CPU EP"):
        open_session(TINY, provider="cuda")


def test_a_damaged_graph_is_its_own_error(gpu, tmp_path):
    gpu()
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"this is no graph")
    with pytest.raises(BackendError, match="cannot load .*broken.onnx"):
        open_session(path, provider="cuda")


def test_signed_activations_run_on_a_gpu(gpu, monkeypatch):
    gpu()
    monkeypatch.setattr(ort, "is_x86", lambda: True)
    open_session(SIGNED, provider="cuda").close()
    with pytest.raises(BackendError, match="signed int8"):
        open_session(SIGNED)


def test_tensorrt_keeps_its_engines_beside_the_graph(tmp_path):
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"Conv")
    (name, options), cuda = ort_gpu.providers_for("tensorrt", str(graph), 0, "1.31.1")
    assert (name, cuda) == (TENSORRT, (CUDA, {"device_id": "0"}))
    assert options == {
        "device_id": "0",
        "trt_fp16_enable": "True",
        "trt_int8_enable": "False",
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(tmp_path),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(tmp_path),
    }


def test_tensorrt_is_told_of_quantisers(tmp_path):
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"..DequantizeLinear..QuantizeLinear..")
    (_, options), _ = ort_gpu.providers_for("tensorrt", str(graph), 0, "1.31.1")
    assert options["trt_int8_enable"] == "True"


def test_no_option_that_an_old_version_refuses(tmp_path):
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"Conv")
    (_, options), _ = ort_gpu.providers_for("tensorrt", str(graph), 0, "1.10.0")
    assert "trt_timing_cache_enable" not in options
    assert options["trt_engine_cache_enable"] == "True"


def test_no_cache_where_nothing_can_be_written(tmp_path, monkeypatch):
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"Conv")
    monkeypatch.setattr(ort_gpu.os, "access", lambda folder, mode: False)
    (_, options), _ = ort_gpu.providers_for("tensorrt", str(graph), 0, "1.31.1")
    assert set(options) == {"device_id", "trt_fp16_enable", "trt_int8_enable"}
