import dataclasses

import numpy as np
import pytest

from edgekit.data.synth import SYNTH_CLASSES, Flight
from edgekit.data.synth import flight as flight_module
from edgekit.errors import DataError


def _same(a, b):
    return all((x is None and y is None) or np.array_equal(x, y) for x, y in zip(a, b))


def test_a_frame_does_not_depend_on_the_frames_before_it(flight, frames):
    forget = (flight_module._scene, flight_module._sensor, flight_module._path)
    for cache in forget:
        cache.cache_clear()
    backwards = [flight.render(index, infrared=True, masks=True) for index in range(80, -1, -10)]
    assert all(_same(a, b) for a, b in zip(frames, reversed(backwards)))


def test_asking_for_more_does_not_change_the_picture(flight, frames):
    plain = flight.render(10)
    assert plain.infrared_hw is None and plain.mask_hw is None
    np.testing.assert_array_equal(plain.image_hwc, frames[1].image_hwc)
    np.testing.assert_array_equal(plain.xyxy, frames[1].xyxy)


def test_shapes_and_types(frames):
    for frame in frames:
        count = len(frame.xyxy)
        assert frame.image_hwc.shape == (256, 320, 3) and frame.image_hwc.dtype == np.uint8
        assert frame.infrared_hw.shape == (256, 320) and frame.infrared_hw.dtype == np.uint8
        assert frame.mask_hw.shape == (256, 320) and frame.mask_hw.dtype == np.uint16
        assert frame.xyxy.shape == (count, 4) and frame.xyxy.dtype == np.float32
        assert frame.class_id.shape == frame.track_id.shape == (count,)
        assert frame.class_id.dtype == frame.track_id.dtype == np.int64
        assert len(np.unique(frame.track_id)) == count


def test_boxes_are_the_bounds_of_the_mask(frames):
    checked = 0
    for frame in frames:
        assert frame.mask_hw.max() == len(frame.xyxy)
        for row, box in enumerate(frame.xyxy):
            y, x = np.nonzero(frame.mask_hw == row + 1)
            assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
            checked += 1
    assert checked > 30


def test_boxes_lie_inside_the_image_and_visibility_in_its_range(frames):
    for frame in frames:
        for boxes in (frame.xyxy, frame.ignore_xyxy):
            assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 320).all() and (boxes[:, 3] <= 256).all()
            assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (frame.visibility >= flight_module.MIN_VISIBILITY).all() and (frame.visibility <= 1.0).all()
        assert len(frame.ignore_xyxy) == len(frame.ignore_class_id)


def test_an_actor_at_the_border_is_less_visible():
    flight = Flight(seed=0, frames=400)
    cut = whole = 0
    for index in range(0, 400, 40):
        frame = flight.render(index)
        touches = (frame.xyxy[:, :2] == 0).any(axis=1) | (frame.xyxy[:, 2:] == [640, 512]).any(axis=1)
        cut += int((frame.visibility[touches] < 1.0).sum())
        whole += int((frame.visibility[~touches] > 0.99).sum())
    assert cut > 3 and whole > 30


def test_tracks_move_smoothly_and_keep_their_class():
    flight = Flight(seed=4, frames=60)
    last = {}
    followed = 0
    for index in range(60):
        frame = flight.render(index)
        centres = (frame.xyxy[:, :2] + frame.xyxy[:, 2:]) / 2.0
        now = {}
        for track, kind, centre, seen in zip(frame.track_id, frame.class_id, centres, frame.visibility):
            now[track] = (kind, centre, seen)
            if track in last and min(seen, last[track][2]) > 0.98:
                assert last[track][0] == kind
                assert np.abs(centre - last[track][1]).max() < 9.0
                followed += 1
        last = now
    assert followed > 150


def test_some_tracks_move_over_the_ground():
    from edgekit.data.synth.actors import cast_for
    from edgekit.data.synth.layout import layout_for

    cast = cast_for(layout_for(3), SYNTH_CLASSES)
    start, later = cast.at(0.0), cast.at(1.0)
    stayed = start.track_id == later.track_id
    metres = np.hypot(*(later.xy_m - start.xy_m).T)
    kinds = np.array(cast.kinds)
    assert metres[stayed].max() < 16.0
    assert np.median(metres[stayed & (kinds == "boat")]) > 1.0
    assert (metres[stayed & (kinds == "car")] > 4.0).sum() > 10
    assert (metres[stayed & (kinds == "car")] == 0.0).sum() > 10


