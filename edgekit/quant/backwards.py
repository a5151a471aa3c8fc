"""Grids of tensors that training left in float, because no layer reads them: what stands before a join or a sum.

Training quantises what layers read. A backend for processors runs a convolution on integers only if its own output has
a grid too (`every-tensor`), and half of the student's had none. The grid of what is made of a tensor serves it:

    Concat, moving operators, clamps   moving values and rounding them commute: the same codes, the same function
    Add                                of operands that a ReLU made and that are therefore no larger than their sum: one
                                       more rounding, at most half a step of the sum's grid; an operand that was moved,
                                       as by Resize, takes the grid of what it was made of, where that has one

Needs: a canonical graph, and the grids of what its layers read. Does so from the outputs towards the picture, where
nothing reads the inputs of a join but what goes into it as well, and none of them has a grid of its own. TensorRT's
placement reads none of these tensors in integers unless it did before; what it would compute otherwise than training,
`plan_for_graph` refuses.
"""

from __future__ import annotations

import onnx_ir as ir

from edgekit.graph.operators import CLAMPS, commutes, is_weighted, tensor_inputs
from edgekit.precision import QuantSpec


def grids_behind(graph: ir.Graph, activations: dict[str, QuantSpec]) -> dict[str, QuantSpec]:
    """Tensor -> spec of `activations`, and of the tensors that go into one of them."""
    known = dict(activations)
    for node in reversed(list(graph)):
        spec = known.get(str(node.outputs[0].name)) if len(node.outputs) == 1 else None
        if spec is None:
            continue
        if node.op_type == "Add":
            for value in tensor_inputs(node):
                if _is_unplanned_relu(value, known):
                    known[str(value.name)] = known.get(str(_moved(value).name), spec)
        if _passes_on(node):
            inputs = [value for value in tensor_inputs(node) if known.get(str(value.name)) != spec]
            if all(value.producer() is not None and _leads_only_to(node, value, known) for value in inputs):
                known.update((str(value.name), spec) for value in inputs)
    return known


def _passes_on(node: ir.Node) -> bool:
    return commutes(node) or node.op_type == "Concat" or node.op_type in CLAMPS


def _leads_only_to(join: ir.Node, value: ir.Value, known: dict[str, QuantSpec]) -> bool:
    """Whether a tensor without a grid goes into `join` alone: through it, or through what hands it on, as pools do."""
    if str(value.name) in known or value.is_graph_output():
        return False
    others = [use.node for use in value.uses() if use.node is not join]
    return all(_passes_on(node) and _leads_only_to(join, node.outputs[0], known) for node in others)


def _is_unplanned_relu(value: ir.Value, known: dict[str, QuantSpec]) -> bool:
    # a layer that reads a tensor without a grid reads float, by decision of the training
    read_by_layers = any(is_weighted(use.node) for use in value.uses())
    producer = _moved(value).producer()
    made_by_relu = producer is not None and producer.op_type == "Relu"
    return str(value.name) not in known and made_by_relu and not read_by_layers


def _moved(value: ir.Value) -> ir.Value:
    """What was moved to make `value`; itself where no such operator made it."""
    producer = value.producer()
    while producer is not None and commutes(producer) and producer.inputs[0] is not None:
        value = producer.inputs[0]
        producer = value.producer()
    return value
