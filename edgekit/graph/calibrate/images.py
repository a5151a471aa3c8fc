"""Which pictures a network is calibrated on, chosen the same way every time."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.data.dataset import images_in, read_image
from edgekit.errors import DataError
from edgekit.files import sha256_file
from edgekit.process.prepare import Preprocess, prepare


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Pictures in a fixed order.

    Attributes:
        images: paths.
        sha256: of each file, the same order.
        seed: what chose them.
    """

    images: tuple[str, ...]
    sha256: tuple[str, ...]
    seed: int


def choose_images(folder: str, count: int | None = None, seed: int = 0) -> CalibrationSet:
    """`count` pictures of `folder`, chosen by `seed`, in the order of their names; all of them where None.

    Raises:
        DataError: no such folder, no pictures in it, or fewer than `count`.
    """
    paths = images_in(folder)
    if not paths:
        raise DataError(f"no images (jpg, png, bmp, tif, webp) in {folder}; give a folder of pictures to calibrate on")
    if count is not None and count < 1:
        raise DataError(f"{count} calibration images asked for, expected at least 1")
    if count is not None and count > len(paths):
        raise DataError(f"{folder} has {len(paths)} images, {count} asked for; ask for fewer or add images")
    chosen = paths if count is None else sorted(random.Random(seed).sample(paths, count))
    return CalibrationSet(tuple(chosen), tuple(sha256_file(path) for path in chosen), seed)


def prepared(images: Sequence[str], preprocess: Preprocess) -> Iterator[tuple[str, np.ndarray]]:
    """(path, x_nchw (1, 3, H, W) float32) of each picture, read when its turn comes.

    Raises:
        DataError: a file cannot be read or is not an image.
    """
    for path in images:
        yield path, prepare(read_image(path), preprocess)[0]
