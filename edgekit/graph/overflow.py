"""Which tensors float16 may not hold, and which nodes must therefore compute in float32.

float16 ends at 65504 and what lies beyond becomes infinite: one such value, and a network finds nothing any more, while
its float32 twin is fine (an FP16 engine without a single detection on Jetson TX2 NX: YOLOv8-TensorRT issue 194). No
rounding warns of it, so the largest magnitude of every tensor is looked at on pictures.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgekit.errors import ModelError
from edgekit.graph.constants import constant_value
from edgekit.graph.runner import Runner
from edgekit.precision import QuantPlan

LARGEST_HALF = 65504.0
HEADROOM = 4.0
"""How far below the end a tensor must stay on the pictures that were looked at. A flight has brighter ones than a
calibration set, and kernels that add up in float16 pass through more than the sum; two bits cover both, and cost
nothing: float16 is as fine at 60000 as at 1. Networks with folded normalisation stay below 300."""

LIMIT = LARGEST_HALF / HEADROOM
_CODES = 128

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class OverflowScan:
    """What was found on how many pictures.

    Attributes:
        images: how many were looked at.
        tensors: name -> largest magnitude, of those beyond `LIMIT`.
    """

    images: int
    tensors: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest, magnitudes to 4 digits."""
        rounded = {name: float(f"{value:.4g}") for name, value in self.tensors.items()}
        return {"limit": LIMIT, "images": self.images, "tensors": rounded}


def overflowing(ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Tensor -> largest magnitude, of those that come too near to float16's end.

    Args:
        ranges: tensor name -> (least, greatest) value, not clipped.
    """
    largest = {name: max(abs(low), abs(high)) for name, (low, high) in ranges.items()}
    return {name: value for name, value in sorted(largest.items()) if value > LIMIT}


def overflow_of(plan: QuantPlan) -> dict[str, float]:
    """What a plan alone tells: tensors whose codes reach too near to float16's end, and how far."""
    largest = {name: spec.qmax * max(spec.scale) for name, spec in plan.activations.items()}
    return {name: value for name, value in sorted(largest.items()) if value > LIMIT}


def scan_overflow(
    model: ir.Model, inputs: Iterable[tuple[str, np.ndarray]], count: int, progress: Progress | None = None
) -> OverflowScan:
    """Run `model` over pictures and look for tensors that come too near to float16's end.

    Args:
        model: a float32 graph with known shapes.
        inputs: (label, x_nchw) of each picture.
        count: how many there are, for the progress.
        progress: called with (done, total, text) after each.

    Raises:
        ModelError: a tensor is not finite even in float32.
    """
    names = [str(v.name) for node in model.graph for v in node.outputs if v.dtype == ir.DataType.FLOAT]
    runner = Runner(model, names)
    ranges: dict[str, tuple[float, float]] = {}
    images = 0
    for label, x_nchw in inputs:
        for name, array in zip(names, runner.run(x_nchw), strict=True):
            low, high = float(array.min(initial=0.0)), float(array.max(initial=0.0))
            if not (math.isfinite(low) and math.isfinite(high)):
                raise ModelError(f"tensor {name} is not finite for {label}; check the network's weights")
            before = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, before[0]), max(high, before[1])
        images += 1
        if progress is not None:
            progress(images, count, "float16 range")
    return OverflowScan(images, overflowing(ranges))


def float32_nodes(graph: ir.Graph, overflow: Mapping[str, float]) -> dict[str, str]:
    """Nodes that cannot compute in float16 -> why: they read or write such a tensor, or hold such a constant.

    Q and DQ are not among them: they follow what stands around them.

    Args:
        graph: float32, with or without Q/DQ.
        overflow: tensor name -> largest magnitude.
    """
    large = dict(overflow)
    large.update(_large_constants(graph))
    found: dict[str, str] = {}
    for node in graph:
        if node.op_type == "DequantizeLinear" and (value := _largest_code(node)) > LARGEST_HALF:
            large[str(node.outputs[0].name)] = value
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        for verb, values in (("writes", node.outputs), ("reads", node.inputs)):
            name = next((str(v.name) for v in values if v is not None and v.name in large), None)
            if name is not None:
                found.setdefault(str(node.name), f"{verb} {name}, up to {large[name]:.3g}")
    return found


def _large_constants(graph: ir.Graph) -> dict[str, float]:
    found = {}
    for name, value in graph.initializers.items():
        array = constant_value(value)
        if array is not None and array.dtype == np.float32 and array.size:
            largest = float(np.abs(array).max())
            if largest > LARGEST_HALF:
                found[name] = largest
    return found


def _largest_code(dq: ir.Node) -> float:
    """The largest magnitude that comes out of a DQ; 0 where its scale is computed."""
    codes, scale = constant_value(dq.inputs[0]), constant_value(dq.inputs[1])
    if scale is None:
        return 0.0
    if codes is None or scale.size > 1:
        return _CODES * float(np.abs(scale).max())
    return float(np.abs(codes.astype(np.float64)).max(initial=0.0) * abs(float(scale.reshape(-1)[0])))
