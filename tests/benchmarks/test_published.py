import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.config import read_toml
from edgekit.graph.costs import model_cost
from edgekit.profiles import profile_names

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import predict_published  # noqa: E402
import published_networks  # noqa: E402

POINTS = read_toml(predict_published.POINTS, predict_published.Published)


@pytest.mark.parametrize("name", sorted(published_networks.GFLOPS))
def test_a_networks_operations_are_the_published_ones(name):
    size = 640 if name.startswith("yolo") else 224
    cost = model_cost(published_networks.graph_of(name, size, "float"), name, "fp32", True, "fp32")
    assert 2 * cost.macs / 1e9 == pytest.approx(published_networks.GFLOPS[name], rel=0.03)


def test_int8_graphs_have_int8_layers_and_the_same_operations():
    float_cost, int8_cost = (
        model_cost(published_networks.graph_of("yolov8n", 640, kind), "yolov8n", "trt8", True, "fp16")
        for kind in ("float", "int8")
    )
    assert int8_cost.macs == float_cost.macs
    share = sum(layer.macs for layer in int8_cost.layers if layer.precision == "int8") / int8_cost.macs
    assert share > 0.9


def test_every_point_says_where_it_is_from():
    known = {*profile_names(), *(hardware.name for hardware in POINTS.hardware)}
    for point in POINTS.point:
        assert point.source and point.remark and point.ms > 0
        assert point.device in known
        assert point.network in published_networks.NETWORKS
        assert point.time in ("gpu", "inference", "network", "end to end")
    assert len({point.name for point in POINTS.point}) == len(POINTS.point)


def test_the_kept_table_has_no_point_far_off():
    """Each fitted point is in its interval; all are within a factor of two, engines within a quarter."""
    kept = json.loads((ROOT / "benchmarks/results/published/predict.json").read_text())
    assert kept["kind"] == "prediction"
    assert len(kept["points"]) == len(POINTS.point)
    sized = [row for row in kept["points"] if row["engine_mib"]]
    assert len(sized) == 8
    assert all(0.8 < row["predicted_engine_mib"] / row["engine_mib"] < 1.25 for row in sized)
    for row in kept["points"]:
        assert 0.5 < row["ratio"] < 2, row
        assert row["inside"] or not row["in_fit"], row


@pytest.mark.slow
def test_the_kept_table_is_what_the_script_writes(tmp_path):
    out = tmp_path / "predict.json"
    command = [sys.executable, "benchmarks/predict_published.py", "-o", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "53 fitted points" in done.stdout
    assert json.loads(out.read_text()) == json.loads((ROOT / "benchmarks/results/published/predict.json").read_text())
