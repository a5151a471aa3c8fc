"""Where the integers begin on CPU backends: the first layers stay in float when that is faster.

Early layers have large pictures and few channels: there the activation function and the depthwise convolutions, which
cost more as integers, outweigh the multiplications, which cost less. The layers are cut in two, in the graph's order,
where the estimated time of the whole is least. The weights of the float part are the quantised ones all the same.

The figures below are nanoseconds, int8 minus float32, fitted to onnxruntime 1.31 on one core with AVX-512 VNNI
(docs/lowerings.md has the measurement). They need not be exact: near the best cut the sum is flat.
"""

import math

import onnx_ir as ir

from edgekit.graph.constants import constant_value, static_shape
from edgekit.graph.operators import tensor_inputs

_NS_PER_MULTIPLICATION = -0.0055
_NS_PER_GROUPED_OUTPUT = 0.26
_NS_PER_BORDER_ELEMENT = 0.45
_NS_PER_ACTIVATION = {"Sigmoid": 0.27, "LeakyRelu": 0.29, "HardSigmoid": 0.8, "Tanh": 0.8}
_NS_PER_LOOKED_UP = {**_NS_PER_ACTIVATION, "Sigmoid": -0.25}
"""The same where the native library looks activations up: 0.06 ns, and float32 has 0.31 for a Sigmoid and its Mul. The
others stay as they are: a LeakyRelu costs float32 next to nothing, and earlier integers made nanodet_m_320 slower."""
_FEWEST_CHANNELS = 16
_NS_PER_GATHERED_VALUE = 0.4
"""With fewer channels an int8 convolution spends its time gathering the values under its kernel, one by one."""


def float_prefix(graph: ir.Graph, planned: list[ir.Node], looked_up: bool = False) -> dict[str, str]:
    """The planned layers before the best cut -> why they stay in float; in graph order.

    Args:
        graph: the canonical graph.
        planned: its quantisable layers, in order.
        looked_up: whether activation functions of codes are lookups of the native library.
    """
    if not planned:
        return {}
    position = {node: index for index, node in enumerate(graph)}
    gains = [layer_cost(node, looked_up) for node in planned]
    costs = [
        sum(gains[k:]) + _NS_PER_BORDER_ELEMENT * _border_elements(graph, position, position[node])
        for k, node in enumerate(planned)
    ]
    best = min(range(len(planned)), key=costs.__getitem__)
    reason = "faster in float on CPUs, as is all before the first integers"
    return {str(node.name): reason for node in planned[:best]}


def layer_cost(node: ir.Node, looked_up: bool = False) -> float:
    """Estimated nanoseconds that a layer and its activation take longer as integers; negative when they are faster."""
    shape, weight = static_shape(node.outputs[0]), constant_value(node.inputs[1])
    if shape is None or weight is None:
        return 0.0
    outputs = math.prod(shape)
    per_activation = _NS_PER_LOOKED_UP if looked_up else _NS_PER_ACTIVATION
    cost = sum(per_activation.get(reader.op_type, 0.0) for reader in node.outputs[0].consumers()) * outputs
    if node.op_type == "Conv" and _group(node) > 1:
        return cost + _NS_PER_GROUPED_OUTPUT * outputs
    values = math.prod(weight.shape[1:])
    if node.op_type == "Conv" and weight.shape[1] < _FEWEST_CHANNELS:
        return cost + _NS_PER_GATHERED_VALUE * values * outputs / weight.shape[0]
    return cost + _NS_PER_MULTIPLICATION * outputs * values


def _border_elements(graph: ir.Graph, position: dict[ir.Node, int], cut: int) -> int:
    """Elements of the tensors that are made before the node at `cut` and read from there on."""
    crossing: dict[ir.Value, None] = {}
    for node, index in position.items():
        if index >= cut:
            for value in tensor_inputs(node):
                maker = value.producer()
                if maker is None or position[maker] < cut:
                    crossing[value] = None
    return sum(math.prod(static_shape(value) or (0,)) for value in crossing)


def _group(node: ir.Node) -> int:
    return node.attributes["group"].as_int() if "group" in node.attributes else 1
