import json
import os
import threading
import time

import numpy as np
import pytest

from edgekit.errors import SourceError, StorageError
from edgekit.runtime.gate import Gate
from edgekit.runtime.loop import RunOptions, run
from edgekit.runtime.record import OK, STALE
from edgekit.runtime.sinks import JsonlSink, open_sink
from edgekit.runtime.sinks.sink import Sink
from edgekit.runtime.sources import Stream, open_source
from edgekit.runtime.tracking import Tracker, open_tracker
from edgekit.runtime.wake import GateOptions
from tests.fakes import FakeCamera, FakeSession, fake_detector


class Memory(Sink):
    """Keeps what it is given."""

    def __init__(self, finish_at=None, fail_at=None):
        self.info = None
        self.rows = []
        self.stales = []
        self.closed = 0
        self._finish_at = finish_at
        self._fail_at = fail_at

    def start(self, info):
        self.info = info

    def write(self, frame, detections, record):
        if frame.index == self._fail_at:
            raise StorageError("the disk is full")
        self.rows.append((frame, detections, record))
        self.finished = frame.index == self._finish_at

    def stale(self, record):
        self.stales.append(record)

    def close(self):
        self.closed += 1


def files(count, **options):
    return Stream(FakeCamera(count, live=False, **options))


def test_one_record_a_frame():
    sink, records = Memory(), []
    with files(5) as stream:
        summary = run(fake_detector(), stream, [sink], on_record=records.append)
    assert (summary.frames, summary.dropped, summary.stale, summary.ended) == (5, 0, 0, "end")
    assert [record.index for record in records] == list(range(5))
    assert [row[2].index for row in sink.rows] == list(range(5))
    assert sink.closed == 1
    assert (sink.info.source, sink.info.classes, sink.info.title) == ("fake camera", ("blue", "red"), "fake fp32")
    np.testing.assert_allclose(sink.rows[0][1].xyxy, [[8, 8, 16, 16]])


def test_the_account_adds_up():
    records = []
    with files(5) as stream:
        run(fake_detector(FakeSession(work_s=0.01)), stream, [], on_record=records.append)
    for record in records:
        assert record.status == OK
        parts = [record.queue_ms, record.preprocess_ms, record.infer_ms, record.postprocess_ms, record.track_ms]
        assert record.t_capture_s <= record.t_dequeue_s <= record.t_result_s
        assert record.latency_ms == pytest.approx((record.t_result_s - record.t_capture_s) * 1e3)
        assert sum(parts) == pytest.approx(record.latency_ms, abs=2.0)
        assert record.infer_ms >= 9.9
        assert record.sinks_ms >= 0
        assert record.boxes == 1


def test_a_slow_network_drops_camera_frames():
    with Stream(FakeCamera(60, period_s=0.002)) as stream:
        summary = run(fake_detector(FakeSession(work_s=0.01)), stream)
    assert summary.dropped > 10
    assert summary.frames + summary.dropped == 60
    assert summary.latency_ms["p50"] < 40  # a dropped frame does not make the next one older


def test_stops_after_so_many_frames():
    with files(100) as stream:
        assert run(fake_detector(), stream, options=RunOptions(max_frames=7)).frames == 7


def test_a_closed_window_ends_the_run():
    with files(100) as stream:
        summary = run(fake_detector(), stream, [Memory(finish_at=3)])
    assert (summary.frames, summary.ended) == (4, "closed")


def test_ctrl_c_ends_with_whole_files(tmp_path):
    def interrupt(record):
        if record.index == 2:
            raise KeyboardInterrupt

    path = tmp_path / "out.jsonl"
    with files(100) as stream:
        summary = run(fake_detector(), stream, [JsonlSink(path)], on_record=interrupt)
    assert (summary.frames, summary.ended) == (3, "interrupted")
    assert len(path.read_text().splitlines()) == 3


def test_a_lost_camera_leaves_whole_files(tmp_path):
    path = tmp_path / "out.jsonl"
    with Stream(FakeCamera(3, then="error", period_s=0.02)) as stream:
        with pytest.raises(SourceError, match="lost after 3 frames"):
            run(fake_detector(), stream, [JsonlSink(path)])
    assert path.exists()


