"""COCO detection annotations (one JSON file, boxes as x, y, w, h) to a `Dataset`.

`iscrowd` and `ignore` annotations become ignored regions of their own class, as in the COCO metric. A category that
only marks regions to leave alone (`IGNORE_CATEGORIES`, such as HIT-UAV's DontCare) is no class: its boxes are ignored
for every class. It is known by its name and not by its annotations, so that every split of a dataset has the same
class numbers.
"""

import json
import math
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

from edgekit.data.dataset import EVERY_CLASS, Dataset, select_classes
from edgekit.data.labels import BadLabels, Label, checked_box, read_text, sample_of
from edgekit.errors import DataError
from edgekit.files import PathLike

IGNORE_CATEGORIES = ("dontcare", "dont_care", "ignore", "ignored", "ignored regions", "ignored_regions")

_Rows = List[Dict[str, Any]]


def read_coco(
    annotations_json: PathLike,
    images_dir: PathLike,
    classes: Optional[Sequence[str]] = None,
    on_bad: str = "raise",
    name: Optional[str] = None,
) -> Dataset:
    """Read a COCO annotation file.

    Categories are numbered 0, 1, … in the order of their ids; boxes are clipped to the image.

    Args:
        annotations_json: the annotation file.
        images_dir: the folder that the `file_name` entries are relative to.
        classes: keep only these classes, in this order; None keeps all.
        on_bad: 'raise' at the first label that cannot be used (and at an absent image file), or 'drop' them,
            with a count in `Dataset.notes`.
        name: the dataset's name; the annotation file's stem when None.

    Raises:
        DataError: the JSON is malformed, an image file is absent, or a label is bad.
    """
    annotations_json = os.fspath(annotations_json)
    images, annotations, categories = _load(annotations_json)
    bad = BadLabels(annotations_json, on_bad)
    names, class_of = _number_categories(annotations_json, categories)
    labels = _group_labels(annotations_json, images, annotations, class_of, bad)
    samples = []
    for image_id, entry in images.items():
        path = os.path.join(images_dir, entry["file_name"])
        if os.path.isfile(path):
            size = entry["width"], entry["height"]
            samples.append(sample_of(path, size, labels[image_id], image_id))
        else:
            bad.add(annotations_json, f"image file is not in {images_dir}", entry["file_name"])
    stem = os.path.splitext(os.path.basename(annotations_json))[0]
    dataset = Dataset(name or stem, names, tuple(samples), bad.notes())
    return dataset if classes is None else select_classes(dataset, classes)


def _load(path: str) -> Tuple[Dict[int, Dict[str, Any]], _Rows, _Rows]:
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON: {error}; download or export it again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a JSON {type(content).__name__}, expected COCO's object with 'images'")
    # the published HIT-UAV files write 'annotation' and 'filename'
    content.setdefault("annotations", content.get("annotation"))
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            raise DataError(f"{path} has no list {key!r}; expected a COCO instances file, not a result file")
    images: Dict[int, Dict[str, Any]] = {}
    for position, entry in enumerate(content["images"]):
        image_id = _check_image(path, position, entry)
        if image_id in images:
            raise DataError(f"{path}: image id {image_id} is there twice; ids must differ")
        images[image_id] = entry
    return images, content["annotations"], content["categories"]


def _check_image(path: str, position: int, entry: Any) -> int:
    if isinstance(entry, dict):
        entry.setdefault("file_name", entry.get("filename"))
    good = (
        isinstance(entry, dict)
        and isinstance(entry.get("id"), int)
        and isinstance(entry.get("file_name"), str)
        and all(isinstance(entry.get(k), int) and entry[k] > 0 for k in ("width", "height"))
    )
    if not good:
        raise DataError(
            f"{path}: images[{position}] is {str(entry)[:80]}, expected id, file_name and a positive width and height"
        )
    return int(entry["id"])


def _number_categories(path: str, categories: _Rows) -> Tuple[Tuple[str, ...], Dict[int, int]]:
    try:
        rows = sorted((int(c["id"]), str(c["name"])) for c in categories)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: a category has no id or name: {str(categories)[:80]}") from error
    names: List[str] = []
    class_of: Dict[int, int] = {}
    for category_id, category in rows:
        if category_id in class_of:
            raise DataError(f"{path}: category id {category_id} is there twice; ids must differ")
        if category.strip().lower() in IGNORE_CATEGORIES:
            class_of[category_id] = EVERY_CLASS
        else:
            class_of[category_id] = len(names)
            names.append(category)
    return tuple(names), class_of


def _group_labels(
    path: str, images: Dict[int, Dict[str, Any]], annotations: _Rows, class_of: Dict[int, int], bad: BadLabels
) -> Dict[int, List[Label]]:
    grouped: Dict[int, List[Label]] = {image_id: [] for image_id in images}
    for position, row in enumerate(annotations):
        where = f"{path}: annotation {row.get('id', f'at {position}') if isinstance(row, dict) else position}"
        image_id = row.get("image_id") if isinstance(row, dict) else None
        image = images.get(image_id) if isinstance(image_id, int) else None
        if image is None:
            bad.add(where, "image_id is not among the images", str(row)[:80])
            continue
        label = _parse(where, row, image, class_of, bad)
        if label is not None:
            grouped[image["id"]].append(label)
    return grouped


def _parse(
    where: str, row: Dict[str, Any], image: Dict[str, Any], class_of: Dict[int, int], bad: BadLabels
) -> Optional[Label]:
    category_id = row.get("category_id")
    class_id = class_of.get(category_id) if isinstance(category_id, int) else None
    if class_id is None:
        bad.add(where, "category_id is not among the categories", repr(category_id))
        return None
    try:
        x, y, w, h = (float(v) for v in row["bbox"])
        area = float(row.get("area", abs(w * h)))
    except (KeyError, TypeError, ValueError, OverflowError):
        bad.add(where, "bbox is not four numbers x, y, w, h", repr(row.get("bbox")))
        return None
    if not 0 <= area < math.inf:
        bad.add(where, "area is not a finite number of square pixels", repr(row["area"]))
        return None
    seen = f"bbox {row['bbox']}"
    xyxy = checked_box(where, seen, (x, y, x + w, y + h), image["width"], image["height"], bad)
    if xyxy is None:
        return None
    ignore = class_id == EVERY_CLASS or bool(row.get("iscrowd", 0)) or bool(row.get("ignore", 0))
    return Label(xyxy, class_id, ignore, area)
