"""HIT-UAV: thermal images from a drone, COCO boxes; Person, Car, Bicycle, OtherVehicle and regions of DontCare.

Differs from plain COCO: DontCare is no class, its boxes are ignored for every class whether or not the file marks
them as crowds. OtherVehicle is rare: score it apart (`classes=` of `edgekit.metrics.detection.coco_ap`).

Suo et al., HIT-UAV: a high-altitude infrared thermal dataset, Scientific Data 10, 227 (2023); CC BY 4.0.
"""

import os

from edgekit.data.coco import read_coco
from edgekit.data.dataset import Dataset
from edgekit.errors import DataError
from edgekit.files import PathLike

HIT_UAV_CLASSES = ("Person", "Car", "Bicycle", "OtherVehicle")


def read_hit_uav(root: PathLike, split: str, on_bad: str = "raise") -> Dataset:
    """Read one split of HIT-UAV.

    Args:
        root: the folder that holds `annotations/SPLIT.json` and the images, in `images/SPLIT` or, as published,
            in `SPLIT`.
        split: 'train', 'val' or 'test'.
        on_bad: 'raise' at the first label that cannot be used, or 'drop' them, counted in `Dataset.notes`.

    Raises:
        DataError: a file is missing, a label is bad, or the classes are not HIT-UAV's.
    """
    root = os.fspath(root)
    images = os.path.join(root, "images", split)
    if not os.path.isdir(images):
        images = os.path.join(root, split)
    annotations = os.path.join(root, "annotations", split + ".json")
    dataset = read_coco(annotations, images, on_bad=on_bad, name=f"hit_uav {split}")
    if dataset.classes != HIT_UAV_CLASSES:
        raise DataError(
            f"{annotations} has the classes {', '.join(dataset.classes)}, "
            f"expected {', '.join(HIT_UAV_CLASSES)}; read other files with read_coco"
        )
    return dataset
