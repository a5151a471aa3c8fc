"""The pictures that a network is calibrated on, read one at a time and prepared as in flight."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.data.calibration_set import CalibrationSet, choose_calibration_set, find_images
from edgekit.data.dataset import read_image
from edgekit.data.pairs import read_pair
from edgekit.errors import DataError
from edgekit.process.prepare import Preprocess, prepare


@dataclass(frozen=True, slots=True)
class CalibrationImages:
    """Pictures in a fixed order.

    Attributes:
        images: paths.
        sha256: of each file, the same order.
        seed: what chose them; -1 where all of a folder were taken.
    """

    images: tuple[str, ...]
    sha256: tuple[str, ...]
    seed: int


def choose_images(folder: str, count: int | None = None, seed: int = 0, pairs: bool = False) -> CalibrationImages:
    """`count` pictures of `folder`, chosen by `seed`; all of them, in the order of their names, where None.

    Args:
        folder: where they are (not below it).
        count: how many.
        seed: what chooses them.
        pairs: infrared partners in the same folder are no pictures of their own.

    Raises:
        DataError: no such folder, no pictures in it, or fewer than `count`.
    """
    if count is not None and count < 1:
        raise DataError(f"{count} calibration images asked for, expected at least 1")
    name = os.path.basename(os.path.normpath(folder))
    chosen = images_of(choose_calibration_set(name, folder, count, seed, pairs), folder)
    if count is not None and count > len(chosen.images):
        raise DataError(f"{folder} has {len(chosen.images)} images, {count} asked for; ask for fewer or add images")
    return chosen


def images_of(chosen: CalibrationSet, folder: str) -> CalibrationImages:
    """The pictures of a set that is kept as a file (`calibration/sets`), found below `folder`.

    Raises:
        DataError: a picture is missing, or its bytes have changed.
    """
    paths = find_images(chosen, folder)
    return CalibrationImages(tuple(paths), tuple(image.sha256 for image in chosen.images), chosen.seed)


def prepared(images: Sequence[str], preprocess: Preprocess) -> Iterator[tuple[str, np.ndarray]]:
    """(path, x_nchw (1, C, H, W) float32) of each picture, read when its turn comes.

    Raises:
        DataError: a file cannot be read or is not an image, or an infrared partner is missing that the network needs.
    """
    for path in images:
        if preprocess.pairs:
            image, infrared = read_pair(path)
            yield path, prepare(image, preprocess, infrared_hw=infrared)[0]
        else:
            yield path, prepare(read_image(path), preprocess)[0]
