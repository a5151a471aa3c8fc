"""The fake runtime loads engines of its own version and GPU, runs them on the fake GPU, and tells of their layers."""

import json

import numpy as np
import pytest

from tests.nvidia.fake_build import BOUND, NAMED, Build, tiny
from tests.nvidia.fake_gpu import FakeGpu
from tests.nvidia.fake_tensorrt import VERSIONS, make_tensorrt


def test_plan_is_a_buffer_and_nothing_else():
    plan = tiny().plan()
    assert len(bytes(plan)) == plan.nbytes == memoryview(plan).nbytes
    for use in (len, iter, lambda value: value[:4]):
        with pytest.raises(TypeError, match="IHostMemory"):
            use(plan)


def test_engine_is_of_its_gpu_and_version():
    plan = tiny("8.5.2.2", sm=72).plan()
    here = tiny("8.5.2.2", sm=87)
    assert here.engine(plan) is None
    assert "incompatible device, expecting compute 8.7 got compute 7.2" in here.log[-1]
    newer = tiny("8.6.1.6", sm=72)
    assert newer.engine(plan) is None
    assert "expecting library version 8.6.1.6 got 8.5.2.2" in newer.log[-1]
    assert newer.engine(b"nothing") is None
    assert "Magic tag" in newer.log[-1]


def double_sum(feeds):
    return {"output": np.full((1, 21, 7), 2 * feeds["images"].sum(), np.float32)}


def gpu_buffers(engine_names, gpu):
    sizes = {"images": 3 * 32 * 32 * 4, "output": 21 * 7 * 4}
    addresses = {name: gpu.allocate(sizes[name]) for name in engine_names}
    gpu.view(addresses["images"], sizes["images"]).view(np.float32)[:] = 0.5
    return addresses, lambda: gpu.view(addresses["output"], sizes["output"]).view(np.float32)


@pytest.mark.parametrize("version", NAMED)
def test_named_tensors_run_on_a_stream(version):
    built = tiny(version)
    fake = built.trt.fake
    fake.gpu, fake.compute = FakeGpu(), double_sum
    engine = built.engine()
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    modes = [engine.get_tensor_mode(name) for name in names]
    assert modes == [built.trt.TensorIOMode.INPUT, built.trt.TensorIOMode.OUTPUT]
    context = engine.create_execution_context()
    stream = fake.gpu.new_stream()
    assert not context.execute_async_v3(stream)
    assert "address is not set" in built.log[-1]
    addresses, output = gpu_buffers(names, fake.gpu)
    for name in names:
        context.set_tensor_address(name, addresses[name])
    assert context.execute_async_v3(stream)
    before = output().copy()
    fake.gpu.synchronize(stream)
    assert (output() == 3072).all()
    assert not (before == 3072).all()


@pytest.mark.parametrize("version", BOUND)
def test_bindings_run_on_a_stream(version):
    built = tiny(version)
    fake = built.trt.fake
    fake.gpu, fake.compute = FakeGpu(), double_sum
    engine = built.engine()
    names = [engine.get_binding_name(index) for index in range(engine.num_bindings)]
    assert [engine.binding_is_input(index) for index in range(2)] == [True, False]
    assert engine.get_binding_dtype(0) == built.trt.float32
    assert tuple(engine.get_binding_shape("output")) == (1, 21, 7)
    context = engine.create_execution_context()
    addresses, output = gpu_buffers(names, fake.gpu)
    stream = fake.gpu.new_stream()
    assert context.execute_async_v2([addresses[name] for name in names], stream)
    fake.gpu.synchronize(stream)
    assert (output() == 3072).all()


@pytest.mark.parametrize("version", VERSIONS)
def test_profiler_hears_of_every_layer(version):
    built = tiny(version)
    fake = built.trt.fake
    fake.gpu, fake.compute = FakeGpu(), double_sum
    heard = []

    class Profiler(built.trt.IProfiler):
        def __init__(self):
            built.trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name, ms):
            heard.append((layer_name, ms))

    engine = built.engine()
    context = engine.create_execution_context()
    context.profiler = Profiler()
    addresses, _ = gpu_buffers(["images", "output"], fake.gpu)
    context.execute_v2([addresses["images"], addresses["output"]])
    assert len(heard) == engine.num_layers
    assert heard[1] == ("conv8", pytest.approx(0.2))


@pytest.mark.parametrize("version", VERSIONS)
def test_scratch_memory_can_be_the_callers(version):
    built = tiny(version)
    fake = built.trt.fake
    fake.gpu, fake.compute = FakeGpu(), double_sum
    engine = built.engine()
    old = int(version.split(".")[0]) < 11
    assert hasattr(engine, "create_execution_context_without_device_memory") == old
    if old:
        context = engine.create_execution_context_without_device_memory()
    else:
        context = engine.create_execution_context(built.trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    addresses, output = gpu_buffers(["images", "output"], fake.gpu)
    assert not context.execute_v2([addresses["images"], addresses["output"]])
    assert "no device memory" in built.log[-1]
    size = engine.device_memory_size if old else engine.device_memory_size_v2
    context.device_memory = fake.gpu.allocate(size)
    assert context.execute_v2([addresses["images"], addresses["output"]])
    assert (output() == 3072).all()


def test_profile_is_reported_when_asked_for():
    built = tiny()
    built.trt.fake.gpu, built.trt.fake.compute = FakeGpu(), double_sum
    heard = []

    class Profiler(built.trt.IProfiler):
        def __init__(self):
            built.trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name, ms):
            heard.append(layer_name)

    context = built.engine().create_execution_context()
    assert not context.report_to_profiler()
    context.profiler = Profiler()
    context.enqueue_emits_profile = False
    addresses, _ = gpu_buffers(["images", "output"], built.trt.fake.gpu)
    context.execute_v2([addresses["images"], addresses["output"]])
    assert heard == []
    assert context.report_to_profiler()
    assert heard[:2] == ["pool8", "conv8"]


def test_objects_that_hold_memory_are_counted():
    built = tiny()
    engine = built.engine()
    context = engine.create_execution_context()
    assert built.trt.fake.alive == {"engine": 1, "context": 1}
    del context, engine
    assert built.trt.fake.alive == {"engine": 0, "context": 0}


@pytest.mark.parametrize("version", ["8.2.1.8", "8.6.1.6", "10.3.0", "11.4.1"])
def test_inspector_tells_what_layers_became(version, lowering):
    built = Build(make_tensorrt(version), lowering("trt8"), flags=["INT8", "FP16"])
    names = json.loads(
        built.engine().create_engine_inspector().get_engine_information(built.trt.LayerInformationFormat.JSON)
    )
    assert all(isinstance(layer, str) for layer in names["Layers"])
    built.config.profiling_verbosity = built.trt.ProfilingVerbosity.DETAILED
    told = json.loads(
        built.engine().create_engine_inspector().get_engine_information(built.trt.LayerInformationFormat.JSON)
    )
    new = version.startswith("11")
    assert ("I/O Tensors" in told, "Bindings" in told) == (new, not new)
    tensor = told["Layers"][0]["Inputs"][0]
    assert ("Format/Datatype" in tensor, "Datatype" in tensor) == (not new, new)
    assert ("Metadata" in told["Layers"][0]) == (version >= "8.6" or new or version.startswith("10"))
