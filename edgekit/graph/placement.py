"""Where Q/DQ pairs go: the placements, each a pure function of graph and plan.

"trt"           rules R1, R2, R4, R5, R9, R10: on the inputs of weighted operators, nowhere else.
"every-tensor"  for onnxruntime and OpenVINO: on every input and output of what runs on integers, because there an
                operator is fused only as DQ -> op -> Q.
"looked-up"     the same where the native library looks activation functions up: the integers begin earlier.
"islands"       the same without a beginning in float: for networks whose integer layers lie apart, between layers that
                are none, so that each is judged alone (`edgekit.graph.lower.binary`). A Gemm at the end is one of
                them: it reads integers and gives floats.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import onnx_ir as ir

from edgekit.graph.binary import with_sign_grids
from edgekit.graph.channels import float_reason
from edgekit.graph.operators import CLAMPS, has_integer_kernel, is_weighted, tensor_inputs
from edgekit.graph.prefix import float_prefix
from edgekit.graph.residual import node_depths, skip_operand
from edgekit.graph.scales import Grids, shared_grids
from edgekit.precision import QuantPlan, QuantSpec


@dataclass(frozen=True, slots=True)
class Placement:
    """Which uses of which tensors go through Q/DQ.

    Attributes:
        grids: the grid of every tensor that the plan covers.
        uses: tensor name -> the (node name, input index) pairs that read the dequantised value.
        layers: names of the weighted nodes whose weights carry Q/DQ.
        kept_float: name of a planned weighted node -> why it runs in float in this placement.
    """

    grids: Grids
    uses: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    kept_float: dict[str, str] = field(default_factory=dict)


def place_trt(graph: ir.Graph, plan: QuantPlan) -> Placement:
    """Inputs of weighted operators (R1), the skip operand of residual Adds (R4), equal-scale Concats (R5)."""
    plan = with_sign_grids(graph, plan)
    grids = shared_grids(graph, plan)
    specs = grids.specs
    planned = _planned_layers(graph, plan)
    kept = {str(n.name): reason for n in planned if (reason := float_reason(n)) is not None}
    kept |= _stem_reasons(graph, planned)
    layers = [n for n in planned if n.name not in kept]
    uses: dict[str, list[tuple[str, int]]] = {}
    for node in layers:
        _add_use(uses, specs, node, 0)
    depth = node_depths(graph)
    for node in graph:
        if node.op_type == "Add" and (index := skip_operand(node, depth)) is not None and _feeds(node, layers):
            _add_use(uses, specs, node, index)
        if node.op_type == "Concat" and node.outputs[0].name in uses and _one_scale(node, specs):
            for index in range(len(node.inputs)):
                _add_use(uses, specs, node, index)
    return Placement(grids, uses, tuple(str(n.name) for n in layers), kept)


def place_every_tensor(graph: ir.Graph, plan: QuantPlan, looked_up: bool = False, islands: bool = False) -> Placement:
    """Every input and output of the operators that run on integers.

    An operator without weights is one of them when an integer operator feeds it and a weighted one comes after it: what
    stands before the first integer convolution, and behind the last convolution of all, stays in float. A layer whose
    output has no grid computes in float, from the codes that it was trained to read.

    Args:
        graph: canonical.
        plan: what is quantised.
        looked_up: count activation functions of codes as lookups, see `edgekit.graph.prefix`.
        islands: keep no first layers in float, and no Gemm that gives an output of the network.
    """
    plan = with_sign_grids(graph, plan)
    grids = shared_grids(graph, plan)
    specs = grids.specs
    planned = _planned_layers(graph, plan)
    kept = float_prefix(graph, planned, looked_up) if not islands else {}
    given = [n for n in planned if _written_value(n).is_graph_output()]
    ends = [n for n in given if islands and n.op_type == "Gemm" and n.outputs[0].is_graph_output()]
    kept |= {str(n.name): "its output is an output of the network" for n in given if n not in ends}
    ungridded = [n for n in planned if n.name not in kept and n not in ends and _written_value(n).name not in specs]
    kept |= {str(n.name): "its output has no grid" for n in ungridded}
    layers = [n for n in planned if n.name not in kept]
    integer = _integer_nodes(graph, set(layers), specs)
    uses: dict[str, list[tuple[str, int]]] = {}
    for node in ungridded:
        _add_use(uses, specs, node, 0)
    for node in integer:
        for index, value in enumerate(node.inputs):
            if value in tensor_inputs(node) and node.op_type not in CLAMPS:
                _add_use(uses, specs, node, index)
        for value in _written(node, integer):
            for use in value.uses():
                _add_use(uses, specs, use.node, use.idx)
    return Placement(grids, uses, tuple(str(n.name) for n in layers), kept)


def place_looked_up(graph: ir.Graph, plan: QuantPlan) -> Placement:
    """`place_every_tensor` where activation functions of codes are lookups of the native library."""
    return place_every_tensor(graph, plan, looked_up=True)


def place_islands(graph: ir.Graph, plan: QuantPlan) -> Placement:
    """`place_every_tensor` without a beginning in float, and with a Gemm at the end."""
    return place_every_tensor(graph, plan, islands=True)


PLACEMENTS: dict[str, Callable[[ir.Graph, QuantPlan], Placement]] = {
    "trt": place_trt,
    "every-tensor": place_every_tensor,
    "looked-up": place_looked_up,
    "islands": place_islands,
}


def clamp_after(node: ir.Node) -> ir.Node | None:
    """The ReLU or Clip that alone reads the output of `node`: the Q behind it does its work."""
    uses = node.outputs[0].uses() if len(node.outputs) == 1 else ()
    if len(uses) != 1 or node.outputs[0].is_graph_output():
        return None
    reader = next(iter(uses)).node
    return reader if reader.op_type in CLAMPS else None


def _planned_layers(graph: ir.Graph, plan: QuantPlan) -> list[ir.Node]:
    return [
        node
        for node in graph
        if is_weighted(node)
        and node.name in plan.weights
        and node.name not in plan.excluded
        and node.inputs[0] is not None
        and node.inputs[0].name in plan.activations
    ]


def _add_use(uses: dict[str, list[tuple[str, int]]], specs: dict[str, QuantSpec], node: ir.Node, index: int) -> None:
    value = node.inputs[index]
    if value is None or value.const_value is not None or value.name not in specs or node.op_type == "QuantizeLinear":
        return
    readers = uses.setdefault(value.name, [])
    if (str(node.name), index) not in readers:
        readers.append((str(node.name), index))


def _feeds(node: ir.Node, layers: list[ir.Node]) -> bool:
    """Whether an integer layer reads the result of `node`, through a clamp or directly."""
    clamp = clamp_after(node)
    source = clamp if clamp is not None else node
    return any(use.node in layers for output in source.outputs for use in output.uses())


def _one_scale(concat: ir.Node, specs: dict[str, QuantSpec]) -> bool:
    names = [v.name for v in (*concat.inputs, *concat.outputs) if v is not None]
    return all(n in specs for n in names) and len({specs[str(n)].scale for n in names}) == 1


def _written_value(node: ir.Node) -> ir.Value:
    """What a Q behind a weighted node reads: its output, or that of the clamp that vanishes into the Q."""
    clamp = clamp_after(node)
    return (clamp if clamp is not None else node).outputs[0]


def _stem_reasons(graph: ir.Graph, planned: list[ir.Node]) -> dict[str, str]:
    """A depthwise convolution right after a float stem stays in float too.

    It sees the stem's outliers, for which the stem was kept in float: docs/lowerings.md.
    """
    names = {node.name for node in planned}
    reasons: dict[str, str] = {}
    for node in graph:
        if node.name in names and _group(node) > 1 and _strided(node):
            source = _weighted_source(node.inputs[0])
            if source is not None and source.name not in names and _weighted_source(source.inputs[0]) is None:
                reasons[str(node.name)] = "depthwise and strided, right after a stem in float"
    return reasons


def _weighted_source(value: ir.Value | None) -> ir.Node | None:
    """The weighted node whose activation `value` is, or None."""
    for _ in range(4):
        node = value.producer() if value is not None else None
        if node is None or is_weighted(node):
            return node
        if node.op_type not in ("Relu", "Clip", "LeakyRelu", "Sigmoid", "Mul", "HardSigmoid"):
            return None
        value = node.inputs[0]
    return None


def _group(node: ir.Node) -> int:
    return node.attributes["group"].as_int() if "group" in node.attributes else 1


def _strided(node: ir.Node) -> bool:
    return "strides" in node.attributes and max(node.attributes["strides"].as_ints()) > 1


def _integer_nodes(graph: ir.Graph, layers: set[ir.Node], specs: dict[str, QuantSpec]) -> list[ir.Node]:
    """The layers, and the operators between them that have integer kernels, in the graph's order."""
    wanted = {node for node in graph if is_weighted(node)}
    for node in reversed(list(graph)):
        readers = {use.node for output in node.outputs for use in output.uses()}
        capable = has_integer_kernel(node) or node.op_type in CLAMPS
        if capable and readers & wanted and not any(v.is_graph_output() for v in node.outputs):
            wanted.add(node)
    integer: dict[ir.Node, None] = {}
    for node in graph:
        sources = [value.producer() for value in tensor_inputs(node)]
        covered = all(v.name in specs for v in (*tensor_inputs(node), *node.outputs)) and not _has_float_constant(node)
        fed = any(source in integer for source in sources)
        if node.op_type in CLAMPS:  # absorbed by the saturation of an integer operator, or left alone
            fed = any(source in integer and clamp_after(source) is node for source in sources if source is not None)
        if node in layers or (node in wanted and not is_weighted(node) and fed and covered):
            integer[node] = None
    return list(integer)


def _has_float_constant(node: ir.Node) -> bool:
    """Whether `node` adds or multiplies by a constant, which no integer kernel takes without Q/DQ of its own."""
    return node.op_type in ("Add", "Mul", "Concat") and any(v is None or v.const_value is not None for v in node.inputs)


def _written(node: ir.Node, integer: list[ir.Node]) -> list[ir.Value]:
    """The outputs of an integer `node` that get Q/DQ: not those that an integer clamp reads first."""
    return [] if clamp_after(node) in integer else [v for v in node.outputs if not v.is_graph_output()]
