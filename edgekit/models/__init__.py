"""Detectors in plain torch: each variant a function of literal numbers, all of them in one table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.errors import ModelError
from edgekit.models.bireal_detector import with_shortcuts
from edgekit.models.detector import DetectorModule
from edgekit.models.fasterx import Architecture, Fasterx
from edgekit.models.onnx_export import export_onnx
from edgekit.models.preprocess import network_preprocess
from edgekit.models.superyolo import SuperYolo, ghost_network, superyolo, superyolo_small
from edgekit.models.weights import load_weights, read_checkpoint

__all__ = [
    "MODELS",
    "Architecture",
    "DetectorModule",
    "Fasterx",
    "build",
    "export_onnx",
    "from_checkpoint",
    "network_preprocess",
    "onnx_from_checkpoint",
]


def yolox_nano(num_classes: int) -> Fasterx:
    """YOLOX-Nano: depth 0.33, width 0.25, depthwise everywhere; 0.91 M parameters with 80 classes."""
    return Fasterx(Architecture(num_classes, (16, 32, 64, 128, 256), (1, 3, 3, 1), depthwise=True, head_width=64))


def yolox_tiny(num_classes: int) -> Fasterx:
    """YOLOX-Tiny: depth 0.33, width 0.375; 5.06 M parameters with 80 classes."""
    return Fasterx(Architecture(num_classes, (24, 48, 96, 192, 384), (1, 3, 3, 1), head_width=96))


def yolox_s(num_classes: int) -> Fasterx:
    """YOLOX-S: depth 0.33, width 0.5; 9.0 M parameters with 80 classes."""
    return Fasterx(Architecture(num_classes, (32, 64, 128, 256, 512), (1, 3, 3, 1), head_width=128))


def fasterx_nano(num_classes: int) -> Fasterx:
    """FasterX on YOLOX-Nano: SlimFPN-64, PixSF head with depthwise towers, ECA."""
    return Fasterx(
        Architecture(
            num_classes,
            (16, 32, 64, 128, 256),
            (1, 3, 3, 1),
            depthwise=True,
            neck="slim",
            neck_width=64,
            head="pixsf",
            head_width=64,
            head_depthwise=True,
            attention="eca",
        )
    )


def fasterx_tiny(num_classes: int) -> Fasterx:
    """FasterX on YOLOX-Tiny: SlimFPN-96, PixSF head with depthwise towers, ECA."""
    return Fasterx(
        Architecture(
            num_classes,
            (24, 48, 96, 192, 384),
            (1, 3, 3, 1),
            neck="slim",
            neck_width=96,
            head="pixsf",
            head_width=96,
            head_depthwise=True,
            attention="eca",
        )
    )


def fasterx_s(num_classes: int) -> Fasterx:
    """FasterX on YOLOX-S: SlimFPN-128, PixSF head with depthwise towers, ECA."""
    return Fasterx(
        Architecture(
            num_classes,
            (32, 64, 128, 256, 512),
            (1, 3, 3, 1),
            neck="slim",
            neck_width=128,
            head="pixsf",
            head_width=128,
            head_depthwise=True,
            attention="eca",
        )
    )


def fasterx_student(num_classes: int) -> Fasterx:
    """The shipped student: full convolutions and ReLU (what INT8 runtimes run fastest), thin stride-32 stage."""
    return Fasterx(
        Architecture(
            num_classes,
            (16, 32, 64, 128, 96),
            (1, 3, 3, 1),
            act="relu",
            neck="slim",
            neck_width=64,
            neck_depthwise=False,
            head="pixsf",
            head_width=64,
            head_convs=1,
        )
    )


def fasterx_student_bireal(num_classes: int) -> Fasterx:
    """The student with a shortcut around every convolution of backbone and neck, so that these can be signs."""
    return with_shortcuts(fasterx_student(num_classes))


def fasterx_gate(num_classes: int) -> Fasterx:
    """A tenth of the student, for half its resolution: it wakes a detector, see `edgekit run --gate`."""
    return Fasterx(
        Architecture(
            num_classes,
            (8, 16, 32, 48, 48),
            (1, 1, 2, 1),
            act="relu",
            neck="slim",
            neck_width=32,
            neck_depthwise=False,
            head="pixsf",
            head_width=32,
            head_convs=1,
        )
    )


MODELS: dict[str, Callable[[int], DetectorModule]] = {
    "yolox_nano": yolox_nano,
    "yolox_tiny": yolox_tiny,
    "yolox_s": yolox_s,
    "fasterx_nano": fasterx_nano,
    "fasterx_tiny": fasterx_tiny,
    "fasterx_s": fasterx_s,
    "fasterx_student": fasterx_student,
    "fasterx_student_bireal": fasterx_student_bireal,
    "fasterx_gate": fasterx_gate,
    "superyolo_rgb": partial(superyolo, modality="rgb", super_resolution=False),
    "superyolo_ir": partial(superyolo, modality="ir", super_resolution=False),
    "superyolo_concat": partial(superyolo, modality="concat", super_resolution=False),
    "superyolo_mf": partial(superyolo, modality="mf", super_resolution=False),
    "superyolo_small_rgb": partial(superyolo_small, modality="rgb"),
    "superyolo_small_ir": partial(superyolo_small, modality="ir"),
    "superyolo_small_concat": partial(superyolo_small, modality="concat"),
    "superyolo_small_mf": partial(superyolo_small, modality="mf"),
    "ghost_rgb": partial(ghost_network, modality="rgb"),
    "ghost_ir": partial(ghost_network, modality="ir"),
    "ghost_concat": partial(ghost_network, modality="concat"),
    "ghost_mf": partial(ghost_network, modality="mf"),
}


def build(name: str, num_classes: int, super_resolution: bool = False) -> DetectorModule:
    """The model called `name`, randomly initialised; with SuperYOLO's training-only branch if asked for.

    Raises:
        ModelError: there is no such model, or it has no such branch.
    """
    if name not in MODELS:
        raise ModelError(f"model {name!r} is unknown; choose one of {', '.join(MODELS)}")
    model = MODELS[name](num_classes)
    if super_resolution:
        if not isinstance(model, SuperYolo):
            raise ModelError(f"model {name!r} has no super-resolution branch; choose a superyolo or ghost model")
        model.add_branch()
    return model


def from_checkpoint(path: Path) -> tuple[DetectorModule, dict[str, Any]]:
    """The averaged weights of a checkpoint as a model in eval mode, and what was kept with them.

    Raises:
        ModelError: the file is missing, damaged, not a checkpoint of edgekit, or of a network that was trained
            quantised, which `edgekit.train.trained` opens.
    """
    tensors, about = read_checkpoint(path)
    if "plan" in about:
        raise ModelError(f"{path} was trained quantised and is no float network; open it with edgekit.train.trained")
    model = build(about["model"], len(about["classes"]))
    load_weights(model, tensors, "ema.", path, model.training_only)
    return model.eval(), about


def onnx_from_checkpoint(checkpoint: Path, path: Path) -> None:
    """Write a checkpoint's averaged weights as plain ONNX at the input size that it was trained for."""
    model, about = from_checkpoint(checkpoint)
    height, width = about["size_hw"]
    preprocess = network_preprocess(height, width, model.pictures)
    export_onnx(model, path, (height, width), about["classes"], preprocess.to_json())
