"""Write binary convolutions as sums of +1 and -1, scale and bias behind them: in plain ONNX what the operators compute.

Needs: the pattern of `edgekit.graph.binary`. Does, for each layer of one bit:

    Conv(signs, ±s, b)  ->  Conv(signs, ±1), Mul by s, Add b

The sums are whole numbers below 2^24, exact in float32 in any order, and product and sum are rounded as the native
kernels round them. A convolution by ±s rounds after each of its thousands of additions instead, where s is no power of
two. Promises: outputs keep their names.
"""

import numpy as np
import onnx_ir as ir

from edgekit.graph.binary import planned_layers
from edgekit.graph.constants import constant_value
from edgekit.precision import QuantPlan, quantize


def exact_sums(model: ir.Model, plan: QuantPlan) -> ir.Model:
    """`model`, rewritten in place."""
    graph = model.graph
    for name, layer in planned_layers(graph, plan).items():
        conv, spec = layer.node, plan.weights[name]
        weight = constant_value(conv.inputs[1])
        bias = constant_value(conv.inputs[2]) if len(conv.inputs) > 2 else None
        assert weight is not None  # that made it a binary layer
        scale = np.array(spec.scale, np.float32).reshape(1, -1, 1, 1)
        offset = np.zeros(scale.size, np.float32) if bias is None else bias.astype(np.float32)
        signs = _constant(graph, f"{name}.ones", quantize(weight, spec).astype(np.float32))
        before = conv.outputs[0]
        sums = ir.node("Conv", [conv.inputs[0], signs], attributes=dict(conv.attributes), name=f"{name}.sums")
        scaled = ir.node("Mul", [sums.outputs[0], _constant(graph, f"{name}.steps", scale)], name=f"{name}.scaled")
        moved = ir.node(
            "Add", [scaled.outputs[0], _constant(graph, f"{name}.offsets", offset.reshape(scale.shape))], name=name
        )
        for node in (sums, scaled, moved):
            node.outputs[0].name, node.outputs[0].shape = node.name, before.shape
            node.outputs[0].dtype = ir.DataType.FLOAT
        graph.insert_before(conv, [sums, scaled, moved])
        old = str(before.name)
        ir.convenience.replace_all_uses_with(before, moved.outputs[0], replace_graph_outputs=True)
        before.name, moved.outputs[0].name, conv.name = f"{old}.replaced", old, f"{name}.replaced"
        graph.remove(conv, safe=True)
    return model


def _constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.FLOAT
    graph.register_initializer(value)
    return value
