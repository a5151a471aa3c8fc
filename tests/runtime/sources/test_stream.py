import threading
import time

import pytest

from edgekit.errors import SourceError
from edgekit.runtime.sources import Stream
from tests.fakes import FakeCamera


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "edgekit-reader"]


def test_every_frame_waits_for_a_slow_consumer():
    with Stream(FakeCamera(20, live=False)) as stream:
        seen = []
        for frame in stream:
            time.sleep(0.002)
            seen.append(frame.index)
    assert seen == list(range(20))
    assert stream.dropped == 0
    assert stream.ended


def test_latest_drops_what_a_slow_consumer_missed():
    with Stream(FakeCamera(40, period_s=0.002)) as stream:
        seen = []
        for frame in stream:
            time.sleep(0.01)
            seen.append(frame.index)
    assert seen == sorted(seen)
    assert seen[-1] == 39
    assert stream.dropped > 0
    assert len(seen) + stream.dropped == 40


def test_policy_follows_the_source():
    assert Stream(FakeCamera(1, live=True)).policy == "latest"
    assert Stream(FakeCamera(1, live=False)).policy == "every"
    with pytest.raises(SourceError, match="one of every, latest, got 'some'"):
        Stream(FakeCamera(1), "some")


def test_a_file_under_latest_plays_at_its_own_rate():
    start_s = time.monotonic()
    with Stream(FakeCamera(10, live=False, fps=100.0), "latest") as stream:
        indices = [frame.index for frame in stream]
    assert time.monotonic() - start_s >= 0.085
    assert indices[-1] == 9


def test_images_have_no_frame_rate_to_play_at():
    with pytest.raises(SourceError, match="fake camera has no frame rate to play at"):
        Stream(FakeCamera(1, live=False), "latest")


def test_a_camera_keeps_its_capture_time_under_every():
    with Stream(FakeCamera(2, live=True), "every") as stream:
        stream.poll()
        time.sleep(0.05)
        assert stream.poll().t_capture_s < time.monotonic() - 0.04


def test_under_every_capture_is_the_hand_over():
    with Stream(FakeCamera(3, live=False)) as stream:
        stream.poll()
        time.sleep(0.05)
        before_s = time.monotonic()
        assert stream.poll().t_capture_s >= before_s


def test_read_time_is_measured():
    with Stream(FakeCamera(1, live=False, period_s=0.02)) as stream:
        stream.poll()
        assert stream.read_ms >= 19


def test_poll_gives_up_after_its_timeout():
    camera = FakeCamera(0, then="silence", live=False)
    stream = Stream(camera)
    assert stream.poll(0.02) is None
    assert not stream.ended
    camera.released.set()
    assert stream.poll() is None
    assert stream.ended
    stream.close()


def test_a_camera_that_fails_surfaces_in_the_caller():
    with Stream(FakeCamera(3, then="error")) as stream, pytest.raises(SourceError, match="lost after 3 frames"):
        for _ in stream:
            pass


def test_frames_before_the_failure_are_delivered():
    with Stream(FakeCamera(3, then="error", live=False)) as stream:
        seen = []
        with pytest.raises(SourceError, match="lost"):
            for frame in stream:
                seen.append(frame.index)
    assert seen == [0, 1, 2]


def test_a_silent_camera_is_lost_after_a_while(monkeypatch):
    monkeypatch.setattr("edgekit.runtime.sources.stream._JOIN_S", 0.01)
    camera = FakeCamera(2, then="silence", period_s=0.01)
    stream = Stream(camera, lost_after_s=0.1)
    seen = []
    with pytest.raises(SourceError, match=r"was lost after 2 frames: nothing for 0\.\d s"):
        for frame in stream:
            seen.append(frame.index)
    assert seen[-1] == 1
    stream.close()  # does not hang, and does not release a device that is being read
    assert not camera.closed
    camera.released.set()


def test_close_stops_the_reader_and_the_source():
    camera = FakeCamera(10**9, period_s=0.001)
    stream = Stream(camera)
    stream.poll()
    stream.close()
    assert camera.closed
    assert readers() == []


def test_close_before_the_first_frame():
    camera = FakeCamera(1)
    Stream(camera).close()
    assert camera.closed
    assert readers() == []


def test_the_queue_is_bounded():
    camera = FakeCamera(10**9, live=False)
    with Stream(camera) as stream:
        stream.poll()
        time.sleep(0.05)
        assert camera._index <= 5
