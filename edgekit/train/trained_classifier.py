"""Checkpoints of classifiers: the network again, and a plain ONNX file of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgekit.models.classifiers import build_classifier, classifier_preprocess, export_classifier
from edgekit.models.weights import load_weights, read_checkpoint
from edgekit.precision import QuantPlan
from edgekit.quant import apply_plan
from edgekit.train.binarised import binary_config
from edgekit.train.classify_run import export_trained


def classifier_from_checkpoint(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a classifier's checkpoint in eval mode, as it was trained, and what was kept with it.

    Raises:
        ModelError: the file is missing, damaged, or not a classifier's checkpoint of edgekit.
    """
    tensors, about = read_checkpoint(path)
    model: nn.Module = build_classifier(about["model"], len(about["classes"]))
    if "plan" in about:
        example = torch.zeros(1, 3, *about["size_hw"])
        model = apply_plan(model, QuantPlan.from_json(about["plan"]), example, binary_config(about))
    load_weights(model, tensors, "ema.", path)
    return model.eval(), about


def export_classifier_checkpoint(checkpoint: Path, path: Path) -> tuple[QuantPlan | None, dict[str, Any]]:
    """Write a classifier's checkpoint as ONNX in plain layers, binary convolutions as signs and weights +-s.

    Returns:
        The plan by names of the file's nodes, None where training was in float; and what was kept with it.

    Raises:
        ModelError: the file is missing, damaged, or not a classifier's checkpoint of edgekit.
    """
    model, about = classifier_from_checkpoint(checkpoint)
    preprocess = classifier_preprocess(*about["size_hw"])
    if "plan" in about:
        return export_trained(model, path, about["classes"], preprocess), about
    export_classifier(model, path, about["size_hw"], about["classes"], preprocess)
    return None, about
