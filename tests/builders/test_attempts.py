"""The build itself, against every TensorRT that a JetPack or a PC has."""

import os

import pytest

from edgekit.builders.attempts import build_plan
from edgekit.builders.here import Target, new_key
from edgekit.builders.options import BuildOptions, settings_for
from edgekit.bundle import open_bundle
from edgekit.errors import BackendError
from edgekit.nvidia.cuda import CudaDevice
from edgekit.nvidia.trt import open_tensorrt
from edgekit.profiles import read_profile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STEM = "/backbone/dark2/dark2.0/conv/Conv"


@pytest.fixture(scope="module")
def student():
    return open_bundle(os.path.join(ROOT, "models", "fasterx_student_thermal.ekb"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def build(student, cache, tmp_path):
    """Build a lowering for a board with the TensorRT that is installed."""

    def run(lowering, board="orin-nx", **options):
        options.setdefault("cache_dir", str(tmp_path))
        chosen = BuildOptions(lowering=lowering, **options)
        tensorrt = open_tensorrt()
        profile = read_profile(board)
        device = CudaDevice("Orin", profile.chip.sm, 8, 15656, True, "12.6")
        target = Target(device, profile, "25W", True)
        graph = student.materialise(lowering, cache)
        record = student.manifest["lowerings"][lowering]
        key = new_key(student.sha256, lowering, tensorrt, target, chosen.dla_core)
        return build_plan(tensorrt, graph, record, key, settings_for(chosen, profile), chosen, target)

    return run


def newest(version):
    return "trt10" if int(version.split(".")[0]) >= 10 else "trt8"


def test_each_version_builds_its_graph(trt, build):
    built = build(newest(trt.__version__))
    assert len(bytes(memoryview(built.plan))) > 100 and not built.concessions
    assert built.facts["attempts"] == 1 and built.facts["quantizers"] > 50
    typed = int(trt.__version__.split(".")[0]) >= 10
    assert built.facts["strongly_typed"] is typed
    assert built.facts["flags"] == ([] if typed else ["FP16", "INT8"])


def test_each_version_builds_the_twin(trt, build):
    built = build("fp16")
    assert built.facts["quantizers"] == 0
    assert built.facts["flags"] == ([] if built.facts["strongly_typed"] else ["FP16"])


def test_the_float_reference_stays_one(trt, build):
    built = build("fp32")
    assert built.facts["flags"] == [] and built.facts["quantizers"] == 0


def test_a_layer_without_an_int8_kernel_loses_its_pairs(trt, build):
    trt.fake.fail_nodes = {STEM: "int8"}
    trt.fake.fail_text = {STEM: STEM + ".weight + QuantizeLinear_3 + " + STEM + " + PWN(Relu_4)"}
    built = build(newest(trt.__version__))
    assert [one.what for one in built.concessions] == ["workspace raised to 2048 MiB", "runs without its Q/DQ"]
    assert built.concessions[1].layer == STEM and "Could not find any implementation" in built.concessions[1].why
    assert built.facts["attempts"] == 3


def test_a_layer_without_a_half_kernel_is_pinned_where_the_builder_chooses_types(tensorrt, build):
    fake = tensorrt("8.5.2.2").fake
    fake.fail_nodes = {STEM: "half"}
    built = build("fp16", workspace_mib=8192)
    assert [(one.layer, one.what) for one in built.concessions] == [(STEM, "pinned to FP32")]
    assert any("OBEY_PRECISION_CONSTRAINTS" in line for line in fake.trace)


def test_a_layer_that_nothing_helps_ends_the_build(tensorrt, build):
    fake = tensorrt("10.3.0").fake
    fake.fail_nodes = {STEM: "always"}
    with pytest.raises(BackendError, match="no kernel for {}.*--keep-float".format(STEM)):
        build("trt10")


def test_the_number_of_tries_is_bounded(trt, build):
    trt.fake.out_of_memory = lambda workspace, level: True
    with pytest.raises(BackendError, match="could not build the engine in 3 tries; given up so far: workspace lowered"):
        build("fp16", retries=2)


def test_less_workspace_where_memory_is_short(trt, build):
    trt.fake.out_of_memory = lambda workspace, level: workspace > 300 << 20
    built = build("fp16", workspace_mib=1024)
    assert [one.what for one in built.concessions] == ["workspace lowered to 512 MiB", "workspace lowered to 256 MiB"]


def test_a_kernel_that_only_needs_more_workspace_costs_no_precision(trt, build):
    trt.fake.workspace_needed = {STEM: 600 << 20}
    built = build("fp16", workspace_mib=512)
    assert [one.what for one in built.concessions] == ["workspace raised to 1024 MiB"]


def test_a_nano_refuses_a_quantised_graph(tensorrt, build):
    tensorrt("8.2.1.8", sm=53)
    with pytest.raises(BackendError, match=r"Nano 4GB has no INT8 and this graph has \d+ Q/DQ nodes; build the fp16"):
        build("trt8", board="jetson-nano")
    assert build("fp16", board="jetson-nano").facts["quantizers"] == 0


def test_the_importer_is_quoted(tensorrt, build):
    tensorrt("8.2.1.8")  # reads up to opset 13, trt10 is 19
    with pytest.raises(BackendError, match="TensorRT 8.2.1.8 cannot read model.onnx: .*see edgekit check"):
        build("trt10")


def test_small_boards_build_with_little(tensorrt, build):
    fake = tensorrt("8.2.1.8", sm=53).fake
    build("fp16", board="jetson-nano")
    trace = "\n".join(fake.trace)
    assert "max_workspace_size" in trace and str(128 << 20) in trace
    assert "set_tactic_sources" in trace


def test_timings_are_kept_and_used_again(trt, build, tmp_path):
    assert build("fp16").facts["timing_cache"] == "none yet"
    assert build("fp16").facts["timing_cache"] == "used"
    assert len(os.listdir(str(tmp_path / "timing"))) == 1


def test_timings_that_tensorrt_refuses_cost_only_time(tensorrt, build, tmp_path, monkeypatch):
    tensorrt("8.6.1.6")
    build("fp16")
    folder = tmp_path / "timing"
    name = os.listdir(str(folder))[0]
    from edgekit.builders.timing_cache import write_timings
    from edgekit.engine import EngineKey

    key = EngineKey("", "", "tensorrt", "8.6.1.6", "12.6", 87, 8, "Orin", "25W")
    write_timings(str(folder / name), key, b"another machine's timings")
    assert build("fp16").facts["timing_cache"] == "refused by TensorRT"
    assert build("fp16").facts["timing_cache"] == "used"


def test_no_timing_cache(tensorrt, build, tmp_path):
    tensorrt("10.3.0")
    assert build("fp16", timing_cache=False).facts["timing_cache"] == "off"
    assert not (tmp_path / "timing").exists()


def test_a_dla_takes_what_it_can(tensorrt, build):
    fake = tensorrt("8.5.2.2", dla_cores=2).fake
    built = build("fp16", dla_core=1)
    assert isinstance(built.facts["off_dla"], list)
    assert any("GPU_FALLBACK" in line for line in fake.trace)


def test_a_dla_that_is_not_there(tensorrt, build):
    tensorrt("10.16.2.10", dla_cores=0)
    with pytest.raises(BackendError, match="there is no DLA core 0 for TensorRT 10.16.2.10 here, it sees 0"):
        build("fp16", dla_core=0)


def test_a_layer_that_overflows_is_pinned_from_the_start(tensorrt, student, build, monkeypatch):
    tensorrt("8.6.1.6")
    record = student.manifest["lowerings"]["trt8"]
    monkeypatch.setitem(record, "hints", {"pin_fp32": {STEM: "|x| reaches 1.2e5"}})
    built = build("trt8")
    assert [(one.layer, one.what, one.why) for one in built.concessions] == [
        (STEM, "pinned to FP32", "|x| reaches 1.2e5")
    ]
