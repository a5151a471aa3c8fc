"""Milliseconds of each layer in onnxruntime, as INT8 and in float, from its own profile on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgekit.graph.load import load_canonical
from edgekit.graph.plan import weighted_layers
from edgekit.quant.plan import layer_of_node
from edgekit.runtime.session import LayerTime, open_session
from edgekit.search.recipe import FLOAT
from edgekit.search.subject import Subject

_SUFFIX = re.compile(r"(_token_\d+|_nchwc|_nhwc)+$")
_ACTIVATIONS = ("Relu", "Sigmoid", "Mul", "LeakyRelu", "Clip", "HardSigmoid", "HardSwish")
_FUSED = 3
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class LayerMs:
    """Medians over the runs of a profile.

    Attributes:
        int8: layer -> milliseconds in the graph in which all layers that can be are integers.
        in_float: layer -> milliseconds in the float graph.
        rest: of all other kernels of the integer graph.
    """

    int8: Mapping[str, float]
    in_float: Mapping[str, float]
    rest: float

    def of(self, layer: str, bits: int) -> float:
        """Of a layer at a width: 2 to 8 bits all run as INT8."""
        return (self.in_float if bits == FLOAT else self.int8)[layer]


def layer_ms(subject: Subject, int8: str, in_float: str, runs: int, threads: int | None) -> LayerMs | None:
    """Profile both graphs of a network; None where a layer cannot be found in a profile.

    The sum over layers is a model: what it costs to convert tensors between float and INT8 counts as `rest`, as much as
    the integer graph has of it, whatever is chosen.

    Args:
        subject: the network.
        int8: path of its lowered graph.
        in_float: path of its float graph.
        runs: of each.
        threads: of onnxruntime; None for the physical cores.

    Raises:
        BackendError: onnxruntime refuses a graph.
    """
    names = {layer: {str(node.name), *_written(node)} for layer, node in layer_nodes(subject, in_float).items()}
    found = []
    totals = []
    for path in (int8, in_float):
        times = profile(path, runs, threads)
        named = {layer: _time_of(known, times) for layer, known in names.items()}
        found.append({layer: ms for layer, ms in named.items() if ms is not None})
        totals.append(sum(time.median_ms for time in times))
    everything = {layer.name for layer in subject.shape.layers}
    if any(times.keys() != everything for times in found):
        return None
    return LayerMs(found[0], found[1], totals[0] - sum(found[0].values()))


def profile(path: str, runs: int, threads: int | None) -> list[LayerTime]:
    """Times of the kernels of a graph over `runs` runs on random pictures, and a few before them."""
    with open_session(path, threads=threads, profile=True) as session:
        feeds = {each.name: np.random.default_rng(0).random(each.shape, np.float32) for each in session.inputs}
        for _ in range(runs + _WARM_UP):
            session.run(feeds)
        return session.layer_times()


def layer_nodes(subject: Subject, path: str) -> dict[str, ir.Node]:
    """Layer -> its node in an exported float graph."""
    graph = load_canonical(path)
    modules = {name for name, _ in subject.model.named_modules()}
    layers = [layer.name for layer in subject.shape.layers]
    found = {layer_of_node(str(node.name), modules, layers): node for node in weighted_layers(graph)}
    return {name: node for name, node in found.items() if name is not None}


def _written(node: ir.Node) -> list[str]:
    """Names of what a convolution writes, itself or with the activation behind it.

    onnxruntime names an integer convolution after the node, and a fused float one after the tensor that it writes.
    """
    names = [str(node.outputs[0].name)]
    value = node.outputs[0]
    for _ in range(_FUSED):
        users = [use.node for use in value.uses()]
        behind = [user for user in users if user.op_type in _ACTIVATIONS]
        if not behind or len(behind) < len(users):
            break
        value = behind[-1].outputs[0]
        names.append(str(value.name))
    return names


def _time_of(names: set[str], times: Sequence[LayerTime]) -> float | None:
    """The median of the kernel of one of these names."""
    for time in times:
        if _SUFFIX.sub("", time.name) in names and "Conv" in time.op:
            return time.median_ms
    return None
