"""DOTA: one text file an image, one line an oriented box: x1 y1 x2 y2 x3 y3 x4 y4 class difficult.

The first lines may name `imagesource:` and `gsd:`. Oriented boxes become the horizontal boxes around them; a
difficult one is ignored for its own class, as the official evaluation does.
"""

import functools
import os
from typing import Optional, Sequence, Tuple

from edgekit.data.dataset import Dataset
from edgekit.data.label_folder import images_folder, read_label_folder
from edgekit.data.labels import BadLabels, Label, checked_box, numbers
from edgekit.files import PathLike

# version 1.0; 1.5 adds container-crane, 2.0 airport and helipad: pass `classes` for those
DOTA_CLASSES = (
    "plane",
    "baseball-diamond",
    "bridge",
    "ground-track-field",
    "small-vehicle",
    "large-vehicle",
    "ship",
    "tennis-court",
    "basketball-court",
    "storage-tank",
    "soccer-ball-field",
    "roundabout",
    "harbor",
    "swimming-pool",
    "helicopter",
)
_HEADERS = ("imagesource:", "gsd:")


def read_dota(
    images_dir: PathLike,
    labels_dir: Optional[PathLike] = None,
    classes: Sequence[str] = DOTA_CLASSES,
    on_bad: str = "raise",
    name: Optional[str] = None,
) -> Dataset:
    """Read a DOTA split.

    Args:
        images_dir: the folder of images, or the split's folder that holds `images` and `labelTxt`.
        labels_dir: the folder of text files; None takes `labelTxt` beside the images.
        classes: every class name that the files may hold, in order.
        on_bad: 'raise' at the first line that cannot be used, or 'drop' them, counted in `Dataset.notes`.
        name: the dataset's name; the split's folder when None.

    Raises:
        DataError: a folder or a label file is missing, or a line is bad.
    """
    images = images_folder(os.fspath(images_dir))
    split = os.path.dirname(images)
    labels = os.path.join(split, "labelTxt") if labels_dir is None else os.fspath(labels_dir)
    parse = functools.partial(_parse, tuple(classes))
    return read_label_folder(name or os.path.basename(split), images, labels, classes, parse, on_bad)


def _parse(classes: Tuple[str, ...], where: str, line: str, size: Tuple[int, int], bad: BadLabels) -> Optional[Label]:
    if line.lower().startswith(_HEADERS):
        return None
    fields = line.split()
    corners = numbers(fields[:8])
    if corners is None or len(fields) not in (9, 10) or fields[9:] not in ([], ["0"], ["1"]):
        bad.add(where, "line is not x1 y1 ... x4 y4 class difficult", repr(line[:80]))
        return None
    if fields[8] not in classes:
        bad.add(where, f"class is not one of {', '.join(classes)}", repr(fields[8]))
        return None
    xs, ys = corners[0::2], corners[1::2]
    box = checked_box(where, repr(line[:80]), (min(xs), min(ys), max(xs), max(ys)), size[0], size[1], bad)
    return None if box is None else Label(box, classes.index(fields[8]), fields[9:] == ["1"])
