"""A synthetic flight: a frozen description, and any of its frames with exact boxes, tracks and masks."""

import functools
import math
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from edgekit.data.synth.actors import SYNTH_CLASSES
from edgekit.data.synth.camera import Camera, FlightPath, Pose, footprint_radius_m
from edgekit.data.synth.noise import random_for
from edgekit.data.synth.render import Drawn, Scene
from edgekit.data.synth.sensor import Sensor
from edgekit.data.synth.shapes import WORLD_M
from edgekit.errors import DataError

MIN_VISIBILITY = 0.3
_EXPOSURE_S = 0.012


class SynthFrame(NamedTuple):
    """One rendered frame and the truth about it; boxes are the tight bounds of each actor's visible pixels.

    Attributes:
        image_hwc: (H, W, 3) uint8 BGR.
        infrared_hw: (H, W) uint8 thermal image, registered with `image_hwc`, or None.
        xyxy: (N, 4) float32 pixels; x2 and y2 are one past the last pixel.
        class_id: (N,) int64, index into the flight's classes.
        track_id: (N,) int64, the same for one actor in all frames of the flight.
        visibility: (N,) float32 in (0, 1], the share of the actor that is neither hidden nor outside the image.
        ignore_xyxy: (M, 4) float32, actors too hidden or too cut off to be asked for.
        ignore_class_id: (M,) int64, what they are.
        mask_hw: (H, W) uint16, k + 1 where row k of `xyxy` shows and 0 elsewhere, or None.
        seen_by: (N,) int64, 0 where both cameras see it, 1 colour alone, 2 infrared alone.
    """

    image_hwc: np.ndarray
    infrared_hw: Optional[np.ndarray]
    xyxy: np.ndarray
    class_id: np.ndarray
    track_id: np.ndarray
    visibility: np.ndarray
    ignore_xyxy: np.ndarray
    ignore_class_id: np.ndarray
    mask_hw: Optional[np.ndarray]
    seen_by: np.ndarray


