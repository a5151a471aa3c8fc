"""Registered pairs of colour and infrared pictures on disk: which file belongs to which.

Three layouts are known: `NAME_co.png` beside `NAME_ir.png` (VEDAI as published), the folders `co` and `ir` with the
same names in both, and the folders `images` and `infrared`, as rendered flights are written.
"""

import os
from dataclasses import replace
from typing import List, NamedTuple, Optional

import numpy as np

from edgekit.data.dataset import Dataset, images_in, read_image
from edgekit.errors import DataError

LAYOUTS = "NAME_co.png beside NAME_ir.png, or the same name in the folders co and ir, or images and infrared"
_SUFFIXES = ("_co", "_ir")
_FOLDERS = (("co", "ir"), ("images", "infrared"))


class Pair(NamedTuple):
    """A frame of both cameras.

    Attributes:
        image_hwc: (H, W, 3) uint8 BGR.
        infrared_hw: (H, W) uint8.
    """

    image_hwc: np.ndarray
    infrared_hw: np.ndarray


def infrared_of(path: str) -> Optional[str]:
    """The infrared partner of a colour picture, or None where there is no such file."""
    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name)
    places = []
    if stem.endswith(_SUFFIXES[0]):
        places.append(os.path.join(folder, stem[: -len(_SUFFIXES[0])] + _SUFFIXES[1] + suffix))
    above, last = os.path.split(folder or ".")
    places += [os.path.join(above, infrared, name) for colour, infrared in _FOLDERS if last == colour]
    return next((place for place in places if os.path.isfile(place)), None)


def colour_in(folder: str) -> List[str]:
    """Paths of the pictures of a folder that are not the infrared partner of another one there, sorted by name.

    Raises:
        DataError: there is no such folder.
    """
    paths = images_in(folder)
    partners = {infrared_of(path) for path in paths}
    return [path for path in paths if path not in partners]


def read_pair(path: str) -> Pair:
    """Read a colour picture and its infrared partner.

    Raises:
        DataError: there is no partner, a file cannot be read, or the two differ in size.
    """
    image, infrared = read_image(path), read_image(_partner(path), grey=True)
    if image.shape[:2] != infrared.shape:
        raise DataError(
            "{} is {}x{}, its infrared partner {}x{}; a pair is registered and of one size".format(
                path, image.shape[1], image.shape[0], infrared.shape[1], infrared.shape[0]
            )
        )
    return Pair(image, infrared)


def with_infrared(dataset: Dataset) -> Dataset:
    """The same images, each with its infrared partner.

    Raises:
        DataError: one has none.
    """
    samples = [replace(sample, infrared=sample.infrared or _partner(sample.image)) for sample in dataset.samples]
    return replace(dataset, samples=tuple(samples))


def infrared_alone(dataset: Dataset) -> Dataset:
    """The infrared pictures as the images; a set that has none anywhere is one of a thermal camera, and stays.

    Raises:
        DataError: some images have a partner and some do not.
    """
    if not any(sample.infrared or infrared_of(sample.image) for sample in dataset.samples):
        return dataset
    paired = with_infrared(dataset)
    samples = [replace(sample, image=sample.infrared or "", infrared=None) for sample in paired.samples]
    return replace(paired, samples=tuple(samples))


def _partner(path: str) -> str:
    partner = infrared_of(path)
    if partner is None:
        raise DataError("{} has no infrared partner; pairs lie as {}".format(path, LAYOUTS))
    return partner
