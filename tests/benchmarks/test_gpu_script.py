import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.bundle import open_bundle
from edgekit.errors import BackendError
from edgekit.runtime.session import RunTimes, open_session
from tests.fakes import FakeSession

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks/gpu"))

import arms  # noqa: E402
import bench_gpu  # noqa: E402
import torch_arm  # noqa: E402


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """What the script writes and prints for the tiny bundle on this machine."""
    folder = tmp_path_factory.mktemp("gpu")
    out = folder / "gpu.json"
    command = [sys.executable, "benchmarks/gpu/bench_gpu.py", "tests/golden/tiny.ekb", "--rounds", "4", "--warmup", "1"]
    environment = dict(os.environ, EDGEKIT_CACHE=str(folder / "cache"), PYTHONPATH=str(ROOT))
    done = subprocess.run([*command, "-o", str(out)], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text()), done.stdout


def test_every_arm_ran_or_says_why_in_one_line(result):
    network = result[0]["networks"][0]
    names = [arm["name"] for arm in network["arms"]]
    assert names[0] == "onnxruntime-cpu fp32"
    assert {f"edgekit {lowering}" for lowering in ("trt10", "trt8", "fp16", "fp32")} <= set(names)
    assert {"onnxruntime-tensorrt fp16", "onnxruntime-cuda fp32", "torch fp16", "torch fp16 graph"} <= set(names)
    for arm in network["arms"]:
        if arm["status"] == "ran":
            assert len(arm["samples"]["wall_ms"]) == 4 and arm["wall_ms"]["p50"] > 0
            assert arm["parity"]["finite"]
        else:
            assert arm["reason"] and "\n" not in arm["reason"]


def test_the_processor_is_always_there(result):
    reference = result[0]["networks"][0]["arms"][0]
    assert reference["status"] == "ran" and reference["backend"].startswith("onnxruntime")
    assert reference["gpu_ms"] is None


def test_the_last_line_is_the_result_without_samples(result):
    value, out = result
    printed = json.loads(out.splitlines()[-1])
    assert printed["format"] == "edgekit-gpu-bench" and printed["machine"] == value["machine"]
    assert not any("samples" in arm for network in printed["networks"] for arm in network["arms"])
    assert "not run:" in out or all(arm["status"] == "ran" for arm in value["networks"][0]["arms"])


def test_a_gpu_or_its_absence_is_kept(result):
    gpu = result[0]["gpu"]
    assert ("missing" in gpu) != ("sm" in gpu)
    assert "predicted" in result[0]["networks"][0]


def test_a_missing_bundle_is_one_line(tmp_path):
    command = [sys.executable, "benchmarks/gpu/bench_gpu.py", "nowhere.ekb", "-o", str(tmp_path / "gpu.json")]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no bundle nowhere.ekb") and "Traceback" not in done.stderr


def arm(name, value=1.0, gpu_ms=None, fails=False):
    def run(x):
        if fails:
            raise BackendError("out of memory\nat layer 3")
        return [np.full((1, 2), value, np.float32)]

    closed = []
    made = arms.Arm(name, "fp16", run, lambda: gpu_ms, lambda: closed.append(name), {"backend": "fake 1"})
    return made, closed


@pytest.fixture
def tiny_bundle():
    return open_bundle(str(ROOT / "tests/golden/tiny.ekb"))


def test_an_arm_that_fails_when_it_runs_is_kept_with_its_reason(tiny_bundle):
    good, _ = arm(arms.REFERENCE)
    bad, closed = arm("edgekit fp16", fails=True)
    kept, parity = bench_gpu.checked([good, bad], tiny_bundle, [np.zeros((1, 3, 32, 32), np.float32)])
    assert kept[1] == arms.Absent("edgekit fp16", "fp16", "it fails when it runs: out of memory at layer 3")
    assert closed == ["edgekit fp16"] and list(parity) == [arms.REFERENCE]


def test_parity_is_against_the_reference(tiny_bundle):
    pictures = [np.zeros((1, 3, 32, 32), np.float32)]
    reference, near = arm(arms.REFERENCE)[0], arm("near", value=1.1)[0]
    assert bench_gpu.parity_of(near, reference, tiny_bundle, pictures)["snr_db"] == pytest.approx(20.0, abs=0.01)
    broken = arm("broken", value=np.nan)[0]
    found = bench_gpu.parity_of(broken, reference, tiny_bundle, pictures)
    assert found["finite"] is False and found["snr_db"] is None


def test_gpu_times_leave_the_warm_up_out():
    timed, untold = arm("edgekit fp16", gpu_ms=0.25)[0], arm("torch fp16")[0]
    wall, gpu = bench_gpu.times_of([timed, untold], [np.zeros(1)], rounds=5, warmup=3)
    assert gpu == {"edgekit fp16": [0.25] * 5, "torch fp16": []}
    assert [len(samples) for samples in wall.values()] == [5, 5]


def test_a_session_is_an_arm():
    session = FakeSession()
    made = arms.arm_of_session("edgekit fp16", "fp16", session, {})
    feed = session.inputs[0]
    outputs = made.run(np.zeros(feed.shape, feed.dtype))
    assert len(outputs) == len(session.outputs)
    assert made.gpu_ms() is None
    session.last_times = RunTimes(0.1, 2.5, 0.1, 0.2)
    assert made.gpu_ms() == 2.5


def test_the_torch_network_is_found_by_its_tensors():
    """The student in torch gives what its float32 graph gives in ONNX Runtime."""
    torch = pytest.importorskip("torch")
    bundle = open_bundle(str(ROOT / "models/fasterx_student_thermal.ekb"))
    model, reason = torch_arm.model_of(bundle, ROOT / "models")
    assert model is not None, reason
    x = np.random.default_rng(0).uniform(0, 255, bundle.manifest["input"]["shape"]).astype(np.float32)
    with torch.inference_mode():
        ours = torch_arm._list(model(torch.from_numpy(x)))[0].numpy()
    with open_session(str(ROOT / "models/fasterx_student_thermal.onnx")) as session:
        theirs = session.run({session.inputs[0].name: x})[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_a_network_that_edgekit_does_not_have_is_said(tiny_bundle, tmp_path):
    pytest.importorskip("torch")
    model, reason = torch_arm.model_of(tiny_bundle, tmp_path)
    assert model is None and "is not beside it" in reason
    model, reason = torch_arm.model_of(tiny_bundle, ROOT / "tests/golden")
    assert model is None and ("no network of edgekit.models has the tensors" in reason or "is not beside it" in reason)


def test_results_are_filed_under_the_gpu():
    machine = {"board": None, "cpu": "Intel(R) Xeon(R) Processor", "cores": 16}
    assert bench_gpu.result_folder(machine, {"name": "NVIDIA H100 80GB HBM3"}) == "nvidia-h100-80gb-hbm3-16c"
    assert bench_gpu.result_folder(machine, {"missing": "no driver"}).startswith("intel-xeon")
    jetson = dict(machine, board="NVIDIA Orin Nano", cores=6)
    assert bench_gpu.result_folder(jetson, {"name": "Orin"}) == "nvidia-orin-nano-6c"
