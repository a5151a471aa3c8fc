import json
import os

import pytest

from edgekit.builders import BuildOptions
from edgekit.builders.options import Settings
from edgekit.builders.prepare import prepare_for, software_of, trtexec_line
from edgekit.bundle import open_bundle
from edgekit.errors import BackendError, ConfigError
from edgekit.onnx_scan import node_operators
from edgekit.profiles import profile_names, read_profile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAIRS = {"QuantizeLinear", "DequantizeLinear"}


@pytest.fixture(scope="module")
def student():
    return open_bundle(os.path.join(ROOT, "models", "fasterx_student_thermal.ekb"))


def prepare(student, tmp_path, name, jetpack=None, **options):
    options = BuildOptions(cache_dir=str(tmp_path / "cache"), **options)
    return prepare_for(student, read_profile(name), str(tmp_path / "out"), options, jetpack)


def operators(folder):
    with open(os.path.join(folder, "model.onnx"), "rb") as stream:
        return set(node_operators(stream.read()))


def test_a_nano_never_gets_a_quantizer(student, tmp_path):
    prepared = prepare(student, tmp_path, "jetson-nano")
    assert prepared.lowering == "fp16" and prepared.quantizers == 0 and prepared.opset == 13
    assert not operators(prepared.folder) & PAIRS and "Conv" in operators(prepared.folder)
    assert "--fp16" in prepared.trtexec and "--int8" not in prepared.trtexec
    assert prepared.settings["low_memory"] == "True"


@pytest.mark.parametrize(
    ("name", "jetpack", "lowering", "words"),
    [
        ("xavier-nx", "5.1", "trt8", ["--fp16", "--int8"]),
        ("orin-nx", "5.1", "trt8", ["--fp16", "--int8"]),
        ("orin-nx", "6.1", "trt10", ["--stronglyTyped"]),
        ("orin-nano", None, "trt10", ["--stronglyTyped"]),
    ],
)
def test_each_board_gets_its_graph(student, tmp_path, name, jetpack, lowering, words):
    prepared = prepare(student, tmp_path, name, jetpack)
    assert prepared.lowering == lowering and prepared.quantizers > 50
    assert operators(prepared.folder) >= PAIRS
    assert [word for word in prepared.trtexec.split() if word in ("--fp16", "--int8", "--stronglyTyped")] == words


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_can_be_prepared_for(student, tmp_path, name):
    prepared = prepare(student, tmp_path, name)
    with open(os.path.join(prepared.folder, "build.json")) as stream:
        record = json.load(stream)
    assert record["bundle"] == student.sha256 and record["device"] == name
    assert record["opset"] <= prepared.software.opset_max
    assert os.path.getsize(os.path.join(prepared.folder, "weights.data")) > 0


def test_an_opset_that_the_importer_does_not_read(student, tmp_path):
    # TensorRT 8 never gets trt10, so only a device with an older 10 could meet it: an invented one.
    from dataclasses import replace

    profile = read_profile("orin-nx")
    old = tuple(replace(one, opset_max=17) for one in profile.software)
    options = BuildOptions(cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match="trt10 of .* is opset 19, TensorRT .* reads up to 17"):
        prepare_for(student, replace(profile, software=old), str(tmp_path / "out"), options)
    assert not (tmp_path / "out").exists()


def test_a_jetpack_that_the_board_never_had():
    with pytest.raises(ConfigError, match="has no JetPack 7; it has"):
        software_of(read_profile("jetson-nano"), "7")


def test_int8_on_a_nano_is_refused_before_anything_is_written(student, tmp_path):
    with pytest.raises(BackendError, match="Nano.*has INT8 layers"):
        prepare(student, tmp_path, "jetson-nano", lowering="trt8")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("tensorrt", "low", "dla", "expected"),
    [
        ("8.2.1", True, None, "--workspace=64 --tacticSources=-CUDNN,-CUBLAS,-CUBLAS_LT"),
        ("8.5.2", False, 1, "--memPoolSize=workspace:64 --useDLACore=1 --allowGPUFallback"),
        ("8.6.2", False, None, "--memPoolSize=workspace:64 --builderOptimizationLevel=2"),
        ("10.3", True, None, "--memPoolSize=workspace:64 --builderOptimizationLevel=2"),
    ],
)
def test_the_trtexec_line_has_the_words_of_its_version(tensorrt, low, dla, expected):
    line = trtexec_line({"requires": {}}, Settings(64, 2, low, dla), tensorrt, "fp32")
    head = "trtexec --onnx=model.onnx --saveEngine=fp32.engine "
    assert line == head + expected + " --timingCacheFile=timing.cache"
