import json
import os

import cv2
import numpy as np
import pytest

from edgekit.data.coco import read_coco
from edgekit.data.synth import SYNTH_CLASSES, Flight, write_dataset, write_video
from edgekit.errors import DataError, StorageError


def _flight(seed=4):
    return Flight(seed=seed, width=320, height=256, frames=4)


def test_a_video_and_its_truth(tmp_path):
    seen = []
    path = tmp_path / "flight.mp4"
    truth = write_video(_flight(), str(path), progress=lambda done, total, text: seen.append((done, total)))
    assert truth == str(tmp_path / "flight.gt.json") and sorted(os.listdir(str(tmp_path))) == [
        "flight.gt.json",
        "flight.mp4",
    ]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    video = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, image = video.read()
        if not good:
            break
        frames.append(image)
    video.release()
    assert len(frames) == 4
    assert np.abs(frames[2].astype(float) - _flight().render(2).image_hwc).mean() < 12.0
    with open(truth) as stream:
        content = json.load(stream)
    expected = _flight().render(2)
    rows = [a for a in content["annotations"] if a["image_id"] == 3 and not a["iscrowd"]]
    assert [a["track_id"] for a in rows] == expected.track_id.tolist()
    assert [a["bbox"][:2] for a in rows] == expected.xyxy[:, :2].tolist()
    assert {t["id"] for t in content["tracks"]} == {a["track_id"] for a in content["annotations"] if not a["iscrowd"]}


def test_a_thermal_video_is_grey(tmp_path):
    path = str(tmp_path / "ir.mp4")
    write_video(_flight(), path, infrared=True)
    video = cv2.VideoCapture(path)
    _, image = video.read()
    video.release()
    assert np.abs(image[:, :, 0].astype(int) - image[:, :, 2]).mean() < 3.0


def test_a_dataset_reads_back(tmp_path):
    annotations = write_dataset([_flight(4), _flight(5)], str(tmp_path / "set"), infrared=True, every=2)
    dataset = read_coco(annotations, str(tmp_path / "set" / "images"))
    assert dataset.classes == SYNTH_CLASSES and len(dataset.samples) == 4
    frame = _flight(4).render(2)
    np.testing.assert_allclose(dataset.samples[1].xyxy, frame.xyxy)
    np.testing.assert_array_equal(dataset.samples[1].class_id, frame.class_id)
    assert len(dataset.samples[1].ignore_xyxy) == len(frame.ignore_xyxy)
    names = sorted(os.listdir(str(tmp_path / "set" / "images")))
    assert names == sorted(os.listdir(str(tmp_path / "set" / "infrared")))
    stored = cv2.imread(dataset.samples[1].image)
    assert np.abs(stored.astype(float) - frame.image_hwc).mean() < 3.0


def test_two_flights_share_no_track(tmp_path):
    annotations = write_dataset([_flight(4), _flight(4)], str(tmp_path / "set"))
    with open(annotations) as stream:
        content = json.load(stream)
    flight_of = {image["id"]: image["flight"] for image in content["images"]}
    tracks = [
        {a["track_id"] for a in content["annotations"] if "track_id" in a and flight_of[a["image_id"]] == k}
        for k in (0, 1)
    ]
    assert tracks[0] and tracks[1] and not tracks[0] & tracks[1]


def test_a_video_needs_an_mp4_name(tmp_path):
    with pytest.raises(DataError, match=r"does not end in \.mp4"):
        write_video(_flight(), str(tmp_path / "flight.avi"))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StorageError, match="choose a folder that exists"):
        write_video(_flight(), str(tmp_path / "no" / "flight.mp4"))


def test_a_dataset_needs_flights_that_agree(tmp_path):
    with pytest.raises(DataError, match="same classes"):
        write_dataset([], str(tmp_path))
    with pytest.raises(DataError, match="same classes"):
        write_dataset([_flight(), Flight(classes=("car",))], str(tmp_path))
