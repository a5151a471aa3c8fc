"""Bundles of networks with layers of one bit: what is written, and what runs of it."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

import edgekit
from edgekit.bundle import open_bundle
from edgekit.errors import ModelError
from edgekit.export import ExportOptions, bundle_from_model, onnx_from_model
from edgekit.graph.quantize import QuantizeOptions
from edgekit.ops.library import operators
from edgekit.precision import QuantPlan, QuantSpec
from tests.graph import binary_nets, tiny

QUANTIZE = QuantizeOptions(method="minmax", float_layers="none")
OPTIONS = ExportOptions(quantize=QUANTIZE, parity_images=1, golden_images=1)
needs_library = pytest.mark.skipif(operators().path is None, reason=str(operators().problem))
pytestmark = needs_library  # parity runs what is written


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny binary detector and a folder of pictures."""
    folder = tmp_path_factory.mktemp("binary")
    (folder / "net.onnx").write_bytes(binary_nets.detector())
    (folder / "calib").mkdir()
    tiny.pictures(folder / "calib", 3)
    return folder


@pytest.fixture(scope="module")
def bundle(world):
    options = replace(OPTIONS, lowerings=("binary", "ort-x86", "ort-x86-narrow", "ort-arm"))
    bundle_from_model(str(world / "net.onnx"), str(world / "net.ekb"), calib=str(world / "calib"), options=options)
    return open_bundle(world / "net.ekb")


def test_the_plan_the_weights_and_what_is_needed(bundle):
    assert bundle.plan.layers_by_bits() == {8: 14, 1: 6}
    record = next(each for each in bundle.manifest["weights"] if each["name"] == "block0_node.weight")
    assert (record["bits"], record["bytes"]) == (1, 32 * 32 * 9 // 8)
    lowering = bundle.manifest["lowerings"]["binary"]
    assert lowering["requires"]["operators"] == "edgekit"
    assert lowering["parity"]["passed"] is True
    assert lowering["parity"]["codes"]["binary"]["layers"] == 6


def test_it_runs_here_and_without_the_library_the_next_best_does(bundle, world, monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    image = np.full((64, 64, 3), 90, np.uint8)
    with edgekit.open(bundle.path, device="cpu") as detector:
        assert detector.lowering == "binary"
        detector(image)
    monkeypatch.setenv("EDGEKIT_NATIVE", "off")
    with caplog.at_level(logging.WARNING), edgekit.open(bundle.path, device="cpu") as detector:
        assert detector.lowering.startswith("ort-")
        detector(image)
    assert "lowering binary has operators of the native library" in caplog.text


def test_a_float_export_writes_it_too_with_weights_of_one_bit(world):
    report = bundle_from_model(
        str(world / "net.onnx"), str(world / "float.ekb"), images=str(world / "calib"), options=OPTIONS
    )
    written = open_bundle(world / "float.ekb")
    assert set(written.lowerings) == {"fp32", "fp16", "binary"} == set(report.lowerings)
    assert written.plan.layers_by_bits() == {1: 6}
    assert set(written.plan.excluded.values()) == {"not calibrated"}
    assert report.output_bytes < 0.5 * report.source_bytes


def test_one_plain_file(world):
    report = onnx_from_model(
        str(world / "net.onnx"), str(world / "one.onnx"), "binary", calib=str(world / "calib"), options=OPTIONS
    )
    assert report.lowerings["binary"].parity["passed"] is True
    assert report.output_bytes < 0.15 * report.source_bytes


def test_a_plan_of_other_weights_is_refused(world, bundle):
    specs = json.loads(json.dumps(bundle.plan.to_json()))
    specs["weights"]["block0_node"]["scale"] = [0.5] * 32
    plan = QuantPlan.from_json(specs)
    assert isinstance(plan.weights["block0_node"], QuantSpec)
    with pytest.raises(ModelError, match=r"weights of \+-0.5 for 'block0_node', .* make the plan from this file"):
        bundle_from_model(str(world / "net.onnx"), str(world / "other.ekb"), plan=(plan, {}), options=OPTIONS)
