"""Constant-velocity Kalman filter of all tracks at once, without a matrix product.

Each track has four coordinates (cx, cy, w, h), each with a velocity. Start covariance, process noise and measurement
noise are diagonal and the motion couples a coordinate with its own velocity only, so the 8 x 8 covariance stays four
2 x 2 blocks [[pp, pv], [pv, vv]] forever, and predict and update are the closed forms of the 2 x 2 case:

    predict  F = [[1, 1], [0, 1]]     pp += 2 pv + vv + q_p     pv += vv     vv += q_v
    update   H = [1, 0], s = pp + r   gain (k_p, k_v) = (pp, pv) / s
             vv -= k_v pv             pv -= k_v pp              pp -= k_p pp

A batch of tracks is one array `state` (5, N, 4) float64: position, velocity, pp, pv, vv, in pixels and frames.

Bewley et al. 2016 (SORT) and Zhang et al. 2022 (ByteTrack) are the source. Differs from the papers: the noise scales
with sqrt(w h) in every coordinate, not with the height, so that a top-down view has no preferred axis and a turn of the
camera leaves the blocks as they are; the aspect ratio is no state, width and height are; the noise has a floor in
pixels, because the corners of a box of 8 pixels jitter by one pixel like those of a big one.
"""

from typing import Tuple

import numpy as np

POSITION, VELOCITY, PP, PV, VV = range(5)

_POSITION_STD = 1.0 / 20
_VELOCITY_STD = 1.0 / 160
_FLOOR_PX = 0.5
_FLOOR_PX_PER_FRAME = 0.05
_START_SPEED_STD = 0.25


def _noise(cxcywh: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Variances (N, 1) of position, px^2, and velocity, (px / frame)^2, for boxes of this size."""
    size = np.sqrt(np.maximum(cxcywh[:, 2:3] * cxcywh[:, 3:4], 1.0))
    position = _POSITION_STD * size + _FLOOR_PX
    velocity = _VELOCITY_STD * size + _FLOOR_PX_PER_FRAME
    return position * position, velocity * velocity


def start(cxcywh: np.ndarray) -> np.ndarray:
    """State (5, N, 4) of objects first seen at `cxcywh` (N, 4), at rest, their speed unknown."""
    position, _ = _noise(cxcywh)
    size = np.sqrt(np.maximum(cxcywh[:, 2:3] * cxcywh[:, 3:4], 1.0))
    state = np.zeros((5, len(cxcywh), 4))
    state[POSITION] = cxcywh
    state[PP] = 4 * position
    state[VV] = (_START_SPEED_STD * size + 10 * _FLOOR_PX_PER_FRAME) ** 2
    return state


def predict(state: np.ndarray) -> None:
    """Move `state` (5, N, 4) one frame on, in place."""
    position_noise, velocity_noise = _noise(state[POSITION])
    state[POSITION] += state[VELOCITY]
    np.maximum(state[POSITION, :, 2:], 1.0, out=state[POSITION, :, 2:])
    state[PP] += 2 * state[PV] + state[VV] + position_noise
    state[PV] += state[VV]
    state[VV] += velocity_noise


def update(state: np.ndarray, rows: np.ndarray, cxcywh: np.ndarray) -> None:
    """Correct the tracks `rows` (K,) of `state` (5, N, 4) by their boxes `cxcywh` (K, 4), in place."""
    position, velocity, pp, pv, vv = state[:, rows]
    noise, _ = _noise(position)
    spread = pp + noise
    gain_position, gain_velocity = pp / spread, pv / spread
    miss = cxcywh - position
    state[:, rows] = (
        position + gain_position * miss,
        velocity + gain_velocity * miss,
        pp - gain_position * pp,
        pv - gain_velocity * pp,
        vv - gain_velocity * pv,
    )


def warp(state: np.ndarray, affine: np.ndarray) -> None:
    """Carry `state` (5, N, 4) into the frame after a camera motion `affine` (2, 3), in place.

    The motion is a turn, one scale and a shift. The x and y blocks of a track are equal (same noise, same updates'
    gains), so the turn leaves them unchanged and only the scale reaches the covariance.
    """
    turn = affine[:, :2]
    scale = np.sqrt(abs(turn[0, 0] * turn[1, 1] - turn[0, 1] * turn[1, 0]))
    state[POSITION, :, :2] = state[POSITION, :, :2].dot(turn.T) + affine[:, 2]
    state[VELOCITY, :, :2] = state[VELOCITY, :, :2].dot(turn.T)
    state[:2, :, 2:] *= scale
    state[2:] *= scale * scale
