import json

import numpy as np
import pytest

from edgekit import Detections, Frame


def _three():
    xyxy = np.arange(12, dtype=np.float32).reshape(3, 4)
    return Detections(xyxy, np.float32([0.9, 0.5, 0.1]), np.int64([0, 1, 0]))


def test_rows_are_chosen_by_mask_index_and_slice():
    detections = _three().with_tracks(np.int64([7, 8, 9]))
    assert detections[detections.score > 0.4].track_id.tolist() == [7, 8]
    assert detections[2].track_id.tolist() == [9]
    assert len(detections[1:]) == 2


def test_fields_of_other_libraries():
    tracked = _three().with_tracks(np.int64([7, 8, 9]))
    assert set(_three().to_supervision_fields()) == {"xyxy", "confidence", "class_id", "tracker_id"}
    assert tracked.to_ultralytics_fields()["id"].tolist() == [7, 8, 9]
    assert _three().to_ultralytics_fields()["id"] is None


def test_rows_are_plain_json():
    rows = json.loads(json.dumps(_three().to_rows(["car", "person"])))
    assert rows[1] == {"xyxy": [4.0, 5.0, 6.0, 7.0], "score": 0.5, "class_id": 1, "class": "person"}


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"xyxy \(N, 4\)"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="track_id"):
        _three().with_tracks(np.zeros(2, np.int64))


def test_empty_has_no_rows():
    assert len(Detections.empty()) == 0
    assert Detections.empty().to_rows([]) == []


def test_a_frame_is_bgr_bytes():
    with pytest.raises(ValueError, match="uint8 BGR"):
        Frame(np.zeros((4, 4), np.uint8), 0, 0.0)
