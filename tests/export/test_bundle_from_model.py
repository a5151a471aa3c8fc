import errno
import io
import json
import os

import cv2
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from edgekit.bundle import open_bundle
from edgekit.cli.plan_file import read_plan, write_plan
from edgekit.errors import ConfigError, DataError, GateError, ModelError, StorageError
from edgekit.export import ExportOptions, bundle_from_model, onnx_from_model
from edgekit.export.golden import SAMPLES, GoldenImage, run_golden
from edgekit.graph.calibrate.images import prepared
from edgekit.graph.families import detect_family
from edgekit.graph.lint import lint_bundle
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import BINARY_LOWERINGS, FLOAT_LOWERINGS, LOWERINGS, ON_REQUEST, lower
from edgekit.graph.parity import RUNS_OPTIMISED, THRESHOLDS, ParityCheck, Thresholds
from edgekit.graph.quantize import QuantizeOptions
from edgekit.graph.runner import Runner
from edgekit.process.decode import DecodeSpec
from tests.graph import tiny

GENERAL = tuple(name for name in LOWERINGS if name not in BINARY_LOWERINGS)
OPTIONS = ExportOptions(quantize=QuantizeOptions(method="minmax", float_layers="none"), parity_images=2)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny detector and a folder of pictures."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "tiny.onnx").write_bytes(tiny.yolox())
    (folder / "calib").mkdir()
    tiny.pictures(folder / "calib", 6)
    return folder


@pytest.fixture(scope="module")
def exported(world):
    steps = []
    report = bundle_from_model(
        str(world / "tiny.onnx"),
        str(world / "tiny.ekb"),
        calib=str(world / "calib"),
        options=OPTIONS,
        progress=lambda done, total, text: steps.append((done, total, text)),
    )
    return open_bundle(world / "tiny.ekb"), report, steps


def test_a_bundle_has_every_lowering_with_its_parity(exported):
    bundle, report, steps = exported
    # All of this network is in integers on CPUs, with lookups or without.
    assert set(bundle.lowerings) == set(GENERAL) - set(ON_REQUEST) - {"ort-x86-tables"}
    for name in bundle.lowerings:
        assert bundle.manifest["lowerings"][name]["parity"]["passed"] is True
        assert report.lowerings[name].to_json()["parity"]["passed"] is True
    assert bundle.manifest["lowerings"]["trt10"]["requires"]["flags"] == ["STRONGLY_TYPED"]
    assert lint_bundle(bundle) == {name: [] for name in bundle.lowerings}
    assert [text for _, _, text in steps][-1] == "tiny.ekb"
    assert all(done <= total for done, total, _ in steps)


def test_the_manifest_tells_a_builder_what_the_graph_would(exported):
    bundle, report, _ = exported
    hints = bundle.manifest["lowerings"]["trt8"]["hints"]
    layers = set(bundle.plan.weights) | set(bundle.plan.excluded)
    assert set(hints["int8_layers"]) | set(hints["float_layers"]) == layers
    assert hints["activation_bytes_peak"] > 0
    assert hints["weight_bytes"] > 0
    assert "hints" not in bundle.manifest["lowerings"]["ort-x86"]
    assert bundle.manifest["overflow"] == {"limit": 16376.0, "images": 6, "tensors": {}} == report.overflow


