import json
import os

import numpy as np
import pytest

from edgekit.detections import Detections
from edgekit.errors import StorageError
from edgekit.frames import Frame
from edgekit.runtime.record import OK, STALE, FrameRecord
from edgekit.runtime.sinks import JsonlSink, StreamInfo

INFO = StreamInfo("x", 30.0, ("blue", "red"), "tiny")
FRAME = Frame(np.zeros((8, 8, 3), np.uint8), 4, 1.0)
FOUND = Detections(np.array([[1, 2, 3, 4]], np.float32), np.array([0.5], np.float32), np.array([1]), np.array([7]))
RECORD = FrameRecord(4, OK, 1.0, 1.001, 1.0205, 20.5)


def test_a_line_a_frame(tmp_path):
    path = tmp_path / "out.jsonl"
    sink = JsonlSink(path)
    sink.start(INFO)
    sink.write(FRAME, FOUND, RECORD)
    assert not path.exists()
    part = tmp_path / "out.jsonl.part"
    assert len(part.read_text().splitlines()) == 1  # already on disk while it runs
    sink.stale(FrameRecord(4, STALE, 1.0, 2.0, 2.0, 1000.0))
    sink.close()
    sink.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    row = {"xyxy": [1, 2, 3, 4], "score": 0.5, "class_id": 1, "class": "red", "track_id": 7}
    assert lines[0] == {
        "frame": 4,
        "status": "OK",
        "t_capture_s": 1.0,
        "t_result_s": 1.0205,
        "latency_ms": 20.5,
        "detections": [row],
    }
    assert lines[1]["status"] == "STALE"
    assert "detections" not in lines[1]
    assert os.listdir(str(tmp_path)) == ["out.jsonl"]


def test_no_folder():
    with pytest.raises(StorageError, match="cannot write /nowhere/out.jsonl"):
        JsonlSink("/nowhere/out.jsonl").start(INFO)


def test_writing_before_start_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="not open"):
        JsonlSink(tmp_path / "x.jsonl").write(FRAME, FOUND, RECORD)
