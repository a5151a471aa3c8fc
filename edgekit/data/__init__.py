"""Datasets: one reader per annotation format, each a function from files to a `Dataset`.

`FORMATS` is the whole list; `read_dataset` reads what a `DatasetSpec` names. A reader's module is imported when it is
used, and OpenCV when the first image is.
"""

from dataclasses import dataclass
from typing import Callable, Dict, Tuple

from edgekit.data.dataset import Dataset, Sample, load_image, load_infrared, merge_classes, select_classes
from edgekit.errors import ConfigError

__all__ = [
    "FORMATS",
    "Dataset",
    "DatasetSpec",
    "Sample",
    "load_image",
    "load_infrared",
    "merge_classes",
    "read_dataset",
    "select_classes",
]


@dataclass(frozen=True)
class DatasetSpec:
    """Where a labelled dataset lies, as a recipe writes it.

    Attributes:
        format: one of `FORMATS`.
        images: the images folder; for hit_uav the dataset's folder.
        annotations: annotation file or folder; empty where the format has a place of its own beside the images;
            for hit_uav the split.
        classes: keep only these classes, in this order (yolo and dota: what the class names are); empty keeps all.
        on_bad: 'raise' at the first label that cannot be used, or 'drop' them.
        name: the dataset's name; empty takes one from the files.
    """

    format: str
    images: str
    annotations: str = ""
    classes: Tuple[str, ...] = ()
    on_bad: str = "raise"
    name: str = ""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format is {self.format!r}, expected one of {', '.join(FORMATS)}")
        if self.on_bad not in ("raise", "drop"):
            raise ValueError(f"on_bad is {self.on_bad!r}, expected 'raise' or 'drop'")


def read_dataset(spec: DatasetSpec) -> Dataset:
    """Read the dataset that `spec` names.

    Raises:
        ConfigError: the format needs `annotations` and the spec has none.
        DataError: files are missing or labels are bad.
    """
    return FORMATS[spec.format](spec)


def _coco(spec: DatasetSpec) -> Dataset:
    from edgekit.data.coco import read_coco

    return read_coco(_annotations(spec), spec.images, spec.classes or None, spec.on_bad, spec.name or None)


def _yolo(spec: DatasetSpec) -> Dataset:
    from edgekit.data.yolo import read_yolo

    return read_yolo(spec.images, spec.annotations or None, spec.classes or None, spec.on_bad, spec.name or None)


def _visdrone(spec: DatasetSpec) -> Dataset:
    from edgekit.data.visdrone import read_visdrone

    return read_visdrone(spec.images, spec.annotations or None, spec.classes or None, spec.on_bad, spec.name or None)


def _vedai(spec: DatasetSpec) -> Dataset:
    from edgekit.data.vedai import VEDAI_CLASSES, read_vedai

    dataset = read_vedai(
        spec.images, _annotations(spec), class_map=VEDAI_CLASSES, on_bad=spec.on_bad, name=spec.name or "vedai"
    )
    return select_classes(dataset, spec.classes) if spec.classes else dataset


def _dota(spec: DatasetSpec) -> Dataset:
    from edgekit.data.dota import DOTA_CLASSES, read_dota

    classes = spec.classes or DOTA_CLASSES
    return read_dota(spec.images, spec.annotations or None, classes, spec.on_bad, spec.name or None)


def _hit_uav(spec: DatasetSpec) -> Dataset:
    from edgekit.data.hit_uav import read_hit_uav

    dataset = read_hit_uav(spec.images, _annotations(spec), spec.on_bad)
    return select_classes(dataset, spec.classes) if spec.classes else dataset


def _annotations(spec: DatasetSpec) -> str:
    if not spec.annotations:
        raise ConfigError(f"format {spec.format!r} needs annotations; name its annotation file, folder or split")
    return spec.annotations


FORMATS: Dict[str, Callable[[DatasetSpec], Dataset]] = {
    "coco": _coco,
    "yolo": _yolo,
    "visdrone": _visdrone,
    "vedai": _vedai,
    "dota": _dota,
    "hit_uav": _hit_uav,
}
