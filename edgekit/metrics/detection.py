"""COCO average precision of detections, by object size and by class, computed by faster-coco-eval.

Ignored regions enter as crowd boxes: a detection with no object of its own that lies in one counts neither for
nor against. From a dataset read by `edgekit.data.coco.read_coco` the numbers are those of pycocotools on the JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from edgekit.detections import Detections
from edgekit.errors import DataError


class LabelledImage(Protocol):
    """What is needed of `edgekit.data.dataset.Sample`, which holds the meaning of each."""

    @property
    def image_id(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def xyxy(self) -> np.ndarray: ...
    @property
    def class_id(self) -> np.ndarray: ...
    @property
    def ignore_xyxy(self) -> np.ndarray: ...
    @property
    def area(self) -> np.ndarray | None: ...
    @property
    def ignore_class_id(self) -> np.ndarray | None: ...


class LabelledImages(Protocol):
    """What is needed of `edgekit.data.dataset.Dataset`."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def samples(self) -> Sequence[LabelledImage]: ...


@dataclass(frozen=True, slots=True)
class ClassScore:
    """The score of one class.

    Attributes:
        ap: mean over IoU 0.50:0.95, NaN when the class has no box.
        ap50: at IoU 0.50, NaN when the class has no box.
        boxes: objects of this class, ignored ones not counted.
    """

    ap: float
    ap50: float
    boxes: int


@dataclass(frozen=True, slots=True)
class DetectionScores:
    """COCO scores, each in [0, 1], or NaN where no object is in question.

    Attributes:
        ap: mean over IoU 0.50:0.95 and classes.
        ap50: at IoU 0.50.
        ap75: at IoU 0.75.
        ap_small: ap of objects below 32 x 32 px of annotated area.
        ap_medium: ap of objects between 32 x 32 and 96 x 96 px.
        ap_large: ap of objects above 96 x 96 px.
        ar: mean recall over IoU 0.50:0.95 with `max_detections` boxes a class.
        per_class: class name to its score, in class order.
        images: images scored, also those without any object.
        boxes: objects scored.
        max_detections: boxes considered in each image for each class.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar: float
    per_class: dict[str, ClassScore]
    images: int
    boxes: int
    max_detections: int

    def to_json(self) -> dict[str, Any]:
        """Plain values under COCO's names (AP, AP50, AP_small, …); None where there is no score."""
        return {
            "AP": _json_number(self.ap),
            "AP50": _json_number(self.ap50),
            "AP75": _json_number(self.ap75),
            "AP_small": _json_number(self.ap_small),
            "AP_medium": _json_number(self.ap_medium),
            "AP_large": _json_number(self.ap_large),
            "AR": _json_number(self.ar),
            "per_class": {
                name: {"AP": _json_number(score.ap), "AP50": _json_number(score.ap50), "boxes": score.boxes}
                for name, score in self.per_class.items()
            },
            "images": self.images,
            "boxes": self.boxes,
            "max_detections": self.max_detections,
        }


def coco_ap(
    dataset: LabelledImages,
    detections: Mapping[int, Detections],
    *,
    classes: Sequence[str] | None = None,
    max_detections: int = 100,
) -> DetectionScores:
    """Score detections against a dataset.

    Args:
        dataset: the images with their objects; every image counts, with or without objects.
        detections: image id to the boxes found there, in original pixels and dataset class numbers, best kept at
            a low threshold (0.001); an image that is not in it has none.
        classes: score only these classes; the others' boxes and detections are left out. None scores all.
        max_detections: best boxes considered in each image for each class; COCO's is 100.

    Raises:
        DataError: `classes` names one that the dataset does not have.
        ValueError: detections of an image or class that is not in the dataset, or not finite.
    """
    chosen = _chosen_classes(dataset.classes, classes)
    truth = _truth_rows(dataset, chosen)
    found = _detection_rows(dataset, detections, set(chosen))
    evaluation = _evaluate(dataset, chosen, truth, found, max_detections)
    counts = np.bincount(
        [row["category_id"] - 1 for row in truth if not row["iscrowd"]], minlength=len(dataset.classes)
    )
    return _scores(dataset, chosen, evaluation, counts, max_detections)


def _chosen_classes(names: Sequence[str], classes: Sequence[str] | None) -> list[int]:
    if classes is None:
        return list(range(len(names)))
    for name in classes:
        if name not in names:
            raise DataError(f"cannot score class {name!r}; the dataset has {', '.join(names)}")
    return sorted({names.index(name) for name in classes})


