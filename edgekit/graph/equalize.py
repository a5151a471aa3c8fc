"""Cross-layer equalisation: hand range from one layer's channels to the next layer's, without changing the sums.

M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019. Where layer 1
feeds layer 2 through f with f(s x) = s f(x) for s > 0 (nothing, ReLU, LeakyReLU), channel i may be divided by s_i in
layer 1 (weights and bias) and multiplied by s_i in layer 2. With r1_i and r2_i the largest weights of the channel,

    s_i = sqrt(r1_i / r2_i)

makes both sqrt(r1_i r2_i), and the channels of the tensor between them alike, which shares one scale.

Needs: a canonical graph. Does: all such pairs, again and again until no s_i is far from 1. Promises: the same function
(within float32's rounding). SiLU, HardSwish and ReLU6 are not homogeneous, so their layers are left alone.

Differs from the paper: no bias absorption; s_i is held within 1/64 and 64, so that a dead channel stays dead.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value

_ROUNDS = 16
_CLOSE = 0.01
_LIMIT = 64.0
_HOMOGENEOUS = frozenset({"Relu", "LeakyRelu"})


@dataclass(frozen=True, slots=True)
class Pair:
    """Two convolutions that share the channels between them."""

    first: ir.Node
    second: ir.Node


def equalize(model: ir.Model) -> list[tuple[str, str]]:
    """Equalise every pair of `model`, in place; the names of the pairs, in graph order."""
    pairs = find_pairs(model.graph)
    for _ in range(_ROUNDS):
        if max((_equalize_pair(model.graph, pair) for pair in pairs), default=0.0) < _CLOSE:
            break
    return [(str(pair.first.name), str(pair.second.name)) for pair in pairs]


def find_pairs(graph: ir.Graph) -> list[Pair]:
    """The pairs of convolutions between which range can be handed on."""
    pairs = []
    for node in graph:
        second = _only_reader(node) if _is_conv(node) else None
        if second is not None and second.op_type in _HOMOGENEOUS:
            second = _only_reader(second)
        if second is not None and _is_conv(second) and _owns_weights(node) and _owns_weights(second):
            pairs.append(Pair(node, second))
    return pairs


def _is_conv(node: ir.Node) -> bool:
    return node.op_type == "Conv" and constant_value(node.inputs[1]) is not None


def _owns_weights(node: ir.Node) -> bool:
    """Whether no other node reads the weights or the bias of `node`."""
    return all(value is None or len(value.uses()) == 1 for value in node.inputs[1:])


def _only_reader(node: ir.Node) -> ir.Node | None:
    value = node.outputs[0]
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and uses[0].idx == 0 and not value.is_graph_output() else None


def _equalize_pair(graph: ir.Graph, pair: Pair) -> float:
    """Hand on once; the largest |log2 s_i|."""
    first, second = _weight(pair.first), _weight(pair.second)
    group = pair.second.attributes["group"].as_int() if "group" in pair.second.attributes else 1
    inputs = _by_input(second, group)
    r1 = np.abs(first).reshape(len(first), -1).max(axis=1)
    r2 = np.abs(inputs).max(axis=(1, 2))
    alive = (r1 > 0) & (r2 > 0)
    factor = np.ones(len(r1))
    factor[alive] = np.clip(np.sqrt(r1[alive] / r2[alive]), 1 / _LIMIT, _LIMIT)
    _set(graph, pair.first, 1, first / factor.reshape(-1, 1, 1, 1))
    bias = constant_value(pair.first.inputs[2]) if len(pair.first.inputs) > 2 else None
    if bias is not None:
        _set(graph, pair.first, 2, bias / factor)
    _set(graph, pair.second, 1, _scaled_inputs(second, group, factor))
    return float(np.abs(np.log2(factor)).max(initial=0.0))


def _by_input(weight: np.ndarray, group: int) -> np.ndarray:
    """(C_in, outputs of its group, kernel size) of weights (C_out, C_in / group, kh, kw)."""
    c_out, per_group = weight.shape[:2]
    split = weight.reshape(group, c_out // group, per_group, -1)
    return split.transpose(0, 2, 1, 3).reshape(group * per_group, c_out // group, -1)


def _scaled_inputs(weight: np.ndarray, group: int, factor: np.ndarray) -> np.ndarray:
    """`weight` with input channel i multiplied by factor_i."""
    c_out, per_group = weight.shape[:2]
    each = np.repeat(factor.reshape(group, per_group), c_out // group, axis=0)
    scaled: np.ndarray = weight * each[:, :, None, None]
    return scaled


def _weight(node: ir.Node) -> np.ndarray:
    value = constant_value(node.inputs[1])
    assert value is not None  # only such convolutions are paired
    return value.astype(np.float64)


def _set(graph: ir.Graph, node: ir.Node, index: int, array: np.ndarray) -> None:
    """Give input `index`, which `node` alone reads, other values under the same name."""
    value = node.inputs[index]
    assert value is not None
    value.const_value = ir.tensor(array.astype(np.float32), name=value.name)
