import logging
import os

import cv2
import numpy as np
import pytest

from edgekit.errors import SourceError
from edgekit.runtime.sources import capture
from edgekit.runtime.sources.capture import Capture, csi_pipeline, open_camera, open_csi, open_network, open_video
from tests.fakes import FakeCapture, FakeClock


def write_video(path, frames=6, size=(64, 48), fps=12.0):
    writer = cv2.VideoWriter(str(path), int.from_bytes(b"MJPG", "little"), fps, size)
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), index * 30, np.uint8))
    writer.release()


def test_reads_a_video(tmp_path):
    write_video(tmp_path / "a.avi")
    video = open_video(str(tmp_path / "a.avi"))
    assert (video.fps, video.frame_count, video.live) == (12.0, 6, False)
    frames = list(iter(video.read, None))
    video.close()
    assert [frame.index for frame in frames] == list(range(6))
    assert frames[2].image_hwc.shape == (48, 64, 3)
    assert abs(int(frames[2].image_hwc.mean()) - 60) < 3


def test_missing_video():
    with pytest.raises(SourceError, match="there is no video /nowhere/a.mp4"):
        open_video("/nowhere/a.mp4")


@pytest.mark.parametrize("content", [b"", b"this is text, whatever its name says" * 100])
def test_not_a_video(tmp_path, content, capfd):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="not a video that OpenCV can decode"):
        open_video(str(path))
    assert capfd.readouterr().err == ""


def test_a_text_file_is_not_a_film(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a video\n" * 300)
    with pytest.raises(SourceError, match="notes.txt is not a video"):
        open_video(str(path))


def test_a_cut_video_is_reported(tmp_path, caplog):
    video = Capture(FakeCapture(8, count=10), "cut.mp4", live=False)
    with caplog.at_level(logging.WARNING):
        assert len(list(iter(video.read, None))) == 8
    assert "cut.mp4 ended after 8 of 10 frames" in caplog.text


def test_a_video_that_breaks_off_early_is_damaged():
    video = Capture(FakeCapture(3, count=10), "cut.mp4", live=False)
    with pytest.raises(SourceError, match="cut.mp4 broke off after 3 of 10 frames"):
        list(iter(video.read, None))


def test_a_video_without_frames():
    with pytest.raises(SourceError, match="holds no frame"):
        Capture(FakeCapture(0), "empty.mp4", live=False).read()


def test_a_camera_that_vanishes():
    camera = Capture(FakeCapture(3), "/dev/video7", live=True)
    for _ in range(3):
        camera.read()
    with pytest.raises(SourceError, match="/dev/video7 was lost after 3 frames"):
        camera.read()


def test_capture_time_is_that_of_the_grab():
    clock = FakeClock()
    assert Capture(FakeCapture(1), "c", live=True, clock=clock).read().t_capture_s == 100.0


def test_no_such_camera():
    with pytest.raises(SourceError, match="cannot open the camera /dev/video99"):
        open_camera(99)


def test_csi_needs_gstreamer(monkeypatch):
    monkeypatch.setattr(capture, "has_gstreamer", lambda: False)
    with pytest.raises(SourceError, match="needs an OpenCV with GStreamer"):
        open_csi(0, 1280, 720, 30, 0)


def test_csi_pipeline_keeps_the_newest_frame():
    text = csi_pipeline(1, 1280, 720, 60, 2)
    assert "sensor-id=1" in text
    assert "width=1280,height=720,format=NV12,framerate=60/1" in text
    assert text.endswith("appsink drop=true max-buffers=1 sync=false")


def test_rtsp_goes_through_the_hardware_decoder(monkeypatch):
    asked = []
    monkeypatch.setattr(capture, "has_gstreamer", lambda: True)
    monkeypatch.setattr(capture, "_open", lambda attempts: asked.extend(attempts))
    with pytest.raises(SourceError, match="cannot open the stream rtsp://x/y"):
        open_network("rtsp://x/y")
    assert "latency=0 drop-on-latency=true" in asked[0][0]
    assert asked[1] == ("rtsp://x/y", cv2.CAP_FFMPEG)
    assert "OPENCV_FFMPEG_CAPTURE_OPTIONS" not in os.environ  # a file opened next would lose frames by them


def test_grey_frames_become_bgr(monkeypatch):
    fake = FakeCapture(1)
    fake.retrieve = lambda: (True, np.full((4, 6), 9, np.uint8))
    assert Capture(fake, "thermal", live=True).read().image_hwc.shape == (4, 6, 3)
