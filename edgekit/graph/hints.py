"""What a lowering tells the device beside its graph: the device has no onnx package to read it from.

The manifest's `hints` of a lowering (docs/bundle.md): names of layers for the builder's messages and pins, and bytes
for its estimate of memory. A reader that does not know them builds all the same.
"""

from typing import Any

import numpy as np

from edgekit.graph.constants import constant_value
from edgekit.graph.liveness import activation_bytes_peak
from edgekit.graph.lower import LoweredModel
from edgekit.graph.operators import is_weighted
from edgekit.precision import QuantPlan

TENSORRT = ("fp32", "fp16", "trt8", "trt10")
_TYPED = ("fp16", "trt10")
# Where the builder chooses float types itself, what float16 may not hold has to be pinned by name.
_PINNED = ("fp16", "trt8")


def hints_of(lowered: LoweredModel, plan: QuantPlan | None) -> dict[str, Any]:
    """Plain values for the manifest; empty for a lowering that TensorRT does not run.

    Args:
        lowered: the lowering.
        plan: what it was lowered by.
    """
    if lowered.name not in TENSORRT:
        return {}
    axes = {name: plan.weights[name].axis for name in lowered.layers} if plan is not None else {}
    return {
        "qdq": any(node.op_type == "QuantizeLinear" for node in lowered.model.graph),
        "strongly_typed": lowered.name in _TYPED,
        "int8_layers": list(lowered.layers),
        "float_layers": _float_layers(lowered, plan),
        "weight_axis": {name: axis for name, axis in axes.items() if axis != 0},
        "float32_nodes": dict(lowered.float32_nodes),
        "pin_fp32": dict(lowered.float32_nodes) if lowered.name in _PINNED else {},
        "activation_bytes_peak": activation_bytes_peak(lowered.model),
        "weight_bytes": weight_bytes(lowered),
    }


def weight_bytes(lowered: LoweredModel) -> int:
    """Bytes of the weights as an engine keeps them: codes as int8, the rest at the file's type; scales do not count.

    `trt8` writes codes out as float32; its builder makes them int8 again.
    """
    scales = {
        node.inputs[index]
        for node in lowered.model.graph
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
        for index in range(1, len(node.inputs))
    }
    coded = {node.inputs[0] for node in lowered.model.graph if node.op_type == "QuantizeLinear"}
    total = 0
    for value in lowered.model.graph.initializers.values():
        array = constant_value(value)
        if array is not None and value not in scales and array.dtype in (np.int8, np.float16, np.float32):
            total += array.size if value in coded else array.nbytes
    return total


def _float_layers(lowered: LoweredModel, plan: QuantPlan | None) -> dict[str, str]:
    """Layers that run in float -> why, as the plan and the placement say."""
    if lowered.placement is None:
        return {}
    excluded = dict(plan.excluded) if plan is not None else {}
    names = [str(node.name) for node in lowered.model.graph if is_weighted(node)]
    return {name: excluded.get(name) or lowered.kept_float.get(name, "not planned") for name in names}
