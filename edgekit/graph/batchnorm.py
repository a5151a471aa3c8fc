"""Fold BatchNormalization into the convolution before it.

Needs: a `Conv` with constant weights whose only reader is the normalisation, all of whose parameters are constant.
Does: W' = W * g / sqrt(v + eps), b' = (b - m) * g / sqrt(v + eps) + beta. Promises: same outputs; idempotent.
"""

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value


def fold_batchnorm(model: ir.Model) -> bool:
    """Fold in place; return whether anything changed."""
    changed = False
    for node in list(model.graph):
        if node.op_type == "BatchNormalization" and _fold_one(model.graph, node):
            changed = True
    return changed


def _fold_one(graph: ir.Graph, norm: ir.Node) -> bool:
    source = norm.inputs[0]
    conv = source.producer() if source is not None else None
    if source is None or conv is None or conv.op_type != "Conv":
        return False
    if len(source.uses()) != 1 or source in graph.outputs:
        return False
    weight = constant_value(conv.inputs[1])
    parameters = [constant_value(value) for value in norm.inputs[1:5]]
    if weight is None or any(p is None for p in parameters):
        return False
    gamma, beta, mean, variance = (np.asarray(p, np.float64) for p in parameters)
    epsilon = norm.attributes["epsilon"].as_float() if "epsilon" in norm.attributes else 1e-5
    ratio = gamma / np.sqrt(variance + epsilon)
    bias = constant_value(conv.inputs[2]) if len(conv.inputs) > 2 else None
    old_bias = np.zeros(len(ratio)) if bias is None else bias.astype(np.float64)
    new_weight = (weight * ratio.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
    new_bias = ((old_bias - mean) * ratio + beta).astype(np.float32)
    base = norm.outputs[0].name
    _set_inputs(graph, conv, f"{base}_weight", new_weight, f"{base}_bias", new_bias)
    ir.convenience.replace_all_uses_with(norm.outputs[0], source, replace_graph_outputs=True)
    output = norm.outputs[0]
    graph.remove(norm, safe=True)
    source.name, output.name = output.name, f"{output.name}_removed"
    return True


def _set_inputs(graph: ir.Graph, conv: ir.Node, w_name: str, w: np.ndarray, b_name: str, b: np.ndarray) -> None:
    values = []
    for name, array in ((w_name, w), (b_name, b)):
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.FLOAT
        graph.register_initializer(value)
        values.append(value)
    if len(conv.inputs) < 3:
        conv.resize_inputs(3)
    conv.replace_input_with(1, values[0])
    conv.replace_input_with(2, values[1])
