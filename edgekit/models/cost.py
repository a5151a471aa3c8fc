"""What a network costs, by the counters of the papers and by an honest one.

Multiply-accumulates are counted on the exported graph, on no device and without running it. Three counters of a plan's
size and bit operations (GHOST, Zhang et al., TGRS 2023, arXiv 2301.00131):

    released   as its published code counts, whose figures the paper's agree with. With three heads an index slips:
               two convolutions of the neck count a second time, in 32 bit, and two of the three last layers not at all.
    corrected  the same rule without the slip.
    deployed   what a device stores and does: the constants of folded batch norms count, the input of a layer has the
               width that the plan gives it, or else that of the layers that it really comes from, and a float layer
               works on floats.

    size       bits / 8 a weight, 4 bytes for what stays in float; MB = 1e6 bytes
    BOPs       multiply-accumulates * weight bits * input bits; G = 1e9; a picture of no given width has 32 bits

Released and corrected take the width of an input from the convolution *registered* before, which is not the one that
ran before, and count the convolutions behind which there is no other (the predictions) in 32 bit. Differs from the
paper: `deployed` is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from edgekit.models.cost_trace import PICTURE, NetworkShape, WeightedLayer, trace
from edgekit.precision import QuantPlan

FLOAT_BITS = 32
_SLIPPED_HEADS = 3


@dataclass(frozen=True, slots=True)
class BitCost:
    """Size and work of a plan.

    Attributes:
        megabytes: 1e6 bytes.
        gbops: 1e9 bit operations for one image.
    """

    megabytes: float
    gbops: float


@dataclass(frozen=True, slots=True)
class CostReport:
    """A network and a plan in all counters.

    Attributes:
        parameters: batch norms folded, so one bias a convolution.
        parameters_trained: batch norms as they are trained.
        macs: multiply-accumulates for one image.
        macs_with_bias: the same with one for each bias added and each element of a global mean, batch norms folded: the
            convention of thop, in which SuperYOLO reports "GFLOPs".
        mean_bits: of a weight, over all weights.
        released: None where the published counter is not defined: it knows networks of 1 and of 3 last layers.
        corrected, deployed: as the module says.
    """

    parameters: int
    parameters_trained: int
    macs: int
    macs_with_bias: int
    mean_bits: float
    released: BitCost | None
    corrected: BitCost
    deployed: BitCost

    @property
    def gmac(self) -> float:
        """1e9 multiply-accumulates."""
        return self.macs / 1e9

    @property
    def gflop(self) -> float:
        """1e9 floating-point operations, two for each multiply-accumulate (the convention of YOLOv6 and YOLOX)."""
        return 2 * self.macs / 1e9


def report(model: nn.Module, plan: QuantPlan, size_hw: tuple[int, int]) -> CostReport:
    """All counters of `model` under `plan`; `count` is cheaper where the same network is counted again.

    Args:
        model: trained or deployed, in float; what only training uses is not counted. A model of more than three input
            channels says so in `in_channels`.
        plan: of a model: its names are those of modules, of activations those of the layers that read them. A layer
            that it does not name stays in float.
        size_hw: height and width of the input.

    Raises:
        ValueError: the plan names a layer that the network does not have, or the weights of a layer are computed.
    """
    return count(trace(model, size_hw), plan)


def count(shape: NetworkShape, plan: QuantPlan) -> CostReport:
    """All counters of a traced network under `plan`; raises as `report` does."""
    bits = bits_of(plan, shape)
    macs = sum(layer.macs for layer in shape.layers)
    biased = sum(layer.outputs for layer in shape.layers if layer.biases and layer.kind != "linear")
    weights = sum(layer.weights for layer in shape.layers)
    folded = sum(layer.channels for layer in shape.layers if layer.normed and not layer.biased)
    return CostReport(
        parameters=shape.parameters - shape.norms + folded,
        parameters_trained=shape.parameters,
        macs=macs,
        macs_with_bias=macs + biased + shape.pooled,
        mean_bits=sum(layer.weights * bits[layer.name] for layer in shape.layers) / weights,
        released=released(shape, bits),
        corrected=corrected(shape, bits),
        deployed=deployed(shape, bits, {name: spec.bits for name, spec in plan.activations.items()}),
    )


def bits_of(plan: QuantPlan, shape: NetworkShape) -> dict[str, int]:
    """Weight bits of every layer, 32 where the plan leaves it in float; `ValueError` where a name is unknown."""
    unknown = sorted(set(plan.weights) - {layer.name for layer in shape.layers})
    if unknown:
        raise ValueError(f"the plan names layers that the network does not have: {', '.join(unknown[:3])}")
    return {
        layer.name: plan.weights[layer.name].bits if layer.name in plan.weights else FLOAT_BITS
        for layer in shape.layers
    }


def quantised_convolutions(shape: NetworkShape) -> list[WeightedLayer]:
    """The 2-D convolutions that GHOST quantises, in the order of its bit lists: all but the last layers."""
    return [layer for layer in _registered_order(shape) if layer not in shape.last]


def _registered_order(shape: NetworkShape) -> list[WeightedLayer]:
    found = {layer.name: layer for layer in shape.layers if layer.kind == "conv2d"}
    return [found[name] for name in shape.registered if name in found]


def corrected(shape: NetworkShape, bits: Mapping[str, int]) -> BitCost:
    """GHOST's rule: the last layers in 32 bit, an input as wide as the weights registered before it.

    Args:
        shape: the network.
        bits: weight bits by layer name, 32 for float.
    """
    return _ghost_cost(shape, [layer for layer in _registered_order(shape) if layer in shape.last], bits)


def released(shape: NetworkShape, bits: Mapping[str, int]) -> BitCost | None:
    """GHOST's rule as its code applies it: with three heads, entries n-5, n-4 and n-3 of n count as the last layers.

    Arguments are those of `corrected`. None where the network has neither 1 nor 3 last layers.
    """
    if len(shape.last) == 1:
        return corrected(shape, bits)
    if len(shape.last) != _SLIPPED_HEADS:
        return None
    return _ghost_cost(shape, _registered_order(shape)[-5:-2], bits)


def _ghost_cost(shape: NetworkShape, in_float: Sequence[WeightedLayer], bits: Mapping[str, int]) -> BitCost:
    quantised = quantised_convolutions(shape)
    inputs = [FLOAT_BITS] + [bits[layer.name] for layer in quantised]
    size = sum(layer.weights * bits[layer.name] for layer in quantised)
    work = sum(layer.macs * bits[layer.name] * width for layer, width in zip(quantised, inputs, strict=False))
    for layer in in_float:
        own_bias = layer.channels if layer.biased else 0
        size += (layer.weights + own_bias) * FLOAT_BITS
        work += (layer.macs + (layer.outputs if layer.biased else 0)) * FLOAT_BITS**2
    return BitCost(size / 8e6, work / 1e9)


def deployed(shape: NetworkShape, bits: Mapping[str, int], inputs: Mapping[str, int]) -> BitCost:
    """What a device stores and does: every layer, weights at `bits`, biases and the scales of integers in float.

    Where `inputs` does not say, a layer of integers reads values as wide as the widest of its producers; a sum or a
    concatenation has several.

    Args:
        shape: the network.
        bits: weight bits by layer name, 32 for float.
        inputs: bits of the tensor that a layer reads, by the layer's name.
    """
    size = work = 0
    for layer in shape.layers:
        width = FLOAT_BITS
        if bits[layer.name] != FLOAT_BITS:
            width = inputs[layer.name] if layer.name in inputs else _widest_producer(layer, bits)
        size += layer.weights * bits[layer.name] + FLOAT_BITS * _constants(layer, bits)
        work += layer.macs * bits[layer.name] * width
    return BitCost(size / 8e6, work / 1e9)


def _constants(layer: WeightedLayer, bits: Mapping[str, int]) -> int:
    """Biases, and of integers a scale a channel; a float layer has its batch norm's in its weights."""
    return layer.biases + (0 if bits[layer.name] == FLOAT_BITS else layer.channels)


def _widest_producer(layer: WeightedLayer, bits: Mapping[str, int]) -> int:
    return max(FLOAT_BITS if name == PICTURE else bits[name] for name in layer.producers)
