"""YOLO labels: one text file an image, one line a box: class, centre x, centre y, width, height, all in 0..1.

An image without a label file, or with an empty one, is an image without objects. Class names come from the
caller, a `classes.txt` or the `names:` of a `data.yaml` (read without a YAML library: a list or a table of names).
"""

import functools
import os
import re
from typing import List, Optional, Sequence, Tuple

from edgekit.data.dataset import Dataset
from edgekit.data.label_folder import images_folder, read_label_folder
from edgekit.data.labels import BadLabels, Label, checked_box, numbers, read_text
from edgekit.errors import DataError
from edgekit.files import PathLike

_NAME_FILES = ("classes.txt", "obj.names", "data.yaml", "data.yml", "dataset.yaml")


def read_yolo(
    images_dir: PathLike,
    labels_dir: Optional[PathLike] = None,
    classes: Optional[Sequence[str]] = None,
    on_bad: str = "raise",
    name: Optional[str] = None,
) -> Dataset:
    """Read a folder of images with YOLO labels.

    Args:
        images_dir: the images, such as `set/images/val`, or `set` itself where `set/images` holds them.
        labels_dir: the label files; None takes `images_dir` with its last `images` replaced by `labels`.
        classes: the class names; None looks for a file of names in the label folder and the folders above.
        on_bad: 'raise' at the first line that cannot be used, or 'drop' them, counted in `Dataset.notes`.
        name: the dataset's name; the folder's name when None.

    Raises:
        DataError: a folder or the class names are missing, or a line is bad.
    """
    images = images_folder(os.fspath(images_dir))
    labels = _labels_folder(images) if labels_dir is None else os.fspath(labels_dir)
    names = _find_names(labels) if classes is None else tuple(classes)
    parse = functools.partial(_parse, names)
    return read_label_folder(name or os.path.basename(images), images, labels, names, parse, on_bad, may_lack=True)


def _labels_folder(images: str) -> str:
    parts = images.split(os.sep)
    for k in reversed(range(len(parts))):
        if parts[k] == "images":
            return os.sep.join(parts[:k] + ["labels"] + parts[k + 1 :])
    raise DataError(f"no folder called 'images' in {images}; say where the labels are with labels_dir")


def _parse(names: Sequence[str], where: str, line: str, size: Tuple[int, int], bad: BadLabels) -> Optional[Label]:
    values = numbers(line.split())
    if values is None or len(values) != 5:
        bad.add(where, "line is not class, centre x, centre y, width, height", repr(line[:80]))
        return None
    class_id, (cx, cy, w, h) = values[0], values[1:]
    if class_id not in range(len(names)):
        bad.add(where, f"class is not 0..{len(names) - 1}", repr(line[:80]))
        return None
    width, height = size
    xyxy = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
    box = checked_box(where, repr(line[:80]), xyxy, width, height, bad)
    return None if box is None else Label(box, int(class_id))


def _find_names(labels: str) -> Tuple[str, ...]:
    folder = labels
    for _ in range(3):
        for file_name in _NAME_FILES:
            path = os.path.join(folder, file_name)
            if os.path.isfile(path):
                return read_names(path)
        folder = os.path.dirname(folder)
    raise DataError(f"no class names for {labels}; pass them, or write them one a line to classes.txt there")


def read_names(path: PathLike) -> Tuple[str, ...]:
    """Class names from a text file, one a line, or from the `names:` of an Ultralytics data.yaml.

    Raises:
        DataError: the file cannot be read or holds no names.
    """
    path = os.fspath(path)
    text = read_text(path)
    if path.endswith((".yaml", ".yml")):
        names = _yaml_names(text)
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path} holds no class names; expected one a line, or names: [a, b] in a data.yaml")
    return tuple(names)


def _yaml_names(text: str) -> List[str]:
    """The entries of `names:` as a flow ([a, b], {0: a}) or a block (- a, 0: a), numbered ones in order."""
    found = re.search(r"^names:[ \t]*(?:#.*)?([^\n]*(?:\n[ \t\-\]}][^\n]*)*)", text, re.MULTILINE)
    if found is None:
        return []
    body = re.sub(r"[ \t]#[^\n]*", "", found.group(1)).strip()
    entries = re.split(r"[,\n]", body.strip("[]{}")) if body[:1] in ("[", "{") else body.split("\n")
    names = []
    for position, entry in enumerate(e.strip() for e in entries if e.strip()):
        numbered = re.match(r"(\d+)[ \t]*:[ \t]*(.*)", entry)
        order = int(numbered.group(1)) if numbered else position
        value = numbered.group(2) if numbered else re.sub(r"^-[ \t]+", "", entry)
        names.append((order, value.strip().strip("'\"")))
    return [value for _, value in sorted(names)]
