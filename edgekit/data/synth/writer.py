"""Flights as files: a video with its truth, or a COCO folder of images."""

import os
import tempfile
from typing import Any, Callable, Dict, Optional, Sequence

import cv2
import numpy as np

from edgekit.data.synth.flight import Flight, SynthFrame
from edgekit.data.synth.truth import Truth
from edgekit.errors import DataError, StorageError
from edgekit.files import PathLike, atomic_write, put_in_place, storage_errors

Progress = Callable[[int, int, str], None]


def write_video(flight: Flight, path_mp4: PathLike, infrared: bool = False, progress: Optional[Progress] = None) -> str:
    """Render a flight to an MPEG-4 video, and its truth to a JSON file beside it.

    Args:
        flight: what to render.
        path_mp4: the video; the truth goes to the same name with `.gt.json` for `.mp4`.
        infrared: write the thermal image (grey) instead of the colour image.
        progress: called with frames done, frames in all, and what is happening.

    Returns:
        The path of the truth.

    Raises:
        DataError: the name does not end in .mp4.
        StorageError: the folder cannot be written, or OpenCV has no MPEG-4 encoder.
    """
    path = os.fspath(path_mp4)
    if not path.endswith(".mp4"):
        raise DataError("{} does not end in .mp4; a synthetic flight is written as an MPEG-4 video".format(path))
    truth = Truth(flight.classes, describe(flight))
    with storage_errors(path):
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".mp4", dir=os.path.dirname(path) or ".")
        os.close(handle)
    try:
        _encode(flight, temporary, infrared, truth, progress)
        with storage_errors(path):
            os.chmod(temporary, 0o644)
        put_in_place(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    truth_path = path[: -len(".mp4")] + ".gt.json"
    truth.write(truth_path)
    return truth_path


def _encode(flight: Flight, path: str, infrared: bool, truth: Truth, progress: Optional[Progress]) -> None:
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), flight.fps, (flight.width, flight.height))
    if not writer.isOpened():
        raise StorageError("OpenCV cannot encode MPEG-4 to {}; install an OpenCV with FFmpeg".format(path))
    try:
        for index in range(flight.frames):
            frame = flight.render(index, infrared=infrared)
            writer.write(shown(frame))
            truth.add(frame, "frame_{:06d}".format(index), {"frame_index": index})
            if progress is not None:
                progress(index + 1, flight.frames, "rendering")
    finally:
        writer.release()


def shown(frame: SynthFrame) -> np.ndarray:
    """(H, W, 3) uint8: the thermal image in three equal channels where there is one, else the colour image."""
    return frame.image_hwc if frame.infrared_hw is None else cv2.cvtColor(frame.infrared_hw, cv2.COLOR_GRAY2BGR)


def describe(flight: Flight) -> str:
    """One line that says how to render the flight again."""
    return "synthetic flight: {!r}".format(flight)


def write_dataset(
    flights: Sequence[Flight],
    folder: PathLike,
    infrared: bool = False,
    every: int = 1,
    progress: Optional[Progress] = None,
) -> str:
    """Render flights to a COCO folder: images/, infrared/ where asked for, annotations/instances.json.

    Args:
        flights: what to render; they share their classes.
        folder: made when it is not there.
        infrared: write the registered thermal images too, under the same names.
        every: keep every so many frames of each flight.
        progress: called with images done, images in all, and what is happening.

    Returns:
        The path of the annotations, for `edgekit.data.coco.read_coco`.

    Raises:
        DataError: there is no flight, or they differ in their classes.
        StorageError: the folder cannot be written.
    """
    if not flights or len({flight.classes for flight in flights}) != 1:
        raise DataError("expected one or more flights with the same classes, got {}".format(len(flights)))
    folder = os.fspath(folder)
    names = ("images", "infrared", "annotations") if infrared else ("images", "annotations")
    with storage_errors(folder):
        for name in names:
            os.makedirs(os.path.join(folder, name), exist_ok=True)
    truth = Truth(flights[0].classes, "; ".join(describe(flight) for flight in flights))
    plan = [(k, index) for k, flight in enumerate(flights) for index in range(0, flight.frames, every)]
    for done, (k, index) in enumerate(plan):
        frame = flights[k].render(index, infrared=infrared)
        name = "flight{:03d}_{:06d}.jpg".format(k, index)
        extra: Dict[str, Any] = {"flight": k, "frame_index": index}
        _write_jpeg(os.path.join(folder, "images", name), frame.image_hwc)
        if frame.infrared_hw is not None:
            _write_jpeg(os.path.join(folder, "infrared", name), frame.infrared_hw)
            extra["infrared_file_name"] = name
        truth.add(frame, name, extra, first_track=k * 10**9)
        if progress is not None:
            progress(done + 1, len(plan), "rendering")
    path = os.path.join(folder, "annotations", "instances.json")
    truth.write(path)
    return path


def _write_jpeg(path: str, image: np.ndarray) -> None:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    with atomic_write(path) as stream:
        stream.write(encoded.tobytes())
