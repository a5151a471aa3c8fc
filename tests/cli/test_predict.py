import json
import shutil
from pathlib import Path

import pytest

from edgekit.bench.predict_fit import LEAST
from edgekit.bundle import open_bundle
from edgekit.errors import BundleError, ConfigError, DataError

STUDENT = "models/fasterx_student_thermal.ekb"

pytest.importorskip("onnx_ir", reason="predicting takes the workstation's libraries")
show_predictions = pytest.importorskip("edgekit.cli.predict").show_predictions


def predicted(capsys, names, mode=None, fit=None, bundle=STUDENT):
    show_predictions(bundle, names, mode, fit, True)
    return json.loads(capsys.readouterr().out)


def test_three_devices_and_their_graphs(capsys):
    value = predicted(capsys, "jetson-nano, xavier-nx,orin-nx")
    assert value["kind"] == "prediction" and "not a measurement" in value["says"]
    rows = value["predictions"]
    assert [(row["device"], row["lowering"]) for row in rows] == [
        ("jetson-nano", "fp16"),
        ("xavier-nx", "trt8"),
        ("orin-nx", "trt10"),
    ]
    assert all(row["kind"] == "prediction" for row in rows)
    assert rows[0]["latency_ms"] > rows[1]["latency_ms"] > rows[2]["latency_ms"]
    for row in rows:
        low, high = row["interval_ms"]
        assert low < row["latency_ms"] < high
        assert sum(layer["ms"] for layer in row["layers"]) == pytest.approx(row["latency_ms"], rel=1e-3)
    assert not any(layer["precision"] == "int8" for layer in rows[0]["layers"])
    assert rows[0]["fp16_ms"] is None
    assert all(row["fp16_ms"] > 0.8 * row["latency_ms"] for row in rows[1:])


def test_the_command(edgekit):
    done = edgekit("bench", STUDENT, "--predict", "jetson-nano", "--json")
    assert done.status == 0 and done.err == ""
    assert done.json["predictions"][0]["device"] == "jetson-nano"
    wrong = edgekit("bench", STUDENT, "--predict", "jetson-tx9")
    assert wrong.status == 2 and "there is no device profile 'jetson-tx9'" in wrong.err
    assert "Traceback" not in wrong.err


def test_every_mode(capsys):
    rows = predicted(capsys, "orin-nx", mode="all")["predictions"]
    by_mode = {row["mode"]: row["latency_ms"] for row in rows}
    assert {"10W", "15W", "25W", "MAXN_SUPER"} <= set(by_mode)
    assert by_mode["10W"] > by_mode["15W"] > by_mode["MAXN_SUPER"]


def test_the_table_says_that_it_is_a_prediction(capsys):
    show_predictions(STUDENT, "jetson-nano,orin-nano", None, None, False)
    out = capsys.readouterr().out
    assert "on devices that are not here" in out
    assert "A prediction from a roofline, not a measurement" in out
    assert "× 1.5 either way: fitted to 15 published latencies" in out
    assert "Slowest of" in out and "/neck/smooth3/conv/Conv" in out


def test_a_substitute_graph_is_said(capsys):
    show_predictions("tests/golden/tiny.ekb", "jetson-nano", None, None, False)
    assert "has no fp16 graph: counted on its fp32 graph" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("names", "mode", "message"),
    [
        ("jetson-nanno", None, r"no device profile 'jetson-nanno'; did you mean 'jetson-nano'"),
        (" , ", None, r"--predict takes names of device profiles, separated by commas"),
        ("jetson-nano", "MAXN_SUPER", r"jetson-nano has no power mode 'MAXN_SUPER'; it has MAXN, 5W"),
    ],
)
def test_wrong_names(names, mode, message):
    with pytest.raises(ConfigError, match=message):
        show_predictions(STUDENT, names, mode, None, True)


def test_a_missing_bundle():
    with pytest.raises(BundleError, match=r"there is no bundle nowhere.ekb"):
        show_predictions("nowhere.ekb", "orin-nx", None, None, True)


def result(folder, name="result", bundle=STUDENT, times=3.0, **artifact):
    """A saved bench result of the student with times of its convolutions."""
    from edgekit.graph.costs import network_cost

    opened = open_bundle(bundle)
    layers = network_cost(opened, "trt10").layers
    rows = [{"name": layer.name, "op": layer.op, "averageMs": 0.02 + 1e-10 * layer.macs} for layer in layers]
    value = {
        "format": "edgekit-bench",
        "version": 1,
        "artifact": {
            "file": "student.ekb",
            "sha256": opened.sha256,
            "lowering": "trt10",
            "backend": "tensorrt 10.3.0",
            **artifact,
        },
        "machine": {"board": "NVIDIA Jetson Orin Nano Developer Kit", "cpu": "", "power_mode": {"name": "25W"}},
        "stages": {"infer": {"p50": times + 0.6}},
        "gpu": {"compute_ms": {"p50": times}},
        "layers": [{"count": 30}, *rows],
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(value))
    return str(path)


def test_measurements_replace_the_profile(capsys, tmp_path):
    row = predicted(capsys, "orin-nano", "25W", [result(tmp_path)])["predictions"][0]
    assert row["fit"]["measured"] is True
    assert "measurements of student.ekb" in row["fit"]["source"]
    assert row["latency_ms"] == pytest.approx(3.0, rel=0.1)


def test_a_result_of_another_bundle_needs_it_beside(tmp_path):
    path = result(tmp_path, sha256="0" * 64, file="other.ekb")
    with pytest.raises(DataError, match=r"is a result of other.ekb, which is not this bundle and does not lie beside"):
        show_predictions(STUDENT, "orin-nano", None, [path], True)
    shutil.copy("tests/golden/tiny.ekb", str(tmp_path / "other.ekb"))
    with pytest.raises(DataError, match=r"is a result of another .*other.ekb than the one beside it"):
        show_predictions(STUDENT, "orin-nano", None, [path], True)


def test_results_are_of_one_device(tmp_path):
    with pytest.raises(ConfigError, match=r"--fit results are of one device, but --predict names orin-nano, orin-nx"):
        show_predictions(STUDENT, "orin-nano,orin-nx", None, [result(tmp_path)], True)


def test_a_result_of_another_device_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"is from NVIDIA Jetson Orin Nano Developer Kit, which is no Jetson Orin NX"):
        show_predictions(STUDENT, "orin-nx", None, [result(tmp_path)], True)


def test_a_result_without_layers_is_too_little(tmp_path):
    path = Path(result(tmp_path))
    path.write_text(json.dumps({**json.loads(path.read_text()), "layers": []}))
    with pytest.raises(ConfigError, match=rf"1 measurements cannot be fitted, at least {LEAST} are needed"):
        show_predictions(STUDENT, "orin-nano", None, [str(path)], True)


def test_something_else_is_no_result(tmp_path):
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(DataError, match=r"is not a bench result"):
        show_predictions(STUDENT, "orin-nano", None, [str(path)], True)
