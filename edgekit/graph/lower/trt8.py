"""`trt8`: TensorRT 8.x (JetPack 4 and 5 on Xavier NX and Orin, 6.0): float32 graph with Q/DQ, opset 13.

Weights are float32 + Q + DQ, which every TensorRT since 8.0 imports; int8 + DQ needs a newer parser. The float32 values
lie exactly on the codes' grid, so Q gives the stored codes back. FP16 for the rest is the builder's flag; the nodes
that float16 may not hold are named, for the builder to pin.
"""

import onnx_ir as ir

from edgekit.graph.insert import QdqStyle, insert_qdq
from edgekit.graph.lower.lowered import LoweredModel, Overflow, tensorrt_range
from edgekit.graph.overflow import float32_nodes
from edgekit.graph.placement import place_trt
from edgekit.precision import QuantPlan

STYLE = QdqStyle(activations="int8", weights="float32", bias="float32")


def lower(model: ir.Model, plan: QuantPlan, overflow: Overflow) -> LoweredModel:
    """Q/DQ by TensorRT's placement rules, weights as float32 + Q + DQ."""
    lowered = insert_qdq(model, plan, "trt", STYLE)
    placed = place_trt(model.graph, plan)
    requires = {"tensorrt": tensorrt_range(lowered, (8, 0), "10"), "int8": True, "flags": ["INT8", "FP16"]}
    large = float32_nodes(lowered.graph, overflow)
    return LoweredModel("trt8", lowered, requires, "trt", placed.kept_float, placed.layers, large)
