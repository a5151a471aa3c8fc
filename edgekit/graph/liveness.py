"""How much memory the tensors between the layers take at once, batch 1."""

import math

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from edgekit.graph.constants import static_shape

_ALIASES = frozenset({"DequantizeLinear", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})


def activation_bytes_peak(model: ir.Model) -> int:
    """The most that is alive at any node, in the order of the graph, bytes.

    A tensor lives from the node that makes it to its last reader, inputs and outputs of the network from or to the end.
    What an operator makes of nothing but its input's memory (Reshape, …) and what DequantizeLinear gives count as what
    they come from: a kernel reads the codes. Each tensor has the type that the graph says. A real allocator needs more,
    as it rounds up and keeps blocks; kernels that fuse nodes need less.

    Args:
        model: shapes static; those of tensors without one are inferred.
    """
    if any(static_shape(v) is None for node in model.graph for v in node.outputs):
        model = model.clone()
        ShapeInferencePass()(model)
    nodes = list(model.graph)
    places = {node: index for index, node in enumerate(nodes)}
    births: dict[ir.Value, int] = dict.fromkeys(model.graph.inputs, 0)
    deaths: dict[ir.Value, int] = {}
    owners: dict[ir.Value, ir.Value] = {}
    constant: set[ir.Value] = set()
    for node in nodes:
        if all(value is None or value.const_value is not None or value in constant for value in node.inputs):
            constant.update(node.outputs)  # weights on their way, not an activation
            continue
        for value in node.outputs:
            source = node.inputs[0] if node.op_type in _ALIASES and node.inputs else None
            owner = value if source is None or source in constant else owners.get(source, source)
            owners[value] = owner
            births.setdefault(owner, places[node])
            readers = [places[use.node] for use in value.uses()]
            last = len(nodes) if value.is_graph_output() else max(readers, default=places[node])
            deaths[owner] = max(deaths.get(owner, 0), last)
    for value in model.graph.inputs:
        deaths[value] = max([deaths.get(value, 0), *(places[use.node] for use in value.uses())])
    changes = [0] * (len(nodes) + 2)
    for value, birth in births.items():
        size = tensor_bytes(value)
        changes[birth] += size
        changes[deaths.get(value, birth) + 1] -= size
    return max(_running(changes), default=0)


def tensor_bytes(value: ir.Value) -> int:
    """Bytes of a tensor at the type that the graph says; 0 where its shape is not known."""
    shape = static_shape(value)
    if shape is None or value.dtype is None:
        return 0
    return math.ceil(math.prod(shape) * value.dtype.itemsize)


def _running(changes: list[int]) -> list[int]:
    total, sums = 0, []
    for change in changes:
        total += change
        sums.append(total)
    return sums
