"""`binary`: onnxruntime with the native library's operators: 1-bit layers as xor and popcount, NHWC between them.

Layers of one bit become the library's operators (`edgekit.graph.binary_operators`), which take in the residual Add and
the Clip behind them; the tensors between stay float32 and bits, so no residual is rounded to 8 bits. The other layers
are INT8 where that is faster *alone*: between float neighbours a layer pays for its own Q and DQ. Between binary layers
it does not: these read and write its codes (`edgekit.graph.binary_codes`). A layer that is faster in float computes
with its quantised weights, which are in the file as 8-bit codes that onnxruntime turns into floats when it loads it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from edgekit.errors import ModelError
from edgekit.graph.bake import bake_weights, drop_unused_initializers
from edgekit.graph.binary import COMPARISON, BinaryLayer, planned_layers
from edgekit.graph.binary_codes import DOMAIN
from edgekit.graph.binary_operators import Reading, read_in_float, tail_of, use_operators
from edgekit.graph.constants import static_shape
from edgekit.graph.insert import QdqStyle, insert_qdq
from edgekit.graph.lower.lowered import LoweredModel, Overflow
from edgekit.graph.lower.ort_x86 import STYLE
from edgekit.graph.operators import has_integer_kernel, is_weighted
from edgekit.graph.placement import clamp_after, place_islands
from edgekit.graph.planes import weights_as_planes
from edgekit.graph.prefix import layer_cost
from edgekit.graph.strided_stem import space_to_depth, stem_cost
from edgekit.graph.transposes import cancel_transposes, pointwise_in_nhwc
from edgekit.precision import QuantPlan

_NS_PER_BORDER_ELEMENT = 0.45
"""Q or DQ of a float tensor, onnxruntime 1.31, one core with AVX-512 (docs/lowerings.md)."""

LONELY = "faster in float: its neighbours are"
PLACEMENT = "islands"


def lower(model: ir.Model, plan: QuantPlan, _: Overflow) -> LoweredModel:
    """The native operators for layers of one bit, INT8 for what is faster so, the rest float."""
    rest = without_binary(model.graph, plan)
    lowered = with_pairs(model, plan, STYLE)
    readings = use_binary(lowered, plan)
    space_to_depth(lowered.graph)
    weights_as_planes(lowered, model, rest)
    pointwise_in_nhwc(lowered.graph)
    cancel_transposes(lowered.graph)
    drop_unused_initializers(lowered.graph)
    taken = {name: each for name, each in read_in_float(lowered.graph).items() if name not in readings}
    placed = place_islands(model.graph, rest)
    lonely = {name: why for name, why in rest.excluded.items() if why == LONELY}
    wide = any(rest.weights[layer].bits == 8 for layer in placed.layers)
    requires: dict[str, Any] = {"operators": DOMAIN, **({"cpu": "vnni"} if wide else {})}
    return LoweredModel(
        "binary", lowered, requires, PLACEMENT, {**placed.kept_float, **lonely}, readings={**readings, **taken}
    )


def with_pairs(model: ir.Model, plan: QuantPlan, style: QdqStyle) -> ir.Model:
    """A copy of `model` with Q/DQ for the integers of this lowering, and its binary layers as they were."""
    rest = without_binary(model.graph, plan)
    lonely = {name: rest.weights[name] for name, why in rest.excluded.items() if why == LONELY}
    return insert_qdq(bake_weights(model, QuantPlan(lonely)), rest, PLACEMENT, style)


def use_binary(lowered: ir.Model, plan: QuantPlan) -> dict[str, Reading]:
    """Replace the binary layers of `plan` in a graph with Q/DQ for the others; see `use_operators`.

    Raises:
        ModelError: there is none.
    """
    layers = planned_layers(lowered.graph, plan)
    if not layers:
        raise ModelError(
            "the network has no binary convolution (weights of +s and -s over the signs of a tensor); "
            "lower it to ort-x86 or ort-arm instead"
        )
    return use_operators(lowered, layers, plan)


def without_binary(graph: ir.Graph, plan: QuantPlan) -> QuantPlan:
    """`plan` for all but the binary layers, with those excluded that are faster in float.

    The outputs of binary layers are no integers here, and what adds to them is not either.
    """
    binary = planned_layers(graph, plan)
    outputs = {str(layer.node.outputs[0].name) for layer in binary.values()}
    weights = {name: spec for name, spec in plan.weights.items() if name not in binary}
    activations = {name: spec for name, spec in plan.activations.items() if name not in outputs}
    rest = replace(plan, weights=weights, activations=activations)
    operators = _operators(binary)
    while lonely := _lonely(graph, rest, operators):
        rest = replace(rest, excluded={**rest.excluded, **dict.fromkeys(lonely, LONELY)})
    return rest


@dataclass(frozen=True, slots=True)
class _Operators:
    """Where the operators of binary layers read and write numbers.

    Attributes:
        given: the tensors that they give.
        readers: the nodes of the graph by which they read: comparisons with 0, and Adds of a residual.
    """

    given: frozenset[ir.Value]
    readers: frozenset[ir.Node]


def _operators(layers: Mapping[str, BinaryLayer]) -> _Operators:
    tails = [tail_of(layer.node) for layer in layers.values()]
    comparisons = {use.node for layer in layers.values() for use in layer.x.uses() if use.node.op_type == COMPARISON}
    adds = {tail.add for tail in tails if tail.add is not None}
    return _Operators(frozenset(tail.result for tail in tails), frozenset(comparisons | adds))


def _lonely(graph: ir.Graph, plan: QuantPlan, operators: _Operators) -> list[str]:
    """Integer layers that cost more with their Q and DQ than they save."""
    integer = set(place_islands(graph, plan).layers)
    nodes = [node for node in graph if node.name in integer]
    return [str(node.name) for node in nodes if _cost_ns(node) + _borders_ns(node, integer, operators) > 0]


def _cost_ns(node: ir.Node) -> float:
    """What a layer takes longer as integers, as this lowering writes it."""
    cost = stem_cost(node) if node.op_type == "Conv" else None
    return layer_cost(node) if cost is None else cost


def _borders_ns(node: ir.Node, integer: set[str], operators: _Operators) -> float:
    clamp = clamp_after(node)
    result = (clamp if clamp is not None else node).outputs[0]
    elements = 0
    if not _from_integers(node.inputs[0], integer) and not _given_in_codes(node.inputs[0], integer, operators):
        elements += math.prod(static_shape(node.inputs[0]) or (0,))
    if not all(_to_integers(use.node, integer, operators) for use in result.uses()):
        elements += math.prod(static_shape(result) or (0,))
    return _NS_PER_BORDER_ELEMENT * elements


def _given_in_codes(value: ir.Value | None, integer: set[str], operators: _Operators) -> bool:
    """Whether an operator writes `value` in codes: integer layers read it, and otherwise its signs alone are read."""
    if value not in operators.given:
        return False
    readers = [use.node for use in value.uses()]
    return all(node.name in integer or node.op_type == COMPARISON for node in readers) and not value.is_graph_output()


def _from_integers(value: ir.Value | None, integer: set[str]) -> bool:
    node = value.producer() if value is not None else None
    if node is None:
        return False
    if is_weighted(node):
        return node.name in integer
    moves = has_integer_kernel(node) or node.op_type in ("Relu", "Clip")
    return moves and _from_integers(node.inputs[0], integer)


def _to_integers(node: ir.Node, integer: set[str], operators: _Operators) -> bool:
    if is_weighted(node):
        return node.name in integer
    if node in operators.readers:
        return True
    readers = [use.node for value in node.outputs for use in value.uses()]
    return (
        has_integer_kernel(node) and bool(readers) and all(_to_integers(each, integer, operators) for each in readers)
    )
