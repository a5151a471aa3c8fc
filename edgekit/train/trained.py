"""Checkpoints that may have been trained quantised: the network again, and what an exporter needs of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.config import dataclass_from_dict
from edgekit.errors import ModelError
from edgekit.models import DetectorModule, build, export_onnx, network_preprocess
from edgekit.models.weights import load_weights, read_checkpoint
from edgekit.precision import QuantPlan
from edgekit.quant import apply_plan, prepare
from edgekit.quant.layered import precisions_of
from edgekit.train.binarised import binary_config
from edgekit.train.quantised import (
    bits_rule,
    example_of,
    export_quantised,
    one_precision,
    share_through_encoders,
    with_precisions,
)
from edgekit.train.recipe import Quant


def network_from_checkpoint(path: Path) -> tuple[DetectorModule, dict[str, Any]]:
    """The averaged network of a checkpoint in eval mode, quantised if it was trained so, and what was kept with it.

    One that was trained for many precisions is at its highest; `edgekit.quant.layered.set_precision` changes that.

    Raises:
        ModelError: the file is missing, damaged, or not a checkpoint of edgekit.
    """
    tensors, about = read_checkpoint(path)
    model = build(about["model"], len(about["classes"]))
    quant = about["recipe"].get("quant") if "recipe" in about else None
    if quant and quant.get("precisions"):
        model = _many(model, dataclass_from_dict(quant, Quant, str(path)))
    elif "plan" in about:
        quantised = apply_plan(model, QuantPlan.from_json(about["plan"]), example_of(model), binary_config(about))
        assert isinstance(quantised, DetectorModule)
        share_through_encoders(quantised)
        model = quantised
    load_weights(model, tensors, "ema.", path, model.training_only)
    return model.eval(), about


def _many(model: DetectorModule, quant: Quant) -> DetectorModule:
    """The layers of a network of many precisions; their values come from the checkpoint."""
    ready = prepare(model, example_of(model), bits_rule(model, quant))
    assert isinstance(ready, DetectorModule)
    share_through_encoders(ready)
    return with_precisions(ready, model, quant)


def export_checkpoint(
    checkpoint: Path, path: Path, precision: int | None = None
) -> tuple[QuantPlan, dict[str, Any]] | None:
    """Write the averaged network of a checkpoint as plain float ONNX at the input size that it was trained for.

    Args:
        checkpoint: of `edgekit.train`.
        path: the ONNX file.
        precision: which one of a network of many, whose weights are then on its grid already; the highest where None.

    Returns:
        The plan by names of the file's nodes, and how its grids came about; None where training was in float.

    Raises:
        ModelError: the file is missing, damaged, not a checkpoint of edgekit, has no such precision, or cannot be
            deployed as it was trained.
    """
    model, about = network_from_checkpoint(checkpoint)
    if precision is not None:
        _check_precision(model, precision, checkpoint)
    model = one_precision(model, precision)
    height, width = about["size_hw"]
    preprocess = network_preprocess(height, width, model.pictures).to_json()
    if "plan" not in about:
        export_onnx(model, path, (height, width), about["classes"], preprocess)
        return None
    plan = export_quantised(model, path, (height, width), about["classes"], preprocess)
    quant = about["recipe"]["quant"]
    return plan, {"method": "qat", "images": quant["images"] if quant else 0, "seed": about["recipe"]["seed"]}


def export_precisions(checkpoint: Path, folder: Path, name: str) -> list[tuple[int, Path, QuantPlan, dict[str, Any]]]:
    """Write every precision of a checkpoint, each as ONNX with its weights on their grid.

    Args:
        checkpoint: of a network that was trained for many precisions.
        folder: for the files.
        name: of the network.

    Returns:
        Bits, file, plan and how its grids came about; the highest precision first.

    Raises:
        ModelError: as `export_checkpoint`.
    """
    done = []
    for bits in checkpoint_precisions(checkpoint):
        path = folder / str(bits) / f"{name}.onnx"
        path.parent.mkdir()
        exported = export_checkpoint(checkpoint, path, bits)
        assert exported is not None  # it has precisions, so it was trained quantised
        done.append((bits, path, *exported))
    return done


def checkpoint_precisions(checkpoint: Path) -> tuple[int, ...]:
    """The precisions that a checkpoint was trained for, descending; none where it has but one.

    Raises:
        ModelError: the file is missing, damaged, or not a checkpoint of edgekit.
    """
    _, about = read_checkpoint(checkpoint)
    return tuple((about.get("recipe", {}).get("quant") or {}).get("precisions") or ())


def _check_precision(model: DetectorModule, precision: int, checkpoint: Path) -> None:
    known = precisions_of(model)
    if precision not in known:
        have = f"the precisions {', '.join(map(str, known))}" if known else "one precision alone"
        raise ModelError(
            f"{checkpoint} was trained for {have}, not for {precision} bits; leave --precision out, or train it"
        )
