"""From a model file to what every export starts from: the canonical graph, its plan, and what surrounds it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from edgekit.errors import ConfigError, ModelError
from edgekit.files import sha256_file
from edgekit.graph.binary import other_scales
from edgekit.graph.calibrate.images import choose_images, prepared
from edgekit.graph.families import Family, detect_family
from edgekit.graph.load import load_canonical
from edgekit.graph.overflow import OverflowScan, scan_overflow
from edgekit.graph.plan import binary_plan
from edgekit.graph.quantize import Quantized, QuantizeOptions, quantize_model, spaced
from edgekit.graph.tidy import tidy
from edgekit.precision import QuantPlan

Progress = Callable[[int, int, str], None]
_SCANNED = 16


@dataclass(frozen=True, slots=True)
class Network:
    """A detector, ready to be lowered.

    Attributes:
        path: the model file.
        sha256: of that file.
        original: the canonical graph as given: what drift is measured against.
        model: the canonical graph that `plan` speaks about; quantisation may have adjusted its weights.
        plan: what is quantised; of a float export the layers of one bit, or None where it has none.
        family: head, preprocessing, class names.
        calibration: method, images (sha256 each), seed; None for a float export.
        cost: seconds, memory and the like of the calibration; for the report, not for the bundle.
        overflow: tensors that float16 may not hold; None where no picture was looked at.
    """

    path: str
    sha256: str
    original: ir.Model
    model: ir.Model
    plan: QuantPlan | None
    family: Family
    calibration: dict[str, Any] | None = None
    cost: dict[str, Any] | None = None
    overflow: OverflowScan | None = None


def read_network(
    path: str,
    *,
    calib: str | None = None,
    plan: tuple[QuantPlan, dict[str, Any]] | None = None,
    options: QuantizeOptions | None = None,
    family: str | None = None,
    progress: Progress | None = None,
) -> Network:
    """Load a detector and quantise it, unless it stays in float.

    Args:
        path: an ONNX file.
        calib: folder of calibration images: quantise with them.
        plan: a plan and its calibration record from an earlier `quantize`, instead of `calib`.
        options: of the quantisation.
        family: head family, where the outputs' shapes do not tell.
        progress: called with (done, total, text).

    Raises:
        ModelError: not ONNX, not a detector, or a plan of another network.
        DataError: no calibration images, or one that cannot be read.
        ConfigError: both `calib` and `plan`.
    """
    if calib is not None and plan is not None:
        raise ConfigError("a plan and calibration images are both given; the plan has its calibration already")
    original = load_canonical(path)
    tidy(original)
    found = detect_family(original, family)
    digest = sha256_file(path)
    if plan is not None:
        _check_plan(original, plan[0], path)
        return Network(path, digest, original, original, plan[0], found, dict(plan[1]))
    if calib is None:
        return Network(path, digest, original, original, binary_plan(original), found)
    options = options or QuantizeOptions()
    chosen = choose_images(calib, options.images, options.seed, found.preprocess.pairs)
    quantized = quantize_model(original, chosen, options, progress, found, model_name(path))
    record, cost = _records(quantized)
    return Network(path, digest, original, quantized.model, quantized.plan, found, record, cost, quantized.overflow)


def scanned(network: Network, pictures: Sequence[str], progress: Progress | None = None) -> Network:
    """`network` with what float16 may not hold of it, looked for on up to 16 of the pictures if nobody has yet.

    Raises:
        DataError: a picture cannot be read.
        ModelError: a tensor is not finite.
    """
    if network.overflow is not None or not pictures:
        return network
    few = spaced(pictures, _SCANNED)
    inputs = prepared(few, network.family.preprocess)
    return replace(network, overflow=scan_overflow(network.model, inputs, len(few), progress))


def model_name(path: str) -> str:
    """The file's name without its suffix."""
    return os.path.splitext(os.path.basename(path))[0]


def _records(quantized: Quantized) -> tuple[dict[str, Any], dict[str, Any]]:
    """What goes into the bundle, which is the same for the same images, and what does not."""
    calibration = quantized.calibration
    images = list(calibration.images)
    record = {
        "method": calibration.method,
        "images": len(images),
        "sha256": images,
        "seed": calibration.seed,
    }
    return record, {"seconds": round(calibration.seconds, 3), "peak_mb": round(calibration.peak_mb, 1)}


def _check_plan(model: ir.Model, plan: QuantPlan, path: str) -> None:
    known = {str(node.name) for node in model.graph}
    unknown = [name for name in plan.weights if name not in known]
    if unknown:
        raise ModelError(
            f"the plan quantises layer {unknown[0]!r}, which {path} does not have; make the plan from this file"
        )
    for name, planned, found in other_scales(model.graph, plan):
        raise ModelError(
            f"the plan has weights of +-{planned:g} for {name!r}, {path} has +-{found:g}; make the plan from this file"
        )
