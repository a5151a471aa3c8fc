"""How well a bundle finds the objects of a labelled set: COCO average precision of the whole chain.

The images go through the same `Detector` as in flight, at a low score threshold, as the metric wants it.
"""

import sys
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np

from edgekit.data.dataset import Dataset, load_image, load_infrared
from edgekit.data.pairs import with_infrared
from edgekit.detections import Detections
from edgekit.errors import BackendError, DataError, GateError
from edgekit.files import PathLike
from edgekit.runtime.detector import Detector, open_detector

Progress = Callable[[int, int, str], None]

VAL_CONF = 0.001
# the thresholds that the published scores of each family were got with: overlap, boxes a frame
REFERENCE_NMS = {"yolox": (0.65, 300), "yolov5": (0.6, 300), "yolov8": (0.7, 300), "nanodet": (0.6, 100)}


@dataclass(frozen=True)
class Validation:
    """The scores of one lowering on one set.

    Attributes:
        scores: an `edgekit.metrics.detection.DetectionScores`.
        lowering: the graph that ran.
        backend: library and version.
        matched_by: "name" or "order": how the bundle's classes were found in the set.
        conf, iou, max_det: what boxes were kept with.
        image_ms: mean time of one image, reading it not counted.
    """

    scores: Any
    lowering: str
    backend: str
    matched_by: str
    conf: float
    iou: float
    max_det: int
    image_ms: float

    def to_json(self) -> Dict[str, Any]:
        """The scores under COCO's names, then how they were got."""
        return dict(
            self.scores.to_json(),
            lowering=self.lowering,
            backend=self.backend,
            classes_matched_by=self.matched_by,
            conf=self.conf,
            iou=self.iou,
            max_det=self.max_det,
            image_ms=round(self.image_ms, 3),
        )


def validate(
    bundle: PathLike,
    dataset: Dataset,
    lowering: Optional[str] = None,
    classes: Optional[Sequence[str]] = None,
    conf: float = VAL_CONF,
    iou: Optional[float] = None,
    max_det: Optional[int] = None,
    threads: Optional[int] = None,
    progress: Optional[Progress] = None,
    device: str = "auto",
    precision: Optional[int] = None,
) -> Validation:
    """Score a bundle on a labelled set.

    Args:
        bundle: the `.ekb` file.
        dataset: images with boxes.
        lowering: which of its graphs; the best for this machine where None.
        classes: score these classes of the set alone; None scores all.
        conf: boxes of a lower score are dropped.
        iou, max_det: overlap and count of the suppression; the family's reference where None.
        threads: of the backend; physical cores where None.
        progress: called after each image.
        device: where it runs, see `open_detector`.
        precision: of a bundle of many precisions; its highest where None.

    Raises:
        BundleError: the file is not a whole bundle, or lacks the lowering or the precision.
        DataError: an image cannot be read, its infrared partner is missing, the set is empty, or its classes are not
            the bundle's.
        BackendError: no inference library, or no AP library, is installed.
    """
    coco_ap = _metric()
    if not len(dataset):
        raise DataError("{} has no images to score".format(dataset.name))
    with open_detector(bundle, lowering=lowering, threads=threads, device=device, precision=precision) as detector:
        if detector.preprocess.pairs:
            dataset = with_infrared(dataset)
        to_set, matched_by = match_classes(detector.classes, dataset.classes)
        family = REFERENCE_NMS[detector.decode.family]
        iou = family[0] if iou is None else iou
        max_det = family[1] if max_det is None else max_det
        found, seconds = _detect_all(detector, dataset, (conf, iou, max_det), to_set, progress)
        scores = coco_ap(dataset, found, classes=classes)
        return Validation(
            scores=scores,
            lowering=detector.lowering,
            backend=detector.session.backend,
            matched_by=matched_by,
            conf=conf,
            iou=iou,
            max_det=max_det,
            image_ms=1e3 * seconds / len(dataset),
        )


def match_classes(ours: Sequence[str], theirs: Sequence[str]) -> Tuple[np.ndarray, str]:
    """Where each class of the bundle is among the classes of the set.

    Names decide, letter case, '_' and '-' apart; where they differ but there are equally many, the order does.

    Returns:
        (C,) int64, -1 for a class that the set does not have; "name" or "order".

    Raises:
        DataError: neither fits.
    """
    place = {_folded(name): index for index, name in enumerate(theirs)}
    known = {_folded(name) for name in ours}
    if set(place) <= known and len(place) == len(theirs):
        return np.array([place.get(_folded(name), -1) for name in ours], np.int64), "name"
    if len(ours) == len(theirs):
        return np.arange(len(ours), dtype=np.int64), "order"
    strange = [name for name in theirs if _folded(name) not in known]
    raise DataError(
        "the set has {} classes, the bundle {}, and the bundle does not know {}; its classes are {}".format(
            len(theirs), len(ours), _some(strange), _some(ours)
        )
    )


def gate_ap_drop(ours: Dict[str, Any], reference: Dict[str, Any], max_drop: float) -> None:
    """Check that `ours` loses at most `max_drop` AP (0 to 1) against `reference`.

    Raises:
        GateError: it loses more, or has no score at all.
    """
    if ours["AP"] is None or reference["AP"] is None:
        raise GateError("no AP to compare: the set has no box of these classes")
    drop = reference["AP"] - ours["AP"]
    if drop > max_drop:
        raise GateError(
            "AP {:.4f} is {:.4f} below {:.4f}; at most {:.4f} is allowed".format(
                ours["AP"], drop, reference["AP"], max_drop
            )
        )


def _metric() -> Callable[..., Any]:
    if sys.version_info < (3, 10):
        raise BackendError("scoring takes Python 3.10 or later; run 'edgekit val' on the workstation")
    from edgekit.metrics.detection import coco_ap

    try:
        import faster_coco_eval  # noqa: F401
    except ImportError as error:
        raise BackendError(
            "cannot score here: {}. Install its library with: pip install 'edgekit[export]'".format(error)
        ) from error
    return coco_ap


def _detect_all(
    detector: Detector,
    dataset: Dataset,
    thresholds: Tuple[float, float, int],
    to_set: np.ndarray,
    progress: Optional[Progress],
) -> Tuple[Dict[int, Detections], float]:
    """Image id -> boxes in the set's class ids; seconds spent detecting."""
    conf, iou, max_det = thresholds
    found = {}
    seconds = 0.0
    for number, sample in enumerate(dataset.samples, 1):
        image = load_image(sample)
        infrared = load_infrared(sample) if detector.preprocess.pairs else None
        start = time.perf_counter()
        boxes = detector(image, conf, iou, max_det, infrared)
        seconds += time.perf_counter() - start
        found[sample.image_id] = _renumbered(boxes, to_set)
        if progress is not None:
            progress(number, len(dataset), "detect")
    return found, seconds


def _renumbered(boxes: Detections, to_set: np.ndarray) -> Detections:
    class_id = to_set[boxes.class_id]
    keep = class_id >= 0
    return Detections(boxes.xyxy[keep], boxes.score[keep], class_id[keep])


def _folded(name: str) -> str:
    return name.strip().lower().replace("_", " ").replace("-", " ")


def _some(names: Sequence[str]) -> str:
    shown = list(names[:4])
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "")
