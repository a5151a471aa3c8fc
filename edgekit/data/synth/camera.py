"""The drone's camera: a pinhole over a flat ground, and the smooth path that it flies.

World axes: x and y in metres along the ground (y grows downwards on the map), z up. Image axes: u right, v down.
"""

import math
from typing import NamedTuple, Tuple

import numpy as np

from edgekit.data.synth.noise import Random

# Focal length in pixels at 640 pixels width: a 46 degree lens. A car 4.5 m long is 57 px at 60 m and 26 px at 130 m.
FOCAL_AT_640_PX = 760.0


class Pose(NamedTuple):
    """Where the camera is looking from.

    Attributes:
        look_x_m, look_y_m: the ground point in the middle of the image.
        yaw_rad: heading of the image's right-hand side on the map.
        tilt_rad: 0 looks straight down.
        altitude_m: height over the ground.
    """

    look_x_m: float
    look_y_m: float
    yaw_rad: float
    tilt_rad: float
    altitude_m: float


class Camera:
    """Projects world points into one frame."""

    def __init__(self, pose: Pose, width: int, height: int) -> None:
        self.pose = pose
        self.focal_px = focal_px(width)
        right, down, forward = _axes(pose)
        self.position = np.array([pose.look_x_m, pose.look_y_m, 0.0]) - forward * (
            pose.altitude_m / math.cos(pose.tilt_rad)
        )
        rotation = np.stack([right, down, forward])
        intrinsics = np.array([[self.focal_px, 0.0, width / 2.0], [0.0, self.focal_px, height / 2.0], [0.0, 0.0, 1.0]])
        self.matrix = intrinsics @ np.hstack([rotation, (-rotation @ self.position)[:, None]])

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) in metres to pixels (N, 2), float64."""
        homogeneous = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        return homogeneous[:, :2] / homogeneous[:, 2:3]

    def sees(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (N, 3) are in front of the lens; `project` is meaningless for the others."""
        return points @ self.matrix[2, :3] + self.matrix[2, 3] > 1.0

    def plane(self, height_m: float = 0.0) -> np.ndarray:
        """The 3x3 homography from (x, y) metres at `height_m` to pixels."""
        columns = self.matrix[:, 2] * height_m + self.matrix[:, 3]
        return np.stack([self.matrix[:, 0], self.matrix[:, 1], columns], axis=1)

    def anchors(self, xy_m: np.ndarray, heading_rad: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The projection near points on the ground, to first order: enough for anything a few metres long.

        Args:
            xy_m: (N, 2) metres.
            heading_rad: (N,) where each one's forward points.

        Returns:
            origin (N, 2) pixels, and frame (N, 3, 2): pixels a metre forward, to the right, and up.
        """
        rays = xy_m @ self.matrix[:, :2].T + self.matrix[:, 3]
        origin = rays[:, :2] / rays[:, 2:3]
        slope = (self.matrix[None, :2, :3] - origin[:, :, None] * self.matrix[None, 2:3, :3]) / rays[:, 2, None, None]
        c, s = np.cos(heading_rad)[:, None], np.sin(heading_rad)[:, None]
        along_x, along_y = slope[:, :, 0], slope[:, :, 1]
        return origin, np.stack([along_x * c + along_y * s, along_y * c - along_x * s, slope[:, :, 2]], axis=1)

    def pixels_per_metre(self, x_m: float, y_m: float) -> float:
        """Scale of something on the ground at (x, y)."""
        depth = self.matrix[2, 0] * x_m + self.matrix[2, 1] * y_m + self.matrix[2, 3]
        return self.focal_px / float(depth)


def focal_px(width: int) -> float:
    """Focal length for an image of this width: the field of view stays the same."""
    return FOCAL_AT_640_PX * width / 640.0


def _axes(pose: Pose) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    cos_yaw, sin_yaw = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
    cos_tilt, sin_tilt = math.cos(pose.tilt_rad), math.sin(pose.tilt_rad)
    right = np.array([cos_yaw, sin_yaw, 0.0])
    level_down = np.array([-sin_yaw, cos_yaw, 0.0])
    nadir = np.array([0.0, 0.0, -1.0])
    return right, cos_tilt * level_down + sin_tilt * nadir, cos_tilt * nadir - sin_tilt * level_down


def footprint_radius_m(altitude_m: float, tilt_rad: float, width: int, height: int) -> float:
    """Distance from the look point to the farthest ground point in the image."""
    camera = Camera(Pose(0.0, 0.0, 0.0, tilt_rad, altitude_m), width, height)
    to_ground = np.linalg.inv(camera.plane())
    corners = np.array([[0.0, 0.0, 1.0], [width, 0.0, 1.0], [0.0, height, 1.0], [width, height, 1.0]]) @ to_ground.T
    if (corners[:, 2] * corners[0, 2] <= 0.0).any():
        return math.inf
    return float(np.hypot(corners[:, 0] / corners[:, 2], corners[:, 1] / corners[:, 2]).max())


class FlightPath:
    """A smooth closed-form path: the pose at any time, without the poses before it."""

    def __init__(
        self,
        rng: Random,
        centre: Tuple[float, float],
        reach: Tuple[float, float],
        altitude_m: Tuple[float, float],
        tilt_rad: Tuple[float, float],
    ) -> None:
        self._centre, self._reach, self._altitude, self._tilt = centre, reach, altitude_m, tilt_rad
        speed = rng.uniform(5.0, 9.0)
        self._rate = (0.6 * speed / max(reach[0], 10.0), speed / max(reach[1], 10.0))
        self._phase = rng.uniform(0.0, 2.0 * math.pi, 6)
        self._yaw = rng.uniform(0.0, 2.0 * math.pi)
        self._yaw_rate = rng.choice([-1.0, 1.0]) * rng.uniform(0.02, 0.07)

    def at(self, t_s: float) -> Pose:
        """The pose `t_s` seconds into the flight."""
        p = self._phase
        x = self._centre[0] + self._reach[0] * math.sin(self._rate[0] * t_s + p[0])
        y = self._centre[1] + self._reach[1] * math.sin(self._rate[1] * t_s + p[1])
        sway = 0.012 * math.sin(2.3 * t_s + p[2]) + 0.35 * math.sin(0.11 * t_s + p[3])
        return Pose(
            x,
            y,
            self._yaw + self._yaw_rate * t_s + sway,
            _between(self._tilt, math.sin(0.13 * t_s + p[4])),
            _between(self._altitude, math.sin(0.17 * t_s + p[5])),
        )


def _between(limits: Tuple[float, float], wave: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * 0.5 * (1.0 + wave)
