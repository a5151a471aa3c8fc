import numpy as np
import pytest
from scenes import Ground, boxes_at, crowd, through

from edgekit.boxes import iou_matrix
from edgekit.detections import Detections
from edgekit.errors import ConfigError
from edgekit.runtime.tracking import NO_TRACK, TRACKERS, ByteConfig, ByteTracker, Tracker, open_tracker


def plain(**changes):
    return ByteTracker(ByteConfig(camera_motion="off", **changes))


def ids_of(tracker, frames):
    """The list of confirmed track ids that each of the Detections gives."""
    return [[i for i in tracker.update(detections).track_id.tolist() if i != NO_TRACK] for detections in frames]


def test_one_object_keeps_one_id():
    assert ids_of(plain(), [boxes_at([[100 + 4 * step, 50]]) for step in range(20)]) == [[1]] * 20


def test_boxes_and_scores_come_out_as_they_went_in():
    detections = boxes_at([[100, 50], [300, 80]], score=0.8, class_id=3)
    tracked = plain().update(detections)
    np.testing.assert_array_equal(tracked.xyxy, detections.xyxy)
    np.testing.assert_array_equal(tracked.score, detections.score)
    np.testing.assert_array_equal(tracked.class_id, [3, 3])
    assert tracked.track_id.dtype == np.int64


@pytest.mark.parametrize("hidden", [1, 5, 20])
def test_id_lives_through_an_occlusion(hidden):
    frames = [boxes_at([[60 + 3 * step, 50]]) for step in range(12)]
    behind = [Detections.empty()] * hidden
    again = [boxes_at([[60 + 3 * (12 + hidden + step), 50]]) for step in range(5)]
    ids = ids_of(plain(), frames + behind + again)
    assert ids[-5:] == [[1]] * 5
    assert ids[12 : 12 + hidden] == [[]] * hidden


def test_an_object_gone_for_longer_than_the_buffer_is_a_new_one():
    tracker = plain(track_buffer=10)
    ids = ids_of(tracker, [boxes_at([[60, 50]])] * 5 + [Detections.empty()] * 11 + [boxes_at([[60, 50]])] * 3)
    assert ids[4] == [1]
    assert ids[-1] == [2]


def test_weak_boxes_keep_a_track_alive_but_start_none():
    strong, weak = boxes_at([[100, 50]], score=0.9), boxes_at([[100, 50]], score=0.2)
    assert ids_of(plain(), [strong] * 3 + [weak] * 5) == [[1]] * 8
    assert ids_of(plain(), [weak] * 5) == [[]] * 5


def test_objects_that_cross_keep_their_ids():
    tracker = plain()
    for step in range(40):
        rows = boxes_at([[20 + 5 * step, 100 + 0.4 * step], [215 - 5 * step, 112 - 0.4 * step]])
        tracked = tracker.update(rows)
    np.testing.assert_array_equal(tracked.track_id, [1, 2])


def test_class_may_flicker():
    tracker = plain()
    for step in range(10):
        tracked = tracker.update(boxes_at([[100 + step, 50]], class_id=step % 2))
        assert tracked.track_id.tolist() == [1]
        assert tracked.class_id.tolist() == [step % 2]


def test_a_new_object_is_reported_at_its_min_hits_th_box():
    first, both = boxes_at([[50, 50]]), boxes_at([[50, 50], [200, 200]])
    assert ids_of(plain(min_hits=3), [first, both, both, both]) == [[1], [1], [1], [1, 2]]
    assert ids_of(plain(min_hits=1), [first, both]) == [[1], [1, 2]]


def test_a_flash_of_one_frame_gets_no_id():
    frames = [boxes_at([[50, 50]]), boxes_at([[50, 50], [200, 200]])] + [boxes_at([[50, 50]])] * 3
    assert ids_of(plain(), frames) == [[1]] * 5


def test_a_strong_box_without_a_track_is_reported_all_the_same():
    tracker = plain(min_hits=3)
    tracker.update(boxes_at([[50, 50]]))
    strong = tracker.update(boxes_at([[50, 50], [200, 200]], score=0.9))
    assert strong.track_id.tolist() == [1, NO_TRACK]
    np.testing.assert_array_equal(strong.xyxy, boxes_at([[50, 50], [200, 200]]).xyxy)
    weak = tracker.update(boxes_at([[50, 50], [300, 300]], score=0.15))
    assert weak.track_id.tolist() == [1]


