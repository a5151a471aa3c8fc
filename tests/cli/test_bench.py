import json

import pytest

STAGES = {"capture", "preprocess", "infer", "postprocess", "track", "end_to_end"}


def test_bench_prints_one_json_object(edgekit, float_bundle, video):
    done = edgekit("bench", float_bundle, "--source", video, "--frames", 12, "--warmup", 3, "--json")
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == 1
    value = done.json
    assert set(value["stages"]) == STAGES
    assert all({"p50", "p90", "p99", "max"} <= set(stage) for stage in value["stages"].values())
    assert value["memory_mb"]["peak"] > 0 and value["machine"]["cpu"]
    assert value["frames"] == 12


def test_two_bundles_in_turns_and_files(edgekit, float_bundle, video, tmp_path):
    names = {key: tmp_path / (key + ".json") for key in ("all", "times", "profile")}
    done = edgekit(
        "bench", float_bundle, "--source", video, "--vs", float_bundle, "--frames", 12, "--warmup", 2,
        "-o", names["all"], "--export-times", names["times"], "--export-profile", names["profile"],
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "end to end" in done.out and "times as fast" in done.out
    whole = json.loads(names["all"].read_text())
    assert len(whole["samples"]["stages"]["infer"]) == 12
    assert "computeMs" in json.loads(names["times"].read_text())[0]
    assert "count" in json.loads(names["profile"].read_text())[0]


def test_a_gate_on_latency(edgekit, float_bundle, video):
    done = edgekit(
        "bench", float_bundle, "--source", video, "--frames", 5, "--no-layers", "--max-p99-ms", "0.0001", "--json"
    )
    assert done.status == 3
    assert done.json["frames"] == 5
    assert "p99" in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--source", "absent.mp4"], "there is no source absent.mp4"), (["--lowering", "trt8"], "no lowering 'trt8'")],
)
def test_a_mistake_is_one_line(edgekit, float_bundle, arguments, message):
    done = edgekit("bench", float_bundle, *arguments)
    assert done.status == 2
    last = done.err.splitlines()[-1]
    assert message in last and last.startswith("error: ") and "Traceback" not in done.err


def test_a_run_against_an_earlier_one(edgekit, float_bundle, video, tmp_path):
    flight = ("bench", float_bundle, "--source", video, "--frames", 12, "--warmup", 2, "--no-layers")
    assert edgekit(*flight, "-o", tmp_path / "old.json").status == 0
    done = edgekit(*flight, "--against", tmp_path / "old.json", "--json")
    assert done.status == 0, done.err
    assert done.json["against"]["speedup"]["process"]["pairs"] == 12
    drawn = edgekit(*flight, "--against", tmp_path / "old.json")
    assert "Against the run of 20" in drawn.out and "then over now" in drawn.out

    old = json.loads((tmp_path / "old.json").read_text())
    old["method"]["clocks_locked"] = True
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert "locked clocks: no and yes" in edgekit(*flight, "--against", tmp_path / "old.json").out

    old["artifact"]["threads"] = 99
    (tmp_path / "old.json").write_text(json.dumps(old))
    refused = edgekit(*flight, "--against", tmp_path / "old.json")
    assert refused.status == 2
    assert "differ in artifact.threads" in refused.err.splitlines()[-1]


def test_what_is_not_known_is_said(edgekit, float_bundle, video):
    done = edgekit("bench", float_bundle, "--source", video, "--frames", 5, "--no-layers")
    if "no device profile fits" not in done.out:
        pytest.skip("this machine has a device profile")
    assert "no power sensor: no device profile fits this machine" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "25W"], "--mode and --fit belong to --predict"),
        (["--fit", "a.json"], "--mode and --fit belong to --predict"),
        (["--vs", "b.ekb", "--against", "old.json"], "take one"),
        (["--vs", "b.ekb", "--max-joules", "1"], "measure one of them alone"),
        (["--against", "absent.json"], "absent.json is not a bench result"),
    ],
)
def test_options_that_contradict(edgekit, float_bundle, arguments, message):
    done = edgekit("bench", float_bundle, *arguments)
    assert done.status == 2
    assert message in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--max-watts", "10"], "the gate on power cannot be checked: no device profile"),
        (["--max-joules", "1"], "the gate on power cannot be checked: no device profile"),
        (["--export-layer-info", "layers.json"], "does not say what its layers became"),
    ],
)
def test_what_this_machine_cannot_tell(edgekit, float_bundle, video, option, message):
    from edgekit.jetson import this_profile

    if this_profile() is not None:
        pytest.skip("this machine has a device profile")
    done = edgekit("bench", float_bundle, "--source", video, "--frames", 5, "--device", "cpu", *option)
    assert done.status == 2
    assert message in done.err.splitlines()[-1]


def test_a_prediction_is_no_measurement(edgekit, float_bundle):
    pytest.importorskip("onnx")
    done = edgekit("bench", float_bundle, "--predict", "h100", "--json")
    assert done.status == 0, done.err
    assert done.json["kind"] == "prediction"


def test_a_gate(edgekit, float_bundle, video):
    given = ["--source", video, "--frames", "12", "--warmup", "0", "--no-layers", "--conf", "1"]
    gate = ["--gate", float_bundle, "--gate-conf", "1", "--gate-hold", "0", "--gate-every", "4"]
    done = edgekit("bench", float_bundle, *given, *gate)
    assert done.status == 0, done.err
    assert "Woken by tiny.ekb" in done.out and "25.0 % of 12 frames" in done.out
    done = edgekit("bench", float_bundle, *given, "--gate-hold", "3")
    assert done.status == 2 and "--gate-hold says nothing without a gate" in done.err
