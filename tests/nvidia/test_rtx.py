"""NVIDIA's real importer and builder take what we ship: those of TensorRT-RTX 1.7, which is near to TensorRT 11.

What RTX takes is only a hint for TensorRT 10 and 8, and says nothing of the kernels that would run.
"""

import shutil

import pytest

from edgekit.bundle import open_bundle
from tests.nvidia.fake_build import TINY
from tests.nvidia.fake_tensorrt import make_tensorrt
from tests.nvidia.rtx import rtx_build, rtx_python

FOR_TENSORRT = ("trt8", "trt10", "fp16", "fp32")
FOR_ONNXRUNTIME = ("ort-x86", "ort-x86-narrow", "ort-arm")


@pytest.fixture(scope="module")
def student(lowering):
    """What RTX says of every lowering of the shipped student, by name."""
    rtx_python()
    names = FOR_TENSORRT + FOR_ONNXRUNTIME
    return dict(zip(names, rtx_build([lowering(name) for name in names], layers=True)))


@pytest.mark.parametrize("name", FOR_TENSORRT)
def test_rtx_builds_the_student(student, name):
    told = student[name]
    assert told["errors"] == []
    assert told["parsed"]
    assert told["built"]
    assert told["plan_bytes"] > 1_000_000


@pytest.mark.parametrize("name", FOR_ONNXRUNTIME)
def test_rtx_refuses_graphs_for_onnxruntime(student, name):
    told = student[name]
    assert not told["parsed"]
    assert "Int32 but must have type" in told["errors"][0]


@pytest.mark.parametrize("name", FOR_TENSORRT)
def test_fake_rtx_reads_the_same_network(student, lowering, name):
    """Names, kinds, connections and types; constants apart, of which RTX makes more, and shapes, which it folds."""
    trt = make_tensorrt("rtx-1.7.1")
    logger = trt.Logger()
    network = trt.Builder(logger).create_network(0)
    assert trt.OnnxParser(network, logger).parse_from_file(lowering(name))
    ours = [
        {
            "name": layer.name,
            "type": layer.type.name,
            "inputs": [layer.get_input(i).name for i in range(layer.num_inputs)],
            "outputs": [[layer.get_output(i).name, layer.get_output(i).dtype.name] for i in range(layer.num_outputs)],
        }
        for layer in (network.get_layer(index) for index in range(network.num_layers))
    ]
    assert len(compared(ours)) > 100
    assert compared(ours) == compared(student[name]["network"])


def compared(layers):
    return [dict(one, inputs=one["inputs"][:2]) for one in layers if one["type"] not in ("CONSTANT", "SHUFFLE")]


def test_a_file_that_is_not_there_is_told_and_not_fatal(tmp_path):
    missing, built = rtx_build([str(tmp_path / "none.onnx"), TINY])
    assert not missing["parsed"]
    assert "cannot be found" in missing["errors"][0]
    assert built["built"]


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["yolox_nano_416", "nanodet_m_320"])
def test_rtx_builds_published_detectors(reference_data, weights, tmp_path):
    from edgekit.export import ExportOptions, bundle_from_model

    rtx_python()
    (tmp_path / "calib").mkdir()
    for picture in sorted((reference_data / "coco_val_subset" / "images" / "calib").iterdir())[:4]:
        shutil.copy(str(picture), str(tmp_path / "calib"))
    bundle_from_model(
        str(reference_data / "weights" / f"{weights}.onnx"),
        str(tmp_path / "model.ekb"),
        calib=str(tmp_path / "calib"),
        options=ExportOptions(lowerings=FOR_TENSORRT, parity_images=1, golden_images=1, gate=False),
    )
    bundle = open_bundle(str(tmp_path / "model.ekb"))
    told = rtx_build([bundle.materialise(name, str(tmp_path)) for name in FOR_TENSORRT])
    assert [(one["parsed"], one["built"], one["errors"]) for one in told] == [(True, True, [])] * len(FOR_TENSORRT)
