"""A network of colour and infrared at the command line: val, run and bench on pairs, and the errors."""

import json

import pytest

from edgekit.data.synth import write_dataset
from edgekit.data.synth.flight import Flight

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("faster_coco_eval")

import torch

from edgekit.export import ExportOptions, bundle_from_model
from edgekit.models import build, export_onnx, network_preprocess


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Four rendered pairs, and their labels."""
    folder = tmp_path_factory.mktemp("pairs")
    flight = Flight(seed=2, width=128, height=128, altitude_m=(40.0, 40.0), tilt_deg=(0.0, 0.0), frames=40)
    return folder / "images", write_dataset([flight], folder, infrared=True, every=10)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Untrained, in float."""
    folder = tmp_path_factory.mktemp("bundle")
    torch.manual_seed(0)
    model = build("superyolo_small_mf", 5).eval()
    classes = ["car", "truck", "person", "bicycle", "boat"]
    export_onnx(model, folder / "m.onnx", (64, 64), classes, network_preprocess(64, 64, "rgb+ir").to_json())
    options = ExportOptions(lowerings=("fp32",))
    bundle_from_model(str(folder / "m.onnx"), str(folder / "m.ekb"), options=options)
    return folder / "m.ekb"


def test_val_reads_both_pictures(edgekit, bundle, pairs):
    done = edgekit("val", bundle, "--images", pairs[0], "--annotations", pairs[1], "--json")
    assert done.status == 0, done.err
    assert done.json["images"] == 4
    assert (done.json["iou"], done.json["max_det"]) == (0.6, 300)


def test_run_takes_a_folder_of_pairs_and_a_rendered_flight(edgekit, bundle, pairs, tmp_path):
    lines = tmp_path / "out.jsonl"
    done = edgekit("run", bundle, pairs[0], "--track", "none", "--jsonl", lines, "--json")
    assert done.status == 0, done.err
    assert done.json["frames"] == len(lines.read_text().splitlines()) == 4
    done = edgekit("run", bundle, "synth://?seed=2&frames=2&size=64x64", "--track", "none", "--json")
    assert (done.status, done.json["frames"]) == (0, 2)


def test_bench_renders_pairs_for_a_bundle_of_pairs(edgekit, bundle):
    given = ["--source", "synth://?seed=2&frames=3&size=64x64", "--frames", "4", "--warmup", "1", "--no-layers"]
    done = edgekit("bench", bundle, *given, "--json")
    assert done.status == 0, done.err
    assert done.json["frames"] == 4


def test_pictures_without_infrared_are_one_line_and_status_two(edgekit, bundle, pairs, tmp_path):
    with open(pairs[1]) as stream:
        labels = json.load(stream)
    labels["images"] = labels["images"][:1]
    labels["annotations"] = [row for row in labels["annotations"] if row["image_id"] == labels["images"][0]["id"]]
    name = labels["images"][0]["file_name"]
    (tmp_path / name).write_bytes((pairs[0] / name).read_bytes())
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    for arguments in (
        ["val", bundle, "--images", tmp_path, "--annotations", tmp_path / "labels.json"],
        ["run", bundle, tmp_path / name],
    ):
        done = edgekit(*arguments)
        assert done.status == 2
        assert "has no infrared partner; pairs lie as NAME_co.png beside NAME_ir.png" in done.err
        assert "Traceback" not in done.err
