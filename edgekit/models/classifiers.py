"""Classifiers: each variant a function of literal numbers, all of them in one table, and how they become ONNX."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from edgekit.errors import ModelError
from edgekit.files import atomic_write
from edgekit.models.bireal import ResNet, VggSmall
from edgekit.models.onnx_export import OPSET
from edgekit.process import Preprocess

Classifier = ResNet | VggSmall

_MEAN = (0.4465, 0.4822, 0.4914)
_STD = (0.2616, 0.2435, 0.2470)
"""Of CIFAR-10's training pictures, blue first."""


def resnet18(num_classes: int) -> ResNet:
    """ResNet-18 for 224 x 224 pictures; 11,689,512 parameters with 1000 classes."""
    return ResNet(num_classes, (64, 128, 256, 512), (4, 4, 4, 4), imagenet=True, projected=True, size_hw=(224, 224))


def resnet18_cifar(num_classes: int) -> ResNet:
    """ResNet-18 for 32 x 32 pictures; 11,173,962 parameters with 10 classes."""
    return ResNet(num_classes, (64, 128, 256, 512), (4, 4, 4, 4), imagenet=False, projected=True, size_hw=(32, 32))


def resnet8_cifar(num_classes: int) -> ResNet:
    """ResNet-8 for 32 x 32 pictures, a third of ResNet-20's depth; 75,290 parameters with 10 classes."""
    return ResNet(num_classes, (16, 32, 64), (2, 2, 2), imagenet=False, projected=False, size_hw=(32, 32))


def resnet20_cifar(num_classes: int) -> ResNet:
    """ResNet-20 for 32 x 32 pictures, shortcuts without weights; 269,722 parameters with 10 classes."""
    return ResNet(num_classes, (16, 32, 64), (6, 6, 6), imagenet=False, projected=False, size_hw=(32, 32))


def vgg_small(num_classes: int) -> VggSmall:
    """VGG-Small for 32 x 32 pictures; 4,660,106 parameters with 10 classes."""
    return VggSmall(num_classes, 128)


CLASSIFIERS: dict[str, Callable[[int], Classifier]] = {
    "resnet18": resnet18,
    "resnet18_cifar": resnet18_cifar,
    "resnet8_cifar": resnet8_cifar,
    "resnet20_cifar": resnet20_cifar,
    "vgg_small": vgg_small,
}


def build_classifier(name: str, num_classes: int) -> Classifier:
    """The classifier called `name`, randomly initialised; raises `ModelError` naming the choices."""
    if name not in CLASSIFIERS:
        raise ModelError(f"classifier {name!r} is unknown; choose one of {', '.join(CLASSIFIERS)}")
    return CLASSIFIERS[name](num_classes)


def classifier_preprocess(height: int, width: int) -> Preprocess:
    """What our classifiers are trained on: BGR stretched to the input, scaled to [0, 1] and standardised."""
    return Preprocess(height, width, letterbox="stretch", scale=1 / 255, mean=_MEAN, std=_STD)


def export_classifier(
    model: nn.Module, path: Path, size_hw: tuple[int, int], classes: Sequence[str], preprocess: Preprocess
) -> None:
    """Write a classifier in plain layers as ONNX with input `images` (1, 3, H, W) and output `logits` (1, classes).

    `metadata_props` carries JSON under `classes`, `preprocess` and `task` ("classify").

    Raises:
        ModelError: the number of class names is not the model's.
    """
    import onnx

    if len(classes) != model.num_classes:
        raise ModelError(f"{len(classes)} class names for a model of {model.num_classes} classes; give one name each")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter is marked deprecated, see onnx_export
        torch.onnx.export(
            model.eval(),
            (torch.zeros(1, 3, *size_hw),),
            buffer,  # type: ignore[arg-type]  # a stream is what the TorchScript exporter takes
            input_names=["images"],
            output_names=["logits"],
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
    proto = onnx.load_from_string(buffer.getvalue())
    for key, value in (("classes", list(classes)), ("preprocess", preprocess.to_json()), ("task", "classify")):
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    proto.producer_name = "edgekit"
    onnx.checker.check_model(proto, full_check=True)
    with atomic_write(Path(path)) as file:
        file.write(proto.SerializeToString())
