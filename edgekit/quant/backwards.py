"""Grids of tensors that training left in float, because no layer reads them: what stands before a join or a sum.

Training quantises what layers read. A backend for processors runs a convolution on integers only if its own output has
a grid too (`every-tensor`), and half of the student's had none. The grid of what is made of a tensor serves it:

    Concat, moving operators, clamps   moving values and rounding them commute: the same codes, the same function
    Add                                of operands that a ReLU made and that are therefore no larger than their sum: one
                                       more rounding, at most half a step of the sum's grid

Needs: a canonical graph, and the grids of what its layers read. Does so from the outputs towards the picture, where
nothing else reads the inputs of a join and none of them has a grid of its own. TensorRT's placement reads none of these
tensors in integers unless it did before; what it would compute otherwise than training, `plan_for_graph` refuses.
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
        if spec is not None and node.op_type == "Add":
            known.update((str(value.name), spec) for value in tensor_inputs(node) if _is_unplanned_relu(value, known))
        if spec is None or not (commutes(node) or node.op_type == "Concat" or node.op_type in CLAMPS):
            continue
        inputs = tensor_inputs(node)
        if all(_read_here_alone(value) and str(value.name) not in known for value in inputs):
            known.update((str(value.name), spec) for value in inputs)
    return known


def _read_here_alone(value: ir.Value) -> bool:
    return value.producer() is not None and len(value.uses()) == 1 and not value.is_graph_output()


def _is_unplanned_relu(value: ir.Value, known: dict[str, QuantSpec]) -> bool:
    producer = value.producer()
    # a layer that reads a tensor without a grid reads float, by decision of the training
    read_by_layers = any(is_weighted(use.node) for use in value.uses())
    made_by_relu = producer is not None and producer.op_type == "Relu"
    return str(value.name) not in known and made_by_relu and not read_by_layers
