import numpy as np
import pytest
from scenes import Ground, between, through

from edgekit.runtime.tracking.motion import CameraMotion

NOTHING = np.zeros((0, 4), np.float32)
MOTIONS = {
    "shift": {"shift": (7.0, -4.0)},
    "turn": {"turn_rad": 0.02},
    "climb": {"scale": 0.985},
    "all": {"shift": (-5.0, 3.0), "turn_rad": -0.015, "scale": 1.01},
}


@pytest.mark.parametrize("size", [(640, 512), (1280, 720), (1919, 1079)])
@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_finds_the_motion_to_a_fraction_of_a_pixel(name, size):
    ground = Ground(*size)
    before, after = ground.camera(), ground.camera(**MOTIONS[name])
    motion = CameraMotion()
    assert motion.estimate(ground.view(before), NOTHING) is None
    affine = motion.estimate(ground.view(after), NOTHING)
    corners = np.array([[0, 0], [size[0], 0], [0, size[1]], size], np.float64)
    np.testing.assert_allclose(through(affine, corners), through(between(before, after), corners), atol=0.8)


def test_large_moving_objects_do_not_pull_it_along():
    ground = Ground()
    boxes = np.array([[40, 40, 300, 300], [330, 200, 600, 480]], np.float32)
    sprite = Ground(seed=9).view(Ground().camera())
    frames = []
    for step in (0, 9):
        frame = ground.view(ground.camera())
        for x1, y1, x2, y2 in boxes.astype(int):
            frame[y1:y2, x1:x2] = sprite[y1:y2, x1 - step : x2 - step]
        frames.append(frame)
    motion = CameraMotion()
    motion.estimate(frames[0], boxes)
    affine = motion.estimate(frames[1], boxes)
    np.testing.assert_allclose(affine, [[1, 0, 0], [0, 1, 0]], atol=0.05)


def test_follows_a_long_pan():
    ground = Ground()
    motion = CameraMotion()
    cameras = [ground.camera(shift=(6.0 * step, 2.0 * step)) for step in range(40)]
    motion.estimate(ground.view(cameras[0]), NOTHING)
    for step in range(1, 40):
        affine = motion.estimate(ground.view(cameras[step]), NOTHING)
        np.testing.assert_allclose(affine, between(cameras[step - 1], cameras[step]), atol=0.4)


def test_says_nothing_over_bare_ground_or_after_a_cut():
    bare = np.full((480, 640, 3), 127, np.uint8)
    motion = CameraMotion()
    for _ in range(3):
        assert motion.estimate(bare, NOTHING) is None
    ground = Ground()
    assert motion.estimate(ground.view(ground.camera()), NOTHING) is None
    assert motion.estimate(bare, NOTHING) is None


def test_another_frame_size_starts_anew():
    motion = CameraMotion()
    for size in ((640, 512), (320, 256)):
        ground = Ground(*size)
        assert motion.estimate(ground.view(ground.camera()), NOTHING) is None
    ground = Ground(320, 256)
    assert motion.estimate(ground.view(ground.camera()), NOTHING) is not None
