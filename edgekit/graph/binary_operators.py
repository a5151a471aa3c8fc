"""Replace binary convolutions by the operators of the native library (docs/binary.md).

Needs: a graph with the pattern of `edgekit.graph.binary`. Does, for each chosen layer:

    1  signs, Pad, Conv [, Add of another tensor] [, Clip or ReLU] become BinarySigns and BinaryConvSum, in NHWC
       between Transposes
    2  Transposes that undo each other go away (`edgekit.graph.transposes`): from one binary layer to the next, tensors
       stay NHWC
    3  BinarySigns of what a BinaryConvSum gives is the second output of that: nothing is packed again
    4  a BinaryConvSum of which only the signs are read, and that adds nothing, becomes BinaryConvBits: a comparison of
       integers for each channel
    5  codes of integer layers on either side go through as they are (`edgekit.graph.binary_codes`)

Promises: every sum of signs is exact, and y = scale * sum + bias has two roundings, as `edgekit.ops.binary` says.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgekit.graph.binary import BinaryLayer, binary_layer
from edgekit.graph.binary_codes import DOMAIN, pass_codes
from edgekit.graph.constants import constant_value, static_shape
from edgekit.graph.sources import SOURCE, layer_weight
from edgekit.graph.transposes import TO_NCHW, TO_NHWC, cancel_transposes, drop_unused
from edgekit.precision import QuantPlan, pack_signs, quantize

VERSION = 1
_MOST = float(np.finfo(np.float32).max)
_SIGNS_OF = "edgekit.signs_of"
"""Metadata of BinarySigns: what the canonical graph calls the tensor whose signs they are."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a tensor of the canonical graph is found in the rewritten one.

    Attributes:
        name: of the tensor there: float NHWC, or packed signs.
        bits: whether it is packed signs, uint32 NHWC.
        channels: of the tensor.
        codes: of what is given in codes beside its signs: the name of the codes in the canonical graph with Q/DQ, and
            that of the tensor that has them here, NHWC.
        is_given: whether a binary layer gives it; else one takes its signs.
    """

    name: str
    bits: bool
    channels: int
    codes: tuple[str, str] | None = None
    is_given: bool = True


def use_operators(model: ir.Model, layers: Mapping[str, BinaryLayer], plan: QuantPlan) -> dict[str, Reading]:
    """Rewrite `model` in place.

    Args:
        model: a lowering whose binary layers carry no Q/DQ.
        layers: the binary layers of *this* graph that are to be replaced.
        plan: their codes and scales.

    Returns:
        Name of a tensor that a binary layer gave (behind Add and Clip, where it took them in) -> where it is now.
    """
    graph = model.graph
    given: dict[str, _Replaced] = {}
    for name in layers:
        layer = binary_layer(_find(graph, name))
        assert layer is not None  # its tensors are others since the layers before it were replaced, its pattern is not
        result = _replace(graph, layer, plan)
        given[result.name] = result
    drop_unused(graph)
    cancel_transposes(graph)
    _hand_over_signs(graph)
    only_signs = _only_signs(graph)
    drop_unused(graph)
    codes = pass_codes(graph)
    model.graph.opset_imports[DOMAIN] = VERSION
    return {name: _reading(each, only_signs, codes) for name, each in given.items()}


def read_in_float(graph: ir.Graph) -> dict[str, Reading]:
    """Name of a tensor of the canonical graph whose signs are taken of floats -> where it is, in a finished graph."""
    found = {}
    for node in graph:
        if _SIGNS_OF in node.meta:
            value = node.inputs[0]
            shape = static_shape(value)
            if value is not None and shape is not None:
                found[str(node.meta[_SIGNS_OF])] = Reading(str(value.name), False, shape[3], is_given=False)
    return found


def _reading(given: "_Replaced", only_signs: Mapping[str, str], codes: Mapping[str, str]) -> Reading:
    if given.y in codes:
        return Reading(given.signs, True, given.channels, (codes[given.y], given.y))
    return Reading(only_signs.get(given.y, given.y), given.y in only_signs, given.channels)


@dataclass(frozen=True, slots=True)
class Tail:
    """What follows a binary convolution and is done by its operator.

    Attributes:
        result: the last value.
        before: the node in whose place the operator stands.
        add: the Add of a residual, or None.
        residual: the tensor that is added, or None.
        low, high: the limits of the result.
    """

    result: ir.Value
    before: ir.Node
    add: ir.Node | None = None
    residual: ir.Value | None = None
    low: float = -_MOST
    high: float = _MOST


@dataclass(frozen=True, slots=True)
class _Replaced:
    name: str
    y: str
    signs: str
    channels: int


def _find(graph: ir.Graph, name: str) -> ir.Node:
    return next(node for node in graph if node.name == name)


def tail_of(conv: ir.Node) -> Tail:
    """What the operator of a binary convolution takes in."""
    result, before = conv.outputs[0], conv
    add, residual, low, high = None, None, -_MOST, _MOST
    reader = _only_reader(result)
    if reader is not None and reader.op_type == "Add":
        other = reader.inputs[1] if reader.inputs[0] is result else reader.inputs[0]
        same = other is not None and other is not result and static_shape(other) == static_shape(result)
        if same and other is not None and other.const_value is None and static_shape(result) is not None:
            add, residual, result, before = reader, other, reader.outputs[0], reader
            reader = _only_reader(result)
    limits = _limits(reader)
    if reader is not None and limits is not None:
        result, before, (low, high) = reader.outputs[0], reader, limits
    return Tail(result, before, add, residual, low, high)


def _only_reader(value: ir.Value) -> ir.Node | None:
    uses = value.uses()
    return next(iter(uses)).node if len(uses) == 1 and not value.is_graph_output() else None


def _limits(node: ir.Node | None) -> tuple[float, float] | None:
    """The limits of a Relu, or of a Clip by constants; None for anything else."""
    if node is None or node.op_type not in ("Relu", "Clip"):
        return None
    if node.op_type == "Relu":
        return 0.0, _MOST
    bounds = []
    for index, default in ((1, -_MOST), (2, _MOST)):
        value = node.inputs[index] if len(node.inputs) > index else None
        array = constant_value(value)
        if value is not None and (array is None or array.size != 1):
            return None
        bounds.append(default if array is None else float(array.reshape(-1)[0]))
    return (bounds[0], bounds[1]) if bounds[0] <= bounds[1] else None


def _replace(graph: ir.Graph, layer: BinaryLayer, plan: QuantPlan) -> _Replaced:
    conv, name, tail = layer.node, str(layer.node.name), tail_of(layer.node)
    geometry, here = layer.geometry, tail.before
    signs = _node(graph, here, "BinarySigns", [_nhwc(graph, here, layer.x)], [f"{name}.bits"], group=geometry.groups)
    packing = signs[0].producer()
    if layer.x.producer() is not None and packing is not None:
        packing.meta[_SIGNS_OF] = str(layer.x.name)
    inputs = [signs[0], *_constants(graph, layer, plan)]
    if tail.residual is not None:
        inputs.append(_nhwc(graph, here, tail.residual))
    y, bits = _node(
        graph, here, "BinaryConvSum", inputs, [f"{name}.nhwc", f"{name}.signs"], node_name=name,
        channels=geometry.in_channels, group=geometry.groups, padding=int(geometry.padding == "one"),
        strides=list(geometry.stride), pads=list(geometry.pads), low=tail.low, high=tail.high,
    )  # fmt: skip
    _shaped(y, bits, tail.result, geometry.words_out)
    back = ir.node("Transpose", [y], attributes={"perm": list(TO_NCHW)}, name=f"{name}.nchw")
    back.outputs[0].shape, back.outputs[0].dtype = tail.result.shape, ir.DataType.FLOAT
    graph.insert_before(here, back)
    old = str(tail.result.name)
    conv.name = f"{name}.replaced"
    ir.convenience.replace_all_uses_with(tail.result, back.outputs[0], replace_graph_outputs=True)
    tail.result.name, back.outputs[0].name = f"{old}.replaced", old
    return _Replaced(old, str(y.name), str(bits.name), geometry.out_channels)


def _shaped(y: ir.Value, bits: ir.Value, result: ir.Value, words: int) -> None:
    y.dtype, bits.dtype = ir.DataType.FLOAT, ir.DataType.UINT32
    shape = static_shape(result)
    if shape is not None:
        y.shape = ir.Shape([shape[axis] for axis in TO_NHWC])
        bits.shape = ir.Shape([shape[0], shape[2], shape[3], words])


def _constants(graph: ir.Graph, layer: BinaryLayer, plan: QuantPlan) -> list[ir.Value]:
    """Weights, multiplier and offset."""
    name, spec = str(layer.node.name), plan.weights[str(layer.node.name)]
    weight = constant_value(layer.node.inputs[1])
    assert weight is not None  # that made it a binary layer
    words = pack_signs(np.moveaxis(quantize(weight, spec), 1, -1))
    scale = np.array(spec.scale, np.float32)
    bias = layer.node.inputs[2] if len(layer.node.inputs) > 2 else None
    if bias is None:
        bias = _constant(graph, f"{name}.offset", np.zeros(len(scale), np.float32))
    return [
        _constant(graph, f"{name}.words", words, (layer_weight(name), "sign-words")),
        _constant(graph, f"{name}.multiplier", scale, (layer_weight(name), "scales")),
        bias,
    ]


def _hand_over_signs(graph: ir.Graph) -> None:
    """Rule 3, and equal BinarySigns become one."""
    seen: dict[tuple[ir.Value | None, int], ir.Value] = {}
    for node in list(graph):
        if node.domain != DOMAIN or node.op_type != "BinarySigns":
            continue
        value, group = node.inputs[0], node.attributes["group"].as_int()
        maker = value.producer() if value is not None else None
        shape = static_shape(value)
        fits = group == 1 or (shape is not None and shape[3] // group % 32 == 0)
        if maker is not None and maker.op_type == "BinaryConvSum" and maker.outputs[0] is value and fits:
            known = maker.outputs[1]
        else:
            known = seen.setdefault((value, group), node.outputs[0])
        if known is not node.outputs[0]:
            ir.convenience.replace_all_uses_with(node.outputs[0], known)
    drop_unused(graph)


def _only_signs(graph: ir.Graph) -> dict[str, str]:
    """Rule 4; name of the y that is no more -> name of its signs."""
    found = {}
    for node in list(graph):
        if node.domain != DOMAIN or node.op_type != "BinaryConvSum" or len(node.inputs) > 4:
            continue
        y, bits = node.outputs
        low, high = node.attributes["low"].as_float(), node.attributes["high"].as_float()
        if y.uses() or y.is_graph_output() or not bits.uses() or not low < 0 <= high:
            continue
        attributes = [each for key, each in node.attributes.items() if key not in ("low", "high")]
        bare = ir.Node(DOMAIN, "BinaryConvBits", list(node.inputs), attributes, num_outputs=1, name=node.name)
        bare.outputs[0].shape, bare.outputs[0].dtype = bits.shape, ir.DataType.UINT32
        graph.insert_before(node, bare)
        ir.convenience.replace_all_uses_with(bits, bare.outputs[0])
        bare.outputs[0].name, bits.name = bits.name, f"{bits.name}.replaced"
        graph.remove(node, safe=True)
        found[str(y.name)] = str(bare.outputs[0].name)
    return found


def _nhwc(graph: ir.Graph, before: ir.Node, value: ir.Value) -> ir.Value:
    node = ir.node("Transpose", [value], attributes={"perm": list(TO_NHWC)}, name=f"{before.name}.{value.name}.nhwc")
    node.outputs[0].name, node.outputs[0].dtype = node.name, ir.DataType.FLOAT
    shape = static_shape(value)
    if shape is not None:
        node.outputs[0].shape = ir.Shape([shape[axis] for axis in TO_NHWC])
    graph.insert_before(before, node)
    return node.outputs[0]


def _node(
    graph: ir.Graph,
    before: ir.Node,
    op_type: str,
    inputs: list[ir.Value],
    outputs: Collection[str],
    node_name: str | None = None,
    **attributes: int | float | list[int],
) -> list[ir.Value]:
    name = node_name or next(iter(outputs))
    node = ir.node(op_type, inputs, attributes, domain=DOMAIN, num_outputs=len(outputs), name=name)
    for value, output in zip(node.outputs, outputs, strict=True):
        value.name = output
    node.outputs[0].dtype = ir.DataType.UINT32
    graph.insert_before(before, node)
    return list(node.outputs)


def _constant(graph: ir.Graph, name: str, array: np.ndarray, source: tuple[str, str] | None = None) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
    if source is not None:
        value.meta[SOURCE] = source
    graph.register_initializer(value)
    return value
