"""`ort-arm`: onnxruntime on ARM: int8 activations and weights, Q/DQ on every tensor, opset 13.

The signed twin of `ort-x86`: every code is 128 less, so zero points are 0, or -128 where a uint8 grid starts at 0.
ARM's kernels are signed, and onnxruntime allows the int8 fusions there by default.
"""

import onnx_ir as ir

from edgekit.graph.insert import QdqStyle, insert_qdq
from edgekit.graph.lower.lowered import LoweredModel, Overflow
from edgekit.graph.placement import place_every_tensor
from edgekit.precision import QuantPlan

STYLE = QdqStyle(activations="int8", from_floor=True, weights="int8", bias="int32")


def lower(model: ir.Model, plan: QuantPlan, _: Overflow) -> LoweredModel:
    """int8 activations and weights, Q/DQ on every tensor."""
    lowered = insert_qdq(model, plan, "every-tensor", STYLE)
    kept = place_every_tensor(model.graph, plan).kept_float
    return LoweredModel("ort-arm", lowered, {"arch": "aarch64"}, "every-tensor", kept)
