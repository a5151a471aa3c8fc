"""Golden vectors: small images inside the bundle, with the boxes and samples of the raw outputs expected of them.

A device runs them to see that it computes what the workstation did. The images are kept at the network's size and at
four bits a channel, which makes their PNG a third as large and is exact in every decoder, as JPEG is not.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edgekit.data.dataset import read_image
from edgekit.data.pairs import read_pair
from edgekit.detections import Detections
from edgekit.graph.families import Family
from edgekit.graph.quantize import spaced
from edgekit.graph.runner import Runner
from edgekit.metrics.match import MAX_DBOX_PX, MAX_DSCORE, match_detections
from edgekit.process.decode import postprocess
from edgekit.process.prepare import Letterbox, Preprocess, letterbox_of, prepare

SAMPLES = 256
_MOST_TRIED = 10


@dataclass(frozen=True, slots=True, eq=False)
class GoldenImage:
    """One image, (H, W, 3) uint8 BGR, no larger than the network's input; of a pair also its (H, W) infrared."""

    image_hwc: np.ndarray
    infrared_hw: np.ndarray | None = None

    def png(self) -> bytes:
        """The image as a file."""
        return _png(self.image_hwc)

    def infrared_png(self) -> bytes:
        """The infrared image of a pair as a file."""
        assert self.infrared_hw is not None
        return _png(self.infrared_hw)


def _png(image: np.ndarray) -> bytes:
    _, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return bytes(data.tobytes())


def choose_golden(
    paths: Sequence[str], count: int, family: Family, original: Runner, implementations: Sequence[Runner]
) -> list[GoldenImage]:
    """`count` images in which the float network sees something, and on which implementations agree best.

    Two right implementations of an INT8 network may differ by a whole box where one stands near the threshold; such an
    image would accuse a healthy device.

    Args:
        paths: image files.
        count: how many to choose.
        family: head and preprocessing.
        original: the float network.
        implementations: of one lowering, in different ways; none when there is only one way.
    """
    candidates = list(_reduced(spaced(list(paths), _MOST_TRIED), family.preprocess))
    seen = [golden for golden in candidates if len(run_golden(golden, original, family)[0])]
    ranked = sorted(seen, key=lambda golden: _disagreement(golden, family, implementations))
    return (ranked + [golden for golden in candidates if golden not in seen])[:count]


def _disagreement(golden: GoldenImage, family: Family, implementations: Sequence[Runner]) -> float:
    """0 where all give the same boxes; 1 is the limit of a golden check, a box too many or too few counts 10."""
    boxes = [run_golden(golden, runner, family)[0] for runner in implementations]
    reports = [match_detections(boxes[0], other, threshold=family.decode.conf) for other in boxes[1:]]
    return max(
        (10.0 * (r.missing + r.extra) + r.max_dscore / MAX_DSCORE + r.max_dbox_px / MAX_DBOX_PX for r in reports),
        default=0.0,
    )


def run_golden(golden: GoldenImage, runner: Runner, family: Family) -> tuple[Detections, np.ndarray]:
    """Boxes of one golden image, and `SAMPLES` values spread over its raw outputs (float32)."""
    x, place = prepare(golden.image_hwc, family.preprocess, infrared_hw=golden.infrared_hw)
    outputs = runner.run(x)
    boxes = postprocess(outputs, family.decode, place, family.preprocess)
    return boxes, sample_outputs(outputs)


def sample_outputs(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """`SAMPLES` values at even distances over all outputs, flattened and joined in their order; float32."""
    flat = np.concatenate([np.asarray(output, np.float32).reshape(-1) for output in outputs])
    return flat[np.linspace(0, flat.size - 1, SAMPLES).astype(np.int64)]


def npy(array: np.ndarray) -> bytes:
    """The array as an .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=(1, 0))
    return stream.getvalue()


def rows_of(boxes: Detections) -> list[dict[str, Any]]:
    """Boxes as the manifest lists them."""
    return [
        {"xyxy": [round(float(v), 3) for v in xyxy], "score": round(float(score), 5), "class_id": int(class_id)}
        for xyxy, score, class_id in zip(boxes.xyxy, boxes.score, boxes.class_id, strict=True)
    ]


def _reduced(paths: Sequence[str], spec: Preprocess) -> Iterator[GoldenImage]:
    for path in paths:
        if spec.pairs:
            image, infrared = read_pair(path)
            yield GoldenImage(_small(image, spec), _small(infrared, spec))
        else:
            yield GoldenImage(_small(read_image(path), spec))


def _small(image: np.ndarray, spec: Preprocess) -> np.ndarray:
    """The image at the size that it has in the network's input, four bits a channel."""
    place: Letterbox = letterbox_of(image.shape[1], image.shape[0], spec)
    size = (round(image.shape[1] * place.scale_x), round(image.shape[0] * place.scale_y))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.bitwise_or(np.bitwise_and(small, np.uint8(0xF0)), np.uint8(0x08))
