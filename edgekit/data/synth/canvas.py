"""The map that the ground of a world is painted on."""

import cv2
import numpy as np

from edgekit.data.synth.palette import GROUND, Colour, Weather
from edgekit.data.synth.shapes import WORLD_M

PIXELS_PER_M = 8
SIZE_PX = int(WORLD_M) * PIXELS_PER_M
SHIFT = 4


class Canvas:
    """The three layers that every brush stroke goes to."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.bgr = np.empty((SIZE_PX, SIZE_PX, 3), np.uint8)
        self.heat = np.empty((SIZE_PX, SIZE_PX), np.uint8)
        self.rough = np.empty((SIZE_PX, SIZE_PX), np.uint8)
        colour, rough = GROUND["grass"]
        self.bgr[:] = colour
        self.heat[:] = weather.heat["grass"]
        self.rough[:] = rough

    def fill(self, outline: np.ndarray, material: str) -> None:
        colour, rough = GROUND[material]
        self.fill_with(outline, colour, self.weather.heat[material], rough)

    def fill_with(self, outline: np.ndarray, colour: Colour, heat: int, rough: int) -> None:
        points = [fixed_m(outline)]
        cv2.fillPoly(self.bgr, points, colour, cv2.LINE_AA, SHIFT)
        cv2.fillPoly(self.heat, points, heat, cv2.LINE_AA, SHIFT)
        cv2.fillPoly(self.rough, points, rough, cv2.LINE_AA, SHIFT)

    def line(self, points: np.ndarray, material: str, width_m: float) -> None:
        colour, _ = GROUND[material]
        width = max(1, round(width_m * PIXELS_PER_M))
        cv2.polylines(self.bgr, [fixed_m(points)], False, colour, width, cv2.LINE_AA, SHIFT)
        cv2.polylines(self.heat, [fixed_m(points)], False, self.weather.heat[material], width, cv2.LINE_AA, SHIFT)


def fixed_m(points_m: np.ndarray) -> np.ndarray:
    return np.rint(points_m * (PIXELS_PER_M << SHIFT)).astype(np.int32).reshape(-1, 1, 2)
