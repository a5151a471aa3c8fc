"""Rule R4: which operand of a residual Add is quantised for TensorRT.

With Q/DQ on the skip operand alone, TensorRT fuses Conv + Add (+ ReLU) into one INT8 kernel; with Q/DQ on both it
emits a separate pointwise layer. That needs a convolution straight before the Add: where an activation stands between
(SiLU networks) no such fusion exists, and the Add is left in float.
"""

import onnx_ir as ir

from edgekit.graph.operators import is_weighted


def skip_operand(add: ir.Node, depth: dict[ir.Node, int]) -> int | None:
    """Index of the operand of `add` to quantise, or None to leave the Add in float.

    Args:
        add: a node of type Add.
        depth: node -> length of the longest path from the graph's inputs, see `node_depths`.
    """
    if len(add.inputs) != 2 or any(v is None or v.const_value is not None for v in add.inputs):
        return None
    fusable = [index for index, value in enumerate(add.inputs) if _is_conv_branch(value)]
    if len(fusable) == 1:
        return 1 - fusable[0]
    if len(fusable) == 2:  # a downsampling block: the shortcut is the branch with the shorter path
        depths = [depth[_producer(value)] for value in add.inputs]
        return 0 if depths[0] < depths[1] else 1
    return None


def node_depths(graph: ir.Graph) -> dict[ir.Node, int]:
    """Length of the longest path from the graph's inputs to each node."""
    depth: dict[ir.Node, int] = {}
    for node in graph:
        before = [depth[p] for v in node.inputs if v is not None and (p := v.producer()) in depth and p is not None]
        depth[node] = 1 + max(before, default=0)
    return depth


def _is_conv_branch(value: ir.Value | None) -> bool:
    node = value.producer() if value is not None else None
    if node is None or len(node.outputs[0].uses()) != 1:
        return False
    return is_weighted(node) or node.op_type in ("Conv", "ConvTranspose")  # of which the weight may come from a DQ


def _producer(value: ir.Value | None) -> ir.Node:
    node = value.producer() if value is not None else None
    assert node is not None  # both operands are outputs of convolutions here
    return node
