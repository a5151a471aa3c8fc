"""The fake TensorRT behaves: it reads, builds, refuses and runs as its version does."""

import json
import os

import numpy as np
import pytest

from edgekit.bundle import open_bundle
from tests.nvidia.fake_gpu import FakeGpu
from tests.nvidia.fake_tensorrt import VERSIONS, FakeSegfaultError, make_tensorrt
from tests.nvidia.fake_tensorrt.build import reads_pair
from tests.nvidia.fake_tensorrt.onnx_reader import read_onnx
from tests.nvidia.fake_tensorrt.parser import IMPORTERS, opset_limit

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TINY = os.path.join(ROOT, "tests", "golden", "tiny_yolox.onnx")
NAMED = [version for version in VERSIONS if not version.startswith("8.2")]
BOUND = [version for version in VERSIONS if version.startswith("8")]


@pytest.fixture(scope="module")
def lowering(tmp_path_factory):
    """Path of a lowering of the shipped student, by name."""
    bundle = open_bundle(os.path.join(ROOT, "models", "fasterx_student_thermal.ekb"))
    folder = str(tmp_path_factory.mktemp("cache"))
    return lambda name: bundle.materialise(name, folder)


class Build:
    """A network parsed by a fake, and the log."""

    def __init__(self, trt, path, flags=(), strongly=False):
        log = self.log = []

        class Log(trt.ILogger):
            def __init__(self):
                trt.ILogger.__init__(self)

            def log(self, severity, text):
                log.append("{}: {}".format(severity.name, text))

        self.trt = trt
        self.logger = Log()
        self.builder = trt.Builder(self.logger)
        kinds = trt.NetworkDefinitionCreationFlag.__members__
        names = ["EXPLICIT_BATCH"] + (["STRONGLY_TYPED"] if strongly else [])
        self.network = self.builder.create_network(sum(1 << int(kinds[name]) for name in names if name in kinds))
        self.parser = trt.OnnxParser(self.network, self.logger)
        self.parsed = self.parser.parse_from_file(path)
        self.config = self.builder.create_builder_config()
        for name in flags:
            if hasattr(trt.BuilderFlag, name):
                self.config.set_flag(getattr(trt.BuilderFlag, name))

    def plan(self):
        return self.builder.build_serialized_network(self.network, self.config)

    def engine(self, plan=None):
        return self.trt.Runtime(self.logger).deserialize_cuda_engine(plan or self.plan())

    def layer(self, name):
        layers = [self.network.get_layer(index) for index in range(self.network.num_layers)]
        return next(layer for layer in layers if layer.name == name)


def tiny(version="8.6.1.6", **gpu):
    return Build(make_tensorrt(version, **gpu), TINY)


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


@pytest.mark.parametrize("version", VERSIONS)
def test_quantised_graph_needs_int8_flag_or_types(version, lowering):
    trt = make_tensorrt(version)
    assert Build(trt, lowering("trt8"), flags=["INT8", "FP16"]).plan() is not None
    without = Build(trt, lowering("trt8"))
    plan = without.plan()
    assert (plan is not None) == (version[:2] == "11")
    assert plan is not None or "require the INT8 builder flag" in without.log[-1]


def test_gpu_without_int8_refuses_quantised_graphs(lowering):
    built = Build(make_tensorrt("8.2.1.8", sm=53), lowering("trt8"), flags=["INT8"])
    assert built.plan() is None
    assert "require hardware with Int8 support" in built.log[-1]
    assert not built.builder.platform_has_fast_int8


def test_strongly_typed_network_takes_no_precision_flags():
    built = Build(make_tensorrt("10.3.0"), TINY, flags=["FP16"], strongly=True)
    assert built.plan() is None
    assert "strongly typed" in built.log[-1]
    built.layer("conv8").precision = built.trt.DataType.FLOAT
    assert not built.layer("conv8").precision_is_set


def test_strongly_typed_network_wants_equal_types(lowering):
    assert Build(make_tensorrt("10.3.0"), lowering("trt10"), strongly=True).plan() is not None
    assert Build(make_tensorrt("10.3.0"), lowering("fp16"), strongly=True).plan() is not None


def test_new_library_refuses_an_old_gpu():
    built = tiny("10.3.0", sm=53)
    assert built.plan() is None
    assert "Target GPU SM 53 is not supported" in built.log[-1]


@pytest.mark.parametrize("version", VERSIONS)
def test_missing_int8_kernel_is_there_once_the_pair_is_gone(version, lowering):
    trt = make_tensorrt(version)
    built = Build(trt, lowering("trt8"), flags=["INT8"])
    layers = [built.network.get_layer(index) for index in range(built.network.num_layers)]
    convolutions = [layer for layer in layers if layer.type == trt.LayerType.CONVOLUTION]
    conv = next(layer for layer in convolutions if reads_pair(layer, built.network))
    trt.fake.fail_nodes[conv.name] = "int8"
    trt.fake.fail_text[conv.name] = conv.name + " + PWN(relu)"
    assert built.plan() is None
    assert "Could not find any implementation for node {} + PWN(relu).".format(conv.name) in built.log[-1]
    makers = {layer.get_output(index).name: layer for layer in layers for index in range(layer.num_outputs)}
    pair = makers[conv.get_input(0).name]
    assert pair.type == trt.LayerType.DEQUANTIZE
    conv.set_input(0, makers[pair.get_input(0).name].get_input(0))
    assert built.plan() is not None


