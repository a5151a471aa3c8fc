"""edgekit build, run and bench on every TensorRT from 8.2 to 11, with a processor that computes what the GPU would.

What is imitated is TensorRT, the CUDA binding and the driver; bundle, builder, backend, loop, bench and command line
are the real ones. `traces/VERSION.txt` has the calls that a version gets; EDGEKIT_WRITE_TRACES=1 writes them anew, for
a person to read before they are committed.
"""

import json
import os
import shlex
import zlib

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

from edgekit.bundle import open_bundle
from edgekit.cli import app
from edgekit.nvidia import trt_engine
from edgekit.runtime import device
from edgekit.runtime.lowering import choose_lowering
from tests.nvidia.fake_gpu import FakeGpu
from tests.nvidia.fake_tensorrt import VERSIONS, install_tensorrt
from tests.nvidia.test_cuda_doors import NONE_LEFT, install

HERE = os.path.dirname(os.path.abspath(__file__))
STUDENT = os.path.join(os.path.dirname(os.path.dirname(HERE)), "models", "fasterx_student_thermal.ekb")
# The binding that each JetPack has.
BINDINGS = {
    "8.2.1.8": ("pycuda", "2022.1"),
    "8.5.2.2": ("pycuda", "2022.1"),
    "8.6.1.6": ("cuda-python", "12.6.0"),
    "10.3.0": ("cuda-python", "12.6.0"),
    "10.16.2.10": ("cuda-python", "13.0.1"),
    "11.4.1": ("cuda-python", "13.0.1"),
}
INT8_MS, FP16_MS = 2.0, 3.0