def _truth_rows(dataset: LabelledImages, chosen: Sequence[int]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for sample in dataset.samples:
        areas = _box_areas(sample.xyxy) if sample.area is None else sample.area
        for xyxy, class_id, area in zip(sample.xyxy, sample.class_id.tolist(), areas.tolist(), strict=True):
            if class_id in chosen:
                rows.append(_row(sample.image_id, class_id, xyxy, area=area, iscrowd=0))
        for xyxy, class_ids in zip(sample.ignore_xyxy, _ignored_classes(sample, chosen), strict=True):
            area = float(_box_areas(xyxy[None])[0])
            rows += [_row(sample.image_id, c, xyxy, area=area, iscrowd=1) for c in class_ids]
    # the evaluation marks "unmatched" with id 0, so that ids start at 1
    for number, row in enumerate(rows, start=1):
        row["id"] = number
    return rows


def _ignored_classes(sample: LabelledImage, chosen: Sequence[int]) -> list[list[int]]:
    if sample.ignore_class_id is None:
        return [list(chosen)] * len(sample.ignore_xyxy)
    return [list(chosen) if c < 0 else [int(c)] if c in chosen else [] for c in sample.ignore_class_id]


def _box_areas(xyxy: np.ndarray) -> np.ndarray:
    wide = xyxy.astype(np.float64)
    areas: np.ndarray = (wide[:, 2] - wide[:, 0]) * (wide[:, 3] - wide[:, 1])
    return areas


def _row(image_id: int, class_id: int, xyxy: np.ndarray, **values: float) -> dict[str, Any]:
    x1, y1, x2, y2 = xyxy.tolist()
    return {"image_id": image_id, "category_id": class_id + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], **values}


def _detection_rows(
    dataset: LabelledImages, detections: Mapping[int, Detections], chosen: set[int]
) -> list[dict[str, Any]]:
    known = {sample.image_id for sample in dataset.samples}
    rows = []
    for image_id, found in detections.items():
        _check_detections(image_id, found, known, len(dataset.classes))
        for xyxy, score, class_id in zip(found.xyxy, found.score.tolist(), found.class_id.tolist(), strict=True):
            if class_id in chosen:
                rows.append(_row(image_id, class_id, xyxy, score=score))
    return rows


def _check_detections(image_id: int, found: Detections, known: set[int], num_classes: int) -> None:
    if image_id not in known:
        raise ValueError(f"detections of image id {image_id}, which is not in the dataset")
    if not (np.isfinite(found.xyxy).all() and np.isfinite(found.score).all()):
        raise ValueError(f"detections of image id {image_id} are not finite")
    if len(found) and not (found.class_id.min() >= 0 and found.class_id.max() < num_classes):
        raise ValueError(
            f"detections of image id {image_id} have class ids {found.class_id.min()}..{found.class_id.max()}, "
            f"the dataset has 0..{num_classes - 1}"
        )


def _evaluate(
    dataset: LabelledImages,
    chosen: Sequence[int],
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
    max_detections: int,
) -> dict[str, Any]:
    """The accumulated evaluation: 'precision' (IoU, recall, class, area, limit), 'recall' without its 2nd axis."""
    # here, so that reading the types of a score needs no evaluation library
    from faster_coco_eval import COCO, COCOeval_faster

    labels = COCO(
        {
            "images": [{"id": s.image_id, "width": s.width, "height": s.height} for s in dataset.samples],
            "annotations": truth,
            "categories": [{"id": i + 1, "name": dataset.classes[i]} for i in chosen],
        }
    )
    run = COCOeval_faster(labels, labels.loadRes(found), "bbox", print_function=lambda text: None)
    run.params.maxDets = [max_detections]
    run.evaluate()
    run.accumulate()
    evaluation: dict[str, Any] = run.eval
    return evaluation


_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_IOU_50, _IOU_75 = 0, 5


def _scores(
    dataset: LabelledImages,
    chosen: Sequence[int],
    evaluation: dict[str, Any],
    counts: np.ndarray,
    max_detections: int,
) -> DetectionScores:
    precision = np.asarray(evaluation["precision"])[..., 0]
    recall = np.asarray(evaluation["recall"])[..., 0]
    per_class = {
        dataset.classes[class_id]: ClassScore(
            _mean(precision[:, :, k, _ALL]), _mean(precision[_IOU_50, :, k, _ALL]), int(counts[class_id])
        )
        for k, class_id in enumerate(chosen)
    }
    return DetectionScores(
        ap=_mean(precision[..., _ALL]),
        ap50=_mean(precision[_IOU_50, ..., _ALL]),
        ap75=_mean(precision[_IOU_75, ..., _ALL]),
        ap_small=_mean(precision[..., _SMALL]),
        ap_medium=_mean(precision[..., _MEDIUM]),
        ap_large=_mean(precision[..., _LARGE]),
        ar=_mean(recall[..., _ALL]),
        per_class=per_class,
        images=len(dataset.samples),
        boxes=int(counts.sum()),
        max_detections=max_detections,
    )


def _mean(values: np.ndarray) -> float:
    """The mean over what is there; the evaluation marks a class without objects by -1."""
    there = values[values > -1]
    return float(there.mean()) if there.size else float("nan")


def _json_number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)
