import json

import pytest

from edgekit.bench.record import BenchResult, Lane, Samples, machine_name, machine_record, read_result
from edgekit.errors import DataError, GateError


def samples(infer_ms, count=40, start=0):
    taken = Samples(warmup_ms=[90.0, 30.0])
    for number in range(count):
        stages = {"capture": 4.0, "preprocess": 1.0, "infer": infer_ms + number % 3, "postprocess": 1.0, "track": 0.5}
        stages["end_to_end"] = sum(stages.values())
        for stage, value in stages.items():
            taken.stages[stage].append(value)
        taken.t_s.append(start + 0.1 * number)
        taken.frame_age_ms.append(stages["end_to_end"] - 4)
        taken.objects.append(2)
    return taken


def lane(infer_ms, **more):
    artifact = {"file": "x.ekb", "sha256": "ab", "lowering": "ort-x86", "backend": "onnxruntime 1.0", "threads": 1}
    return Lane(artifact, samples(infer_ms), open_ms=120.0, fps=50.0, **more)


def result(other=None):
    return BenchResult(
        lane=lane(10.0),
        other=other,
        machine=machine_record(),
        libraries={"edgekit": "0.1.0"},
        method={"source": "flight.mp4", "policy": "every", "tracker": None, "first_s": 1.0},
        dropped=3,
        memory={"start": 50.0, "loaded": 90.0, "end": 100.0, "peak": 110.0},
        memory_points=[(frame, 100.0) for frame in range(0, 200, 5)],
    )


def test_json_has_what_a_script_asks_for():
    value = json.loads(json.dumps(result().to_json()))
    assert value["stages"]["infer"]["p50"] == 11.0
    assert value["stages"]["end_to_end"]["max"] == 18.5
    assert value["memory_mb"]["peak"] == 110.0
    assert value["memory_mb"]["growth_per_1000_frames"] == 0.0
    assert value["machine"]["cores"] >= 1
    assert value["dropped"] == 3
    assert value["start"] == {"open_ms": 120.0, "first_frame_ms": 90.0}
    assert value["vs"] is None
    assert len(value["samples"]["stages"]["infer"]) == 40


def test_raw_samples_can_be_left_out():
    value = result(other=lane(20.0)).to_json(raw=False)
    assert "samples" not in value
    assert "samples" not in value["vs"]
    assert len(json.dumps(value)) < 10000


def test_first_seconds_stand_beside_the_rest():
    steady = result().to_json()["steady"]
    assert steady["first_s"] == 1.0
    assert steady["first"]["p50"] == pytest.approx(17.5)
    assert steady["drift"] == pytest.approx(1.0)


def test_two_bundles_give_ratios():
    value = result(other=lane(21.0)).to_json()
    assert value["vs"]["speedup"]["infer"]["speedup"] == pytest.approx(2.0)
    assert value["vs"]["verdict"] == "1.81x faster"
    assert value["vs"]["stages"]["infer"]["p50"] == 22.0


def test_rows_are_the_terminal_s_table():
    rows = result().rows()
    assert [row[0] for row in rows][::5] == ["capture + queue", "end to end"]
    assert rows[2] == ["infer", "11.00", "12.00", "12.00", "12.00", "63 %"]


def test_the_gate():
    result().check_gate(None)
    result().check_gate(18.5)
    with pytest.raises(GateError, match=r"p99 is 18.50 ms, the gate is 18 ms"):
        result().check_gate(18.0)


def test_trace_is_trtexec_s(tmp_path):
    first = result().trace()[1]
    assert first == {"startComputeMs": 101.0, "endComputeMs": 112.0, "computeMs": 11.0, "latencyMs": 17.5}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "bench.json"
    result().write(path)
    assert read_result(path) == json.loads(json.dumps(result().to_json()))


@pytest.mark.parametrize("text", ["", "{}", '{"format": "other", "version": 1}', "[1]", '"text"'])
def test_not_a_result(tmp_path, text):
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(DataError, match="is not a bench result"):
        read_result(path)


def test_a_result_of_another_version(tmp_path):
    path = tmp_path / "bench.json"
    path.write_text('{"format": "edgekit-bench", "version": 2}')
    with pytest.raises(DataError, match="version 2, this edgekit reads 1"):
        read_result(path)


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match="is not a bench result"):
        read_result(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("board", "cpu", "name"),
    [
        (None, "Intel(R) Xeon(R) Processor", "intel-xeon-2c"),
        (None, "Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz", "intel-core-i7-8550u-2c"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "ARMv8", "nvidia-jetson-orin-nano-developer-kit-2c"),
    ],
)
def test_a_machine_names_a_folder(board, cpu, name):
    assert machine_name({"board": board, "cpu": cpu, "cores": 2}) == name
