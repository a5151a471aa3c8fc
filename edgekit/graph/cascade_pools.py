"""Compute the large pools of a spatial pyramid from the smaller ones.

A MaxPool of size 9 is one of size 5 after another of size 5, and one of 13 is three of them (stride 1, padding half the
size): the maximum over the union of windows. YOLOX and YOLOv5 before v6 pool 5, 9 and 13 from one tensor; a chain of
three fives gives the same numbers in half the time or less.

Needs: a canonical graph. Does: a stride-1, same-size MaxPool of size k whose sibling of size j < k reads the same
tensor becomes a MaxPool of size k - j + 1 on the sibling's output. Promises: equal outputs; idempotent; names stay.
"""

from itertools import pairwise

import onnx_ir as ir


def cascade_pools(model: ir.Model) -> bool:
    """Chain the parallel pools of `model` in place; return whether there were any."""
    modified = False
    for value in [*model.graph.inputs, *(v for node in model.graph for v in node.outputs)]:
        sizes = {node: size for node in value.consumers() if (size := _same_size(node)) is not None}
        pools = sorted(sizes, key=sizes.__getitem__)
        for smaller, larger in pairwise(pools):
            size = sizes[larger] - sizes[smaller] + 1
            if size < 3:
                continue
            modified = True
            _shrink(larger, smaller, size)
            if _after(model.graph, smaller, larger):
                model.graph.remove(smaller)
                model.graph.insert_before(larger, smaller)
    return modified


def _same_size(node: ir.Node) -> int | None:
    """The size of a square, odd, stride-1 MaxPool that keeps the picture's size, else None."""
    if node.op_type != "MaxPool" or len(node.outputs) != 1:
        return None
    sizes = set(node.attributes["kernel_shape"].as_ints())
    ones = all(set(node.attributes[k].as_ints()) <= {1} for k in ("strides", "dilations") if k in node.attributes)
    mode = node.attributes["ceil_mode"].as_int() if "ceil_mode" in node.attributes else 0
    if len(sizes) != 1 or not ones or mode or len(node.attributes["kernel_shape"].as_ints()) != 2:
        return None
    size = int(next(iter(sizes)))
    pads = set(node.attributes["pads"].as_ints()) if "pads" in node.attributes else {0}
    return size if size % 2 == 1 and pads == {size // 2} else None


def _shrink(larger: ir.Node, smaller: ir.Node, size: int) -> None:
    larger.replace_input_with(0, smaller.outputs[0])
    larger.attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", [size, size])
    larger.attributes["pads"] = ir.AttrInt64s("pads", [size // 2] * 4)


def _after(graph: ir.Graph, first: ir.Node, second: ir.Node) -> bool:
    """Whether `first` stands behind `second` in the graph's order."""
    for node in graph:
        if node is first:
            return False
        if node is second:
            return True
    return False
