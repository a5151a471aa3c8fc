"""Which images a quantised model was calibrated with: a small TOML file of names and hashes, to keep in git.

The images themselves stay where they are; `find_images` gives their paths and refuses one whose bytes have changed,
so that ranges that were measured on a set can be measured again.
"""

import os
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from edgekit.config import read_toml
from edgekit.data.dataset import images_in
from edgekit.data.pairs import colour_in
from edgekit.errors import DataError
from edgekit.files import PathLike, atomic_write, sha256_bytes, sha256_file


@dataclass(frozen=True)
class CalibrationImage:
    """One image of a set.

    Attributes:
        file: path below the images folder, with forward slashes.
        sha256: of the file's bytes, lower-case hex.
    """

    file: str
    sha256: str


@dataclass(frozen=True)
class CalibrationSet:
    """A fixed list of images.

    Attributes:
        name: what ranges and reports call it.
        seed: what chose the images; -1 when all were taken.
        images: the images in the order in which they are fed.
    """

    name: str
    seed: int
    images: Tuple[CalibrationImage, ...]

    @property
    def sha256(self) -> str:
        """One digest of the images' contents in their order; names do not enter."""
        return sha256_bytes("\n".join(image.sha256 for image in self.images).encode("ascii"))


def choose_calibration_set(
    name: str, folder: PathLike, count: Optional[int] = None, seed: int = 0, pairs: bool = False
) -> CalibrationSet:
    """Take `count` images of a folder at random, or all of them.

    Args:
        name: the set's name.
        folder: where the images are (not below it).
        count: how many; None, or more than there are, takes all in the order of their names.
        seed: same seed and same names, same choice.
        pairs: leave out the infrared partners of colour images of the same folder.

    Raises:
        DataError: the folder is missing or holds no images.
    """
    paths = (colour_in if pairs else images_in)(os.fspath(folder))
    if not paths:
        raise DataError(f"{folder} holds no images (jpg, png, bmp, tif, webp) to calibrate with")
    if count is None or count >= len(paths):
        seed = -1
    else:
        # RandomState's stream is the same in every NumPy
        paths = [paths[i] for i in np.random.RandomState(seed).permutation(len(paths))[:count]]
    images = tuple(CalibrationImage(os.path.basename(path), sha256_file(path)) for path in paths)
    return CalibrationSet(name, seed, images)


def find_images(chosen: CalibrationSet, folder: PathLike) -> List[str]:
    """The paths of a set's images below `folder`, each checked by its hash.

    Raises:
        DataError: an image is missing or has other bytes than when the set was made.
    """
    paths = [os.path.join(os.fspath(folder), *image.file.split("/")) for image in chosen.images]
    for path, image in zip(paths, chosen.images):
        if not os.path.isfile(path):
            raise DataError(f"calibration set {chosen.name}: {image.file} is not in {folder}; check the folder")
        seen = sha256_file(path)
        if seen != image.sha256:
            raise DataError(
                f"calibration set {chosen.name}: {path} has sha256 {seen[:12]}..., expected {image.sha256[:12]}...; "
                "restore the image or make a new set"
            )
    return paths


def write_calibration_set(path: PathLike, chosen: CalibrationSet) -> None:
    """Write a set as TOML.

    Raises:
        StorageError: the folder is missing or not writable, or the disk is full.
    """
    lines = [
        f"# {len(chosen.images)} images, sha256 of all {chosen.sha256}",
        f"name = {_quoted(chosen.name)}",
        f"seed = {chosen.seed}",
    ]
    for image in chosen.images:
        lines += ["", "[[images]]", f"file = {_quoted(image.file)}", f"sha256 = {_quoted(image.sha256)}"]
    with atomic_write(path, "w") as file:
        file.write("\n".join(lines) + "\n")


def read_calibration_set(path: PathLike) -> CalibrationSet:
    """Read a set from TOML.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has other keys than a set's.
    """
    return read_toml(path, CalibrationSet)


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
