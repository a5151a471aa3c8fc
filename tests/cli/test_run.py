import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.conftest import ROOT


def test_run_writes_video_and_lines_and_prints_json(edgekit, float_bundle, video, tmp_path):
    import cv2

    save, jsonl = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    done = edgekit("run", float_bundle, video, "--save", save, "--jsonl", jsonl, "--json")
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == 1
    value = done.json
    assert value["frames"] == 24 and value["dropped"] == 0 and value["fps"] > 0
    assert set(value["latency_ms"]) == {"p50", "p90", "p99", "max"}
    lines = [json.loads(line) for line in jsonl.read_text().splitlines()]
    assert len(lines) == 24
    capture = cv2.VideoCapture(str(save))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 24


def test_run_draws_a_table(edgekit, float_bundle, video):
    done = edgekit("run", float_bundle, video, "--track", "none")
    assert done.status == 0, done.err
    assert "capture to result" in done.out and "24 frames" in done.out


def test_a_gate_decides_which_frames_are_looked_at(edgekit, float_bundle, video, tmp_path):
    lines = tmp_path / "out.jsonl"
    given = ["--gate", float_bundle, "--gate-conf", "1", "--gate-hold", "0", "--gate-every", "6", "--jsonl", lines]
    done = edgekit("run", float_bundle, video, "--conf", "1", *given, "--json")
    assert done.status == 0, done.err
    wake = done.json["wake"]
    assert wake["verdicts"] == {"first": 1, "due": 3, "hold": 0, "seen": 0, "asleep": 20}
    assert (wake["share_awake"], wake["heartbeats"], wake["overlooked"]) == (pytest.approx(4 / 24, abs=1e-3), 3, 0)
    assert wake["gate_ms"] > 0 and done.json["stages_ms"]["gate"]["p50"] > 0
    gates = [json.loads(line)["gate"] for line in lines.read_text().splitlines()]
    assert [index for index, verdict in enumerate(gates) if verdict == "due"] == [6, 12, 18]


def test_the_account_of_a_gate_is_told(edgekit, float_bundle, video):
    given = ["--conf", "1", "--gate", float_bundle, "--gate-conf", "1", "--gate-every", "4"]
    done = edgekit("run", float_bundle, video, *given)
    assert done.status == 0, done.err
    assert "of 24 frames (0 seen" in done.out and "a look, the detector" in done.out and "heartbeats" in done.out
    without = edgekit("run", float_bundle, video)
    assert "awake" not in without.out and "gate" not in without.out


def test_source_as_an_option_and_further_sinks(edgekit, float_bundle, video, tmp_path):
    done = edgekit("run", float_bundle, "--source", video, tmp_path / "a.jsonl", "--frames", 3, "--json")
    assert done.status == 0, done.err
    assert done.json["frames"] == 3 and done.json["ended"] == "limit"
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["BUNDLE"], "name a SOURCE"),
        (["BUNDLE", "absent.mp4"], "there is no source absent.mp4"),
        (["BUNDLE", "VIDEO", "--lowering", "trt9"], "no lowering 'trt9'; it has fp32"),
        (["BUNDLE", "VIDEO", "--track", "sort"], "unknown tracker 'sort'"),
        (["BUNDLE", "VIDEO", "--device", "toaster"], "there is no device 'toaster'"),
        (["BUNDLE", "VIDEO", "--imgsz", "640"], "takes 64x64"),
        (["BUNDLE", "VIDEO", "boxes.txt"], "unknown sink boxes.txt"),
        (["BUNDLE", "VIDEO", "--save", "no/such/folder/out.mp4"], "cannot write no/such/folder/out.mp4"),
        (["absent.ekb", "VIDEO"], "there is no bundle absent.ekb"),
        (["BUNDLE", "VIDEO", "--gate", "absent.ekb"], "there is no bundle absent.ekb"),
        (["BUNDLE", "VIDEO", "--gate-hold", "3"], "--gate-hold says nothing without a gate"),
        (["BUNDLE", "VIDEO", "--gate", "BUNDLE", "--gate-every", "0"], "wakes every 1 or more, got 15 and 0"),
        (["BUNDLE", "VIDEO", "--gate", "BUNDLE", "--gate-conf", "2"], "a gate's score is above 0 and at most 1, got 2"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(edgekit, float_bundle, video, tmp_path, arguments, message):
    names = {"BUNDLE": float_bundle, "VIDEO": video}
    done = edgekit("run", *[names.get(argument, argument) for argument in arguments], cwd=str(tmp_path))
    assert done.status == 2
    assert message in done.err and done.err.startswith("error: ") and done.err.count("\n") == 1
    assert os.listdir(str(tmp_path)) == []


def test_a_file_that_is_no_video(edgekit, float_bundle, tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"not a video at all" * 100)
    done = edgekit("run", float_bundle, path, "--save", tmp_path / "out.mp4")
    assert done.status == 2
    assert str(path) in done.err.splitlines()[-1] and done.err.splitlines()[-1].startswith("error: ")
    assert os.listdir(str(tmp_path)) == ["broken.mp4"]


def test_ctrl_c_keeps_whole_files(float_bundle, tmp_path):
    command = [sys.executable, "-m", "edgekit", "run", float_bundle, "synth://?frames=100000&size=320x256"]
    command += ["--jsonl", str(tmp_path / "out.jsonl"), "--json"]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not _some_output(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err.decode()
    assert err.decode().splitlines()[-1].startswith("interrupted")
    assert json.loads(out.decode().splitlines()[-1])["ended"] == "interrupted"
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows and os.listdir(str(tmp_path)) == ["out.jsonl"]


def _some_output(folder):
    return any(os.path.getsize(os.path.join(str(folder), name)) for name in os.listdir(str(folder)))
