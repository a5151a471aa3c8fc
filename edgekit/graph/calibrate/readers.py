"""Which tensors are read by an activation function and by nothing else, and what that function is."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

Function = Callable[[np.ndarray], np.ndarray]


def activation_reader(value: ir.Value) -> Function | None:
    """The elementwise function through which alone the rest of the network sees `value`, or None.

    Known are ReLU, LeakyReLU, Sigmoid, and x * gate(x) with gate Sigmoid (SiLU) or HardSigmoid (HardSwish).
    """
    found = activation_of(value)
    return None if found is None else found[0]


def activation_of(value: ir.Value) -> tuple[Function, ir.Value] | None:
    """The function of `activation_reader`, and the tensor that it makes of `value`."""
    if value.is_graph_output():
        return None
    readers = [use.node for use in value.uses()]
    if len(readers) == 1:
        function = _alone(readers[0])
        return None if function is None else (function, readers[0].outputs[0])
    if len(readers) == 2 and {node.op_type for node in readers} & _GATES.keys():
        gate, product = sorted(readers, key=lambda node: node.op_type == "Mul")
        if _is_gated(value, gate, product):
            slope = _alone(gate)
            return None if slope is None else (lambda x: x * slope(x), product.outputs[0])
    return None


def _is_gated(value: ir.Value, gate: ir.Node, product: ir.Node) -> bool:
    gated = gate.outputs[0]
    reads = {value, gated} == set(product.inputs)
    return product.op_type == "Mul" and reads and len(gated.uses()) == 1 and not gated.is_graph_output()


def _alone(node: ir.Node) -> Function | None:
    if node.op_type == "Relu":
        return lambda x: np.maximum(x, 0.0)
    if node.op_type == "LeakyRelu":
        slope = _attribute(node, "alpha", 0.01)
        return lambda x: np.where(x < 0, slope * x, x)
    return _GATES[node.op_type](node) if node.op_type in _GATES else None


def _sigmoid(_: ir.Node) -> Function:
    return lambda x: 1.0 / (1.0 + np.exp(-np.clip(x, -80.0, 80.0)))


def _hard_sigmoid(node: ir.Node) -> Function:
    slope, offset = _attribute(node, "alpha", 0.2), _attribute(node, "beta", 0.5)
    return lambda x: np.clip(slope * x + offset, 0.0, 1.0)


def _attribute(node: ir.Node, name: str, default: float) -> float:
    return node.attributes[name].as_float() if name in node.attributes else default


_GATES = {"Sigmoid": _sigmoid, "HardSigmoid": _hard_sigmoid}
