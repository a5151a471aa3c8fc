"""`fp16`: for boards without INT8 (Jetson Nano) and for GPUs; no Q/DQ, quantised weights baked in, opset 13.

The types are written into the file (float16 weights and tensors, Casts at both ends): TensorRT 8.2 takes them with its
FP16 flag, strongly typed builders take them as they are, and the weights take half the space on the device. A Q/DQ
graph would not build on Jetson Nano at all: "Networks with QuantizeLayer/DequantizeLayer layers require hardware with
Int8 support".
"""

import onnx_ir as ir

from edgekit.graph.bake import bake_weights
from edgekit.graph.half import to_half
from edgekit.graph.lower.lowered import EMPTY_PLAN, LoweredModel
from edgekit.precision import QuantPlan


def lower(model: ir.Model, plan: QuantPlan | None) -> LoweredModel:
    """The canonical graph with quantised weights baked in, in float16.

    Raises:
        ModelError: a weight lies beyond float16's range.
    """
    lowered = bake_weights(model, plan or EMPTY_PLAN)
    to_half(lowered)
    return LoweredModel("fp16", lowered, {"fp16": True})
