"""VEDAI: overhead images in colour and near infrared, pixel aligned, with oriented boxes of vehicles.

Images lie as published (`00000000_co.png` beside `00000000_ir.png`) or in two folders, `co/00000000.png` and
`ir/00000000.png`. Annotations are

- a folder of text files, one an image: x y orientation class contained occluded, the 4 corners' x, their y;
- one text file of all images: name x y orientation, the 4 corners' x, their y, class contained occluded;
- a COCO file, with file names of the colour images.

Oriented boxes become the horizontal boxes around their corners. The protocol of SuperYOLO and GHOST keeps eight
classes (`SUPERYOLO_CLASSES`, in their order). Differs from their released script: there VEDAI's id 7, motorcycle,
is not remapped and so counts as their class 7, van; here a motorcycle is left out. `SUPERYOLO_AS_RELEASED` has
their labels, for comparing with their numbers.

Razakarivony and Jurie, Vehicle detection in aerial imagery, J. Vis. Commun. Image R. 34 (2015).
"""

import os
from dataclasses import replace
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from edgekit.data.coco import read_coco
from edgekit.data.dataset import Dataset, Sample, images_in, merge_classes
from edgekit.data.image_size import image_size
from edgekit.data.labels import BadLabels, Label, checked_box, label_lines, numbers, sample_of
from edgekit.errors import DataError
from edgekit.files import PathLike

# VEDAI's own numbers of its classes
VEDAI_IDS = {
    1: "car",
    2: "truck",
    4: "tractor",
    5: "camping_car",
    7: "motorcycle",
    8: "bus",
    9: "van",
    10: "other",
    11: "pickup",
    23: "boat",
    31: "plane",
}
VEDAI_CLASSES = {name: name for name in VEDAI_IDS.values()}
SUPERYOLO_CLASSES = {
    name: name for name in ("car", "pickup", "camping_car", "truck", "other", "tractor", "boat", "van")
}
SUPERYOLO_AS_RELEASED = dict(SUPERYOLO_CLASSES, motorcycle="van")

_COLOUR, _INFRARED = "co", "ir"


class _Pair(NamedTuple):
    colour: str
    infrared: Optional[str]


class _Row(NamedTuple):
    where: str
    class_id: float
    xs: Sequence[float]
    ys: Sequence[float]


def read_vedai(
    images_dir: PathLike,
    annotations: PathLike,
    class_map: Mapping[str, str] = SUPERYOLO_CLASSES,
    names: Optional[Sequence[str]] = None,
    on_bad: str = "raise",
    name: str = "vedai",
) -> Dataset:
    """Read VEDAI's image pairs.

    Where no infrared image is there at all, the samples have none; where some are, each image needs its own.

    Args:
        images_dir: the folder of `_co` and `_ir` images, or of the folders `co` and `ir`.
        annotations: text files, text file or COCO file as above.
        class_map: which classes become which; those that it does not name are left out.
        names: read only these images ('00000000'), such as those of a fold; None reads all in the folder.
        on_bad: 'raise' at the first label that cannot be used, or 'drop' them, counted in `Dataset.notes`.
        name: the dataset's name.

    Raises:
        DataError: an image, its partner or its annotations are missing, or a label is bad.
    """
    path = os.fspath(annotations)
    pairs = _chosen(_find_pairs(os.fspath(images_dir)), names, os.fspath(images_dir))
    if path.endswith(".json"):
        dataset = _read_json(path, pairs, on_bad, name)
    else:
        dataset = _read_text(path, pairs, on_bad, name)
    return merge_classes(dataset, {old: class_map[old] for old in class_map if old in dataset.classes})