def test_missing_half_kernel_is_there_once_pinned_and_obeyed():
    built = tiny()
    built.trt.fake.fail_nodes["conv8"] = "half"
    assert built.plan() is None
    built.layer("conv8").precision = built.trt.DataType.FLOAT
    assert built.plan() is None
    built.config.set_flag(built.trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    assert built.plan() is not None


def test_workspace_and_memory_limits():
    built = tiny()
    fake = built.trt.fake
    fake.workspace_needed["conv8"] = 64 << 20
    built.config.set_memory_pool_limit(built.trt.MemoryPoolType.WORKSPACE, 32 << 20)
    assert built.plan() is None
    built.config.set_memory_pool_limit(built.trt.MemoryPoolType.WORKSPACE, 64 << 20)
    assert built.plan() is not None
    fake.out_of_memory = lambda workspace, level: level > 1
    assert built.plan() is None
    assert "OutOfMemory" in built.log[-1]
    built.config.builder_optimization_level = 1
    assert built.plan() is not None


def test_unknown_attributes_are_refused_as_in_the_bindings():
    built = tiny("10.3.0")
    with pytest.raises(AttributeError, match="max_workspace_size"):
        built.config.max_workspace_size = 1
    with pytest.raises(AttributeError):
        built.trt.BuilderFlag.STRICT_TYPES  # noqa: B018 - the look-up is what is tested
    with pytest.raises(TypeError, match="nullptr"):
        built.trt.fake.driver = False
        built.trt.Builder(built.logger)
    with pytest.raises(FakeSegfaultError):
        built.trt.Runtime(built.logger)


def test_forgotten_constructor_of_a_logger():
    trt = make_tensorrt("10.3.0")

    class Forgot(trt.ILogger):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match="must be called when overriding"):
        trt.Builder(Forgot())
    with pytest.raises(TypeError, match="ILogger"):
        trt.Builder(3)


@pytest.mark.parametrize("version", VERSIONS)
def test_timing_cache_is_of_its_version_and_gpu(version):
    built = tiny(version)
    cache = built.config.create_timing_cache(b"")
    assert built.config.set_timing_cache(cache, False)
    built.plan()
    data = bytes(memoryview(built.config.get_timing_cache().serialize()))
    assert b"conv8" in data
    assert built.config.set_timing_cache(built.config.create_timing_cache(data), False)
    other = tiny(version, sm=72)
    foreign = other.config.create_timing_cache(data)
    assert not other.config.set_timing_cache(foreign, False)
    assert other.config.set_timing_cache(foreign, True)
    assert other.config.create_timing_cache(b"nonsense") is None
    assert not other.config.create_timing_cache(b"").combine(foreign, False)


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


def test_progress_monitor_can_cancel():
    built = tiny("10.3.0")
    steps = []

    class Monitor(built.trt.IProgressMonitor):
        def __init__(self, most):
            built.trt.IProgressMonitor.__init__(self)
            self.most = most

        def phase_start(self, phase_name, parent_phase, num_steps):
            steps.append((phase_name, num_steps))

        def step_complete(self, phase_name, step):
            steps.append(step)
            return step < self.most

        def phase_finish(self, phase_name):
            steps.append("end")

    built.config.progress_monitor = Monitor(99)
    assert built.plan() is not None
    assert steps[0] == ("Building Engine", built.network.num_layers)
    assert steps[-1] == "end"
    built.config.progress_monitor = Monitor(2)
    assert built.plan() is None
    assert "cancelled" in built.log[-1]


def test_dla_runs_what_it_can():
    built = tiny("8.6.1.6", sm=72, dla_cores=2)
    assert built.builder.num_DLA_cores == 2
    assert built.config.can_run_on_DLA(built.layer("conv8"))
    assert not built.config.can_run_on_DLA(built.layer("flat8"))
    assert not tiny().config.can_run_on_DLA(built.layer("conv8"))


def test_trace_has_a_line_for_each_call_that_matters():
    built = tiny("8.2.1.8")
    built.config.max_workspace_size = 1 << 20
    built.plan()
    assert built.trt.fake.trace == [
        "builder.create_network(EXPLICIT_BATCH)",
        "parser.parse_from_file(tiny_yolox.onnx)",
        "config.max_workspace_size = 1048576",
        "builder.build_serialized_network(14 layers, 1 inputs, 1 outputs)",
    ]


def test_a_version_that_is_not_there_is_not_imported(monkeypatch, tensorrt):
    tensorrt("rtx-1.7.1")
    with pytest.raises(ImportError):
        __import__("tensorrt")
    assert __import__("tensorrt_rtx").__version__ == "1.7.1"
