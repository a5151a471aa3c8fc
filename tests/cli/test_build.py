import json
import os

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STUDENT = os.path.join(ROOT, "models", "fasterx_student_thermal.ekb")


def test_what_another_device_needs(edgekit, tmp_path):
    done = edgekit("build", STUDENT, "--device", "jetson-nano", "-o", tmp_path / "nano", "--json")
    assert done.status == 0, done.err
    value = done.json
    assert value["kind"] == "prepared" and value["lowering"] == "fp16" and value["quantizers"] == 0
    assert sorted(os.listdir(value["folder"])) == ["build.json", "model.onnx", "weights.data"]
    with open(os.path.join(value["folder"], "build.json")) as stream:
        assert json.load(stream)["trtexec"] == value["trtexec"]


def test_the_folder_is_named_after_bundle_and_device(edgekit, tmp_path):
    done = edgekit("build", STUDENT, "--device", "xavier-nx", "--jetpack", "5.1", cwd=str(tmp_path))
    assert done.status == 0, done.err
    assert os.path.isdir(str(tmp_path / "fasterx_student_thermal.xavier-nx"))
    assert "No engine: one is built on the device itself" in done.out
    assert "JetPack 5.1" in done.out and "TensorRT 8.5.2" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "jetson-nan"], "there is no device 'jetson-nan'"),
        (["--device", "cpu"], "--device cpu runs graphs as they are, there is nothing to build"),
        (["--device", "jetson-nano", "--lowering", "trt8"], "has INT8 layers: "),
        (["--device", "jetson-nano", "--jetpack", "6"], "Jetson Nano 4GB has no JetPack 6; it has 4.6"),
        (["--workspace", "3"], "a workspace is 16 MiB or more, got 3"),
        (["--level", "9"], "a builder level is 0 to 5, got 9"),
    ],
)
def test_a_mistake_is_one_line(edgekit, tmp_path, arguments, message):
    done = edgekit("build", STUDENT, *arguments, cwd=str(tmp_path))
    assert done.status == 2
    assert message in done.err and done.err.startswith("error: ") and done.err.count("\n") == 1
    assert os.listdir(str(tmp_path)) == []


def test_without_a_gpu_one_line_says_so(edgekit):
    from edgekit.runtime.device import gpu_obstacle

    if gpu_obstacle() is None:
        pytest.skip("there is a GPU here")
    done = edgekit("build", STUDENT)
    assert done.status == 2 and done.err.startswith("error: ") and done.err.count("\n") == 1


def test_a_bundle_that_is_not_there(edgekit, tmp_path):
    done = edgekit("build", tmp_path / "absent.ekb", "--device", "jetson-nano")
    assert done.status == 2 and "there is no bundle" in done.err


@pytest.mark.parametrize("verb", ["run", "bench", "check"])
def test_every_verb_knows_the_devices(edgekit, verb, video):
    source = {"run": [video], "bench": ["--source", video], "check": []}[verb]
    done = edgekit(verb, STUDENT, *(source + ["--device", "toaster"]))
    assert done.status == 2
    assert "there is no device 'toaster'; known are auto, cpu, gpu (TensorRT), dla:N" in done.err
