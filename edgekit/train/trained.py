"""Checkpoints that may have been trained quantised: the network again, and what an exporter needs of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.models import DetectorModule, build, export_onnx, network_preprocess
from edgekit.models.weights import load_weights, read_checkpoint
from edgekit.precision import QuantPlan
from edgekit.quant import apply_plan
from edgekit.train.quantised import example_of, export_quantised, share_through_encoders


def network_from_checkpoint(path: Path) -> tuple[DetectorModule, dict[str, Any]]:
    """The averaged network of a checkpoint in eval mode, quantised if it was trained so, and what was kept with it.

    Raises:
        ModelError: the file is missing, damaged, or not a checkpoint of edgekit.
    """
    tensors, about = read_checkpoint(path)
    model = build(about["model"], len(about["classes"]))
    if "plan" in about:
        quantised = apply_plan(model, QuantPlan.from_json(about["plan"]), example_of(model))
        assert isinstance(quantised, DetectorModule)
        share_through_encoders(quantised)
        model = quantised
    load_weights(model, tensors, "ema.", path, model.training_only)
    return model.eval(), about


def export_checkpoint(checkpoint: Path, path: Path) -> tuple[QuantPlan, dict[str, Any]] | None:
    """Write the averaged network of a checkpoint as plain float ONNX at the input size that it was trained for.

    Returns:
        The plan by names of the file's nodes, and how its grids came about; None where training was in float.

    Raises:
        ModelError: the file is missing, damaged, not a checkpoint of edgekit, or cannot be deployed as it was trained.
    """
    model, about = network_from_checkpoint(checkpoint)
    height, width = about["size_hw"]
    preprocess = network_preprocess(height, width, model.pictures).to_json()
    if "plan" not in about:
        export_onnx(model, path, (height, width), about["classes"], preprocess)
        return None
    plan = export_quantised(model, path, (height, width), about["classes"], preprocess)
    return plan, {"method": "qat", "images": about["recipe"]["quant"]["images"], "seed": about["recipe"]["seed"]}
