import cv2
import numpy as np
import pytest

from edgekit.errors import SourceError
from edgekit.runtime.sources import open_source, uri


def indices(stream):
    with stream:
        return [frame.index for frame in stream]


@pytest.fixture
def folder(tmp_path):
    for name, level in (("b.png", 20), ("a.jpg", 10), ("notes.txt", 0)):
        if name.endswith(".txt"):
            (tmp_path / name).write_text("not an image")
        else:
            cv2.imwrite(str(tmp_path / name), np.full((5, 7, 3), level, np.uint8))
    return tmp_path


def test_a_folder_is_sorted(folder):
    with open_source(str(folder)) as stream:
        levels = [int(frame.image_hwc[0, 0, 0]) for frame in stream]
    assert levels == [10, 20]
    assert stream.source.frame_count == 2


def test_one_image(folder):
    assert indices(open_source(str(folder / "b.png"))) == [0]
    assert indices(open_source("file://" + str(folder / "b.png"))) == [0]


def test_an_unreadable_image_is_named(folder):
    (folder / "c.jpg").write_bytes(b"cut off")
    with pytest.raises(SourceError, match=r"c\.jpg .*is not an image"):
        indices(open_source(str(folder)))


def test_an_empty_folder(tmp_path):
    with pytest.raises(SourceError, match="holds no image"):
        open_source(str(tmp_path))


def test_a_flight_is_rendered():
    with open_source("synth://?frames=3&size=128x96") as stream:
        frames = list(stream)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert frames[0].image_hwc.shape == (96, 128, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/nowhere/at/all", "there is no source"),
        ("ftp://host/a.mp4", "unknown source ftp"),
        ("synth://?frames=many", "frames"),
        ("csi://front", "whole numbers"),
        ("csi://0?speed=9", "unknown option 'speed'"),
        ("csi://0?width=wide", "whole numbers"),
    ],
)
def test_what_cannot_be_opened_says_why(text, message):
    with pytest.raises(SourceError, match=message):
        open_source(text)


@pytest.mark.parametrize(("text", "index"), [("0", 0), ("/dev/video3", 3)])
def test_cameras_by_number_and_by_device(monkeypatch, text, index):
    asked = []
    monkeypatch.setattr(uri, "open_camera", lambda number: asked.append(number))
    monkeypatch.setattr(uri, "Stream", lambda source, policy, lost_after_s: None)
    open_source(text)
    assert asked == [index]


def test_csi_options(monkeypatch):
    asked = []
    monkeypatch.setattr(uri, "open_csi", lambda *values: asked.append(values))
    monkeypatch.setattr(uri, "Stream", lambda source, policy, lost_after_s: None)
    open_source("csi://1?width=1280&height=720&fps=60")
    assert asked == [(1, 1280, 720, 60, 0)]


@pytest.mark.parametrize("text", ["rtsp://camera/live", "udp://0.0.0.0:5000"])
def test_network_streams(monkeypatch, text):
    asked = []
    monkeypatch.setattr(uri, "open_network", lambda url: asked.append(url))
    monkeypatch.setattr(uri, "Stream", lambda source, policy, lost_after_s: None)
    open_source(text)
    assert asked == [text]
