"""The lowest value that a tensor can have, whatever the image: known from the operators that made it.

A grid need not cover what cannot occur: after ReLU or Sigmoid nothing is below 0, after SiLU nothing below -0.2785, and
a uint8 grid from there to the calibrated maximum is nearly twice as fine as a symmetric one (docs/lowerings.md).
"""

import math

import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.operators import commutes, tensor_inputs

SILU_FLOOR = -0.27846455
"""min over x of x * sigmoid(x)."""

HARDSWISH_FLOOR = -0.375

_FLOORS = {"Relu": 0.0, "Sigmoid": 0.0, "HardSigmoid": 0.0, "Softmax": 0.0, "Abs": 0.0, "Exp": 0.0, "Tanh": -1.0}
_SUMS = frozenset({"Add", "Sum"})
_LEAST = frozenset({"Concat", "Max", "Resize", "AveragePool", "GlobalAveragePool"})


def floors(graph: ir.Graph) -> dict[str, float]:
    """Tensor name -> lowest possible value, for the tensors that have one."""
    found: dict[str, float] = {}
    for node in graph:
        floor = _floor(node, found)
        if floor is not None and math.isfinite(floor):
            found.update((str(output.name), floor) for output in node.outputs)
    return found


def _floor(node: ir.Node, known: dict[str, float]) -> float | None:
    if node.op_type in _FLOORS:
        return _FLOORS[node.op_type]
    if node.op_type == "Clip":
        low = constant_value(node.inputs[1]) if len(node.inputs) > 1 else None
        return None if low is None else float(low)
    if node.op_type == "LeakyRelu":
        return None
    inputs = tensor_inputs(node)
    below = [known.get(str(v.name), -math.inf) for v in inputs]
    if node.op_type == "Mul":
        return _product(node, inputs, below)
    if not inputs or any(v is not None and v not in inputs for v in node.inputs[: _data_inputs(node)]):
        return None  # a constant operand, of which nothing is known here
    if node.op_type in _SUMS:
        return sum(below)
    if commutes(node) or (node.op_type in _LEAST and _keeps_range(node)):
        return min(below)
    return None


def _product(node: ir.Node, inputs: list[ir.Value], below: list[float]) -> float | None:
    if len(inputs) != 2:
        return None
    for gate, other in (inputs, inputs[::-1]):
        maker = gate.producer()
        if maker is not None and maker.inputs[0] is other and maker.op_type in ("Sigmoid", "HardSigmoid"):
            return SILU_FLOOR if maker.op_type == "Sigmoid" else HARDSWISH_FLOOR
    return 0.0 if min(below) >= 0.0 else None


def _data_inputs(node: ir.Node) -> int:
    """How many of the inputs carry data; the rest are sizes, axes and bounds."""
    return len(node.inputs) if node.op_type in (*_SUMS, "Concat", "Max") else 1


def _keeps_range(node: ir.Node) -> bool:
    """Whether the output lies between the inputs' extremes: cubic interpolation overshoots."""
    mode = node.attributes.get("mode") if node.op_type == "Resize" else None
    return mode is None or mode.as_string() != "cubic"
