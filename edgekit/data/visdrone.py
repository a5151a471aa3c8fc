"""VisDrone-DET: one text file an image, one line a box: x, y, w, h, score, category, truncation, occlusion.

Category 0 (ignored regions) and 11 (others), and boxes whose score is 0 ("not considered in evaluation"), are ignored
for every class. The published training set holds a box of height 0: read it with on_bad='drop'.
"""

import os
from typing import Optional, Sequence, Tuple

from edgekit.data.dataset import EVERY_CLASS, Dataset, select_classes
from edgekit.data.label_folder import images_folder, read_label_folder
from edgekit.data.labels import BadLabels, Label, checked_box, numbers
from edgekit.files import PathLike

VISDRONE_CLASSES = (
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
)
_IGNORED_REGIONS, _OTHERS = 0, 11


def read_visdrone(
    images_dir: PathLike,
    annotations_dir: Optional[PathLike] = None,
    classes: Optional[Sequence[str]] = None,
    on_bad: str = "raise",
    name: Optional[str] = None,
) -> Dataset:
    """Read a VisDrone-DET split.

    Args:
        images_dir: the folder of images, or the split's folder that holds `images` and `annotations`.
        annotations_dir: the folder of text files; None takes `annotations` beside the images.
        classes: keep only these of `VISDRONE_CLASSES`, in this order; None keeps all ten.
        on_bad: 'raise' at the first line that cannot be used, or 'drop' them, counted in `Dataset.notes`.
        name: the dataset's name; the split's folder when None.

    Raises:
        DataError: a folder or an annotation file is missing, or a line is bad.
    """
    images = images_folder(os.fspath(images_dir))
    split = os.path.dirname(images)
    annotations = os.path.join(split, "annotations") if annotations_dir is None else os.fspath(annotations_dir)
    name = name or os.path.basename(split)
    dataset = read_label_folder(name, images, annotations, VISDRONE_CLASSES, _parse, on_bad)
    return dataset if classes is None else select_classes(dataset, classes)


def _parse(where: str, line: str, size: Tuple[int, int], bad: BadLabels) -> Optional[Label]:
    # some files end each line with a comma
    values = numbers(line.rstrip(",").split(","))
    if values is None or len(values) != 8:
        bad.add(where, "line is not x,y,w,h,score,category,truncation,occlusion", repr(line[:80]))
        return None
    x, y, w, h, score, category = values[:6]
    if category not in range(_OTHERS + 1):
        bad.add(where, "category is not 0..11", repr(line[:80]))
        return None
    box = checked_box(where, repr(line[:80]), (x, y, x + w, y + h), size[0], size[1], bad)
    if box is None:
        return None
    ignore = category in (_IGNORED_REGIONS, _OTHERS) or score == 0
    return Label(box, EVERY_CLASS if ignore else int(category) - 1, ignore)
