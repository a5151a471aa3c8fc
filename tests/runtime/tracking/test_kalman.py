import numpy as np
import pytest

from edgekit.runtime.tracking import kalman


def full_covariance(state, row):
    """The 8 x 8 covariance of one track, coordinates first, velocities after."""
    return np.block(
        [
            [np.diag(state[kalman.PP, row]), np.diag(state[kalman.PV, row])],
            [np.diag(state[kalman.PV, row]), np.diag(state[kalman.VV, row])],
        ]
    )


def full_mean(state, row):
    return np.concatenate([state[kalman.POSITION, row], state[kalman.VELOCITY, row]])


def noise_of(cxcywh):
    position, velocity = kalman._noise(cxcywh)
    return position[0, 0], velocity[0, 0]


def test_blocks_equal_the_matrix_filter():
    rng = np.random.RandomState(0)
    boxes = rng.uniform(10, 60, (3, 4))
    state = kalman.start(boxes)
    motion = np.block([[np.eye(4), np.eye(4)], [np.zeros((4, 4)), np.eye(4)]])
    look = np.hstack([np.eye(4), np.zeros((4, 4))])
    mean, covariance = full_mean(state, 1), full_covariance(state, 1)
    for _ in range(5):
        noise, drift = noise_of(mean[None, :4])
        mean = motion.dot(mean)
        covariance = motion.dot(covariance).dot(motion.T) + np.diag([noise] * 4 + [drift] * 4)
        kalman.predict(state)
        measured = boxes[1] + rng.normal(0, 2, 4)
        noise, _ = noise_of(mean[None, :4])
        spread = look.dot(covariance).dot(look.T) + noise * np.eye(4)
        gain = covariance.dot(look.T).dot(np.linalg.inv(spread))
        mean = mean + gain.dot(measured - look.dot(mean))
        covariance = covariance - gain.dot(spread).dot(gain.T)
        kalman.update(state, np.array([1]), measured[None])
    np.testing.assert_allclose(full_mean(state, 1), mean, rtol=1e-9)
    np.testing.assert_allclose(full_covariance(state, 1), covariance, rtol=1e-9, atol=1e-12)


def test_update_leaves_the_other_tracks_alone():
    state = kalman.start(np.full((3, 4), 20.0))
    before = state.copy()
    kalman.update(state, np.array([2]), np.full((1, 4), 22.0))
    np.testing.assert_array_equal(state[:, :2], before[:, :2])
    assert (state[kalman.POSITION, 2] > 20).all()


def test_learns_a_speed():
    state = kalman.start(np.array([[0.0, 0.0, 12.0, 12.0]]))
    for step in range(1, 12):
        kalman.predict(state)
        kalman.update(state, np.array([0]), np.array([[3.0 * step, -1.0 * step, 12.0, 12.0]]))
    np.testing.assert_allclose(state[kalman.VELOCITY, 0], [3, -1, 0, 0], atol=0.1)


def test_warp_is_the_camera_s_motion():
    state = kalman.start(np.array([[10.0, 20.0, 8.0, 6.0]]))
    state[kalman.VELOCITY, 0] = (2, 0, 0, 0)
    spread = state[kalman.PP].copy()
    quarter_turn_twice_as_near = np.array([[0.0, -2.0, 5.0], [2.0, 0.0, 7.0]])
    kalman.warp(state, quarter_turn_twice_as_near)
    np.testing.assert_allclose(state[kalman.POSITION, 0], [-40 + 5, 20 + 7, 16, 12])
    np.testing.assert_allclose(state[kalman.VELOCITY, 0, :2], [0, 4])
    np.testing.assert_allclose(state[kalman.PP], 4 * spread)


def test_a_shrinking_box_stays_a_box():
    state = kalman.start(np.array([[10.0, 20.0, 3.0, 3.0]]))
    state[kalman.VELOCITY, 0, 2:] = -5
    for _ in range(4):
        kalman.predict(state)
    assert (state[kalman.POSITION, 0, 2:] >= 1).all()
    assert np.isfinite(state).all()


@pytest.mark.parametrize("count", [0, 1, 65])
def test_any_number_of_tracks(count):
    state = kalman.start(np.full((count, 4), 9.0))
    kalman.predict(state)
    kalman.update(state, np.arange(count), np.full((count, 4), 10.0))
    assert state.shape == (5, count, 4)
