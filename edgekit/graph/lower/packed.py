"""`packed`: onnxruntime on CPUs, weights in the file at their planned width: `ort-x86` whose codes are bit-planes.

One plain ONNX file for people who run nothing but onnxruntime: weights of 2 to 7 bits take that many bits on disk, are
unpacked by standard operators while the file is loaded (`edgekit.graph.planes`), and run as the integer convolutions
that `ort-x86` has. It saves bytes to store and to send, not time: nothing below 8 bits is computed below 8 bits.

Layers of 8 bits stay int8 codes. On x86 without VNNI pairs of u8 x s8 products are summed in int16: weights of up to 7
bits, at most 63, cannot saturate it (2 x 255 x 63 = 32130), so there is no narrow variant; with an integer layer of 8
bits `requires` names VNNI. Shapes of tensors inside the network, which onnxruntime works out for itself, are left out:
at 2 bits they were an eighth of the file.
"""

from typing import Any

import onnx_ir as ir

from edgekit.graph.insert import insert_qdq
from edgekit.graph.lower.lowered import LoweredModel, Overflow
from edgekit.graph.lower.ort_x86 import STYLE
from edgekit.graph.placement import place_every_tensor
from edgekit.graph.planes import weights_as_planes
from edgekit.precision import QuantPlan


def lower(model: ir.Model, plan: QuantPlan, _: Overflow) -> LoweredModel:
    """uint8 activations, weights as bit-planes."""
    lowered = insert_qdq(model, plan, "every-tensor", STYLE)
    weights_as_planes(lowered, model, plan)
    _drop_shapes(lowered.graph)
    placed = place_every_tensor(model.graph, plan)
    wide = any(plan.weights[layer].bits == 8 for layer in placed.layers)
    requires: dict[str, Any] = {"cpu": "vnni"} if wide else {}
    return LoweredModel("packed", lowered, requires, "every-tensor", placed.kept_float)


def _drop_shapes(graph: ir.Graph) -> None:
    for value in graph.initializers.values():
        value.shape = value.type = None  # the tensor has them
    for node in graph:
        for value in node.outputs:
            if not value.is_graph_output() and node.op_type != "QuantizeLinear":  # those the parity check looks at
                value.shape = value.type = None
