"""`fp16`: for boards without INT8 (Jetson Nano) and for GPUs; no Q/DQ, quantised weights baked in, opset 13.

The types are written into the file (float16 weights and tensors, Casts at both ends): TensorRT 8.2 takes them with its
FP16 flag, strongly typed builders take them as they are, and the weights take half the space on the device. A Q/DQ
graph would not build on Jetson Nano at all: "Networks with QuantizeLayer/DequantizeLayer layers require hardware with
Int8 support".
"""

from typing import Any

import onnx_ir as ir

from edgekit.graph.bake import bake_weights
from edgekit.graph.half import to_half
from edgekit.graph.limits import OLDEST, needed_release
from edgekit.graph.lower.lowered import LoweredModel, Overflow, tensorrt_range
from edgekit.precision import QuantPlan


def lower(model: ir.Model, plan: QuantPlan, overflow: Overflow) -> LoweredModel:
    """The canonical graph with quantised weights baked in, in float16 but for what float16 may not hold."""
    lowered = bake_weights(model, plan)
    large = to_half(lowered, overflow)
    requires: dict[str, Any] = {"fp16": True}
    if needed_release(lowered) > OLDEST:
        requires["tensorrt"] = tensorrt_range(lowered, OLDEST)
    return LoweredModel("fp16", lowered, requires, float32_nodes=large)
