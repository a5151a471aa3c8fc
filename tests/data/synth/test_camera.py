import math

import numpy as np
import pytest

from edgekit.data.synth.camera import Camera, FlightPath, Pose, focal_px, footprint_radius_m
from edgekit.data.synth.noise import random_for

POSE = Pose(20.0, 30.0, 0.7, math.radians(25.0), 80.0)


def test_the_look_point_is_in_the_middle():
    camera = Camera(POSE, 640, 512)
    np.testing.assert_allclose(camera.project(np.array([[20.0, 30.0, 0.0]])), [[320.0, 256.0]], atol=1e-9)
    assert camera.position[2] == pytest.approx(80.0)


def test_straight_down_the_scale_is_focal_length_over_altitude():
    camera = Camera(Pose(0.0, 0.0, 0.0, 0.0, 76.0), 640, 512)
    metre = camera.project(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])) - [320.0, 256.0]
    np.testing.assert_allclose(metre, [[10.0, 0.0], [0.0, 10.0]], atol=1e-9)
    assert camera.pixels_per_metre(0.0, 0.0) == pytest.approx(10.0)
    assert focal_px(1280) == 2 * focal_px(640)


def test_plane_and_project_agree():
    camera = Camera(POSE, 640, 512)
    for height in (0.0, 6.0):
        mapped = camera.plane(height) @ [25.0, 41.0, 1.0]
        expected = camera.project(np.array([[25.0, 41.0, height]]))[0]
        np.testing.assert_allclose(mapped[:2] / mapped[2], expected)


def test_anchors_are_the_derivative_of_project():
    camera = Camera(POSE, 640, 512)
    xy, heading = np.array([[10.0, 12.0], [40.0, 25.0]]), np.array([0.3, -2.0])
    origin, frame = camera.anchors(xy, heading)
    for k in range(2):
        c, s = math.cos(heading[k]), math.sin(heading[k])
        ground = np.array([xy[k, 0], xy[k, 1], 0.0])
        np.testing.assert_allclose(camera.project(ground[None])[0], origin[k])
        for axis, step in enumerate(([c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0])):
            moved = camera.project((ground + 1e-5 * np.array(step))[None])[0]
            np.testing.assert_allclose((moved - origin[k]) / 1e-5, frame[k, axis], atol=1e-3)


def test_tall_things_lean_away_from_the_middle():
    camera = Camera(Pose(0.0, 0.0, 0.0, 0.0, 80.0), 640, 512)
    foot, head = camera.project(np.array([[20.0, 10.0, 0.0], [20.0, 10.0, 5.0]])) - [320.0, 256.0]
    assert np.hypot(*head) > np.hypot(*foot)
    np.testing.assert_allclose(head[0] / head[1], foot[0] / foot[1])


def test_the_footprint_of_a_level_camera():
    assert footprint_radius_m(76.0, 0.0, 640, 512) == pytest.approx(math.hypot(32.0, 25.6))
    assert footprint_radius_m(76.0, math.radians(80.0), 640, 512) == math.inf


def test_the_path_is_smooth_and_stays_in_reach():
    path = FlightPath(random_for(1, "path"), (100.0, 120.0), (40.0, 60.0), (70.0, 110.0), (0.0, 0.2))
    poses = np.array([path.at(t) for t in np.arange(0.0, 300.0, 1.0 / 30.0)])
    assert np.abs(poses[:, 0] - 100.0).max() <= 40.0 and np.abs(poses[:, 1] - 120.0).max() <= 60.0
    assert poses[:, 4].min() >= 70.0 and poses[:, 4].max() <= 110.0
    step = np.abs(np.diff(poses, axis=0)).max(axis=0)
    assert step[:2].max() < 0.5 and step[2] < 0.01 and step[4] < 0.2


def test_what_is_behind_a_tilted_camera_is_not_seen():
    camera = Camera(Pose(0.0, 0.0, 0.0, math.radians(36.0), 60.0), 640, 512)
    ahead, below, behind = (np.array([0.0, y, 0.0]) for y in (-40.0, 40.0, 190.0))
    assert camera.sees(np.stack([ahead, below, behind])).tolist() == [True, True, False]
