"""A folder of images beside a folder of text files, one file an image, one line a box."""

import os
from typing import Callable, List, Optional, Sequence, Tuple

from edgekit.data.dataset import Dataset, images_in
from edgekit.data.image_size import image_size
from edgekit.data.labels import BadLabels, Label, label_lines, sample_of
from edgekit.errors import DataError

# where ('file:line'), the line, (width, height), what to do with a bad one -> the label, or None for no box
LineParser = Callable[[str, str, Tuple[int, int], BadLabels], Optional[Label]]


def images_folder(folder: str) -> str:
    """`folder/images` where there is one, else `folder`."""
    below = os.path.join(os.path.normpath(folder), "images")
    return below if os.path.isdir(below) else os.path.normpath(folder)


def read_label_folder(
    name: str,
    images: str,
    labels: str,
    classes: Sequence[str],
    parse: LineParser,
    on_bad: str,
    may_lack: bool = False,
) -> Dataset:
    """Read every image of a folder with the lines of its text file; image ids are 1, 2, … by file name.

    Args:
        name: the dataset's name.
        images: the folder of images.
        labels: the folder of text files, each named like its image.
        classes: the class names.
        parse: makes a label of a line.
        on_bad: 'raise' or 'drop', for lines that cannot be used.
        may_lack: an image without a text file has no objects, instead of being a mistake.

    Raises:
        DataError: a folder or a text file is missing, an image cannot be read, or a line is bad.
    """
    bad = BadLabels(labels, on_bad)
    paths = images_in(images)
    if not paths:
        raise DataError(f"{images} holds no images (jpg, png, bmp, tif, webp); check the path")
    if not os.path.isdir(labels):
        raise DataError(f"no label folder {labels}; expected one .txt an image there")
    texts = [os.path.join(labels, os.path.splitext(os.path.basename(path))[0] + ".txt") for path in paths]
    if not any(os.path.isfile(text) for text in texts):
        raise DataError(f"none of the {len(paths)} images in {images} has a .txt of its name in {labels}; check both")
    samples = []
    for number, (path, text) in enumerate(zip(paths, texts), start=1):
        size = image_size(path)
        absent = may_lack and not os.path.isfile(text)
        samples.append(sample_of(path, size, [] if absent else _labels(text, size, parse, bad), number))
    return Dataset(name, tuple(classes), tuple(samples), bad.notes())


def _labels(text: str, size: Tuple[int, int], parse: LineParser, bad: BadLabels) -> List[Label]:
    rows = [parse(where, line, size, bad) for where, line in label_lines(text)]
    return [row for row in rows if row is not None]