def test_every_sink_is_closed_when_one_fails():
    first, second = Memory(), Memory(fail_at=2)
    with files(10) as stream, pytest.raises(StorageError, match="disk is full"):
        run(fake_detector(), stream, [first, second])
    assert (first.closed, second.closed) == (1, 1)


def test_sinks_that_started_are_closed_when_another_cannot_start(tmp_path):
    first = Memory()
    with files(3) as stream, pytest.raises(StorageError, match="cannot write /nowhere"):
        run(fake_detector(), stream, [first, JsonlSink("/nowhere/out.jsonl")])
    assert first.closed == 1


def test_stale_when_the_camera_is_silent():
    camera = FakeCamera(2, then="silence")
    sink, records = Memory(), []
    stream = Stream(camera, lost_after_s=0.3)
    with pytest.raises(SourceError, match="lost after 2 frames"):
        run(fake_detector(), stream, [sink], options=RunOptions(deadline_s=0.08), on_record=records.append)
    camera.released.set()
    stream.close()
    stale = [record for record in records if record.status == STALE]
    assert len(stale) >= 2
    assert stale[0].latency_ms >= 80
    assert stale[0].index == 1
    assert len(sink.stales) == len(stale)


def test_stale_when_the_network_hangs():
    records = []
    with files(1) as stream:
        summary = run(
            fake_detector(FakeSession(work_s=0.3)),
            stream,
            options=RunOptions(deadline_s=0.1),
            on_record=records.append,
        )
    assert records[0].status == STALE
    assert records[-1].status == OK
    assert summary.stale >= 1


def test_no_stale_while_results_come():
    with files(20, period_s=0.005) as stream:
        assert run(fake_detector(), stream, options=RunOptions(deadline_s=0.5)).stale == 0


def test_no_thread_is_left():
    with files(3) as stream:
        run(fake_detector(), stream, options=RunOptions(deadline_s=1.0))
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("edgekit")] == []


class Steps(Tracker):
    def __init__(self):
        self.steps = []

    def update(self, detections, image_hwc=None, steps=1):
        assert image_hwc.shape == (32, 32, 3)
        self.steps.append(steps)
        return detections.with_tracks(np.arange(len(detections)))

    def reset(self):
        self.steps = []


def test_the_tracker_hears_of_dropped_frames():
    tracker, sink = Steps(), Memory()
    with Stream(FakeCamera(40, period_s=0.002)) as stream:
        run(fake_detector(FakeSession(work_s=0.01)), stream, [sink], tracker)
    assert max(tracker.steps) > 1
    assert tracker.steps[0] == 1
    assert sum(tracker.steps) == sink.rows[-1][0].index - sink.rows[0][0].index + 1
    assert sink.rows[0][1].track_id.tolist() == [0]


def test_a_tracker_sees_weak_boxes():
    session = FakeSession()
    session._output[0, 5, 4] = 0.17  # score 0.153
    sink = Memory()
    with files(2) as stream:
        run(fake_detector(session), stream, [sink], Steps())
    assert len(sink.rows[0][1]) == 1
    sink = Memory()
    with files(2) as stream:
        run(fake_detector(session), stream, [sink])
    assert len(sink.rows[0][1]) == 0


def test_memory_does_not_grow():
    resource = pytest.importorskip("resource")
    with files(50) as stream:
        run(fake_detector(), stream)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with files(3000) as stream:
        run(fake_detector(), stream)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 4096


def test_a_bundle_follows_a_rendered_flight(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    pytest.importorskip("onnxruntime")
    import edgekit

    tiny = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "tiny.ekb")
    video, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    with edgekit.open(tiny) as detector:
        with open_source("synth://?frames=8&size=160x128&fps=20") as stream:
            summary = run(detector, stream, [open_sink(str(video)), open_sink(str(lines))], open_tracker("bytetrack"))
    assert summary.frames == 8
    assert video.stat().st_size > 500
    assert [json.loads(line)["frame"] for line in lines.read_text().splitlines()] == list(range(8))
    assert time.monotonic() > json.loads(lines.read_text().splitlines()[-1])["t_result_s"]


