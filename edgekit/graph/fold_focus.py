"""Fold a Focus stem into its convolution.

YOLOv5's and YOLOX's Focus takes every other pixel in four phases and stacks them as channels; the k x k convolution
after it then sees each pixel of a 2k x 2k window once. The same sums are one 2k x 2k convolution of stride 2:

    out[o, y, x] = sum_{p, c, i, j} W[o, p, c, i, j] * image[c, 2 (y + i - pad) + dy(p), 2 (x + j - pad) + dx(p)]
                 = sum_{c, u, v} V[o, c, u, v] * image[c, 2 y + u - 2 pad, 2 x + v - 2 pad]
    with V[o, c, 2 i + dy, 2 j + dx] = W[o, p, c, i, j]

V is a permutation of W, so its size and its scale per output channel stay as they are.

Needs: a canonical graph. Does: replaces Slices -> Concat -> Conv, where the Slices read one tensor in the four phases
of step 2 and nothing else reads them. Promises: the same sums in another order; idempotent; node and tensor names of
the convolution stay, so a plan made before remains valid.
"""

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value, static_shape

_PHASES = 4


def fold_focus(model: ir.Model) -> bool:
    """Fold every Focus stem of `model` in place; return whether there was one."""
    modified = False
    for node in list(model.graph):
        if node.op_type == "Conv" and _is_plain(node):
            modified |= _fold(model.graph, node)
    return modified


def _fold(graph: ir.Graph, conv: ir.Node) -> bool:
    value, weight = conv.inputs[0], constant_value(conv.inputs[1])
    concat = value.producer() if value is not None else None
    if concat is None or weight is None or not _is_focus_concat(concat):
        return False
    phases = [_phase(branch) for branch in concat.inputs]
    sources = {source for source, _, _ in phases}
    if len(sources) != 1 or None in sources or sorted(p[1:] for p in phases) != [(0, 0), (0, 1), (1, 0), (1, 1)]:
        return False
    source = next(iter(sources))
    shape = static_shape(source)
    if source is None or shape is None or shape[2] % 2 or shape[3] % 2 or weight.shape[1] != _PHASES * shape[1]:
        return False
    old = [concat, *_slices(concat)]
    _rewrite(graph, conv, source, _spread(weight, [p[1:] for p in phases]))
    _remove(graph, old)
    return True


def _spread(weight: np.ndarray, phases: list[tuple[int, int]]) -> np.ndarray:
    """V of the module's docstring: (O, 4 C, k, k) to (O, C, 2 k, 2 k)."""
    outputs, stacked, height, width = weight.shape
    channels = stacked // _PHASES
    spread = np.zeros((outputs, channels, 2 * height, 2 * width), weight.dtype)
    for p, (dy, dx) in enumerate(phases):
        spread[:, :, dy::2, dx::2] = weight[:, p * channels : (p + 1) * channels]
    return spread


def _rewrite(graph: ir.Graph, conv: ir.Node, source: ir.Value, weight: np.ndarray) -> None:
    old = conv.inputs[1]
    assert old is not None
    name = f"{old.name}.unfocused"
    value = ir.Value(name=name, const_value=ir.tensor(weight, name=name))
    value.shape, value.dtype = ir.Shape(weight.shape), ir.DataType.FLOAT
    graph.register_initializer(value)
    pads = conv.attributes["pads"].as_ints() if "pads" in conv.attributes else [0, 0, 0, 0]
    conv.replace_input_with(0, source)
    conv.replace_input_with(1, value)
    conv.attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", list(weight.shape[2:]))
    conv.attributes["strides"] = ir.AttrInt64s("strides", [2, 2])
    conv.attributes["pads"] = ir.AttrInt64s("pads", [2 * p for p in pads])
    if not old.uses():
        del graph.initializers[str(old.name)]


def _is_plain(conv: ir.Node) -> bool:
    """Stride 1, no dilation, one group, explicit padding."""
    ones = all(set(conv.attributes[k].as_ints()) <= {1} for k in ("strides", "dilations") if k in conv.attributes)
    group = conv.attributes["group"].as_int() if "group" in conv.attributes else 1
    padding = conv.attributes["auto_pad"].as_string() if "auto_pad" in conv.attributes else "NOTSET"
    return ones and group == 1 and padding == "NOTSET"


def _is_focus_concat(node: ir.Node) -> bool:
    return (
        node.op_type == "Concat"
        and node.attributes["axis"].as_int() in (1, -3)
        and len(node.inputs) == _PHASES
        and len(node.outputs[0].uses()) == 1
        and not node.outputs[0].is_graph_output()
    )


def _phase(value: ir.Value | None) -> tuple[ir.Value | None, int, int]:
    """(tensor read, row phase, column phase) of one branch; (None, 0, 0) when it is not a phase of step 2."""
    starts: dict[int, int] = {}
    while value is not None and (node := value.producer()) is not None and node.op_type == "Slice":
        parts = [constant_value(v) for v in node.inputs[1:5]]
        if len(parts) != 4 or any(p is None for p in parts):
            return None, 0, 0
        start, _, axes, steps = (np.atleast_1d(p).tolist() for p in parts if p is not None)
        if set(steps) != {2} or not set(axes) <= {2, 3, -1, -2} or not _to_the_end(node):
            return None, 0, 0
        starts.update((axis % 4, begin) for axis, begin in zip(axes, start, strict=True))
        value = node.inputs[0]
    if sorted(starts) != [2, 3]:
        return None, 0, 0
    return value, starts[2], starts[3]


def _to_the_end(node: ir.Node) -> bool:
    """Whether a step-2 Slice keeps half of each axis that it cuts."""
    before, after = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    if before is None or after is None:
        return False
    return all(b == a or b == 2 * a for b, a in zip(before, after, strict=True))


def _slices(concat: ir.Node) -> list[ir.Node]:
    found: dict[ir.Node, None] = {}
    for value in concat.inputs:
        while value is not None and (node := value.producer()) is not None and node.op_type == "Slice":
            found[node] = None
            value = node.inputs[0]
    return list(found)


def _remove(graph: ir.Graph, nodes: list[ir.Node]) -> None:
    """Remove the nodes of `nodes` that nothing reads any more, readers first, and the constants only they read."""
    waiting = True
    while waiting:
        dead = [n for n in nodes if n.graph is graph and not any(o.uses() or o.is_graph_output() for o in n.outputs)]
        waiting = bool(dead)
        for node in dead:
            constants = [v for v in node.inputs if v is not None and v.const_value is not None]
            graph.remove(node, safe=True)
            for value in constants:
                if not value.uses() and value.name in graph.initializers:
                    del graph.initializers[str(value.name)]
