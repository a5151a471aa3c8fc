"""Space to depth in front of an INT8 convolution that strides over few channels.

Needs: Q, DQ and Conv in a lowered graph, weights as 8-bit codes behind a DQ. Does, for a stride of s both ways and
fewer than 16 channels, as of pictures:

    codes (N, C, H, W)       -> (N, C s s, H / s, W / s): each s x s pixels are the channels of one
    weights (O, C, k, k)     -> zeros before and behind to a multiple of s, then (O, C s s, K / s, K / s)
    Conv of stride s         -> Conv of stride 1

onnxruntime gathers the values under an INT8 kernel a few bytes at a time, as many as there are channels: the 7 x 7
layer of ResNet-18 takes longer in INT8 than in float32, and half as long like this. Turning bytes costs little. The
weights are turned by operators on constants, which the runtime computes when it loads the graph: in a bundle they stay
what they are. Promises: the same products and zeros are summed, so an integer kernel gives the same codes.
"""

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value, static_shape
from edgekit.graph.findings import quantizer_of
from edgekit.graph.placement import clamp_after
from edgekit.graph.transposes import TO_NCHW

_FEWEST_CHANNELS = 16
_NS_PER_MULTIPLICATION = -0.0055
_NS_PER_TURNED_VALUE = 1.0
"""onnxruntime 1.31, one core with AVX-512 VNNI, as the figures of `edgekit.graph.prefix`."""


@dataclass(frozen=True, slots=True)
class _Side:
    """The window along rows or columns.

    Attributes:
        zeros: how many stand before and behind the weights.
        pads: of the new convolution, before and behind.
        kernel: of the new convolution.
    """

    zeros: tuple[int, int]
    pads: tuple[int, int]
    kernel: int


def stem_cost(conv: ir.Node) -> float | None:
    """Estimated nanoseconds that such a layer takes longer as integers; None where it is none."""
    shape, given, weight = static_shape(conv.outputs[0]), static_shape(conv.inputs[0]), constant_value(conv.inputs[1])
    clamp = clamp_after(conv)
    if _sides(conv) is None or shape is None or given is None or weight is None:
        return None
    if clamp is not None and clamp.op_type != "Relu":
        return None  # a Clip between it and its Q would leave it in float
    return _NS_PER_MULTIPLICATION * math.prod(shape) * math.prod(weight.shape[1:]) + _NS_PER_TURNED_VALUE * math.prod(
        given
    )


def space_to_depth(graph: ir.Graph) -> int:
    """Rewrite in place; how many convolutions were."""
    count = 0
    for node in list(graph):
        sides = _sides(node) if node.op_type == "Conv" else None
        source = quantizer_of(node.inputs[0]) if sides is not None else None
        weight = quantizer_of(node.inputs[1]) if sides is not None else None
        if sides is not None and source is not None and weight is not None:
            _rewrite(graph, node, source, weight, sides)
            count += 1
    return count


def _sides(conv: ir.Node) -> tuple[_Side, _Side] | None:
    """Rows and columns, where `conv` is such a layer."""
    given, shape, weight = (static_shape(value) for value in (conv.inputs[0], conv.outputs[0], conv.inputs[1]))
    if given is None or shape is None or weight is None or len(weight) != 4 or weight[1] >= _FEWEST_CHANNELS:
        return None
    ints = {
        name: tuple(conv.attributes[name].as_ints())
        for name in ("strides", "pads", "dilations")
        if name in conv.attributes
    }
    group = conv.attributes["group"].as_int() if "group" in conv.attributes else 1
    auto = conv.attributes["auto_pad"].as_string() if "auto_pad" in conv.attributes else "NOTSET"
    stride, pads = ints.get("strides", (1, 1)), ints.get("pads", (0, 0, 0, 0))
    if stride[0] != stride[1] or not 2 <= stride[0] <= 4 or group != 1 or auto != "NOTSET":
        return None
    if set(ints.get("dilations", (1,))) != {1} or given[2] % stride[0] or given[3] % stride[0]:
        return None
    rows = _side(given[2], shape[2], weight[2], stride[0], pads[0])
    columns = _side(given[3], shape[3], weight[3], stride[0], pads[1])
    return (rows, columns) if rows is not None and columns is not None else None


