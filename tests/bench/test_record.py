import json

import pytest

from edgekit.bench.account import Account
from edgekit.bench.record import BenchResult, Lane, Samples, machine_name, machine_record, read_result
from edgekit.errors import ConfigError, DataError, GateError
from edgekit.runtime.session import RunTimes
from tests.sysfs import make_tree


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


def result(other=None, account=None):
    return BenchResult(
        lane=lane(10.0),
        other=other,
        machine=machine_record(),
        libraries={"edgekit": "0.1.0"},
        method={"source": "flight.mp4", "policy": "every", "tracker": None, "first_s": 1.0},
        dropped=3,
        memory={"start": 50.0, "loaded": 90.0, "end": 100.0, "peak": 110.0},
        memory_points=[(frame, 100.0) for frame in range(0, 200, 5)],
        account=account or Account(),
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


POWER = {"rail": "VDD_IN", "mean_w": 11.8, "j_per_frame": 0.42}


def test_gates_on_power():
    measured = result(account=Account(power=POWER))
    measured.check_gate(None, max_watts=11.8, max_joules=0.42)
    with pytest.raises(GateError, match=r"mean power is 11.8 W, the gate is 10 W"):
        measured.check_gate(None, max_watts=10)
    with pytest.raises(GateError, match=r"energy for a frame is 0.42 J, the gate is 0.4 J"):
        measured.check_gate(None, max_joules=0.4)


def test_a_gate_that_cannot_be_checked_is_no_pass():
    blind = result(account=Account(power={"missing": "no INA3221"}))
    for gate, words in (({"max_watts": 10}, "mean power"), ({"max_joules": 1}, "energy for a frame")):
        with pytest.raises(ConfigError, match="the gate on {} cannot be checked: no INA3221".format(words)):
            blind.check_gate(None, **gate)
    with pytest.raises(ConfigError, match="cannot be checked: two bundles ran in turns"):
        result(account=Account(power=dict(POWER, j_per_frame=None))).check_gate(None, max_joules=1)


def test_power_clocks_and_heat_are_in_the_json():
    account = Account(
        power=POWER,
        clocks={"gpu_mhz": {"min": 1, "mean": 2, "max": 3}},
        memory={"method": "pss", "peak": 80.0},
        samples={"frame_energy_j": [0.4, 0.44]},
        warnings=("throttled while measuring: x",),
    )
    value = result(account=account).to_json()
    assert value["power"] == POWER and value["clocks"]["gpu_mhz"]["mean"] == 2
    assert value["thermal"] == {"missing": "was not read"}
    assert value["memory_mb"]["total"]["peak"] == 80.0
    assert value["samples"]["frame_energy_j"] == [0.4, 0.44]
    assert value["warnings"] == ["throttled while measuring: x"]
    assert "frame_energy_j" not in json.dumps(result(account=account).to_json(raw=False))


def test_runs_on_a_gpu_are_kept():
    found = lane(10.0)
    found.samples.runs.extend([RunTimes(1.0, 8.0, 0.5, 0.2)] * 40)
    value = found.to_json(1.0, raw=True)
    assert value["gpu"]["compute_ms"]["p50"] == 8.0
    assert value["samples"]["gpu"]["h2d_ms"] == [1.0] * 40
    assert lane(10.0).to_json(1.0, raw=True)["gpu"] == {}


@pytest.mark.parametrize(("says", "doubts"), [(None, 0), ("MAXN_SUPER", 1)])
def test_a_power_mode_that_is_only_said_is_a_doubt(tmp_path, says, doubts):
    root = make_tree(str(tmp_path), "orin-nx", mode="25W", says=says)
    record = machine_record(root)
    assert record["profile"] == "orin-nx" and record["governor"] == "schedutil"
    assert record["power_mode"]["name"] == "25W"
    value = BenchResult(lane(1.0), None, record, {}, {"first_s": 1.0}, 0, {"start": 1.0, "loaded": 1.0}, []).to_json(
        raw=False
    )
    assert len(value["warnings"]) == doubts
    assert all("nvpmodel says MAXN_SUPER" in warning for warning in value["warnings"])


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
