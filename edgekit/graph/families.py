"""Which detector a canonical graph is: how its outputs become boxes and what picture it wants to see.

Read from, in this order: what the caller says, what our own exporter wrote into the file's metadata (keys
`classes`, `decode`, `preprocess`: JSON), the class names that Ultralytics writes, and the
shapes of the outputs, which tell the families apart:

    yolox     one (1, N, 5 + C), N = the cells of strides 8, 16, 32 (, 64)
    yolov8    one (1, 4 + C, N), fewer rows than columns
    nanodet   two a stride: (n, C) scores and (n, 4 * (reg_max + 1)) bins, n = the cells of that stride

A yolov5 head (`process.decode`) is known by the metadata alone: shapes do not tell its anchors.
"""

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from edgekit.errors import ModelError
from edgekit.graph.constants import static_shape
from edgekit.graph.load import input_hw
from edgekit.process.decode import DecodeSpec
from edgekit.process.prepare import Preprocess

FAMILIES = ("yolox", "yolov8", "nanodet")
METADATA = ("classes", "decode", "preprocess")
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32), (8, 16), (8,))
_USUAL_REG_MAX = (7, 15)

# fmt: off
COCO_80 = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Family:
    """What surrounds the network.

    Attributes:
        decode: how its outputs become boxes.
        preprocess: how a picture becomes its input.
        classes: one name a class.
        source: "metadata" (ours), "shapes" or "given".
    """

    decode: DecodeSpec
    preprocess: Preprocess
    classes: tuple[str, ...]
    source: str


def detect_family(
    model: ir.Model,
    family: str | None = None,
    classes: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
) -> Family:
    """Recognise the head of a canonical graph.

    Args:
        model: canonical.
        family: "yolox", "yolov8" or "nanodet" where the caller knows better than the shapes.
        classes: class names, where the file has none.
        preprocess: what the network takes, where it is not the family's usual.

    Raises:
        ModelError: the outputs are those of no known head, or contradict what was given.
    """
    found = _from_metadata(model) if family is None else None
    if found is None:
        found = _from_shapes(model, family)
    names = tuple(classes) if classes is not None else found.classes
    if len(names) != found.decode.num_classes:
        raise ModelError(f"{len(names)} class names given, the network has {found.decode.num_classes} classes")
    ready = Family(found.decode, preprocess or found.preprocess, names, found.source)
    _check_channels(model, ready.preprocess)
    return ready


def _check_channels(model: ir.Model, preprocess: Preprocess) -> None:
    shape = static_shape(model.graph.inputs[0]) or ()
    if len(shape) == 4 and shape[1] != preprocess.channels:
        raise ModelError(
            f"the network takes {shape[1]} channels, its preprocessing gives {preprocess.channels} "
            f"({preprocess.modality}); four are colour and infrared where the metadata says modality rgb+ir, as "
            "edgekit train writes it"
        )


def metadata_of(family: Family) -> dict[str, str]:
    """The metadata entries by which `detect_family` knows a network of ours again."""
    values = (list(family.classes), family.decode.to_json(), family.preprocess.to_json())
    return {key: json.dumps(value) for key, value in zip(METADATA, values, strict=True)}


def usual_preprocess(family: str, hw: tuple[int, int]) -> Preprocess:
    """What networks of `family` were trained on, for an input of (height, width) pixels."""
    height, width = hw
    if family in ("yolov5", "yolov8"):
        return Preprocess(height, width, letterbox="center", scale=1.0 / 255.0, rgb=True)
    if family == "nanodet":
        return Preprocess(height, width, pad_value=0, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))
    return Preprocess(height, width)


def _from_metadata(model: ir.Model) -> Family | None:
    if not all(key in model.metadata_props for key in METADATA):
        return None
    try:
        classes, decode, preprocess = (json.loads(model.metadata_props[key]) for key in METADATA)
        spec = DecodeSpec.from_json(decode)
        # what the file leaves out is the family's usual
        usual = usual_preprocess(spec.family, input_hw(model)).to_json()
        return Family(spec, Preprocess.from_json({**usual, **preprocess}), tuple(map(str, classes)), "metadata")
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"the network's metadata ({', '.join(METADATA)}) cannot be used: {error}") from error