def _find_pairs(folder: str) -> Dict[str, _Pair]:
    """Image name to its files, sorted by name."""
    if os.path.isdir(os.path.join(folder, _COLOUR)):
        colour = {_stem(p): p for p in images_in(os.path.join(folder, _COLOUR))}
        infrared_folder = os.path.join(folder, _INFRARED)
        infrared = {_stem(p): p for p in images_in(infrared_folder)} if os.path.isdir(infrared_folder) else {}
    else:
        files = {_stem(p): p for p in images_in(folder)}
        colour = {s[:-3]: p for s, p in files.items() if s.endswith("_" + _COLOUR)}
        infrared = {s[:-3]: p for s, p in files.items() if s.endswith("_" + _INFRARED)}
    if not colour:
        raise DataError(f"{folder} holds neither NAME_co.png images nor a folder co; expected VEDAI's layout")
    for name in colour:
        if infrared and name not in infrared:
            raise DataError(f"{colour[name]} has no infrared partner in {folder}; add it, or remove them all")
    return {name: _Pair(colour[name], infrared.get(name)) for name in sorted(colour)}


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _chosen(pairs: Dict[str, _Pair], names: Optional[Sequence[str]], folder: str) -> Dict[str, _Pair]:
    if names is None:
        return pairs
    for name in names:
        if name not in pairs:
            raise DataError(f"no colour image of {name} in {folder}; check the list of names")
    return {name: pairs[name] for name in names}


def _read_text(path: str, pairs: Dict[str, _Pair], on_bad: str, name: str) -> Dataset:
    bad = BadLabels(path, on_bad)
    rows = _rows_by_image(path, pairs, bad) if os.path.isfile(path) else _rows_of_folder(path, pairs, bad)
    classes = tuple(VEDAI_IDS.values())
    samples = []
    for number, (image, pair) in enumerate(pairs.items(), start=1):
        size = image_size(pair.colour)
        labels = [_label(row, size, classes, bad) for row in rows[image]]
        samples.append(sample_of(pair.colour, size, [k for k in labels if k is not None], number, pair.infrared))
    return Dataset(name, classes, tuple(samples), bad.notes())


def _rows_by_image(path: str, pairs: Dict[str, _Pair], bad: BadLabels) -> Dict[str, List[_Row]]:
    rows: Dict[str, List[_Row]] = {name: [] for name in pairs}
    for where, line in label_lines(path):
        fields = line.split()
        values = numbers(fields[1:])
        if values is None or len(values) != 14:
            bad.add(where, "line is not name x y orientation, 4 x, 4 y, class contained occluded", repr(line))
        elif fields[0] in rows:
            rows[fields[0]].append(_Row(where, values[11], values[3:7], values[7:11]))
    return rows


def _rows_of_folder(path: str, pairs: Dict[str, _Pair], bad: BadLabels) -> Dict[str, List[_Row]]:
    rows: Dict[str, List[_Row]] = {name: [] for name in pairs}
    for name, found in rows.items():
        for where, line in label_lines(os.path.join(path, name + ".txt")):
            values = numbers(line.split())
            if values is None or len(values) != 14:
                bad.add(where, "line is not x y orientation class contained occluded, 4 x, 4 y", repr(line))
            else:
                found.append(_Row(where, values[3], values[6:10], values[10:14]))
    return rows


def _label(row: _Row, size: Tuple[int, int], classes: Sequence[str], bad: BadLabels) -> Optional[Label]:
    if row.class_id not in VEDAI_IDS:
        bad.add(row.where, f"class is none of VEDAI's {sorted(VEDAI_IDS)}", f"{row.class_id:g}")
        return None
    xyxy = min(row.xs), min(row.ys), max(row.xs), max(row.ys)
    box = checked_box(row.where, f"corners {row.xs} {row.ys}", xyxy, size[0], size[1], bad)
    return None if box is None else Label(box, classes.index(VEDAI_IDS[int(row.class_id)]))


def _read_json(path: str, pairs: Dict[str, _Pair], on_bad: str, name: str) -> Dataset:
    folder = os.path.dirname(next(iter(pairs.values())).colour)
    dataset = read_coco(path, folder, on_bad=on_bad, name=name)
    kept = [sample for sample in dataset.samples if _pair_name(sample) in pairs]
    samples = tuple(replace(sample, infrared=pairs[_pair_name(sample)].infrared) for sample in kept)
    return replace(dataset, samples=samples)


def _pair_name(sample: Sample) -> str:
    stem = _stem(sample.image)
    return stem[:-3] if stem.endswith("_" + _COLOUR) else stem
