"""The two values that every reader returns, and how an image of theirs is read.

A `Dataset` is names and boxes only; an image is read from disk when `load_image` asks for it.
"""

import os
from dataclasses import dataclass, replace
from typing import Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from edgekit.errors import DataError

EVERY_CLASS = -1
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with its boxes.

    Attributes:
        image: path of the image file.
        width: image width, pixels.
        height: image height, pixels.
        xyxy: (N, 4) float32, pixels, inside the image, x1 < x2 and y1 < y2.
        class_id: (N,) int64, index into the dataset's class names.
        ignore_xyxy: (M, 4) float32, regions where a detection is neither right nor wrong.
        image_id: the annotation file's own number of this image, or its position.
        infrared: path of the registered infrared image, or None.
        area: (N,) float64 object areas in square pixels as annotated (COCO: of the segmentation), which
            decide small, medium, large; None where the format has none and the box area serves.
        ignore_class_id: (M,) int64, the class that a region is ignored for, or `EVERY_CLASS`; None means
            every class for every region.
    """

    image: str
    width: int
    height: int
    xyxy: np.ndarray
    class_id: np.ndarray
    ignore_xyxy: np.ndarray
    image_id: int
    infrared: Optional[str] = None
    area: Optional[np.ndarray] = None
    ignore_class_id: Optional[np.ndarray] = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"{self.image}: size {self.width}x{self.height}, expected at least 1x1")
        _check_boxes(self.image, "xyxy", self.xyxy)
        _check_boxes(self.image, "ignore_xyxy", self.ignore_xyxy)
        _check_column(self.image, "class_id", self.class_id, len(self.xyxy), np.int64)
        if self.area is not None:
            _check_column(self.image, "area", self.area, len(self.xyxy), np.float64)
        if self.ignore_class_id is not None:
            _check_column(self.image, "ignore_class_id", self.ignore_class_id, len(self.ignore_xyxy), np.int64)

    def __len__(self) -> int:
        """The number of boxes, ignored regions not counted."""
        return len(self.xyxy)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples that share one list of class names.

    Attributes:
        name: what to call it in a report.
        classes: class names; `Sample.class_id` indexes them.
        samples: the images with their boxes, in a fixed order.
        notes: what the reader left out, one sentence each; empty when nothing was.
    """

    name: str
    classes: Tuple[str, ...]
    samples: Tuple[Sample, ...]
    notes: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen = set()
        for sample in self.samples:
            if sample.image_id in seen:
                raise ValueError(f"{self.name}: image_id {sample.image_id} twice, the second is {sample.image}")
            seen.add(sample.image_id)
            ids = sample.class_id
            if len(ids) and (ids.min() < 0 or ids.max() >= len(self.classes)):
                raise ValueError(
                    f"{sample.image}: class ids {ids.min()}..{ids.max()}, expected 0..{len(self.classes) - 1}"
                )

    def __len__(self) -> int:
        """The number of images."""
        return len(self.samples)

    def subset(self, indices: Iterable[int]) -> "Dataset":
        """The samples at `indices`, in that order."""
        return replace(self, samples=tuple(self.samples[i] for i in indices))

    def images(self) -> List[str]:
        """The image paths, in sample order."""
        return [sample.image for sample in self.samples]

    def box_counts(self) -> Tuple[int, ...]:
        """The number of boxes of each class."""
        counts = np.zeros(len(self.classes), np.int64)
        for sample in self.samples:
            counts += np.bincount(sample.class_id, minlength=len(self.classes))
        return tuple(int(c) for c in counts)


