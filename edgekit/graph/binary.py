"""Binary convolutions in a canonical graph: weights of ±s a channel over the signs of a tensor.

The pattern, in plain operators that every exporter writes and every runtime runs:

    x -> GreaterOrEqual(x, 0) -> Where(., +1, -1) -> [Pad by +1] -> Conv with weights ±s_c

With Pad, +1 stands outside the image ("one"); without, the convolution's own padding does ("zero"). The signs need no
calibration: a grid of step `SIGN_STEP` holds +1 and -1 exactly, and lowerings without 1-bit operators run the layer as
int8 on it. That step and not 1, because a fused kernel adds its bias as int32 in steps of input scale * weight scale:
with 1 they were as coarse as half the distance of two neighbouring sums.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.ops.binary import BinaryGeometry
from edgekit.precision import QuantPlan, QuantSpec

COMPARISON = "GreaterOrEqual"
SIGN_STEP = 2.0**-6
SOURCE = "binary"
_SIGNS = QuantSpec(8, (SIGN_STEP,), source=SOURCE)


@dataclass(frozen=True, slots=True)
class BinaryLayer:
    """One binary convolution of a graph.

    Attributes:
        node: the Conv.
        x: the tensor of which the signs are convolved, (N, C, H, W).
        geometry: its shape, and what stands outside the image.
        scale: (O,) float32, the magnitude of each channel's weights.
    """

    node: ir.Node
    x: ir.Value
    geometry: BinaryGeometry
    scale: np.ndarray


def binary_layers(graph: ir.Graph) -> dict[str, BinaryLayer]:
    """Node name -> layer of every binary convolution, in the graph's order."""
    found = (binary_layer(node) for node in graph if node.op_type == "Conv")
    return {str(layer.node.name): layer for layer in found if layer is not None}


def binary_layer(conv: ir.Node) -> BinaryLayer | None:
    """The binary convolution that `conv` is, or None where it is none, or one that no kernel has."""
    weight = constant_value(conv.inputs[1]) if len(conv.inputs) > 1 else None
    scale = None if weight is None or weight.ndim != 4 else magnitudes(weight)
    value, outside = _padded_by_one(conv.inputs[0])
    x = _signed(value)
    own = _ints(conv, "pads", (0, 0, 0, 0))
    if weight is None or scale is None or x is None or (any(outside) and any(own)) or not _is_plain(conv):
        return None
    try:
        geometry = BinaryGeometry(
            in_channels=weight.shape[1] * _group(conv),
            out_channels=weight.shape[0],
            kernel=(weight.shape[2], weight.shape[3]),
            stride=_two(_ints(conv, "strides", (1, 1))),
            pads=_four(outside if any(outside) else own),
            groups=_group(conv),
            padding="one" if any(outside) else "zero",
        )
    except ValueError:
        return None
    return BinaryLayer(conv, x, geometry, scale)


def magnitudes(weight: np.ndarray) -> np.ndarray | None:
    """(O,) float32 where each output channel of `weight` (O, …) holds +s and -s alone, s > 0; else None."""
    rows = np.abs(weight.reshape(len(weight), -1))
    first = rows[:, 0] if rows.shape[1] else np.zeros(len(rows))
    if not len(rows) or not np.isfinite(first).all() or (first <= 0).any() or (rows != first[:, None]).any():
        return None
    return first.astype(np.float32)


def binary_spec(layer: BinaryLayer) -> QuantSpec:
    """The weights of `layer` in the words of a plan: one bit, one scale a channel, exact."""
    return QuantSpec(1, tuple(map(float, layer.scale)), granularity="channel", axis=0, source=SOURCE)


def planned_layers(graph: ir.Graph, plan: QuantPlan) -> dict[str, BinaryLayer]:
    """The binary convolutions that `plan` gives one bit."""
    chosen = {name for name, spec in plan.weights.items() if spec.bits == 1 and name not in plan.excluded}
    return {name: layer for name, layer in binary_layers(graph).items() if name in chosen} if chosen else {}


def with_sign_grids(graph: ir.Graph, plan: QuantPlan) -> QuantPlan:
    """`plan` with the exact grid of what its binary convolutions read, whatever was calibrated for it."""
    layers = planned_layers(graph, plan).values()
    grids = {str(layer.node.inputs[0].name): _SIGNS for layer in layers if layer.node.inputs[0] is not None}
    return replace(plan, activations={**plan.activations, **grids}) if grids else plan


def other_scales(graph: ir.Graph, plan: QuantPlan) -> Iterator[tuple[str, float, float]]:
    """(layer, scale in the plan, scale in the graph) of binary convolutions whose plan speaks of other weights."""
    for name, layer in planned_layers(graph, plan).items():
        planned = np.array(plan.weights[name].scale, np.float32)
        if planned.shape != layer.scale.shape:
            yield name, float(planned[0]), float(layer.scale[0])
            continue
        wrong = np.flatnonzero(~np.isclose(planned, layer.scale, rtol=1e-5, atol=0.0))
        if len(wrong):
            yield name, float(planned[wrong[0]]), float(layer.scale[wrong[0]])


def _padded_by_one(value: ir.Value | None) -> tuple[ir.Value | None, tuple[int, ...]]:
    """What a Pad by +1 in front of a convolution reads, and its (top, left, bottom, right); the value itself else."""
    pad = value.producer() if value is not None else None
    if pad is None or pad.op_type != "Pad":
        return value, (0, 0, 0, 0)
    sizes = constant_value(pad.inputs[1]) if len(pad.inputs) > 1 else None
    constant = constant_value(pad.inputs[2]) if len(pad.inputs) > 2 else None
    mode = pad.attributes["mode"].as_string() if "mode" in pad.attributes else "constant"
    if sizes is None or sizes.size != 8 or constant is None or constant.size != 1 or mode != "constant":
        return None, (0, 0, 0, 0)
    n0, c0, top, left, n1, c1, bottom, right = (int(size) for size in sizes.reshape(-1))
    if float(constant.reshape(-1)[0]) != 1.0 or any((n0, c0, n1, c1)):
        return None, (0, 0, 0, 0)
    return pad.inputs[0], (top, left, bottom, right)


def _signed(value: ir.Value | None) -> ir.Value | None:
    """The x of Where(GreaterOrEqual(x, 0), +1, -1)."""
    where = value.producer() if value is not None else None
    if where is None or where.op_type != "Where" or where.inputs[0] is None:
        return None
    if (_scalar(where.inputs[1]), _scalar(where.inputs[2])) != (1.0, -1.0):
        return None
    compare = where.inputs[0].producer()
    if compare is None or compare.op_type != COMPARISON or _scalar(compare.inputs[1]) != 0.0:
        return None
    return compare.inputs[0]


def _scalar(value: ir.Value | None) -> float | None:
    array = constant_value(value)
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def _is_plain(conv: ir.Node) -> bool:
    auto = conv.attributes["auto_pad"].as_string() if "auto_pad" in conv.attributes else "NOTSET"
    return auto == "NOTSET" and set(_ints(conv, "dilations", (1, 1))) == {1}


def _group(conv: ir.Node) -> int:
    return conv.attributes["group"].as_int() if "group" in conv.attributes else 1


def _ints(node: ir.Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(node.attributes[name].as_ints()) if name in node.attributes else default


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]


def _four(values: tuple[int, ...]) -> tuple[int, int, int, int]:
    return values[0], values[1], values[2], values[3]