def on_processor(lowering, folder):
    """A lowering of the student as a function from arrays to arrays by name."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 2
    graph = open_bundle(STUDENT).materialise(lowering, folder)
    session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    known = {}

    def compute(feeds):
        key = tuple(zlib.crc32(array) for array in feeds.values())
        if key not in known:
            known[key] = dict(zip(names, session.run(names, feeds)))
        return known[key]

    return compute


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """What an INT8 engine and what its FP16 twin compute, each by another right implementation."""
    folder = str(tmp_path_factory.mktemp("networks"))
    int8 = choose_lowering(open_bundle(STUDENT).lowerings)
    return on_processor(int8, folder), on_processor("fp32", folder)


class Machine:
    """A board with a TensorRT, and the command line on it."""

    def __init__(self, monkeypatch, version, networks, cache, integrated=True):
        self.gpu = FakeGpu(integrated=integrated)
        install(monkeypatch, self.gpu, *BINDINGS[version])
        for module in (device, trt_engine):
            monkeypatch.setattr(module, "driver_problem", lambda: None)
        self.trt = install_tensorrt(monkeypatch, version)
        self.trt.fake.gpu = self.gpu
        self.trt.fake.compute_of = lambda precisions: networks["INT8" not in precisions]
        monkeypatch.setenv("EDGEKIT_CACHE", str(cache))
        self.generation = int(version.split(".")[0])

    @property
    def int8(self):
        return "trt10" if self.generation >= 10 else "trt8"

    def edgekit(self, *arguments):
        done = CliRunner().invoke(app, [str(one) for one in arguments] + ["--json"])
        if done.exit_code:
            raise AssertionError("{}: {}".format(done.exit_code, done.output))
        return json.loads(done.output.splitlines()[-1])


@pytest.fixture(params=VERSIONS)
def machine(request, monkeypatch, networks, tmp_path):
    return Machine(monkeypatch, request.param, networks, tmp_path / "cache")


def times_of(machine, int8_ms, fp16_ms):
    """Let the GPU take so long for an engine with, and without, Q/DQ."""
    machine.trt.fake.run_ms = lambda precisions: int8_ms if "INT8" in precisions else fp16_ms


@pytest.fixture(scope="module")
def flight(tmp_path_factory):
    import cv2

    path = str(tmp_path_factory.mktemp("flight") / "thermal.mp4")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (640, 512))
    for number in range(8):
        frame = np.full((512, 640, 3), 60, np.uint8)
        frame[200:230, 100 + number : 112 + number] = 230
        writer.write(frame)
    writer.release()
    return path


def test_build_run_and_bench(machine, flight):
    times_of(machine, INT8_MS, FP16_MS)
    built = machine.edgekit("build", STUDENT, "--rounds", 10)
    assert built["lowering"] == machine.int8, built["why"]
    assert built["speedup"]["speedup"] == pytest.approx(1.5)
    assert [one["lowering"] for one in built["candidates"]] == [machine.int8, "fp16"]
    assert built["key"]["tensorrt"] == machine.trt.__version__ and built["concessions"] == []

    flown = machine.edgekit("run", STUDENT, flight)
    assert flown["frames"] == 8 and flown["lowering"] == machine.int8
    assert flown["backend"] == "tensorrt {}".format(machine.trt.__version__)

    measured = machine.edgekit("bench", STUDENT, "--source", flight, "--frames", 6, "--warmup", 3)
    assert measured["frames"] == 6 and measured["artifact"]["lowering"] == machine.int8
    assert measured["layers"][0]["count"] > 0 and len(measured["layers"]) > 50
    assert machine.gpu.live == NONE_LEFT


def test_the_board_commands_of_the_readme(monkeypatch, networks, tmp_path, flight):
    machine = Machine(monkeypatch, "10.3.0", networks, tmp_path)
    with open(os.path.join(os.path.dirname(os.path.dirname(HERE)), "README.md"), encoding="utf-8") as stream:
        block = stream.read().split("## On a Jetson")[1].split("```sh\n")[1].split("```")[0]
    stand_in = {"nano.ekb": STUDENT, "csi://0": flight, "boxes.jsonl": str(tmp_path / "boxes.jsonl")}
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert [words[1] for words in lines] == ["doctor", "build", "run", "bench"]
    for words in lines:
        extra = {"build": ["--rounds", 10], "bench": ["--source", flight, "--frames", 4]}.get(words[1], [])
        machine.edgekit(*([stand_in.get(word, word) for word in words[1:]] + extra))
    assert os.path.getsize(str(tmp_path / "boxes.jsonl")) > 0


def test_the_calls_of_each_version(machine, flight):
    times_of(machine, INT8_MS, FP16_MS)
    machine.edgekit("build", STUDENT, "--lowering", machine.int8, "--rounds", 10)
    machine.edgekit("run", STUDENT, flight, "--frames", 4, "--track", "none")
    path = os.path.join(HERE, "traces", machine.trt.__version__ + ".txt")
    seen = "\n".join(machine.trt.fake.trace) + "\n"
    if os.environ.get("EDGEKIT_WRITE_TRACES"):
        with open(path, "w") as stream:
            stream.write(seen)
    with open(path) as stream:
        assert seen == stream.read()


def test_the_second_build_is_the_first(machine):
    first = machine.edgekit("build", STUDENT, "--lowering", "fp16")
    machine.trt.fake.trace[:] = []
    again = machine.edgekit("build", STUDENT, "--lowering", "fp16")
    assert again["engine"] == first["engine"] and again["built_s"] == first["built_s"]
    assert not any("build_serialized_network" in line for line in machine.trt.fake.trace)


def test_fp16_flies_where_int8_is_slower(machine, flight):
    times_of(machine, FP16_MS, INT8_MS)
    built = machine.edgekit("build", STUDENT, "--rounds", 10)
    assert built["lowering"] == "fp16" and built["why"].endswith("not enough to fly INT8")
    assert machine.edgekit("run", STUDENT, flight, "--frames", 2)["lowering"] == "fp16"


def test_an_int8_engine_that_sees_nothing_does_not_fly(machine, networks):
    def blind(feeds):
        return {name: np.zeros_like(array) for name, array in networks[1](feeds).items()}

    machine.trt.fake.compute_of = lambda precisions: blind if "INT8" in precisions else networks[1]
    built = machine.edgekit("build", STUDENT, "--rounds", 10)
    assert built["lowering"] == "fp16" and "golden images differ" in built["why"]


def test_another_power_mode_builds_again(monkeypatch, networks, tmp_path, caplog):
    machine = Machine(monkeypatch, "10.3.0", networks, tmp_path)
    first = machine.edgekit("build", STUDENT, "--lowering", "fp16")
    machine.gpu.sm_count = 4
    second = machine.edgekit("build", STUDENT, "--lowering", "fp16")
    assert second["engine"] != first["engine"]
    assert "multiprocessors 8, here 4; building again" in caplog.text


def test_a_discrete_card_copies(monkeypatch, networks, tmp_path, flight):
    machine = Machine(monkeypatch, "11.4.1", networks, tmp_path, integrated=False)
    machine.edgekit("build", STUDENT, "--lowering", "fp16")
    times = str(tmp_path / "times.json")
    machine.edgekit("bench", STUDENT, "--source", flight, "--frames", 4, "--warmup", 3, "--export-times", times)
    with open(times) as stream:
        rows = json.load(stream)
    assert len(rows) == 4 and all(row["h2dMs"] > 0 and row["d2hMs"] > 0 and row["computeMs"] > 0 for row in rows)


def test_flying_without_a_build_says_that_it_builds(monkeypatch, networks, tmp_path, flight, caplog):
    machine = Machine(monkeypatch, "8.5.2.2", networks, tmp_path)
    assert machine.edgekit("run", STUDENT, flight, "--frames", 1)["lowering"] == "trt8"
    assert "building an engine of fasterx_student_thermal, which may take minutes" in caplog.text
    caplog.clear()
    machine.edgekit("run", STUDENT, flight, "--frames", 1)
    assert "building an engine" not in caplog.text


def test_what_was_built_with_other_settings_flies_too(monkeypatch, networks, tmp_path, flight, caplog):
    machine = Machine(monkeypatch, "10.3.0", networks, tmp_path)
    built = machine.edgekit("build", STUDENT, "--workspace", 256, "--level", 3, "--rounds", 10)
    machine.trt.fake.trace[:] = []
    assert machine.edgekit("run", STUDENT, flight, "--frames", 1)["lowering"] == built["lowering"]
    assert not any("build_serialized_network" in line for line in machine.trt.fake.trace)
    os.unlink(built["engine"])
    machine.edgekit("run", STUDENT, flight, "--frames", 1)
    assert "has no record" in caplog.text or "is not the engine that its record describes" in caplog.text
