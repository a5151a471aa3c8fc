import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import end_to_end  # noqa: E402
import tracker  # noqa: E402
import tracker_quality  # noqa: E402

BOXES = np.float32([[0, 0, 10, 10], [50, 0, 60, 10]])


def score_of(ids_by_frame):
    """Score of two true objects that are found in place in each frame under the given ids."""
    score = tracker_quality.Score()
    score.start()
    for ids in ids_by_frame:
        score.add(BOXES, np.array([7, 8]), BOXES[: len(ids)], np.array(ids))
    return score.result()


def test_perfect_tracks_score_one():
    assert score_of([[1, 2]] * 10) == {"idf1": 1.0, "mota": 1.0, "switches": 0}


def test_a_swap_costs_two_switches_and_half_the_identity():
    found = score_of([[1, 2]] * 5 + [[2, 1]] * 5)
    assert found["switches"] == 2
    assert found["idf1"] == 0.5
    assert found["mota"] == pytest.approx(1 - 2 / 20)


def test_a_missed_object_costs_its_frames():
    assert score_of([[1]] * 10) == {"idf1": round(2 * 10 / 30, 4), "mota": 0.5, "switches": 0}


def test_switches_are_counted_per_object():
    assert tracker.switches([[(0, 1), (1, 2)], [(0, 1)], [(0, 3), (1, 2)], [(0, 3), (1, 4)]]) == 2


def test_medians_leave_the_warm_up_out():
    run = {
        "stages_ms": {name: [100.0, 1.0, 2.0, 3.0] for name in ("preprocess", "infer", "postprocess", "track")},
        "boxes": [0, 5, 5, 5],
        "fps": 30.0,
        "peak_rss_mb": 150.0,
    }
    start = {"import_s": 0.2, "first_boxes_s": 0.5, "first_boxes_cpu_s": 0.4}
    found = end_to_end.summarise({"starts": [start], "runs": [run]}, warmup=1)
    assert found["pre_post_ms"] == 4.0
    assert found["boxes"] == 5.0
    assert found["first_boxes_s"] == 0.5


@pytest.mark.slow
def test_tracker_script_runs(tmp_path):
    out = tmp_path / "tracker.json"
    command = [sys.executable, "benchmarks/tracker.py", "--objects", "5", "--frames", "20", "--warmup", "10", "-o", out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["objects"]["5"]["edgekit"]["p50_ms"] > 0
    assert len(json.loads(out.read_text())["objects"]["5"]["edgekit"]["samples_ms"]) == 20