class Eyes(FakeSession):
    """A gate's network: sees its box in the frames whose grey is in `greys`."""

    def __init__(self, greys):
        super().__init__()
        self._greys = greys

    def run(self, feeds):
        grey = round(float(feeds["images"][0, 0, 0, 0]))
        self._output[0, 5, 4] = 0.9 if grey in self._greys else 0.0
        return super().run(feeds)


def gate(greys, **options):
    return Gate(fake_detector(Eyes(greys)), GateOptions(**options))


def seldom(greys):
    """A detector that finds its box in these frames alone, and the number of times it ran."""
    eyes = Eyes(greys)
    return fake_detector(eyes), eyes


def test_a_gate_decides_which_frames_the_detector_sees():
    detector, eyes = seldom({4, 5})
    sink, records = Memory(), []
    with files(12) as stream:
        summary = run(detector, stream, [sink], on_record=records.append, gate=gate({3, 4, 5}, hold=2, every=8))
    assert [record.gate for record in records] == ["first"] + 2 * ["asleep"] + ["seen"] + 4 * ["hold"] + 4 * ["asleep"]
    assert eyes.runs == 6
    assert [record.boxes for record in records] == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert [len(row[1]) for row in sink.rows] == [record.boxes for record in records]  # asleep: nothing was looked for
    assert summary.frames == 12 and summary.wake.verdicts == {"first": 1, "due": 0, "hold": 4, "seen": 1, "asleep": 6}
    assert summary.wake.share_awake == 0.5


def test_the_account_of_a_frame_slept_through():
    records = []
    with files(6) as stream:
        summary = run(
            fake_detector(FakeSession(work_s=0.01)), stream, on_record=records.append, gate=gate((), hold=0, every=3)
        )
    asleep = [record for record in records if record.gate == "asleep"]
    assert len(asleep) == 4 and all(record.status == OK for record in records)
    for record in asleep:
        assert (record.preprocess_ms, record.infer_ms, record.postprocess_ms, record.track_ms) == (0, 0, 0, 0)
        assert 0 < record.gate_ms <= record.latency_ms
    assert [record.gate_ms for record in records if record.gate in ("first", "due")] == 2 * [None]
    assert summary.stages_ms["infer"]["p50"] >= 9.9  # of the frames on which it ran
    awake = [record for record in records if record.gate != "asleep"]
    awake_ms = sum(r.preprocess_ms + r.infer_ms + r.postprocess_ms + r.track_ms for r in awake)
    looks_ms = sum(record.gate_ms for record in asleep)
    assert summary.wake.detector_ms == pytest.approx(awake_ms / 2)
    assert summary.wake.saved_ms == pytest.approx((4 * awake_ms / 2 - looks_ms) / 6)


def test_a_run_without_a_gate_says_nothing_of_one():
    records = []
    with files(2) as stream:
        summary = run(fake_detector(), stream, on_record=records.append)
    assert summary.wake is None and "gate" not in summary.stages_ms
    assert [(record.gate, record.gate_ms) for record in records] == 2 * [("", None)]


def test_the_tracker_coasts_over_the_sleep():
    tracker = Steps()
    with files(12) as stream:
        run(fake_detector(), stream, [], tracker, gate=gate({6, 7}, hold=0, every=4))
    # 0 first, 4 due, 6 and 7 seen, 11 due
    assert tracker.steps == [1, 4, 2, 1, 4]


def test_a_track_keeps_its_id_over_a_sleep():
    sink = Memory()
    with files(12) as stream:
        run(fake_detector(), stream, [sink], open_tracker("bytetrack"), gate=gate((), hold=0, every=5))
    found = [(row[0].index, row[1].track_id.tolist()) for row in sink.rows if len(row[1])]
    assert found == [(0, [1]), (5, [1]), (10, [1])]


def test_lines_say_where_nobody_looked(tmp_path):
    path = tmp_path / "out.jsonl"
    with files(3) as stream:
        run(fake_detector(), stream, [JsonlSink(path)], gate=gate((), hold=0, every=2))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["gate"], len(line["detections"])) for line in lines] == [("first", 1), ("asleep", 0), ("due", 1)]
