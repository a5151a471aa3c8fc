"""Ranges and weights to a `QuantPlan`: which layers and tensors are integers, and their scales.

Weights are symmetric codes of 2 to 8 bits, one scale an output channel; those of a binary convolution have the one bit
that they were trained with. Activations are symmetric int8, one scale a tensor, planned for every float tensor whose
range is known; which of them a target really quantises is its lowering's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from edgekit.graph.binary import binary_layers, binary_spec
from edgekit.graph.calibrate import Range
from edgekit.graph.constants import constant_value
from edgekit.graph.operators import is_weighted
from edgekit.precision import QuantPlan, QuantSpec, fake_quantize, raised_by

WEIGHT_CLIPS = ("auto", "max", "mse")
WEIGHT_BITS = range(2, 9)
_RATIOS = np.linspace(1.0, 0.2, 81)
"""Of the largest weight of a channel: two bits (-1, 0, 1) of bell-shaped weights want a third of it."""

_BIAS_LIMIT = 2.0**30
"""Largest bias in units of its step (input scale times weight scale): int32, with room for the products."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How scales are chosen.

    Attributes:
        method: what chose the ranges; written into each spec's `source`.
        weight_clip: "max" covers every weight; "mse" clips where the squared error of a channel shrinks by it; "auto"
            is "max" for weights of 8 bits and "mse" for narrower ones, where a scale that covers the largest weight
            leaves too few codes to the others.
        keep_float: layer name -> why it stays in float.
        weight_bits: width of the weights, 2 to 8. The first and the last layers have 8 all the same: they hold few
            weights, and what they lose no other layer can give back.
        layer_bits: layer name -> width of its weights, whatever layer it is.
    """

    method: str = "mse"
    weight_clip: str = "auto"
    keep_float: Mapping[str, str] = field(default_factory=dict)
    weight_bits: int = 8
    layer_bits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.weight_clip not in WEIGHT_CLIPS:
            raise ValueError(f"weight_clip is one of {', '.join(WEIGHT_CLIPS)}, got {self.weight_clip!r}")
        for bits in (self.weight_bits, *self.layer_bits.values()):
            if bits not in WEIGHT_BITS:
                raise ValueError(f"weights have {WEIGHT_BITS[0]} to {WEIGHT_BITS[-1]} bits, got {bits}")


def make_plan(model: ir.Model, ranges: Mapping[str, Range], options: PlanOptions | None = None) -> QuantPlan:
    """The plan of a canonical graph.

    Args:
        model: canonical; its weights are read.
        ranges: tensor name -> (low, high), for every tensor that may be quantised.
        options: the defaults where None.
    """
    options = options or PlanOptions()
    source = f"ptq:{options.method}"
    activations = {name: activation_spec(bounds, 8, source) for name, bounds in ranges.items()}
    widths = layer_widths(model, options)
    binary = binary_layers(model.graph)
    weights, excluded = {}, {}
    for node in weighted_layers(model):
        name = str(node.name)
        if name in options.keep_float:
            excluded[name] = options.keep_float[name]
        elif name in binary and name not in options.layer_bits:
            weights[name] = binary_spec(binary[name])
        elif node.inputs[0] is None or node.inputs[0].name not in activations:
            excluded[name] = "the range of its input is not known"
        else:
            scale = activations[str(node.inputs[0].name)].scale[0]
            weights[name] = weight_spec(node, scale, widths[name], options.weight_clip)
    return QuantPlan(weights=weights, activations=activations, excluded=excluded)


def binary_plan(model: ir.Model) -> QuantPlan | None:
    """What can be said of a canonical graph without pictures: its binary convolutions, exactly; None without any."""
    binary = binary_layers(model.graph)
    others = [str(node.name) for node in weighted_layers(model) if node.name not in binary]
    weights = {name: binary_spec(layer) for name, layer in binary.items()}
    return QuantPlan(weights, {}, dict.fromkeys(others, "not calibrated")) if binary else None


def keep_in_float(plan: QuantPlan, layers: Mapping[str, str]) -> QuantPlan:
    """`plan` without `layers` (name -> why): what `make_plan` gives for them, without a search for scales anew."""
    weights = {name: spec for name, spec in plan.weights.items() if name not in layers}
    kept = {name: layers[name] for name in (*plan.weights, *plan.excluded) if name in layers}
    return replace(plan, weights=weights, excluded={**plan.excluded, **kept})


def layer_widths(model: ir.Model, options: PlanOptions) -> dict[str, int]:
    """Layer name -> bits of its weights, were it quantised."""
    outer = {*first_layers(model), *last_layers(model)}
    widths = {str(n.name): 8 if n.name in outer else options.weight_bits for n in weighted_layers(model)}
    return widths | {name: bits for name, bits in options.layer_bits.items() if name in widths}


def weighted_layers(model: ir.Model) -> list[ir.Node]:
    """The nodes that multiply by constant weights, in graph order: what a plan speaks about."""
    return [node for node in model.graph if is_weighted(node)]


def first_layers(model: ir.Model) -> list[str]:
    """Names of the layers that see the picture before any other layer does: the stem."""
    touched: set[ir.Value] = set()
    names = []
    for node in model.graph:
        if is_weighted(node):
            if node.inputs[0] not in touched:
                names.append(str(node.name))
            touched.update(node.outputs)
        elif any(value in touched for value in node.inputs):
            touched.update(node.outputs)
    return names


def last_layers(model: ir.Model) -> list[str]:
    """Names of the layers behind which there is no other layer: the head's predictions."""
    names = []
    leads_on: set[ir.Value] = set()
    for node in reversed(list(model.graph)):
        on = any(value in leads_on for value in node.outputs)
        if is_weighted(node):
            if not on:
                names.append(str(node.name))
            on = True
        if on:
            leads_on.update(value for value in node.inputs if value is not None)
    return names[::-1]


