"""From the network's raw outputs to boxes of the frame: a decoder for each head family, then suppression.

Candidates are filtered by score *before* their boxes are computed: of thousands, a few dozen remain.

Families (H x W input, strides 8, 16, 32 by default; anchors run row by row, finest stride first):

yolox    one output (1, N, 5 + C): tx, ty, tw, th, objectness, C class scores (both already sigmoid).
         cx = (tx + gx) * s, cy = (ty + gy) * s, w = exp(tw) * s, h = exp(th) * s; score = objectness * class.
yolov5   one output (1, N, 5 + C), all sigmoid: px, py, pw, ph, objectness, C class scores; a stride has A anchors, and
         its rows run anchor by anchor, in it row by row. cx = (2 px - 0.5 + gx) * s, cy = (2 py - 0.5 + gy) * s,
         w = (2 pw)^2 * aw, h = (2 ph)^2 * ah, (aw, ah) the anchor in input pixels; score = objectness * class.
yolov8   one output (1, 4 + C, N), or transposed: cx, cy, w, h in input pixels, C class scores.
nanodet  two outputs a stride, told apart by their shape: (n, C) class scores, (n, 4 * (reg_max + 1)) bins.
         side = sum(softmax(bins) * [0 .. reg_max]) * s around the centre ((gx + 0.5) * s, (gy + 0.5) * s).

An anchor gives one box, of its best class (as the demos of these families do).
"""

import functools
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from edgekit.boxes import cxcywh_to_xyxy
from edgekit.detections import Detections
from edgekit.errors import ModelError
from edgekit.ops.best_class import best_class
from edgekit.ops.nms import nms
from edgekit.process.prepare import Letterbox, Preprocess

_LARGEST = np.float32(10)  # exp(10) cells: wider than any picture, and a broken network cannot overflow

Candidates = Tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class DecodeSpec:
    """How raw outputs become boxes.

    Attributes:
        family: "yolox", "yolov5", "yolov8" or "nanodet".
        num_classes: how many classes the head scores.
        strides: input pixels per grid cell, finest first; unused by yolov8.
        reg_max: largest bin of nanodet's box distributions.
        conf: candidates of a lower score are dropped.
        iou: overlap above which the weaker box of the same class goes.
        max_det: at most this many boxes a frame.
        anchors: yolov5's, (width, height) in input pixels, the same number for each stride; empty in other families.
    """

    family: str
    num_classes: int
    strides: Tuple[int, ...] = (8, 16, 32)
    reg_max: int = 7
    conf: float = 0.25
    iou: float = 0.65
    max_det: int = 300
    anchors: Tuple[Tuple[Tuple[float, float], ...], ...] = ()

    def __post_init__(self) -> None:
        if self.family not in _DECODERS:
            raise ValueError("family is one of {}, got {!r}".format(", ".join(_DECODERS), self.family))
        if self.num_classes < 1 or not self.strides or self.max_det < 1:
            raise ValueError("a head has at least one class, one stride and one box, got {}".format(self))
        if self.family == "yolov5":
            _check_anchors(self.anchors, self.strides)
        elif self.anchors:
            raise ValueError("a {} head has no anchors, got {}".format(self.family, self.anchors))

    def to_json(self) -> Dict[str, Any]:
        """A plain dict; `from_json` gives the same value back."""
        plain = {
            "family": self.family,
            "num_classes": self.num_classes,
            "strides": list(self.strides),
            "reg_max": self.reg_max,
            "conf": self.conf,
            "iou": self.iou,
            "max_det": self.max_det,
        }  # type: Dict[str, Any]
        if self.anchors:
            plain["anchors"] = [[list(box) for box in level] for level in self.anchors]
        return plain

    @classmethod
    def from_json(cls, value: Dict[str, Any]) -> "DecodeSpec":
        """The value that `to_json` wrote."""
        plain = dict(value)
        plain["strides"] = tuple(plain["strides"])
        levels = plain.get("anchors", ())
        plain["anchors"] = tuple(tuple((float(w), float(h)) for w, h in level) for level in levels)
        return cls(**plain)


