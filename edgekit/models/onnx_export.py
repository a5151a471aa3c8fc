"""Checkpoint to plain ONNX: static shapes, batch 1, the decode contract in the file's metadata."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from edgekit.errors import ModelError
from edgekit.files import atomic_write
from edgekit.models.detector import DetectorModule

if TYPE_CHECKING:
    import onnx

OPSET = 17


def export_onnx(
    model: DetectorModule,
    path: Path,
    size_hw: tuple[int, int],
    classes: Sequence[str],
    preprocess: Mapping[str, object] | None = None,
) -> None:
    """Write `model.deploy()` to `path` as ONNX with input `images` (1, 3, H, W) and output `output` (1, N, 5 + nc).

    A network of colour and infrared has four input channels.

    `metadata_props` carries JSON under `classes`, `preprocess` and `decode`, so that the file explains itself.

    Raises:
        ModelError: H or W is not divisible by 64, or the number of class names is not the model's.
    """
    import onnx

    height, width = size_hw
    if height % 64 or width % 64:
        raise ModelError(f"input size {height}x{width} (HxW) must be divisible by 64; round it up or down")
    if len(classes) != model.num_classes:
        raise ModelError(f"{len(classes)} class names for a model of {model.num_classes} classes; give one name each")
    proto = _traced(model.deploy(), height, width)
    _annotate(proto, model, classes, preprocess or {})
    onnx.checker.check_model(proto, full_check=True)
    with atomic_write(Path(path)) as file:
        file.write(proto.SerializeToString())


def _traced(model: DetectorModule, height: int, width: int) -> onnx.ModelProto:
    import onnx

    example = torch.zeros(1, model.in_channels, height, width)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter keeps one Conv per convolution and names initialisers after the modules, which is
        # what range tables and plans are keyed by; torch marks it deprecated.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example,),
            buffer,  # type: ignore[arg-type]  # a stream is what the TorchScript exporter takes
            input_names=["images"],
            output_names=["output"],
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def _decode_of(model: DetectorModule) -> dict[str, object]:
    spec = model.decode_spec.to_json()  # thresholds are the family's, not the network's
    return {key: spec[key] for key in ("family", "num_classes", "strides", "anchors") if key in spec}


def _annotate(
    proto: onnx.ModelProto, model: DetectorModule, classes: Sequence[str], preprocess: Mapping[str, object]
) -> None:
    notes = (("classes", list(classes)), ("preprocess", dict(preprocess)), ("decode", _decode_of(model)))
    for key, value in notes:
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    proto.producer_name = "edgekit"
