"""Sources of pairs, as a network of colour and infrared takes them."""

import cv2
import numpy as np
import pytest

from edgekit.errors import SourceError
from edgekit.runtime.sources import open_source


@pytest.fixture()
def folder(tmp_path):
    for k in range(3):
        cv2.imwrite(str(tmp_path / "{}_co.png".format(k)), np.full((20, 30, 3), 10 + k, np.uint8))
        cv2.imwrite(str(tmp_path / "{}_ir.png".format(k)), np.full((20, 30), 100 + k, np.uint8))
    return tmp_path


def test_a_folder_of_pairs_gives_both_pictures(folder):
    with open_source(str(folder), pairs=True) as stream:
        assert stream.source.frame_count == 3
        frames = list(stream)
    assert [int(frame.image_hwc[0, 0, 0]) for frame in frames] == [10, 11, 12]
    assert [int(frame.infrared[0, 0]) for frame in frames] == [100, 101, 102]


def test_without_pairs_every_file_is_a_frame_as_ever(folder):
    with open_source(str(folder)) as stream:
        frames = list(stream)
    assert len(frames) == 6
    assert all(frame.infrared is None for frame in frames)


def test_a_single_picture_finds_its_partner(folder):
    with open_source(str(folder / "1_co.png"), pairs=True) as stream:
        assert [int(frame.infrared[0, 0]) for frame in stream] == [101]


def test_a_missing_partner_is_named(folder):
    (folder / "1_ir.png").unlink()
    with open_source(str(folder), pairs=True) as stream:
        with pytest.raises(SourceError, match="1_co.png has no infrared partner; pairs lie as"):
            list(stream)


def test_a_rendered_flight_gives_infrared_where_it_is_needed():
    for pairs in (False, True):
        with open_source("synth://?seed=1&frames=1&size=64x64", pairs=pairs) as stream:
            assert [frame.infrared is not None for frame in stream] == [pairs]


@pytest.mark.parametrize("uri", ["0", "/dev/video3", "csi://0", "rtsp://host/x", "udp://host:1"])
def test_cameras_give_no_infrared_and_say_so_before_they_are_opened(uri):
    with pytest.raises(
        SourceError, match="gives no infrared, and the network takes colour and infrared; give a folder"
    ):
        open_source(uri, pairs=True)


def test_a_video_gives_no_infrared(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"film")
    with pytest.raises(SourceError, match="x.mp4 gives no infrared"):
        open_source(str(tmp_path / "x.mp4"), pairs=True)


def test_a_thermal_camera_alone_is_no_pair():
    with pytest.raises(SourceError, match="is a thermal camera alone, and the network takes colour too; use ir=1"):
        open_source("synth://?ir=only", pairs=True)