def decode(outputs: Sequence[np.ndarray], spec: DecodeSpec, size_hw: Tuple[int, int], conf: float) -> Candidates:
    """Boxes of at least `conf`, before suppression.

    Args:
        outputs: the network's outputs, as the family lays them out.
        spec: the head.
        size_hw: height and width of the network's input, pixels.
        conf: lowest score.

    Returns:
        xyxy (K, 4) float32 in pixels of the network's input, score (K,) float32, class_id (K,) int64.

    Raises:
        ModelError: the outputs are not those of this head.
    """
    return _DECODERS[spec.family](outputs, spec, size_hw, conf)


def postprocess(
    outputs: Sequence[np.ndarray],
    spec: DecodeSpec,
    letterbox: Letterbox,
    preprocess: Preprocess,
    conf: Optional[float] = None,
    iou: Optional[float] = None,
    max_det: Optional[int] = None,
) -> Detections:
    """Decode, suppress and put the boxes back on the original frame, best first.

    `conf`, `iou` and `max_det` are those of `spec` where None.

    Raises:
        ModelError: the outputs are not those of this head.
    """
    xyxy, score, class_id = decode(
        outputs, spec, (preprocess.height, preprocess.width), spec.conf if conf is None else conf
    )
    kept = nms(
        xyxy,
        score,
        class_id,
        spec.iou if iou is None else iou,
        spec.max_det if max_det is None else max_det,
    )
    return Detections(letterbox.to_original(xyxy[kept]), score[kept], class_id[kept])


