import json

import numpy as np
import pytest

from edgekit.bundle import LoweredGraph, WeightTensor, open_bundle, write_bundle
from edgekit.contents import contents_of

HASHES = ["a" * 64, "b" * 64]


@pytest.fixture()
def bundle(tmp_path):
    rng = np.random.RandomState(0)
    tensors = [
        WeightTensor("wide", rng.randint(-127, 128, (8, 3, 3, 3)).astype(np.int8), 8, 0, np.ones(8, np.float32)),
        WeightTensor("narrow", rng.randint(-7, 8, (5, 13)).astype(np.int8), 4, 0, np.ones(1, np.float32)),
        WeightTensor("head", rng.randn(4, 8, 1, 1).astype(np.float32)),
        WeightTensor("bias", rng.randn(8).astype(np.float32)),
    ]
    manifest = {
        "model": {"name": "m", "task": "detect", "classes": ["car"], "source": None, "licence": None},
        "preprocess": {},
        "decode": {},
        "plan": {"weights": {}, "activations": {}, "excluded": {"head": "head's last layer"}},
        "calibration": {"method": "mse", "images": 2, "sha256": HASHES, "seed": 0},
        "golden": [{"image": "golden/0.png", "detections": [{}, {}]}],
    }
    graphs = {"ort-x86": LoweredGraph(b"graph" * 20, [("wide", "int8"), ("head", "float32")], 13, {"int8": True})}
    path = str(tmp_path / "m.ekb")
    write_bundle(path, manifest=manifest, tensors=tensors, lowerings=graphs, files={"golden/0.png": b"png"})
    return open_bundle(path)


def test_layers_say_bits_bytes_and_why_float(bundle):
    rows = {row["name"]: row for row in contents_of(bundle)["layers"]}
    assert (rows["wide"]["bits"], rows["wide"]["bytes"]) == (8, 216 + 8 * 4)
    assert (rows["narrow"]["bits"], rows["narrow"]["bytes"]) == (4, (65 * 4 + 7) // 8 + 4)
    assert rows["head"]["reason"] == "head's last layer" and rows["head"]["bits"] == 32
    assert rows["bias"]["reason"] == "bias or constant"
    assert rows["wide"]["reason"] is None


def test_totals_add_up(bundle):
    value = contents_of(bundle)
    totals = value["totals"]
    assert totals["parameters"] == 216 + 65 + 32 + 8
    assert totals["coded_parameters"] == 281
    assert totals["fp32_bytes"] == 4 * 321
    assert totals["mean_weight_bits"] == pytest.approx((216 * 8 + 65 * 4 + 40 * 32) / 321, abs=1e-3)
    assert totals["ratio"] == pytest.approx(4 * 321 / value["bytes"], abs=1e-3)


def test_every_byte_of_the_file_is_accounted_for(bundle):
    value = contents_of(bundle)
    assert sum(value["bytes_by_kind"].values()) == value["bytes"]
    assert set(value["bytes_by_kind"]) == {"manifest", "weights", "graphs", "golden", "container"}


def test_a_lowering_says_what_it_takes_when_unpacked(bundle):
    (lowering,) = contents_of(bundle)["lowerings"]
    assert lowering["name"] == "ort-x86" and lowering["requires"] == {"int8": True}
    assert lowering["graph_bytes"] == 100
    assert lowering["unpacked_bytes"] == 100 + 256 + 32 * 4  # "head" starts at the next multiple of 64


def test_calibration_hashes_become_one_digest(bundle):
    calibration = contents_of(bundle)["calibration"]
    assert "sha256" not in calibration and len(calibration["digest"]) == 16
    assert contents_of(bundle)["golden"] == {"images": 1, "detections": 2}


def test_the_value_is_plain(bundle):
    json.dumps(contents_of(bundle), allow_nan=False)
