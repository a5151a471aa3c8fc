"""Write FP16 into the graph: every tensor between the inputs and the outputs becomes float16.

TensorRT 11 and strongly typed networks take the types of the ONNX file and have no FP16 builder flag; older versions
take them too. The inputs and outputs stay float32, with a Cast behind and before them.

Needs: a float32 graph, with Q/DQ at opset 19 or newer (from there on Q takes float16 and a float16 scale). Does:
float32 initializers and values to float16, constant operands that must stay float32 (Resize's scales) excepted.
Promises: idempotent. Activations beyond 65504 overflow, which the parity report finds.
"""

import numpy as np
import onnx_ir as ir

from edgekit.errors import ModelError
from edgekit.graph.constants import constant_value
from edgekit.graph.sources import SOURCE, half_source

LARGEST_HALF = 65504.0
SMALLEST_SCALE = np.float16(2.0**-24)
"""The least float16 above zero: for channels whose weights are nearly zero, whose scale would vanish."""

_STAYS_FLOAT32 = {"Resize": (1, 2), "Upsample": (1,)}


def to_half(model: ir.Model) -> None:
    """Make `model` compute in float16, in place.

    Raises:
        ModelError: a weight lies beyond float16's range.
    """
    graph = model.graph
    if any(node.op_type == "Cast" and node.name == _cast_name(v) for v in graph.inputs for node in v.consumers()):
        return
    for value in list(graph.initializers.values()):
        if value.dtype == ir.DataType.FLOAT and not _must_stay(value):
            _round(value)
    for node in graph:
        for value in node.outputs:
            if value.dtype == ir.DataType.FLOAT:
                value.type = ir.TensorType(ir.DataType.FLOAT16)  # clones share type objects: never change one
    _cast_inputs(graph)
    _cast_outputs(graph)


def _must_stay(value: ir.Value) -> bool:
    uses = value.uses()
    return bool(uses) and all(use.idx in _STAYS_FLOAT32.get(use.node.op_type, ()) for use in uses)


def _round(value: ir.Value) -> None:
    array = constant_value(value)
    assert array is not None
    if array.size and float(np.abs(array).max()) > LARGEST_HALF:
        raise ModelError(
            f"{value.name} holds {float(np.abs(array).max()):g}, more than float16's {LARGEST_HALF:g}; export this "
            "network without the fp16 and trt10 lowerings (name the others)"
        )
    half, source = array.astype(np.float16), half_source(value.meta.pop(SOURCE, None))
    if _is_scale(value) and not half.all():
        half, source = np.maximum(half, SMALLEST_SCALE), None  # a scale of zero is refused by every importer
    value.const_value = ir.tensor(half, name=str(value.name))
    value.type = ir.TensorType(ir.DataType.FLOAT16)
    if source is not None:
        value.meta[SOURCE] = source


def _is_scale(value: ir.Value) -> bool:
    return any(use.idx == 1 and use.node.op_type in ("QuantizeLinear", "DequantizeLinear") for use in value.uses())


def _cast_inputs(graph: ir.Graph) -> None:
    for value in graph.inputs:
        if value.dtype != ir.DataType.FLOAT:
            continue
        cast = _cast(value, ir.DataType.FLOAT16, f"{value.name}_half", _cast_name(value))
        for use in list(value.uses()):
            if use.node is not cast:
                use.node.replace_input_with(use.idx, cast.outputs[0])
        graph.insert_before(next(iter(graph)), cast)


def _cast_outputs(graph: ir.Graph) -> None:
    for index, value in enumerate(list(graph.outputs)):
        if value.dtype != ir.DataType.FLOAT16:
            continue
        name = str(value.name)
        value.name = f"{name}_half"
        cast = _cast(value, ir.DataType.FLOAT, name, f"{name}_to_float")
        graph.append(cast)
        graph.outputs[index] = cast.outputs[0]


def _cast(value: ir.Value, dtype: ir.DataType, output: str, name: str) -> ir.Node:
    cast = ir.node("Cast", [value], attributes={"to": dtype}, name=name)
    cast.outputs[0].name, cast.outputs[0].dtype, cast.outputs[0].shape = output, dtype, value.shape
    return cast


def _cast_name(value: ir.Value) -> str:
    return f"{value.name}_to_half"