def activation_spec(bounds: Range, bits: int, source: str) -> QuantSpec:
    """Symmetric, one scale, covering (low, high)."""
    largest = max(abs(bounds[0]), abs(bounds[1]))
    qmax = 2 ** (bits - 1) - 1
    # a tensor that is always zero has no scale of its own; any will do
    return QuantSpec(bits=bits, scale=(float(np.float32(largest / qmax if largest > 0 else 1.0)),), source=source)


def weight_spec(node: ir.Node, input_scale: float, bits: int, clip: str = "auto") -> QuantSpec:
    """Symmetric, one scale an output channel; a grouped ConvTranspose has one for all.

    Args:
        node: a weighted layer.
        input_scale: of its activation; a channel whose weights vanish beside its bias gets a scale at which the bias
            still fits int32.
        bits: width of the codes.
        clip: see `PlanOptions.weight_clip`.
    """
    weight = constant_value(node.inputs[1])
    assert weight is not None
    axis = weight_axis(node)
    qmax = 2 ** (bits - 1) - 1
    clip = ("max" if bits == 8 else "mse") if clip == "auto" else clip
    rows = weight.reshape(1, -1) if axis is None else np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
    rows = rows.astype(np.float64)
    scale = np.abs(rows).max(axis=1) / qmax
    if clip == "mse":
        scale = _best_scale(rows, scale, qmax)
    scale = np.maximum(scale, _bias_floor(node, input_scale, len(scale)) * 2 ** raised_by(bits))
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    granularity = "tensor" if axis is None else "channel"
    return QuantSpec(
        bits,
        tuple(map(float, scale)),
        granularity=granularity,
        axis=axis or 0,
        source=f"ptq:{clip}",
    )


def weight_axis(node: ir.Node) -> int | None:
    """The axis of the output channels in the weights of `node`; None where one scale must serve all."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        grouped = "group" in node.attributes and node.attributes["group"].as_int() > 1
        return None if grouped else 1
    if node.op_type == "Gemm":
        transposed = "transB" in node.attributes and node.attributes["transB"].as_int()
        return 0 if transposed else 1
    weight = constant_value(node.inputs[1])
    return None if weight is None or weight.ndim != 2 else 1


def quantized_weight(node: ir.Node, spec: QuantSpec) -> np.ndarray:
    """The weights of `node` as they come back from the integers, float32, the same shape."""
    weight = constant_value(node.inputs[1])
    assert weight is not None
    return fake_quantize(weight, spec)


def _best_scale(rows: np.ndarray, scale: np.ndarray, qmax: int) -> np.ndarray:
    """Per row, the scale among `_RATIOS` of `scale` with the least squared error."""
    best, least = scale, np.full(len(rows), np.inf)
    for ratio in _RATIOS:
        step = np.where(scale > 0, scale * ratio, 1.0)[:, None]
        error = ((np.clip(np.rint(rows / step), -qmax, qmax) * step - rows) ** 2).sum(axis=1)
        best = np.where(error < least, scale * ratio, best)
        least = np.minimum(error, least)
    return best


def _bias_floor(node: ir.Node, input_scale: float, channels: int) -> np.ndarray:
    bias = constant_value(node.inputs[2]) if len(node.inputs) > 2 else None
    if bias is None or bias.size != channels:
        return np.zeros(channels)
    floor: np.ndarray = np.abs(bias.astype(np.float64).reshape(-1)) / (input_scale * _BIAS_LIMIT)
    return floor