def test_empty_frames_from_the_start():
    tracked = plain().update(Detections.empty())
    assert len(tracked) == 0
    assert tracked.track_id.shape == (0,)


def test_ids_are_unique_in_a_frame_and_never_given_twice():
    tracker = plain(track_buffer=3)
    seen_until = {}
    for step, detections in enumerate(crowd(30, 60)):
        shown = detections[np.arange(len(detections)) % 7 != step % 7]
        ids = [i for i in tracker.update(shown).track_id.tolist() if i != NO_TRACK]
        assert len(ids) == len(set(ids))
        for track_id in ids:
            assert step - seen_until.get(track_id, step) <= 4
            seen_until[track_id] = step
    highest = max(seen_until)
    tracker.reset()
    assert tracker.update(boxes_at([[10, 10]])).track_id.tolist() > [highest]


def test_memory_stays_bounded_when_objects_come_and_go():
    tracker = plain(track_buffer=5)
    for step in range(200):
        tracker.update(boxes_at([[(step * 97) % 1900, (step * 61) % 1000]]))
    assert tracker._state.shape[1] <= 8


@pytest.mark.parametrize("count", [20, 100])
def test_a_crowd_keeps_its_ids(count):
    frames = crowd(count, 60, seed=3, size=30)
    tracker = plain()
    owner, switches = {}, 0
    for detections in frames:
        tracked = tracker.update(detections)
        row = iou_matrix(tracked.xyxy, detections.xyxy).argmax(axis=1)
        for who, track_id in zip(row.tolist(), tracked.track_id.tolist()):
            switches += owner.setdefault(who, track_id) != track_id
            owner[who] = track_id
    assert len(owner) == count
    assert switches <= 0.01 * count * len(frames)


def pan_ids(camera_motion, hidden):
    """Ids of four parked cars of 12 px before and after `hidden` frames unseen, under a camera that pans and turns."""
    ground = Ground()
    cars = np.array([[620, 560], [700, 640], [760, 580], [660, 720]], np.float64)
    tracker = ByteTracker(ByteConfig(camera_motion=camera_motion))
    ids = []
    for step in range(16 + hidden):
        # Slow at first, then a jerk: no constant velocity in the picture.
        angle = 0.004 * step
        camera = ground.camera(shift=(6 * step + 25 * np.sin(step / 3.0), 10 * np.cos(step / 4.0)), turn_rad=angle)
        boxes = boxes_at(through(camera, cars), size=12)
        shown = Detections.empty() if 8 <= step < 8 + hidden else boxes
        ids.append(tracker.update(shown, ground.view(camera)).track_id.tolist())
    return ids[7], ids[-1]


@pytest.mark.parametrize("hidden", [0, 5])
def test_ids_live_through_a_camera_pan_with_motion_compensation(hidden):
    before, after = pan_ids("flow", hidden)
    assert before == after == [1, 2, 3, 4]


def test_and_are_lost_without_it():
    before, after = pan_ids("off", 5)
    assert set(before).isdisjoint(after)


def test_tiny_boxes_that_jump_further_than_their_size_need_a_wider_gate():
    frames = [boxes_at([[50 + 9 * step, 50]], size=6) for step in range(20)]
    assert ids_of(plain(gate="biou", expand=4.0), frames)[-1] == [1]
    assert ids_of(plain(gate="centre", expand=4.0), frames)[-1] == [1]
    assert ids_of(plain(gate="iou"), frames)[-1] != [1]


def test_dropped_frames_are_counted_in():
    tracker = plain()
    for step in range(10):
        tracker.update(boxes_at([[50 + 6 * step, 50]], size=14))
    assert tracker.update(boxes_at([[50 + 6 * 19, 50]], size=14), steps=10).track_id.tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gate": "giou"}, "unknown gate 'giou'; choose from biou, centre, iou"),
        ({"camera_motion": "imu"}, "unknown camera_motion 'imu'; choose off or flow"),
        ({"track_low_thresh": 0.7}, "track_low_thresh <= track_thresh"),
    ],
)
def test_bad_config(changes, message):
    with pytest.raises(ConfigError, match=message):
        ByteConfig(**changes)


@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_trackers_open_by_name(name):
    assert isinstance(open_tracker(name), Tracker)


def test_unknown_tracker():
    with pytest.raises(ConfigError, match="unknown tracker 'deepsort'; choose from bytetrack"):
        open_tracker("deepsort")
