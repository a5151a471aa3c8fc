"""The values that a world's layout is made of. Metres; x to the right and y down on the map."""

import math
from typing import NamedTuple, Tuple

import numpy as np

WORLD_M = 384.0


class Path:
    """A polyline that things move along, addressed by distance from its start."""

    def __init__(self, xy: np.ndarray, half_width: float) -> None:
        self.xy = xy
        self.half_width = half_width
        step = np.diff(xy, axis=0)
        self.distance = np.concatenate([[0.0], np.cumsum(np.hypot(step[:, 0], step[:, 1]))])
        self.length = float(self.distance[-1])
        self._heading = np.unwrap(np.arctan2(np.gradient(xy[:, 1]), np.gradient(xy[:, 0])))

    def at(self, along: np.ndarray, offset: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Points (N, 2) at `along` metres, `offset` metres to the right of travel, and headings (N,) in radians."""
        heading = np.interp(along, self.distance, self._heading)
        x = np.interp(along, self.distance, self.xy[:, 0]) - offset * np.sin(heading)
        y = np.interp(along, self.distance, self.xy[:, 1]) + offset * np.cos(heading)
        return np.stack([x, y], axis=1), heading

    def band(self, half_width: float) -> np.ndarray:
        """The closed outline (2N, 2) of everything within `half_width` of the path."""
        left, _ = self.at(self.distance, np.full(len(self.distance), -half_width))
        right, _ = self.at(self.distance, np.full(len(self.distance), half_width))
        return np.concatenate([left, right[::-1]])


class Rect(NamedTuple):
    """A rectangle on the ground, its length along `angle_rad`."""

    x_m: float
    y_m: float
    length_m: float
    width_m: float
    angle_rad: float

    def corners(self, grow_m: float = 0.0) -> np.ndarray:
        """(4, 2) metres, in order around the outline."""
        half_l, half_w = self.length_m / 2.0 + grow_m, self.width_m / 2.0 + grow_m
        local = np.array([[-half_l, -half_w], [half_l, -half_w], [half_l, half_w], [-half_l, half_w]])
        return self.to_world(local)

    def to_world(self, local: np.ndarray) -> np.ndarray:
        """Points (N, 2) relative to the centre and along the length, on the map."""
        c, s = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return local @ np.array([[c, s], [-s, c]]) + np.array([self.x_m, self.y_m])


class Building(NamedTuple):
    """A prism with a roof; `style` picks its texture."""

    rect: Rect
    height_m: float
    flat_roof: bool
    style: int


class Bed(NamedTuple):
    """A rectangle of one material on the ground, with a shadow if it is tall."""

    rect: Rect
    material: str
    height_m: float


class Tree(NamedTuple):
    """A single tree that stands above the ground (forests are part of the ground)."""

    x_m: float
    y_m: float
    radius_m: float
    height_m: float
    style: int


class Parcel(NamedTuple):
    """A piece of land between roads, with one use."""

    kind: str
    outline: np.ndarray
    inner: Rect
