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
