"""Every bridge between versions carries weight: without it some version builds, loads or runs otherwise, or not at all.

A bridge is a name in `edgekit.nvidia.trt.VERSIONED` that is reached through `optional`. Each is taken away in two ways:
as if no version had the name (the newer, or older, way deleted), and as if every version had it (the check deleted).
"""

import os

import numpy as np
import pytest

from edgekit.builders import attempts, rewire
from edgekit.builders.attempts import build_plan
from edgekit.builders.here import Target, new_key
from edgekit.builders.options import BuildOptions, settings_for
from edgekit.bundle import open_bundle
from edgekit.errors import BackendError
from edgekit.nvidia import trt as door
from edgekit.nvidia import trt_build, trt_engine
from edgekit.nvidia.cuda import CudaDevice
from edgekit.nvidia.trt import VERSIONED, open_tensorrt
from tests.nvidia.fake_gpu import FakeGpu
from tests.nvidia.fake_tensorrt import VERSIONS, install_tensorrt

TINY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "tiny.ekb")
MODULES = (door, trt_build, trt_engine, attempts, rewire)
# Set, not read: what stands in front of them is `set_memory_pool_limit`, `set_output_type` and `IProgressMonitor`.
ASSIGNED = {"max_workspace_size", "precision", "progress_monitor"}
NAMES = sorted({name for names in VERSIONED.values() for name in names} - ASSIGNED)
# Names whose absence is looked at; the others are only reached where one of these says that they are there.
DECIDING = {
    "EXPLICIT_BATCH", "STRONGLY_TYPED", "FP16", "CUBLAS", "CUBLAS_LT", "CUDNN", "platform_has_fast_int8",
    "set_memory_pool_limit", "builder_optimization_level", "num_io_tensors", "device_memory_size_v2",
}  # fmt: skip
CASES = [(name, "way") for name in NAMES] + [(name, "check") for name in NAMES if name in DECIDING]


@pytest.fixture(scope="module")
def bundle():
    return open_bundle(TINY)


@pytest.fixture(scope="module")
def graphs(bundle, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("graphs"))
    return {name: bundle.materialise(name, folder) for name in bundle.lowerings}


@pytest.fixture
def journey(bundle, graphs, tmp_path, monkeypatch):
    """Build three ways, load and run with one version; what it did, as text."""
    monkeypatch.setattr(trt_engine, "driver_problem", lambda: None)

    def go(version):
        told = []
        install_tensorrt(monkeypatch, version, sm=53)
        try:
            _build(bundle, graphs["trt8"], {"int8": True}, str(tmp_path), told)
        except BackendError as error:
            told.append(str(error))
        fake = install_tensorrt(monkeypatch, version).fake
        built = None
        for graph, requires, fail in (
            ("trt8", {"int8": True, "flags": ["STRONGLY_TYPED"] if int(version.split(".")[0]) > 8 else []}, {}),
            ("fp32", {"fp16": True}, {}),
            ("fp32", {"fp16": True}, {"conv8": "half"}),
        ):
            fake.fail_nodes = fail
            try:
                built = _build(bundle, graphs[graph], requires, str(tmp_path / version), told)
            except BackendError as error:
                told.append(str(error))
        assert built is not None, "no engine at all"
        told.append(_run(fake, bytes(memoryview(built.plan))))
        return fake.trace + told

    return go


def _build(bundle, graph, requires, cache, told):
    tensorrt = open_tensorrt()
    options = BuildOptions(level=1, low_memory=True, workspace_mib=4096, cache_dir=cache, timing_cache=False)
    target = Target(CudaDevice("Orin", 87, 8, 7620, True, "12.6"), None, "", True)
    key = new_key(bundle.sha256, "fp16", tensorrt, target, None)
    settings = settings_for(options, None)
    built = build_plan(
        tensorrt, graph, {"requires": requires}, key, settings, options, target, lambda *step: told.append(str(step))
    )
    told.append(str((built.facts, built.concessions)))
    return built


def _run(fake, plan):
    fake.gpu = gpu = FakeGpu()
    fake.compute = lambda feeds: {"output": np.full((1, 21, 7), feeds["images"].mean(), np.float32)}
    engine = trt_engine.open_engine(open_tensorrt(), plan, [])
    places = {}
    for tensor in engine.io:
        places[tensor.name] = gpu.allocate(4 * int(np.prod(tensor.shape)))
        engine.bind(tensor.name, places[tensor.name])
    gpu.view(places["images"], 4 * 3 * 32 * 32).view(np.float32)[...] = 0.25
    engine.enqueue(0)
    gpu.synchronize(0)
    output = gpu.view(places["output"], 4 * 21 * 7).view(np.float32)
    return str((engine.io, engine.device_memory_mb, float(output.mean())))


@pytest.fixture
def normal(journey):
    return {version: journey(version) for version in VERSIONS}


def test_every_name_of_the_table_is_reached(journey, monkeypatch):
    reached = set()

    def noting(owner, name, default=None):
        reached.add(name)
        return getattr(owner, name, default)

    for module in MODULES:
        monkeypatch.setattr(module, "optional", noting)
    for version in VERSIONS:
        journey(version)
    assert set(NAMES) <= reached


@pytest.mark.parametrize(("name", "deleted"), CASES)
def test_without_it_something_breaks(journey, normal, monkeypatch, name, deleted):
    def broken(owner, wanted, default=None):
        if wanted != name:
            return getattr(owner, wanted, default)
        return default if deleted == "way" else getattr(owner, wanted)

    for module in MODULES:
        monkeypatch.setattr(module, "optional", broken)
    assert any(_differs(journey, version, normal[version]) for version in VERSIONS)


def _differs(journey, version, normal):
    try:
        return journey(version) != normal
    except (AttributeError, TypeError, AssertionError, NotImplementedError, BackendError, ValueError):
        return True
