"""An engine, loaded by each version of TensorRT."""

import numpy as np
import pytest

from edgekit.errors import BackendError
from edgekit.nvidia import trt_engine
from edgekit.nvidia.trt import errors_in, open_tensorrt
from edgekit.nvidia.trt_engine import IoTensor, open_engine
from tests.nvidia.built import build_plan, edit_plan, use_gpu
from tests.nvidia.fake_cuda import FakeCuda

INPUT = IoTensor("images", (1, 3, 32, 32), "float32", True)
OUTPUT = IoTensor("output", (1, 21, 7), "float32", False)


@pytest.fixture
def gpu(trt, monkeypatch):
    return use_gpu(monkeypatch, trt)


def open_built(plan=None, messages=None, dla_core=None):
    return open_engine(open_tensorrt(), plan or build_plan(), [] if messages is None else messages, dla_core)


def test_lists_inputs_and_outputs(gpu):
    engine = open_built()
    assert engine.io == (INPUT, OUTPUT)


@pytest.mark.parametrize("dtype", ["FLOAT", "HALF", "INT8", "INT32", "BOOL"])
def test_types_are_those_of_numpy(gpu, dtype):
    engine = open_built(edit_plan(build_plan(), dtype=dtype))
    assert np.dtype(engine.io[0].dtype).itemsize == {"FLOAT": 4, "HALF": 2, "INT8": 1, "INT32": 4, "BOOL": 1}[dtype]


def test_uint8_inputs_from_8_5_on(tensorrt, monkeypatch):
    use_gpu(monkeypatch, tensorrt("8.5.2.2"))
    assert open_built(edit_plan(build_plan(), dtype="UINT8")).io[0].dtype == "uint8"


def test_a_type_that_numpy_has_not(tensorrt, monkeypatch):
    use_gpu(monkeypatch, tensorrt("10.3.0"))
    with pytest.raises(BackendError, match="images is BF16, expected one of FLOAT, HALF.*export it with float32"):
        open_built(edit_plan(build_plan(), dtype="BF16"))


def test_a_variable_shape(gpu):
    with pytest.raises(BackendError, match=r"images has the shape \[-1, 3, 32, 32\], expected a fixed one"):
        open_built(edit_plan(build_plan(), shape=[-1, 3, 32, 32]))


def test_runs_on_the_addresses_that_were_bound(gpu):
    cuda, engine = FakeCuda(gpu), open_built()
    stream = cuda.stream()
    images, output = cuda.pinned(INPUT.shape, "float32"), cuda.pinned(OUTPUT.shape, "float32")
    engine.bind("output", output.device_pointer)
    engine.bind("images", images.device_pointer)
    for value in (2, 5):
        images.array[...] = value
        engine.enqueue(cuda.handle(stream))
        assert not (output.array == value).any()  # queued, not run
        cuda.synchronize(stream)
        assert (output.array == value).all()


def test_a_run_that_is_refused_has_tensorrts_words(tensorrt, monkeypatch):
    gpu = use_gpu(monkeypatch, tensorrt("10.3.0"))
    cuda, engine = FakeCuda(gpu), open_built()
    engine.bind("images", cuda.allocate(4))
    with pytest.raises(BackendError, match=r"10\.3\.0 refuses to run: .*address is not set for output"):
        engine.enqueue(cuda.handle(cuda.stream()))


def test_an_address_that_is_refused(tensorrt, monkeypatch):
    use_gpu(monkeypatch, tensorrt("10.3.0"))
    with pytest.raises(BackendError, match="takes no address for nothing: .*no tensor is named nothing"):
        open_built().bind("nothing", 1)


def test_the_log_of_a_run_does_not_pile_up(gpu):
    messages = []
    cuda, engine = FakeCuda(gpu), open_built(messages=messages)
    stream = cuda.stream()
    for tensor in engine.io:
        engine.bind(tensor.name, cuda.pinned(tensor.shape, tensor.dtype).device_pointer)
    messages.append(("WARNING", "of an earlier run"))
    engine.enqueue(cuda.handle(stream))
    assert messages == []


def test_memory_is_plan_and_scratch(gpu):
    plan = build_plan()
    assert open_built(plan).device_memory_mb == pytest.approx((len(plan) + (1 << 20)) / 1e6)


def test_what_is_no_engine(gpu):
    messages = []
    with pytest.raises(
        BackendError, match=r"TensorRT \S+ cannot load the engine: .*Magic tag.*edgekit build"
    ) as caught:
        open_built(b"this is no engine", messages)
    assert "\n" not in str(caught.value)
    assert errors_in(messages)


def test_an_engine_of_another_gpu(trt, gpu):
    plan = build_plan()
    trt.fake.sm = 72
    with pytest.raises(BackendError, match=r"incompatible device, expecting compute 7\.2 got compute 8\.7"):
        open_built(plan)


def test_without_a_driver_the_runtime_is_never_made(trt, monkeypatch):
    plan = build_plan()
    trt.fake.driver = False  # the fake's Runtime now fails as loudly as the real one's segmentation fault
    monkeypatch.setattr(trt_engine, "driver_problem", lambda: "there is no NVIDIA driver")
    with pytest.raises(BackendError, match="TensorRT cannot start: there is no NVIDIA driver; run with --device cpu"):
        open_built(plan)
    assert "runtime.deserialize_cuda_engine()" not in trt.fake.trace


def test_a_runtime_that_is_refused(trt, gpu, monkeypatch):
    plan = build_plan()

    def refuse(logger):
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(trt, "Runtime", refuse)
    with pytest.raises(BackendError, match=r"TensorRT \S+ does not start: no reason given; see edgekit doctor"):
        open_built(plan)


def test_no_memory_for_a_context(trt, gpu, monkeypatch):
    monkeypatch.setattr(trt.ICudaEngine, "create_execution_context", lambda self: None)
    with pytest.raises(BackendError, match="gives no execution context: .*; close other programs that use memory"):
        open_built()
    assert trt.fake.alive["engine"] == 0


def test_a_dla_engine_goes_to_its_core(trt, gpu):
    open_built(dla_core=1)
    core, load = trt.fake.trace.index("runtime.DLA_core = 1"), trt.fake.trace.index("runtime.deserialize_cuda_engine()")
    assert core < load


def test_context_goes_before_engine_before_runtime(trt, gpu, monkeypatch):
    order = []
    for kind in ("IExecutionContext", "ICudaEngine", "Runtime"):

        def gone(self, kind=kind):
            order.append(kind)

        monkeypatch.setattr(getattr(trt, kind), "__del__", gone, raising=False)
    engine = open_built()
    engine.close()
    engine.close()
    assert order == ["IExecutionContext", "ICudaEngine", "Runtime"]


def test_closing_frees_all(trt, gpu):
    open_built().close()
    assert trt.fake.alive == {"engine": 0, "context": 0}