def select_classes(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """The same images with only `classes`, renumbered in that order; boxes of the others are left out.

    Raises:
        DataError: the dataset has no class of such a name.
    """
    return merge_classes(dataset, {name: name for name in classes})


def merge_classes(dataset: Dataset, new_name: Mapping[str, str]) -> Dataset:
    """The same images with other classes: several may become one, and those without a new name are left out.

    Args:
        dataset: what to change.
        new_name: class name to its new name; the new names are numbered in the order of their first mention.

    Raises:
        DataError: the dataset has no class of such a name.
    """
    classes = list(dict.fromkeys(new_name.values()))
    new_id = np.full(len(dataset.classes), -1, np.int64)
    for old, new in new_name.items():
        if old not in dataset.classes:
            raise DataError(f"{dataset.name} has no class {old!r}; its classes are {', '.join(dataset.classes)}")
        new_id[dataset.classes.index(old)] = classes.index(new)
    samples = tuple(_with_classes(sample, new_id) for sample in dataset.samples)
    return replace(dataset, classes=tuple(classes), samples=samples)


def _with_classes(sample: Sample, new_id: np.ndarray) -> Sample:
    keep = new_id[sample.class_id] >= 0
    ignore, ignore_class = sample.ignore_xyxy, sample.ignore_class_id
    if ignore_class is not None:
        # an index of -1 reads the last entry, which EVERY_CLASS then replaces
        every = ignore_class == EVERY_CLASS
        ignore_class = np.where(every, EVERY_CLASS, new_id[ignore_class])
        stays = every | (ignore_class >= 0)
        ignore, ignore_class = ignore[stays], ignore_class[stays]
    return replace(
        sample,
        xyxy=sample.xyxy[keep],
        class_id=new_id[sample.class_id[keep]],
        area=None if sample.area is None else sample.area[keep],
        ignore_xyxy=ignore,
        ignore_class_id=ignore_class,
    )


def load_image(sample: Sample) -> np.ndarray:
    """Read the sample's image: (height, width, 3) uint8 BGR; a grey image gets three equal channels.

    Raises:
        DataError: the file is missing, is not an image, or has another size than the annotations say.
    """
    image = read_image(sample.image)
    _check_size(sample, sample.image, image)
    return image


def load_infrared(sample: Sample) -> np.ndarray:
    """Read the sample's infrared image: (height, width) uint8; of a 16-bit file the upper 8 bits.

    Raises:
        DataError: the sample has none, or the file is missing, not an image, or of another size.
    """
    if sample.infrared is None:
        raise DataError(f"{sample.image} has no infrared image; use a dataset of pairs such as vedai")
    image = read_image(sample.infrared, grey=True)
    _check_size(sample, sample.infrared, image)
    return image


def read_image(path: str, grey: bool = False) -> np.ndarray:
    """Read an image file: (H, W, 3) uint8 BGR, or (H, W) uint8 when `grey`; EXIF rotation is applied.

    Raises:
        DataError: the file cannot be read or is not an image.
    """
    import cv2  # here, so that readers that look at annotations alone start without OpenCV

    try:
        with open(path, "rb") as file:
            data = np.frombuffer(file.read(), np.uint8)
    except OSError as error:
        raise DataError(f"cannot read image {path}: {error.strerror}; check the images folder") from error
    flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    image = cv2.imdecode(data, flag) if len(data) else None
    if image is None:
        raise DataError(f"{path} ({len(data)} bytes) is not an image that OpenCV can decode; replace or remove it")
    return image


def _check_size(sample: Sample, path: str, image: np.ndarray) -> None:
    if image.shape[:2] != (sample.height, sample.width):
        raise DataError(
            f"{path} is {image.shape[1]}x{image.shape[0]}, its annotations say {sample.width}x{sample.height}; "
            "use the images that the annotations were made for"
        )


def _check_boxes(image: str, name: str, boxes: np.ndarray) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype != np.float32:
        raise ValueError(f"{image}: {name} is {boxes.shape} {boxes.dtype}, expected (N, 4) float32")
    # written so that NaN fails too
    good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if not good.all():
        raise ValueError(f"{image}: {name} row {int(np.argmin(good))} is {boxes[np.argmin(good)].tolist()}")


def _check_column(image: str, name: str, column: np.ndarray, rows: int, dtype: type) -> None:
    if column.shape != (rows,) or column.dtype != dtype:
        raise ValueError(f"{image}: {name} is {column.shape} {column.dtype}, expected ({rows},) {dtype.__name__}")


def images_in(folder: str) -> List[str]:
    """Paths of the image files in `folder` (not below it), sorted by name.

    Raises:
        DataError: there is no such folder.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(f"cannot list images folder {folder}: {error.strerror}") from error
    return [os.path.join(folder, name) for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
