"""A float16 graph as onnxruntime can be trusted to run it: float32 kernels, every result rounded to float16.

onnxruntime's CPU kernels are float32. It puts Casts around each float16 node and takes pairs of them away again, so a
float16 graph runs as float32 from end to end: nothing rounds, and nothing becomes infinite above 65504. Casts that
stand in the file it keeps.

Needs: any graph. Does: float16 constants and values to float32; behind each node that computes one, a Cast to float16
and one back. Not behind what only moves values, nor behind DequantizeLinear, which TensorRT folds into the kernel that
reads it. Promises: names of tensors stay; a graph without float16 is returned as it is.
"""

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.operators import commutes

_EXACT = frozenset({"Concat", "DequantizeLinear", "Relu"})


def rounding_to_half(model: ir.Model) -> ir.Model:
    """A copy of `model` that computes what its float16 says."""
    if not any(v.dtype == ir.DataType.FLOAT16 for node in model.graph for v in node.outputs):
        return model
    rounding = model.clone()
    graph = rounding.graph
    for value in graph.initializers.values():
        array = constant_value(value)
        if array is not None and array.dtype == np.float16:
            value.const_value = ir.tensor(array.astype(np.float32), name=str(value.name))
            value.type = ir.TensorType(ir.DataType.FLOAT)
    for node in list(graph):
        for value in node.outputs:
            if value.dtype == ir.DataType.FLOAT16:
                value.type = ir.TensorType(ir.DataType.FLOAT)
                if node.op_type == "Cast":
                    node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT)
                if not commutes(node) and node.op_type not in _EXACT:
                    _round(graph, node, value)
    return rounding


def _round(graph: ir.Graph, node: ir.Node, value: ir.Value) -> None:
    name = str(value.name)
    down = ir.node("Cast", [value], attributes={"to": ir.DataType.FLOAT16}, name=f"{name}_rounds")
    up = ir.node("Cast", [down.outputs[0]], attributes={"to": ir.DataType.FLOAT}, name=f"{name}_rounded")
    ir.convenience.replace_all_uses_with(value, up.outputs[0], replace_graph_outputs=True)
    down.replace_input_with(0, value)
    for output, dtype in ((down.outputs[0], ir.DataType.FLOAT16), (up.outputs[0], ir.DataType.FLOAT)):
        output.shape, output.dtype = value.shape, dtype
    value.name, down.outputs[0].name, up.outputs[0].name = f"{name}_exact", f"{name}_float16", name
    graph.insert_after(node, [down, up])
