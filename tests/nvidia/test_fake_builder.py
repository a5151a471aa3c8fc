"""The fake builder builds, fails, and says so in the words of each version."""

import pytest

from tests.nvidia.fake_build import TINY, Build, tiny
from tests.nvidia.fake_tensorrt import VERSIONS, FakeSegfaultError, make_tensorrt
from tests.nvidia.fake_tensorrt.build import reads_pair


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