@pytest.fixture(scope="module")
def loud(world):
    """The tiny detector, 1e5 times louder between its first two layers than anywhere else."""
    model = onnx.load_from_string(tiny.yolox())
    for tensor in model.graph.initializer:
        factor = {"stem_w": 1e5, "stem_b": 1e5, "down4_w": 1e-5}.get(tensor.name)
        if factor is not None:
            array = onnx.numpy_helper.to_array(tensor) * np.float32(factor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    onnx.save(model, world / "loud.onnx")
    return str(world / "loud.onnx")


def test_what_float16_cannot_hold_fails_parity_unless_pictures_were_looked_at(loud, world):
    model = load_canonical(loud)
    inputs = [x for _, x in prepared(tiny.pictures(world / "calib", 2), detect_family(model).preprocess)]
    check = ParityCheck(model, model, None, detect_family(model), inputs)
    with pytest.raises(GateError, match="fp16 is not faithful: its outputs are not finite"):
        check.check(lower("fp16", model, None)).gate()
    options = ExportOptions(lowerings=FLOAT_LOWERINGS, parity_images=2)
    report = bundle_from_model(loud, str(world / "loud.ekb"), images=str(world / "calib"), options=options)
    assert list(report.overflow["tensors"]) == ["stem", "stem_silu"]
    assert report.lowerings["fp16"].parity["passed"] is True
    islands = report.lowerings["fp16"].to_json()["float32_nodes"]
    assert set(islands) == {"stem_node", "stem_gate_node", "stem_silu_node", "down4_node"}
    manifest = open_bundle(world / "loud.ekb").manifest
    assert manifest["lowerings"]["fp16"]["hints"]["pin_fp32"] == islands
    assert manifest["overflow"] == report.overflow


def test_an_int8_export_of_a_loud_network_keeps_its_islands(loud, world):
    options = ExportOptions(quantize=OPTIONS.quantize, lowerings=("trt8", "trt10", "fp16"), parity_images=2)
    report = bundle_from_model(loud, str(world / "loud8.ekb"), calib=str(world / "calib"), options=options)
    assert all(row.parity["passed"] and row.float32_nodes for row in report.lowerings.values())
    bundle = open_bundle(world / "loud8.ekb")
    assert lint_bundle(bundle) == {name: [] for name in bundle.lowerings}
    assert "stem_node" in bundle.manifest["lowerings"]["trt8"]["hints"]["pin_fp32"]
    assert bundle.manifest["lowerings"]["trt10"]["hints"]["pin_fp32"] == {}


def test_without_a_picture_nobody_looked(loud, world):
    options = ExportOptions(lowerings=("fp32",))
    report = bundle_from_model(loud, str(world / "unseen.ekb"), options=options)
    assert report.overflow is None
    assert open_bundle(world / "unseen.ekb").manifest["overflow"] is None


def test_the_manifest_says_what_surrounds_the_network(exported, world):
    bundle, _, _ = exported
    manifest = bundle.manifest
    assert manifest["model"]["name"] == "tiny"
    assert manifest["model"]["source"]["file"] == "tiny.onnx"
    assert manifest["input"] == {"name": "images", "shape": [1, 3, 64, 64], "dtype": "float32"}
    assert manifest["outputs"] == [{"name": "output", "shape": [1, 84, 8], "dtype": "float32"}]
    assert DecodeSpec.from_json(manifest["decode"]).family == "yolox"
    assert len(manifest["calibration"]["sha256"]) == manifest["calibration"]["images"] == 6
    assert "seconds" not in manifest["calibration"]
    assert bundle.plan is not None
    assert set(bundle.plan.weights) | set(bundle.plan.excluded) == {
        n.name for n in load_canonical(str(world / "tiny.onnx")).graph if n.op_type == "Conv"
    }


def test_weights_are_stored_once_as_codes(exported):
    bundle, _, _ = exported
    codes = {r["name"]: r for r in bundle.manifest["weights"] if r["kind"] == "codes"}
    assert set(codes) >= {"down8_node.weight"}
    assert all(record["bits"] == 8 for record in codes.values())
    assert "down8_w" not in {record["name"] for record in bundle.manifest["weights"]}


def test_golden_vectors_are_what_each_lowering_gives(exported, tmp_path):
    bundle, report, _ = exported
    golden, family = bundle.manifest["golden"], detect_family(load_canonical(tiny.yolox()))
    assert len(golden) == report.golden_images == 2
    for record in golden:
        assert record["detections"] == record["detections_of"]["ort-x86"]
        image = cv2.imdecode(np.frombuffer(bundle.read(record["image"]), np.uint8), cv2.IMREAD_COLOR)
        for name in bundle.lowerings:
            path = bundle.materialise(name, str(tmp_path))
            runner = Runner(ir.from_proto(onnx.load(path)), optimised=name in RUNS_OPTIMISED)
            expected = np.lib.format.read_array(io.BytesIO(bundle.read(record["outputs"][name])))
            assert expected.shape == (SAMPLES,)
            boxes, samples = run_golden(GoldenImage(image), runner, family)
            np.testing.assert_array_equal(samples, expected)
            assert len(boxes) == len(record["detections_of"][name])


def test_the_same_export_is_the_same_file(exported, world):
    bundle_from_model(str(world / "tiny.onnx"), str(world / "again.ekb"), calib=str(world / "calib"), options=OPTIONS)
    assert (world / "again.ekb").read_bytes() == (world / "tiny.ekb").read_bytes()


def test_the_report_is_json_and_says_what_to_type_next(exported, world):
    _, report, _ = exported
    value = json.loads(json.dumps(report.to_json()))
    assert value["bytes"] == os.path.getsize(world / "tiny.ekb")
    assert value["source_bytes"] == os.path.getsize(world / "tiny.onnx")
    assert value["layers"] == 14
    assert value["quantized_layers"] == 14 - len(value["float_layers"])
    assert value["weight_bits"] == 8 and value["layers_by_bits"] == {"8": value["quantized_layers"]}
    assert value["next"][0] == f"edgekit check {world / 'tiny.ekb'}"
    assert value["calibration"]["method"] == "minmax"
    assert value["calibration"]["seconds"] >= 0


def test_a_float_bundle_has_the_float_lowerings_and_the_float_weights(world, tmp_path):
    output = tmp_path / "float.ekb"
    report = bundle_from_model(str(world / "tiny.onnx"), str(output), images=str(world / "calib"))
    bundle = open_bundle(output)
    assert bundle.lowerings == tuple(sorted(FLOAT_LOWERINGS)) or set(bundle.lowerings) == set(FLOAT_LOWERINGS)
    assert bundle.plan is None
    assert report.quantized_layers == 0
    assert report.lowerings["fp32"].parity["twin"]["max_dscore"] == 0
    x = np.zeros((1, 3, 64, 64), np.float32)
    run = [
        ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": x})[0]
        for path in (str(world / "tiny.onnx"), bundle.materialise("fp32", str(tmp_path)))
    ]
    np.testing.assert_allclose(run[1], run[0], rtol=1e-5, atol=1e-5)


def test_without_pictures_there_is_no_parity_and_no_golden(world, tmp_path):
    report = bundle_from_model(str(world / "tiny.onnx"), str(tmp_path / "f.ekb"))
    assert report.lowerings["fp32"].parity is None
    assert report.golden_images == 0
    assert open_bundle(tmp_path / "f.ekb").manifest["golden"] == []


def test_chosen_lowerings_alone(world, tmp_path):
    options = ExportOptions(OPTIONS.quantize, lowerings=("ort-x86", "trt8"), parity_images=1, golden_images=0)
    bundle_from_model(str(world / "tiny.onnx"), str(tmp_path / "x.ekb"), calib=str(world / "calib"), options=options)
    assert set(open_bundle(tmp_path / "x.ekb").lowerings) == {"ort-x86", "trt8"}


def test_one_lowering_as_plain_onnx(world, tmp_path):
    output = tmp_path / "x.onnx"
    report = onnx_from_model(
        str(world / "tiny.onnx"), str(output), "ort-x86", calib=str(world / "calib"), options=OPTIONS
    )
    proto = onnx.load(output, load_external_data=False)
    onnx.checker.check_model(proto, full_check=True)
    assert not any(t.external_data for t in proto.graph.initializer)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert metadata["lowering"] == "ort-x86"
    assert json.loads(metadata["decode"])["family"] == "yolox"
    assert list(report.lowerings) == ["ort-x86"]
    assert report.output_bytes == output.stat().st_size
    assert report.next_commands == ()


def test_narrow_weights_are_stored_narrow_and_every_lowering_is_faithful(world, tmp_path):
    quantize = QuantizeOptions(method="minmax", float_layers="none", weight_bits=4, layer_bits=(("down8_node", 3),))
    options = ExportOptions(quantize=quantize, lowerings=GENERAL, parity_images=2, golden_images=1)
    report = bundle_from_model(
        str(world / "tiny.onnx"), str(tmp_path / "x.ekb"), calib=str(world / "calib"), options=options
    )
    assert report.layers_by_bits == {8: 10, 4: 3, 3: 1}
    bundle = open_bundle(tmp_path / "x.ekb")
    assert set(bundle.lowerings) == set(GENERAL)
    stored = {record["name"]: record for record in bundle.manifest["weights"]}
    assert stored["down8_node.weight"]["bits"] == 3 and stored["down8_node.weight"]["bytes"] == 8 * 8 * 9 * 3 // 8
    assert lint_bundle(bundle) == {name: [] for name in bundle.lowerings}
    golden = bundle.manifest["golden"][0]
    assert golden["detections_of"]["packed"] == golden["detections_of"]["ort-x86"]
    assert (
        report.lowerings["packed"].to_json()["parity"]["codes"]
        == report.lowerings["ort-x86"].to_json()["parity"]["codes"]
    )


def test_a_packed_file_is_whole_and_smaller(world, tmp_path):
    """The tiny network's layers are too small for planes: its codes and values are narrow all the same."""
    sizes = {}
    for lowering in ("ort-x86", "packed"):
        path = str(tmp_path / f"{lowering}.onnx")
        onnx_from_model(str(world / "tiny.onnx"), path, lowering, calib=str(world / "calib"), options=OPTIONS)
        sizes[lowering] = os.path.getsize(path)
    assert sizes["packed"] < sizes["ort-x86"]
    assert not any(
        t.external_data for t in onnx.load(tmp_path / "packed.onnx", load_external_data=False).graph.initializer
    )


def test_a_plan_from_an_earlier_quantize(world, exported, tmp_path):
    bundle, _, _ = exported
    model, path = str(world / "tiny.onnx"), tmp_path / "plan.json"
    write_plan(path, model, bundle.plan, bundle.manifest["calibration"])
    bundle_from_model(
        model, str(tmp_path / "p.ekb"), plan=read_plan(path, model), images=str(world / "calib"), options=OPTIONS
    )
    assert open_bundle(tmp_path / "p.ekb").read("weights.bin") == bundle.read("weights.bin")


def test_a_plan_of_another_network_is_refused(world, exported, tmp_path):
    bundle, _, _ = exported
    (tmp_path / "other.onnx").write_bytes(tiny.yolov8())
    with pytest.raises(ModelError, match=r"the plan quantises layer '.*', which .*other.onnx does not have"):
        bundle_from_model(str(tmp_path / "other.onnx"), str(tmp_path / "o.ekb"), plan=(bundle.plan, {}))
    with pytest.raises(ConfigError, match="a plan and calibration images are both given"):
        bundle_from_model(
            str(world / "tiny.onnx"), str(tmp_path / "o.ekb"), plan=(bundle.plan, {}), calib=str(world / "calib")
        )


def files_of(folder):
    return sorted(os.listdir(folder))


def test_bad_input_is_refused_and_leaves_nothing(world, tmp_path):
    model, calib, output = str(world / "tiny.onnx"), str(world / "calib"), str(tmp_path / "x.ekb")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.onnx").write_text("not a network")
    before = files_of(tmp_path)
    with pytest.raises(ModelError, match="is not an ONNX file"):
        bundle_from_model(str(tmp_path / "text.onnx"), output)
    with pytest.raises(DataError, match="no images"):
        bundle_from_model(model, output, calib=str(tmp_path / "empty"))
    with pytest.raises(DataError, match="no images"):
        bundle_from_model(model, output, images=str(tmp_path / "empty"))
    with pytest.raises(ConfigError, match="no lowering 'trt9'; did you mean 'trt8'"):
        bundle_from_model(model, output, calib=calib, options=ExportOptions(lowerings=("trt9",)))
    with pytest.raises(ConfigError, match="'ort-x86' is INT8 and this network is not quantised"):
        bundle_from_model(model, output, options=ExportOptions(lowerings=("ort-x86",)))
    with pytest.raises(ConfigError, match="no lowering is asked for"):
        bundle_from_model(model, output, options=ExportOptions(lowerings=()))
    assert files_of(tmp_path) == before


def test_an_onnx_that_is_no_detector_is_refused(tmp_path):
    net = tiny.Net()
    net.op("GlobalAveragePool", [net.conv("images", "stem", 3, 10)], "scores")
    (tmp_path / "classifier.onnx").write_bytes(net.bytes(["scores"]))
    with pytest.raises(ModelError, match="detector"):
        bundle_from_model(str(tmp_path / "classifier.onnx"), str(tmp_path / "x.ekb"))
    assert files_of(tmp_path) == ["classifier.onnx"]


def test_where_nothing_can_be_written(world, tmp_path):
    model = str(world / "tiny.onnx")
    with pytest.raises(StorageError, match="is no folder that can be written"):
        bundle_from_model(model, str(tmp_path / "absent" / "x.ekb"))
    with pytest.raises(StorageError, match="it is a folder"):
        bundle_from_model(model, str(tmp_path))
    with pytest.raises(ConfigError, match="is the model itself"):
        onnx_from_model(model, model, "fp32")


def test_a_full_disk_leaves_the_old_bundle(world, tmp_path, monkeypatch):
    output = tmp_path / "x.ekb"
    output.write_bytes(b"the old one")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for write in (
        lambda: bundle_from_model(str(world / "tiny.onnx"), str(output)),
        lambda: onnx_from_model(str(world / "tiny.onnx"), str(output), "fp32"),
    ):
        with pytest.raises(StorageError, match="the disk is full"):
            write()
    assert output.read_bytes() == b"the old one"
    assert files_of(tmp_path) == ["x.ekb"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 16 KiB, where the tests may mount one."""
    import subprocess

    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    try:
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a small tmpfs cannot be mounted here: that needs root")
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_really_full_disk(world, tiny_disk):
    with pytest.raises(StorageError, match="the disk is full"):
        bundle_from_model(
            str(world / "tiny.onnx"), str(tiny_disk / "x.ekb"), calib=str(world / "calib"), options=OPTIONS
        )
    assert files_of(tiny_disk) == []


def test_an_unfaithful_lowering_is_not_written_unless_asked_for(world, tmp_path, monkeypatch):
    monkeypatch.setitem(THRESHOLDS, "fp16", Thresholds(max_dscore=-1.0))
    model, images, output = str(world / "tiny.onnx"), str(world / "calib"), tmp_path / "x.ekb"
    with pytest.raises(GateError, match="lowering fp16 is not faithful: a score is .* off its twin"):
        bundle_from_model(model, str(output), images=images)
    assert files_of(tmp_path) == []
    report = bundle_from_model(model, str(output), images=images, options=ExportOptions(gate=False))
    assert report.lowerings["fp16"].parity["passed"] is False


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolox_nano_416", "nanodet_m_320"])
def test_foreign_detectors(reference_data, tmp_path, name):
    """Real networks: every lowering faithful, no rule broken, a third of the size or less in weights."""
    source = reference_data / "weights" / f"{name}.onnx"
    options = ExportOptions(quantize=QuantizeOptions(float_layers="stem", images=12), parity_images=2)
    calib = str(reference_data / "coco_val_subset" / "images" / "calib")
    report = bundle_from_model(str(source), str(tmp_path / "x.ekb"), calib=calib, options=options)
    bundle = open_bundle(tmp_path / "x.ekb")
    assert lint_bundle(bundle) == {lowering: [] for lowering in bundle.lowerings}
    assert report.output_bytes < 0.5 * report.source_bytes
    assert all(record["detections"] for record in bundle.manifest["golden"])
