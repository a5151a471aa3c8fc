"""`trt10`: TensorRT 10 and 11 (JetPack 6.1 and later, desktop): strongly typed, opset 19.

Everything between the Q/DQ pairs is float16 in the file itself, because TensorRT 11 has no precision flags. Opset 19
is the first whose Q/DQ take float16 tensors with float16 scales: with float32 scales each pair would need two Casts,
which stand between DQ and Conv where TensorRT looks for its INT8 pattern. Rounding a scale to float16 moves it by at
most 1/2048, 0.06 of a code at code 127. Weights are int8 + DQ.
"""

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.half import to_half
from edgekit.graph.insert import QdqStyle, insert_qdq
from edgekit.graph.lower.lowered import LoweredModel, Overflow, tensorrt_range
from edgekit.graph.placement import place_trt
from edgekit.precision import QuantPlan

STYLE = QdqStyle(activations="int8", weights="int8", bias="float32")
OPSET = 19
IR_VERSION = 9
_REDUCTIONS = frozenset(
    {"ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2"}
    | {"ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"}
)


def lower(model: ir.Model, plan: QuantPlan, overflow: Overflow) -> LoweredModel:
    """Q/DQ by TensorRT's placement rules, the rest float16 but for what float16 may not hold."""
    lowered = insert_qdq(model, plan, "trt", STYLE)
    placed = place_trt(model.graph, plan)
    _raise_opset(lowered)
    large = to_half(lowered, overflow)
    requires = {"tensorrt": tensorrt_range(lowered, (10, 0)), "int8": True, "flags": ["STRONGLY_TYPED"]}
    return LoweredModel("trt10", lowered, requires, "trt", placed.kept_float, placed.layers, large)


def _raise_opset(model: ir.Model) -> None:
    """Opset 13 to 19: only reductions moved an attribute (axes, to an input); the rest widened types."""
    for node in model.graph:
        axes = node.attributes.pop("axes", None) if node.op_type in _REDUCTIONS else None
        if axes is not None:
            name = f"{node.name}_axes"
            value = ir.Value(name=name, const_value=ir.tensor(np.array(axes.as_ints(), np.int64), name=name))
            value.shape, value.dtype = ir.Shape([len(axes.as_ints())]), ir.DataType.INT64
            model.graph.register_initializer(value)
            node.resize_inputs(2)
            node.replace_input_with(1, value)
        if node.op_type == "Split" and len(node.inputs) < 2:
            node.attributes["num_outputs"] = ir.AttrInt64("num_outputs", len(node.outputs))
        if node.op_type == "Resize" and len(node.inputs) > 3 and _is_empty(node.inputs[2]):
            node.replace_input_with(2, None)
    model.graph.opset_imports[""] = OPSET
    model.ir_version = IR_VERSION


def _is_empty(value: ir.Value | None) -> bool:
    array = constant_value(value)
    return array is not None and array.size == 0