def _from_shapes(model: ir.Model, family: str | None) -> Family:
    if family is not None and family not in FAMILIES:
        raise ModelError(f"unknown head family {family!r}, expected one of {', '.join(FAMILIES)}")
    hw = input_hw(model)
    shapes = [static_shape(value) or () for value in model.graph.outputs]
    for name in FAMILIES if family is None else (family,):
        decode = _MATCHERS[name](shapes, hw)
        if decode is not None:
            _refuse_decoded_boxes(model, name)
            names = _ultralytics_names(model.metadata_props.get("names"), decode.num_classes)
            source = "shapes" if family is None else "given"
            return Family(decode, usual_preprocess(name, hw), names or _default_names(decode.num_classes), source)
    raise ModelError(_unknown(shapes, hw, family))


def _unknown(shapes: list[tuple[int, ...]], hw: tuple[int, int], family: str | None) -> str:
    seen = ", ".join("x".join(map(str, shape)) for shape in shapes[:8]) + (", …" if len(shapes) > 8 else "")
    what = "not a detector that edgekit knows" if family is None else f"not a {family} head"
    cells = sum(_cells(hw, stride) for stride in (8, 16, 32))
    return (
        f"{what}: outputs {seen} for a {hw[0]}x{hw[1]} input; known are yolox (1x{cells}x(5+classes)), yolov8 "
        f"(1x(4+classes)x{cells}) and nanodet (scores and bins for each stride), exported without NMS; "
        "a yolov5 head is known by the anchors in the metadata that edgekit writes"
    )


def _cells(hw: tuple[int, int], stride: int) -> int:
    return -(-hw[0] // stride) * -(-hw[1] // stride)


def _match_yolox(shapes: list[tuple[int, ...]], hw: tuple[int, int]) -> DecodeSpec | None:
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][0] != 1 or shapes[0][2] < 6:
        return None
    for strides in _STRIDES:
        if shapes[0][1] == sum(_cells(hw, stride) for stride in strides):
            return DecodeSpec("yolox", shapes[0][2] - 5, strides, iou=0.65, max_det=300)
    return None


def _match_yolov8(shapes: list[tuple[int, ...]], hw: tuple[int, int]) -> DecodeSpec | None:
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][0] != 1:
        return None
    rows, columns = shapes[0][1:]
    for strides in _STRIDES:
        anchors = sum(_cells(hw, stride) for stride in strides)
        if columns == anchors and rows >= 5:
            return DecodeSpec("yolov8", rows - 4, strides, iou=0.7, max_det=300)
        if rows == anchors and columns >= 5:
            return DecodeSpec("yolov8", columns - 4, strides, iou=0.7, max_det=300)
    return None


def _match_nanodet(shapes: list[tuple[int, ...]], hw: tuple[int, int]) -> DecodeSpec | None:
    flat = [shape[-2:] for shape in shapes if len(shape) in (2, 3) and (len(shape) == 2 or shape[0] == 1)]
    for strides in _STRIDES:
        if len(flat) != len(shapes) or len(shapes) != 2 * len(strides):
            continue
        by_stride = [sorted(s[1] for s in flat if s[0] == _cells(hw, stride)) for stride in strides]
        widths = by_stride[0]
        if len(widths) == 2 and all(other == widths for other in by_stride):
            return _nanodet_spec(widths, strides)
    return None


def _nanodet_spec(widths: list[int], strides: tuple[int, ...]) -> DecodeSpec | None:
    for reg_max in _USUAL_REG_MAX:
        bins = 4 * (reg_max + 1)
        if bins in widths:
            classes = widths[1] if widths[0] == bins else widths[0]
            return DecodeSpec("nanodet", classes, strides, reg_max, iou=0.6, max_det=100)
    return None


def _refuse_decoded_boxes(model: ir.Model, family: str) -> None:
    """A YOLOX exported with decode_in_inference gives pixels, not raw offsets; it takes an Exp to do so."""
    if family == "yolox" and any(node.op_type == "Exp" for node in model.graph):
        raise ModelError("this yolox network decodes its boxes inside; export it with decode_in_inference off")


def _default_names(count: int) -> tuple[str, ...]:
    return COCO_80 if count == len(COCO_80) else tuple(f"class_{index}" for index in range(count))


def _ultralytics_names(text: str | None, count: int) -> tuple[str, ...] | None:
    """Names out of "{0: 'person', 1: 'car'}"; None where the text is not that."""
    if text is None:
        return None
    try:
        table: Any = ast.literal_eval(text)
        names = tuple(str(table[index]) for index in range(count))
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError):
        return None
    return names if len(table) == count else None


_MATCHERS = {"yolox": _match_yolox, "yolov8": _match_yolov8, "nanodet": _match_nanodet}