def _side(given: int, out: int, kernel: int, stride: int, pad: int) -> _Side | None:
    before = -(-pad // stride)
    shift = before * stride - pad  # the window begins so many pixels earlier, where its weights are 0
    taps = -(-(kernel + shift) // stride)
    behind = out - 1 + taps - before - given // stride
    if behind < 0:
        return None
    return _Side((shift, taps * stride - kernel - shift), (before, behind), taps)


def _rewrite(graph: ir.Graph, conv: ir.Node, source: ir.Node, weight: ir.Node, sides: tuple[_Side, _Side]) -> None:
    build, stride = _Builder(graph, conv), conv.attributes["strides"].as_ints()[0]
    n, channels, height, width = static_shape(conv.inputs[0]) or ()
    outs = (static_shape(conv.inputs[1]) or ())[0]
    rows, columns = sides
    deep, tall, wide = stride * stride * channels, height // stride, width // stride

    # Whole rows are moved first, then pieces of `stride` bytes: onnxruntime is slow at moving 2 or 4 times 3 bytes.
    value = build.reshape(source.inputs[0], "rows", [n, channels, tall, stride, width])
    value = build.node("Transpose", [value], "moved_rows", perm=[0, 1, 3, 2, 4])
    value = build.reshape(value, "pieces", [n, channels * stride, tall, wide, stride])
    value = build.node("Transpose", [value], "moved_pieces", perm=[0, 2, 3, 1, 4])
    value = build.reshape(value, "deep", [n, tall, wide, deep])
    value = build.node("Transpose", [value], "codes", perm=list(TO_NCHW))
    value.shape = ir.Shape([n, deep, tall, wide])
    value = build.node("DequantizeLinear", [value, *source.inputs[1:]], "values")
    value.shape, value.type = ir.Shape([n, deep, tall, wide]), ir.TensorType(ir.DataType.FLOAT)

    zeros = [0, 0, rows.zeros[0], columns.zeros[0], 0, 0, rows.zeros[1], columns.zeros[1]]
    turned = build.node("Pad", [weight.inputs[0], build.integers("zeros", zeros)], "padded")
    turned = build.reshape(turned, "taps", [outs, channels, rows.kernel, stride, columns.kernel, stride])
    turned = build.node("Transpose", [turned], "turned", perm=[0, 1, 3, 5, 2, 4])
    turned = build.reshape(turned, "weight_codes", [outs, deep, rows.kernel, columns.kernel])
    turned = build.node("DequantizeLinear", [turned, *weight.inputs[1:]], "weight", **_axis(weight))

    conv.replace_input_with(0, value)
    conv.replace_input_with(1, turned)
    pads = [rows.pads[0], columns.pads[0], rows.pads[1], columns.pads[1]]
    for name, ints in (("strides", [1, 1]), ("pads", pads), ("kernel_shape", [rows.kernel, columns.kernel])):
        conv.attributes[name] = ir.AttrInt64s(name, ints)
    for old in (source, weight):
        if not old.outputs[0].uses():
            graph.remove(old, safe=True)


def _axis(dequantize: ir.Node) -> dict[str, int]:
    return {"axis": dequantize.attributes["axis"].as_int()} if "axis" in dequantize.attributes else {}


@dataclass(frozen=True, slots=True)
class _Builder:
    """Makes the nodes in front of `conv`, named after it."""

    graph: ir.Graph
    conv: ir.Node

    def node(self, op_type: str, inputs: list[ir.Value | None], name: str, **attributes: int | list[int]) -> ir.Value:
        node = ir.node(op_type, inputs, attributes=attributes, name=f"{self.conv.name}.depth.{name}")
        node.outputs[0].name = node.name
        if inputs[0] is not None and op_type != "DequantizeLinear":
            node.outputs[0].type = inputs[0].type
        self.graph.insert_before(self.conv, node)
        return node.outputs[0]

    def reshape(self, value: ir.Value | None, name: str, shape: list[int]) -> ir.Value:
        result = self.node("Reshape", [value, self.integers(f"{name}_shape", shape)], name)
        result.shape = ir.Shape(shape)
        return result

    def integers(self, name: str, values: list[int]) -> ir.Value:
        value = ir.Value(name=f"{self.conv.name}.depth.{name}", const_value=ir.tensor(np.array(values, np.int64)))
        value.shape, value.type = ir.Shape([len(values)]), ir.TensorType(ir.DataType.INT64)
        self.graph.register_initializer(value)
        return value
