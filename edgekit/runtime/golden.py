"""Does this machine find what the workstation found? A bundle's golden images, run again here.

Matched as the exporter matches: boxes at IoU >= 0.9, scores within 0.02, edges within 1 px; a box whose score is
so near the threshold that it may fall on either side does not count.
"""

from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from edgekit.bundle import Bundle
from edgekit.detections import Detections
from edgekit.errors import BundleError, GateError
from edgekit.metrics.match import MATCH_IOU, MAX_DBOX_PX, MAX_DSCORE, MatchReport, match_detections, total
from edgekit.runtime.detector import Detector

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Tolerance:
    """What boxes may differ by from the golden ones.

    Attributes:
        iou: least overlap of a pair.
        max_dscore, max_dbox_px: largest differences of a pair; a box without a partner counts when its score is this
            much above the threshold.
    """

    iou: float = MATCH_IOU
    max_dscore: float = MAX_DSCORE
    max_dbox_px: float = MAX_DBOX_PX


SAME_GRAPH = Tolerance()
# An engine is another implementation: FP16 sums in another order, INT8 kernels that round a code the other way. Two
# right INT8 implementations of one deep network end as far apart as quantisation itself put them (docs/lowerings.md).
ENGINE_FP16 = Tolerance(0.85, 0.03, 2.0)
ENGINE_INT8 = Tolerance(0.75, 0.1, 4.0)


@dataclass(frozen=True)
class GoldenReport:
    """How the boxes of a lowering agree with the golden ones.

    Attributes:
        lowering: the graph that ran.
        backend: library and version.
        images: name of the golden image -> its comparison.
        tolerance: what passes.
    """

    lowering: str
    backend: str
    images: Dict[str, MatchReport]
    tolerance: Tolerance = SAME_GRAPH

    @property
    def failed(self) -> List[str]:
        """Names of the images that do not agree."""
        allowed = self.tolerance
        return [name for name, one in self.images.items() if not one.agrees(allowed.max_dscore, allowed.max_dbox_px)]

    def to_json(self) -> Dict[str, Any]:
        """Plain values: the sum over the images, and each image."""
        return {
            "lowering": self.lowering,
            "backend": self.backend,
            "passed": not self.failed,
            "tolerance": dict(self.tolerance.__dict__),
            "total": asdict(total(self.images.values())),
            "images": {name: asdict(match) for name, match in self.images.items()},
        }

    def gate(self) -> None:
        """Pass, or say what differs.

        Raises:
            GateError: an image does not agree.
        """
        if self.failed:
            worst = self.images[self.failed[0]]
            raise GateError(
                "{} of {} golden images differ with {} on {}; {}: {} matched, {} missing, {} extra, score {:.3f}, "
                "box {:.2f} px off".format(
                    len(self.failed),
                    len(self.images),
                    self.lowering,
                    self.backend,
                    self.failed[0],
                    worst.matched,
                    worst.missing,
                    worst.extra,
                    worst.max_dscore,
                    worst.max_dbox_px,
                )
            )


def tolerance_of(lowering: str, backend: str) -> Tolerance:
    """What a lowering on a backend may differ by: nothing to speak of on a processor, more in an engine."""
    if backend.startswith("onnxruntime") and "Provider" not in backend:
        return SAME_GRAPH
    return ENGINE_FP16 if lowering in ("fp16", "fp32") else ENGINE_INT8


def check_golden(
    bundle: Bundle, detector: Detector, progress: Optional[Progress] = None, tolerance: Optional[Tolerance] = None
) -> GoldenReport:
    """Run the golden images of `bundle` through `detector`, opened from the same bundle.

    Args:
        bundle: has the images and the boxes that they gave.
        detector: one of its lowerings.
        progress: called after each image.
        tolerance: what passes; `tolerance_of` the detector where None.

    Raises:
        BundleError: a golden entry is missing or is no image.
        BackendError: the inference library failed.
    """
    tolerance = tolerance or tolerance_of(detector.lowering, detector.session.backend)
    records = bundle.manifest.get("golden") or []
    images = {}
    for number, record in enumerate(records, 1):
        image = _decode_image(bundle, record["image"])
        infrared = _decode_image(bundle, record["infrared"], grey=True) if "infrared" in record else None
        found = detector(image, conf=record["conf"], iou=record.get("iou"), infrared_hw=infrared)
        expected = record.get("detections_of", {}).get(detector.lowering, record["detections"])
        images[record["image"]] = match_detections(
            golden_detections(expected), found, tolerance.iou, record["conf"], tolerance.max_dscore
        )
        if progress is not None:
            progress(number, len(records), "golden images")
    return GoldenReport(detector.lowering, detector.session.backend, images, tolerance)


def golden_detections(rows: Sequence[Dict[str, Any]]) -> Detections:
    """The boxes of a manifest's golden record."""
    xyxy = np.array([row["xyxy"] for row in rows], np.float32).reshape(-1, 4)
    score = np.array([row["score"] for row in rows], np.float32)
    return Detections(xyxy, score, np.array([row["class_id"] for row in rows], np.int64))


def _decode_image(bundle: Bundle, entry: str, grey: bool = False) -> np.ndarray:
    import cv2

    flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    image = cv2.imdecode(np.frombuffer(bundle.read(entry), np.uint8), flag)
    if image is None:
        raise BundleError("{}: {} is not an image; export the bundle again".format(bundle.path, entry))
    return image


def entry_counts(bundle: Bundle) -> Tuple[int, int]:
    """Entries and their bytes, which opening the bundle has checked against their hashes."""
    sizes = [record["size"] for record in bundle.manifest["entries"].values()]
    return len(sizes), sum(sizes)