@functools.lru_cache(maxsize=16)
def _grid(size_hw: Tuple[int, int], strides: Tuple[int, ...]) -> Tuple[np.ndarray, np.ndarray]:
    """Column and row (N, 2) and stride (N, 1) of every cell, float32; shared by all callers, so never written."""
    cells, steps = [], []
    for stride in strides:
        rows, columns = -(-size_hw[0] // stride), -(-size_hw[1] // stride)
        gy, gx = np.mgrid[:rows, :columns]
        cells.append(np.stack([gx, gy], axis=-1).reshape(-1, 2))
        steps.append(np.full((rows * columns, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(steps).astype(np.float32)


def _decode_yolox(outputs: Sequence[np.ndarray], spec: DecodeSpec, size_hw: Tuple[int, int], conf: float) -> Candidates:
    cells, steps = _grid(size_hw, spec.strides)
    raw = _single(outputs, (len(cells), 5 + spec.num_classes), spec)
    # A class score is at most 1, so objectness alone rules most anchors out.
    rows = np.flatnonzero(raw[:, 4] >= conf)
    raw = raw[rows]
    keep, score, class_id = _best_class(raw[:, 5:] * raw[:, 4:5], conf)
    raw, cells, steps = raw[keep], cells[rows[keep]], steps[rows[keep]]
    size = np.exp(np.minimum(raw[:, 2:4], _LARGEST))
    cxcywh = np.concatenate([raw[:, :2] + cells, size], axis=1) * steps
    return cxcywh_to_xyxy(cxcywh), score, class_id


def _check_anchors(anchors: Sequence[Sequence[Tuple[float, float]]], strides: Tuple[int, ...]) -> None:
    same = len(anchors) == len(strides) and len({len(level) for level in anchors}) == 1
    if not same or not anchors[0] or not all(side > 0 for level in anchors for box in level for side in box):
        raise ValueError("a yolov5 head has the same number of anchors for each stride, got {}".format(anchors))


@functools.lru_cache(maxsize=16)
def _anchor_grid(size_hw: Tuple[int, int], spec: DecodeSpec) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column and row (N, 2), stride (N, 1) and anchor (N, 2) of every row, float32; shared, so never written."""
    cells, steps, boxes = [], [], []
    for stride, level in zip(spec.strides, spec.anchors):
        cell, step = _grid(size_hw, (stride,))
        cells += [cell] * len(level)
        steps += [step] * len(level)
        boxes.append(np.repeat(np.array(level, dtype=np.float32), len(cell), axis=0))
    return np.concatenate(cells), np.concatenate(steps), np.concatenate(boxes)


def _decode_yolov5(
    outputs: Sequence[np.ndarray], spec: DecodeSpec, size_hw: Tuple[int, int], conf: float
) -> Candidates:
    cells, steps, boxes = _anchor_grid(size_hw, spec)
    raw = _single(outputs, (len(cells), 5 + spec.num_classes), spec)
    rows = np.flatnonzero(raw[:, 4] >= conf)
    raw = raw[rows]
    keep, score, class_id = _best_class(raw[:, 5:] * raw[:, 4:5], conf)
    raw, rows = raw[keep], rows[keep]
    centre = (2 * raw[:, :2] - np.float32(0.5) + cells[rows]) * steps[rows]
    size = (2 * raw[:, 2:4]) ** 2 * boxes[rows]
    return cxcywh_to_xyxy(np.concatenate([centre, size], axis=1)), score, class_id


def _decode_yolov8(
    outputs: Sequence[np.ndarray], spec: DecodeSpec, size_hw: Tuple[int, int], conf: float
) -> Candidates:
    rows = 4 + spec.num_classes
    shape = tuple(outputs[0].shape) if len(outputs) == 1 else ()
    if len(shape) < 2 or rows not in shape[-2:] or outputs[0].size != shape[-2] * shape[-1]:
        raise _mismatch(outputs, "one of (1, {}, N)".format(rows), spec)
    raw = outputs[0].reshape(shape[-2:])
    if len(raw) != rows:
        raw = raw.T
    columns, score, class_id = best_class(raw[4:], conf)
    return cxcywh_to_xyxy(np.ascontiguousarray(raw[:4, columns].T)), score, class_id


def _decode_nanodet(
    outputs: Sequence[np.ndarray], spec: DecodeSpec, size_hw: Tuple[int, int], conf: float
) -> Candidates:
    parts = []
    left = list(outputs)
    for stride in spec.strides:
        cells, steps = _grid(size_hw, (stride,))
        scores = _take(left, (len(cells), spec.num_classes), outputs, spec)
        bins = _take(left, (len(cells), 4 * (spec.reg_max + 1)), outputs, spec)
        keep, score, class_id = _best_class(scores, conf)
        side = _expectation(bins[keep].reshape(-1, 4, spec.reg_max + 1)) * steps[keep]
        centre = (cells[keep] + np.float32(0.5)) * steps[keep]
        xyxy = np.concatenate([centre - side[:, :2], centre + side[:, 2:]], axis=1)
        parts.append((xyxy, score, class_id))
    xyxy, score, class_id = (np.concatenate(column) for column in zip(*parts))
    return xyxy, score, class_id


def _best_class(scores: np.ndarray, conf: float) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of scores (N, C) whose best class reaches `conf`: their index, score and class."""
    class_id = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), class_id]
    keep = np.flatnonzero(best >= conf)
    return keep, best[keep].astype(np.float32), class_id[keep].astype(np.int64)


def _expectation(bins: np.ndarray) -> np.ndarray:
    """Mean (N, 4) of the distributions whose logits are `bins` (N, 4, reg_max + 1)."""
    weight = np.exp(bins - bins.max(axis=2, keepdims=True))
    steps = np.arange(bins.shape[2], dtype=np.float32)
    mean = (weight * steps).sum(axis=2) / weight.sum(axis=2)
    return np.asarray(mean, dtype=np.float32)


def _single(outputs: Sequence[np.ndarray], shape: Tuple[int, int], spec: DecodeSpec) -> np.ndarray:
    """The only output, without its batch dimension."""
    if len(outputs) != 1 or outputs[0].size != shape[0] * shape[1] or outputs[0].shape[-1] != shape[1]:
        raise _mismatch(outputs, "one of (1, {}, {})".format(*shape), spec)
    return outputs[0].reshape(shape)


def _take(
    left: List[np.ndarray], shape: Tuple[int, int], outputs: Sequence[np.ndarray], spec: DecodeSpec
) -> np.ndarray:
    """Remove from `left` the first output of `shape`, whatever its batch dimension."""
    for index, value in enumerate(left):
        if value.shape[-2:] == shape:
            return left.pop(index).reshape(shape)
    raise _mismatch(outputs, "one of {} a stride {}".format(shape, spec.strides), spec)


def _mismatch(outputs: Sequence[np.ndarray], expected: str, spec: DecodeSpec) -> ModelError:
    return ModelError(
        "the network gives outputs {}; a {} head of {} classes gives {}. Name another head family or "
        "number of classes".format([tuple(value.shape) for value in outputs], spec.family, spec.num_classes, expected)
    )


_Decoder = Callable[[Sequence[np.ndarray], DecodeSpec, Tuple[int, int], float], Candidates]
_DECODERS: Dict[str, _Decoder] = {
    "yolox": _decode_yolox,
    "yolov5": _decode_yolov5,
    "yolov8": _decode_yolov8,
    "nanodet": _decode_nanodet,
}
