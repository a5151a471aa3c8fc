import os

import cv2
import numpy as np
import pytest

from edgekit.detections import Detections
from edgekit.errors import BackendError, ConfigError, StorageError
from edgekit.frames import Frame
from edgekit.runtime.record import OK, FrameRecord
from edgekit.runtime.sinks import JsonlSink, StreamInfo, VideoSink, WindowSink, open_sink

INFO = StreamInfo("x", 20.0, ("blue", "red"), "tiny fp32")
FOUND = Detections(np.array([[20, 60, 60, 90]], np.float32), np.array([0.5], np.float32), np.array([1]))


def write(sink, sizes):
    sink.start(INFO)
    for index, (width, height) in enumerate(sizes):
        frame = Frame(np.full((height, width, 3), 40, np.uint8), index, float(index))
        sink.write(frame, FOUND, FrameRecord(index, OK, index, index, index + 0.02, 20.0))
    sink.close()


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_writes_a_video(tmp_path, suffix):
    path = tmp_path / ("out" + suffix)
    write(VideoSink(path), [(160, 120)] * 5)
    assert os.listdir(str(tmp_path)) == ["out" + suffix]
    video = cv2.VideoCapture(str(path))
    assert (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)) == (5, 20)
    good, image = video.read()
    video.release()
    assert good
    assert image.shape == (120, 160, 3)
    b, g, r = (int(value) for value in image[75, 20])  # on the left edge of the box
    assert max(b, g, r) > 90


def test_other_sizes_are_scaled_to_the_first(tmp_path):
    write(VideoSink(tmp_path / "out.avi"), [(160, 120), (80, 60), (320, 240)])
    assert cv2.VideoCapture(str(tmp_path / "out.avi")).get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_a_frame_stands_in_for_the_dropped_ones(tmp_path):
    sink = VideoSink(tmp_path / "out.avi")
    sink.start(INFO)
    for index in (0, 1, 4, 9):
        frame = Frame(np.zeros((120, 160, 3), np.uint8), index, float(index))
        sink.write(frame, FOUND, FrameRecord(index, OK, index, index, index + 0.02, 20.0))
    sink.close()
    assert cv2.VideoCapture(str(tmp_path / "out.avi")).get(cv2.CAP_PROP_FRAME_COUNT) == 10


def test_the_frame_itself_is_not_drawn_on(tmp_path):
    sink = VideoSink(tmp_path / "out.avi")
    sink.start(INFO)
    image = np.full((120, 160, 3), 40, np.uint8)
    sink.write(Frame(image, 0, 0.0), FOUND, FrameRecord(0, OK, 0, 0, 0.02, 20.0))
    sink.close()
    assert (image == 40).all()


def test_no_frame_leaves_no_file(tmp_path):
    write(VideoSink(tmp_path / "out.mp4"), [])
    assert os.listdir(str(tmp_path)) == []


def test_no_folder():
    with pytest.raises(StorageError, match="cannot write /nowhere/out.mp4"):
        VideoSink("/nowhere/out.mp4").start(INFO)


def test_a_full_disk_is_noticed(tmp_path):
    resource = pytest.importorskip("resource")
    noise = np.random.RandomState(0).randint(0, 256, (240, 320, 3)).astype(np.uint8)
    sink = VideoSink(tmp_path / "out.mp4")
    sink.start(INFO)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50000, before[1]))  # a write beyond fails, as on a full disk
    try:
        for index in range(30):
            sink.write(Frame(noise, index, 0.0), FOUND, FrameRecord(index, OK, 0, 0, index, 20.0))
        with pytest.raises(StorageError, match="out.mp4 to its end; is the disk full"):
            sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(str(tmp_path)) == []


def test_unknown_video_suffix():
    with pytest.raises(ConfigError, match="expected .mp4, .avi, .mkv"):
        VideoSink("out.gif")


def test_open_sink_by_name(tmp_path):
    assert isinstance(open_sink(str(tmp_path / "a.mp4")), VideoSink)
    assert isinstance(open_sink("file://" + str(tmp_path / "a.jsonl")), JsonlSink)
    assert isinstance(open_sink("display://0"), WindowSink)
    with pytest.raises(ConfigError, match=r"unknown sink out\.txt; expected .mp4.*display://"):
        open_sink("out.txt")


def refuse(*args):
    raise cv2.error("The function is not implemented")


def test_no_window_without_a_screen(monkeypatch):
    monkeypatch.setattr(cv2, "namedWindow", refuse)
    with pytest.raises(BackendError, match="cannot open a window.*out.mp4"):
        WindowSink().start(INFO)


@pytest.mark.parametrize(("key", "visible", "finished"), [(ord("q"), 1, True), (-1, 1, False), (-1, 0, True)])
def test_a_window_ends_the_run(monkeypatch, key, visible, finished):
    shown = []
    monkeypatch.setattr(cv2, "namedWindow", lambda *args: None)
    monkeypatch.setattr(cv2, "imshow", lambda title, image: shown.append(image.shape))
    monkeypatch.setattr(cv2, "waitKey", lambda ms: key)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *args: visible)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    sink = WindowSink()
    write(sink, [(160, 120)])
    assert shown == [(120, 160, 3)]
    assert sink.finished is finished
