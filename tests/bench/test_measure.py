import pytest

from edgekit.bench.measure import Runner, measure
from edgekit.errors import SourceError


def test_every_stage_of_a_file(clock, fakes):
    runner = Runner(fakes.Detector(clock), fakes.Tracker(clock), clock=clock)
    span = measure(lambda: fakes.Stream(clock, 9), [runner], frames=4, warmup=2, clock=clock)
    stages = runner.samples.stages
    assert span.dropped == 0
    assert stages["capture"] == [4.0] * 4
    assert stages["preprocess"] == [1.0] * 4
    assert stages["infer"] == [10.0] * 4
    assert stages["postprocess"] == [2.0] * 4
    assert stages["track"] == pytest.approx([0.75] * 4)
    # 13 in stages, 0.5 between them, 0.75 tracking, 4 reading.
    assert stages["end_to_end"] == pytest.approx([18.25] * 4)
    assert runner.samples.process_ms == pytest.approx([14.25] * 4)
    assert runner.samples.warmup_ms == pytest.approx([18.25] * 2)
    assert runner.samples.objects == [3] * 4
    assert runner.samples.t_s == pytest.approx([0.0, 0.01425, 0.0285, 0.04275])
    assert span.seconds == pytest.approx(4 * 0.01425)


def test_a_camera_s_queue_and_drops_count(clock, fakes):
    runner = Runner(fakes.Detector(clock), clock=clock)
    stream = fakes.Stream(clock, 99, queue_ms=30.0, policy="latest", drops_per_frame=2)
    span = measure(lambda: stream, [runner], frames=5, warmup=1, clock=clock)
    assert runner.samples.stages["capture"] == pytest.approx([30.0] * 5)
    assert runner.samples.frame_age_ms == pytest.approx([43.5] * 5)
    assert runner.samples.stages["track"] == [0.0] * 5
    assert span.dropped == 2 * 4  # the drops before the first counted frame are the warm-up's


def test_a_source_that_ends_starts_again_as_a_cut(clock, fakes):
    opened = []

    def open_stream():
        opened.append(fakes.Stream(clock, 3))
        return opened[-1]

    tracker = fakes.Tracker(clock)
    measure(open_stream, [Runner(fakes.Detector(clock), tracker, clock=clock)], frames=7, warmup=0, clock=clock)
    assert len(opened) == 3
    assert all(stream.closed for stream in opened)
    assert tracker.resets == 2
    assert tracker.steps == [1] * 7


def test_dropped_frames_are_steps_of_the_tracker(clock, fakes):
    tracker = fakes.Tracker(clock)
    stream = fakes.Stream(clock, 99, policy="latest", drops_per_frame=1)
    measure(lambda: stream, [Runner(fakes.Detector(clock), tracker, clock=clock)], frames=3, warmup=0, clock=clock)
    assert tracker.steps == [1, 2, 2]


def test_two_take_each_frame_in_a_shuffled_order(clock, fakes):
    log = []
    fast = Runner(fakes.Detector(clock, infer=5.0, log=log, name="a"), clock=clock)
    slow = Runner(fakes.Detector(clock, infer=9.0, log=log, name="b"), clock=clock)
    measure(lambda: fakes.Stream(clock, 99), [fast, slow], frames=20, warmup=4, seed=2, clock=clock)
    assert fast.samples.stages["infer"] == [5.0] * 20
    assert slow.samples.stages["infer"] == [9.0] * 20
    assert fast.samples.frame_age_ms == pytest.approx([8.5] * 20)  # not the wait for the other one
    pairs = {tuple(log[at : at + 2]) for at in range(0, 48, 2)}
    assert pairs == {("a", "b"), ("b", "a")}


def test_seconds_end_it(clock, fakes):
    runner = Runner(fakes.Detector(clock, infer=96.5), clock=clock)
    measure(lambda: fakes.Stream(clock, 999), [runner], frames=500, warmup=5, seconds=0.95, clock=clock)
    assert len(runner.samples.t_s) == 10


def test_a_tracker_gets_the_weak_boxes_too(clock, fakes):
    detector = fakes.Detector(clock)
    for tracker, conf in ((None, None), (fakes.Tracker(clock), None), (fakes.Tracker(clock), 0.4)):
        measure(lambda: fakes.Stream(clock), [Runner(detector, tracker, conf, clock)], 1, 0, clock=clock)
    assert detector.confs == [None, 0.1, 0.4]


def test_an_empty_source(clock, fakes):
    with pytest.raises(SourceError, match=r"fake.mp4 holds no frames"):
        measure(lambda: fakes.Stream(clock, 0), [Runner(fakes.Detector(clock), clock=clock)], 3, 0, clock=clock)


def test_progress_counts_both_parts(clock, fakes):
    said = []
    runner = Runner(fakes.Detector(clock), clock=clock)
    measure(lambda: fakes.Stream(clock, 9), [runner], 2, 1, progress=lambda *a: said.append(a), clock=clock)
    assert said == [(1, 3, "warm up"), (2, 3, "measure"), (3, 3, "measure")]
