"""Frames for training, straight from memory: many worlds, any place in the flight, in an order that a seed fixes."""

from dataclasses import replace
from typing import Dict, Iterator, Tuple

import cv2
import numpy as np

from edgekit.data.synth.flight import Flight, SynthFrame
from edgekit.data.synth.noise import random_for

HIT_UAV_CLASSES = ("Person", "Car", "Bicycle", "OtherVehicle")
_HIT_UAV_OF: Dict[str, int] = {"person": 0, "car": 1, "bicycle": 2, "truck": 3}
_HOURS_OF_FRAMES = 1000000


def samples(flight: Flight, count: int, per_world: int = 100, infrared: bool = False) -> Iterator[SynthFrame]:
    """Yield `count` frames from ever new worlds.

    Args:
        flight: everything but the world; worlds are seeded from `flight.seed` on.
        count: how many frames.
        per_world: frames before the next world is built, which costs about as much as 40 frames.
        infrared: render the thermal image too.
    """
    for start in range(0, count, per_world):
        world = replace(flight, seed=flight.seed + start // per_world, frames=_HOURS_OF_FRAMES)
        rng = random_for(world.seed, "samples")
        for index in rng.randint(0, _HOURS_OF_FRAMES, min(per_world, count - start)):
            yield world.render(int(index), infrared=infrared)


def hit_uav_flight(seed: int = 0) -> Flight:
    """A flight at HIT-UAV's sizes and angles, without the class that it lacks."""
    return Flight(
        seed=seed, altitude_m=(30.0, 68.0), tilt_deg=(0.0, 36.0), classes=("person", "car", "bicycle", "truck")
    )


def as_hit_uav(frame: SynthFrame, classes: Tuple[str, ...]) -> SynthFrame:
    """The thermal picture as the image, in three channels, with HIT-UAV's class ids; boats are ignored regions.

    Args:
        frame: rendered with `infrared=True`.
        classes: the flight's classes.

    Raises:
        ValueError: the frame has no thermal image.
    """
    if frame.infrared_hw is None:
        raise ValueError("the frame has no thermal image; render it with infrared=True")
    table = np.array([_HIT_UAV_OF.get(name, -1) for name in classes], np.int64)
    class_id = table[frame.class_id]
    keep = class_id >= 0
    ignore = np.concatenate([table[frame.ignore_class_id], class_id[~keep]])
    return frame._replace(
        image_hwc=cv2.cvtColor(frame.infrared_hw, cv2.COLOR_GRAY2BGR),
        xyxy=frame.xyxy[keep],
        class_id=class_id[keep],
        track_id=frame.track_id[keep],
        visibility=frame.visibility[keep],
        seen_by=frame.seen_by[keep],
        ignore_xyxy=np.concatenate([frame.ignore_xyxy, frame.xyxy[~keep]]),
        ignore_class_id=ignore,
        mask_hw=None,
    )