@dataclass(frozen=True)
class Flight:
    """A drone flight over a made-up world, the same for the same values.

    Attributes:
        seed: which world, weather, path and traffic.
        width, height: pixels; the field of view across is always 46 degrees.
        frames: how many there are; frame k is rendered without the frames before it.
        fps: frames a second.
        altitude_m: lowest and highest; a car is 57 px long at 60 m and 26 px at 130 m (640 px wide).
        tilt_deg: smallest and largest angle from straight down.
        classes: which actors there are, in the order of their class ids.
        infrared: whether frames have their thermal image when `render` is not told.
        thermal_only: a thermal camera: `image_hwc` is the thermal image in three equal channels.
        one_camera: share of the actors that only one camera sees, half of them each: the others are as warm as the
            ground, or in its colours.
    """

    seed: int = 0
    width: int = 640
    height: int = 512
    frames: int = 300
    fps: float = 30.0
    altitude_m: Tuple[float, float] = (80.0, 115.0)
    tilt_deg: Tuple[float, float] = (2.0, 14.0)
    classes: Tuple[str, ...] = SYNTH_CLASSES
    infrared: bool = False
    thermal_only: bool = False
    one_camera: float = 0.0

    def __post_init__(self) -> None:
        for name in ("altitude_m", "tilt_deg", "classes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _check(self)

    def render(self, index: int, infrared: Optional[bool] = None, masks: bool = False) -> SynthFrame:
        """Render frame `index`.

        Args:
            index: 0 to `frames` - 1.
            infrared: render the thermal image too; as the flight says when None.
            masks: return the instance map too.

        Raises:
            IndexError: there is no such frame.
        """
        if not 0 <= index < self.frames:
            raise IndexError("frame {} of a flight with {} frames".format(index, self.frames))
        path, sensor, scene = _path(self), _sensor(self), _scene(self.seed, self.classes)
        t_s = index / self.fps
        camera = Camera(path.at(t_s), self.width, self.height)
        drawn = scene.draw(camera, t_s, (self.width, self.height), self.one_camera)
        motion = _motion_px(camera, path.at(t_s + _EXPOSURE_S))
        thermal = None
        if self.thermal_only or (self.infrared if infrared is None else infrared):
            thermal = sensor.thermal(cv2.extractChannel(drawn.canvas, 3), index, t_s, motion)
        if thermal is not None and self.thermal_only:
            image = cv2.cvtColor(thermal, cv2.COLOR_GRAY2BGR)
        else:
            image = sensor.colour(cv2.cvtColor(drawn.canvas, cv2.COLOR_BGRA2BGR), index, t_s, motion)
        return _with_truth(self, scene, drawn, image, thermal, masks)


def _check(flight: Flight) -> None:
    for name, value, low, high in (
        ("width", flight.width, 64, 4096),
        ("height", flight.height, 64, 4096),
        ("frames", flight.frames, 1, 10**8),
        ("fps", flight.fps, 0.1, 1000.0),
    ):
        if not low <= value <= high:
            raise DataError("a synthetic flight's {} is {}, expected {} to {}".format(name, value, low, high))
    if not 0.0 <= flight.one_camera <= 1.0:
        raise DataError("one_camera is {}, expected a share from 0 to 1".format(flight.one_camera))
    low, high = flight.altitude_m
    if not 10.0 <= low <= high:
        raise DataError("altitude_m is {}, expected two values, 10 or more, the lower first".format(flight.altitude_m))
    if not 0.0 <= flight.tilt_deg[0] <= flight.tilt_deg[1] <= 60.0:
        raise DataError("tilt_deg is {}, expected two values from 0 to 60, the lower first".format(flight.tilt_deg))
    unknown = [name for name in flight.classes if name not in SYNTH_CLASSES]
    if unknown or not flight.classes or len(set(flight.classes)) != len(flight.classes):
        raise DataError("classes are {}, expected different ones of {}".format(flight.classes, SYNTH_CLASSES))
    if _radius_m(flight) > WORLD_M / 2.0 - 5.0:
        raise DataError(
            "altitude_m {} with tilt_deg {} sees farther than the {:.0f} m world; fly lower or tilt less".format(
                flight.altitude_m, flight.tilt_deg, WORLD_M
            )
        )


def _radius_m(flight: Flight) -> float:
    return footprint_radius_m(flight.altitude_m[1], math.radians(flight.tilt_deg[1]), flight.width, flight.height)


# A world holds about 50 MB.
@functools.lru_cache(maxsize=3)
def _scene(seed: int, classes: Tuple[str, ...]) -> Scene:
    return Scene(seed, classes)


@functools.lru_cache(maxsize=4)
def _sensor(flight: Flight) -> Sensor:
    return Sensor(flight.seed, flight.width, flight.height)


@functools.lru_cache(maxsize=4)
def _path(flight: Flight) -> FlightPath:
    rng = random_for(flight.seed, "path")
    middle = WORLD_M / 2.0
    free = middle - _radius_m(flight)
    # Beside one of the two main roads, as far as the picture stays inside the world.
    aside = min(max(WORLD_M * float(rng.choice([-0.14, -0.06, 0.08, 0.16])), -free), free)
    reach = (min(45.0, free - abs(aside)), min(free, 110.0))
    tilt = (math.radians(flight.tilt_deg[0]), math.radians(flight.tilt_deg[1]))
    return FlightPath(rng, (middle + aside, middle), reach, flight.altitude_m, tilt)


def _motion_px(camera: Camera, later: Pose) -> Tuple[float, float]:
    """How far the middle of the picture moves during the exposure."""
    shift = camera.project(np.array([[later.look_x_m, later.look_y_m, 0.0]]))[0]
    start = camera.project(np.array([[camera.pose.look_x_m, camera.pose.look_y_m, 0.0]]))[0]
    return float(shift[0] - start[0]), float(shift[1] - start[1])


def _with_truth(
    flight: Flight, scene: Scene, drawn: Drawn, image: np.ndarray, thermal: Optional[np.ndarray], masks: bool
) -> SynthFrame:
    found = [seen for seen in (_visible(drawn, k) for k in range(len(drawn.rows))) if seen is not None]
    kept = [seen for seen in found if seen.visibility >= MIN_VISIBILITY]
    ignored = [seen for seen in found if seen.visibility < MIN_VISIBILITY]
    class_of = {name: number for number, name in enumerate(flight.classes)}
    kinds = [class_of[kind] for kind in scene.cast.kinds]
    rows = [drawn.rows[seen.place] for seen in kept]
    return SynthFrame(
        image,
        thermal,
        np.array([seen.box for seen in kept], np.float32).reshape(-1, 4),
        np.array([kinds[row] for row in rows], np.int64),
        drawn.state.track_id[np.array(rows, np.int64)],
        np.array([seen.visibility for seen in kept], np.float32),
        np.array([seen.box for seen in ignored], np.float32).reshape(-1, 4),
        np.array([kinds[drawn.rows[seen.place]] for seen in ignored], np.int64),
        _mask(drawn, kept) if masks else None,
        drawn.seen[np.array(rows, np.int64)],
    )


class _Seen(NamedTuple):
    place: int
    box: Tuple[int, int, int, int]
    visibility: float


def _visible(drawn: Drawn, place: int) -> Optional[_Seen]:
    """The tight box and visible share of one actor, or None where nothing of it shows."""
    x0, y0, x1, y1 = drawn.boxes[place]
    shown = drawn.ids[y0:y1, x0:x1] == place + 1
    count = int(np.count_nonzero(shown))
    if count == 0:
        return None
    left, top, width, height = cv2.boundingRect(shown.view(np.uint8))
    box = (x0 + left, y0 + top, x0 + left + width, y0 + top + height)
    return _Seen(place, box, count / float(drawn.whole_px[place]))


def _mask(drawn: Drawn, kept: List[_Seen]) -> np.ndarray:
    renumber = np.zeros(len(drawn.rows) + 1, np.uint16)
    for row, seen in enumerate(kept):
        renumber[seen.place + 1] = row + 1
    return renumber[drawn.ids]