def test_an_actor_that_comes_round_again_is_a_new_track():
    from edgekit.data.synth.actors import cast_for
    from edgekit.data.synth.layout import layout_for

    cast = cast_for(layout_for(3), ("car", "truck"))
    ids = np.stack([cast.at(t).track_id for t in range(0, 400, 2)])
    places = np.stack([cast.at(t).xy_m for t in range(0, 400, 2)])
    jumped = np.hypot(*np.moveaxis(np.diff(places, axis=0), 2, 0)) > 100.0
    np.testing.assert_array_equal(jumped, np.diff(ids, axis=0) != 0)
    assert jumped.any()


@pytest.mark.slow
def test_sizes_are_those_of_small_aerial_objects():
    sizes = {name: [] for name in SYNTH_CLASSES}
    for seed in range(5):
        flight = Flight(seed=seed, frames=20000)
        for index in range(0, 20000, 1250):
            frame = flight.render(index)
            longest = (frame.xyxy[:, 2:] - frame.xyxy[:, :2]).max(axis=1)
            for class_id, size, seen in zip(frame.class_id, longest, frame.visibility):
                if seen > 0.95:
                    sizes[SYNTH_CLASSES[class_id]].append(size)
    for name in SYNTH_CLASSES:
        low, high = np.percentile(sizes[name], [2, 98])
        assert low >= 4.0 and high <= 62.0, (name, low, high)
    medians = {name: np.median(sizes[name]) for name in SYNTH_CLASSES}
    assert medians["person"] < medians["bicycle"] < medians["car"] < medians["truck"]


def test_actors_are_warmer_than_the_ground_and_in_the_same_place():
    inside, outside = [], []
    for seed in range(3):
        frame = Flight(seed=seed).render(7, infrared=True, masks=True)
        for row, box in enumerate(frame.xyxy.astype(int)):
            x0, y0, x1, y1 = box
            around = np.s_[max(y0 - 4, 0) : y1 + 4, max(x0 - 4, 0) : x1 + 4]
            mask, heat = frame.mask_hw[around], frame.infrared_hw[around]
            if (mask == 0).any():
                inside.append(heat[mask == row + 1].mean())
                outside.append(heat[mask == 0].mean())
    assert len(inside) > 40
    assert np.mean(inside) > np.mean(outside) + 5.0


def test_seeds_differ():
    a, b = (Flight(seed=s, width=128, height=96).render(0).image_hwc.astype(float) for s in (1, 2))
    assert np.abs(a - b).mean() > 10.0


def test_only_the_classes_asked_for_are_there():
    frame = Flight(seed=3, classes=("boat", "car")).render(100)
    assert set(frame.class_id.tolist()) == {0, 1}


def test_the_picture_is_never_flat_or_clipped(frames):
    for frame in frames:
        assert frame.image_hwc.std() > 15.0 and 40.0 < frame.image_hwc.mean() < 200.0
        assert frame.infrared_hw.std() > 6.0 and 80.0 < frame.infrared_hw.mean() < 180.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 10}, "width is 10, expected 64 to 4096"),
        ({"frames": 0}, "frames is 0"),
        ({"fps": 0.0}, "fps is 0.0"),
        ({"altitude_m": (120.0, 80.0)}, "the lower first"),
        ({"altitude_m": (80.0, 900.0)}, "fly lower"),
        ({"tilt_deg": (0.0, 80.0)}, "from 0 to 60"),
        ({"classes": ("car", "tank")}, "tank"),
        ({"classes": ()}, "expected different ones"),
        ({"classes": ("car", "car")}, "expected different ones"),
    ],
)
def test_a_flight_that_cannot_be_flown(fields, message):
    with pytest.raises(DataError, match=message):
        dataclasses.replace(Flight(), **fields)


@pytest.mark.parametrize("index", [-1, 90])
def test_a_frame_that_is_not_there(flight, index):
    with pytest.raises(IndexError, match="90 frames"):
        flight.render(index)


@pytest.mark.parametrize(
    "fields", [{}, {"altitude_m": (60.0, 170.0)}, {"altitude_m": (30.0, 110.0), "tilt_deg": (0.0, 36.0)}]
)
def test_the_picture_stays_inside_the_world(fields):
    from edgekit.data.synth.camera import Camera
    from edgekit.data.synth.shapes import WORLD_M

    for seed in range(12):
        flight = Flight(seed=seed, **fields)
        for t_s in range(0, 400, 7):
            camera = Camera(flight_module._path(flight).at(float(t_s)), 640, 512)
            to_ground = np.linalg.inv(camera.plane())
            corners = np.array([[0, 0, 1], [640, 0, 1], [640, 512, 1], [0, 512, 1]]) @ to_ground.T
            ground = corners[:, :2] / corners[:, 2:]
            assert ground.min() > 0.0 and ground.max() < WORLD_M
