"""A network's layers, their sizes and what feeds them, read from its exported graph without running it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor, fx, nn

from edgekit.models.blocks import CspLayer

PICTURE = ""
"""Stands for the network's input among the producers of a layer."""

_WEIGHTED = ("conv1d", "conv2d", "linear")


@dataclass(frozen=True, slots=True)
class WeightedLayer:
    """A convolution or matrix product.

    Attributes:
        name: of its module.
        kind: conv1d | conv2d | linear.
        macs: multiply-accumulates for one image, bias not counted.
        outputs: elements of its output for one image.
        weights: elements of its weight.
        channels: of its output.
        biased: whether it has a bias of its own.
        normed: whether a batch norm follows, which becomes a bias when it is folded.
        producers: names of the layers whose values it reads, `PICTURE` for the network's input.
    """

    name: str
    kind: str
    macs: int
    outputs: int
    weights: int
    channels: int
    biased: bool
    normed: bool
    producers: tuple[str, ...]

    @property
    def biases(self) -> int:
        """Elements of its bias once batch norms are folded."""
        return self.channels if self.biased or self.normed else 0


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """What `trace` found.

    Attributes:
        layers: in the order in which they run.
        registered: names of modules in GHOST's order: a CSP layer's last convolution before its bottlenecks.
        parameters: that inference needs, batch norms as they are.
        norms: of these, those of batch norms that can be folded.
        pooled: elements read and written by means over the picture, for one image.
    """

    layers: tuple[WeightedLayer, ...]
    registered: tuple[str, ...]
    parameters: int
    norms: int
    pooled: int

    @property
    def last(self) -> tuple[WeightedLayer, ...]:
        """The layers whose values no other layer reads: the predictions."""
        read = {name for layer in self.layers for name in layer.producers}
        return tuple(layer for layer in self.layers if layer.name not in read)


def trace(model: nn.Module, size_hw: tuple[int, int]) -> NetworkShape:
    """Layers, sizes and dependencies of `model` in eval mode; nothing is computed and `model` is left alone.

    Args:
        model: takes one tensor (1, C, H, W), C its `in_channels` or 3.
        size_hw: height and width of the input.

    Raises:
        ValueError: a layer computes its weights, as one that imitates integers does, or runs more than once.
    """
    channels = int(getattr(model, "in_channels", 3))
    # On the meta device, where tensors have shapes and no values.
    twin = copy.deepcopy(model).eval().to("meta")
    exported = torch.export.export(twin, (torch.zeros(1, channels, *size_hw, device="meta"),))
    return _Reader(exported, tuple(_registered(model, ""))).read()


def _registered(module: nn.Module, prefix: str) -> list[str]:
    children = dict(module.named_children())
    if isinstance(module, CspLayer):
        children["blocks"] = children.pop("blocks")
    names = [prefix]
    for name, child in children.items():
        names += _registered(child, f"{prefix}.{name}" if prefix else name)
    return names


class _Reader:
    """Walks an exported graph once; remembers, for each value, the layers that it comes from."""

    def __init__(self, exported: torch.export.ExportedProgram, registered: tuple[str, ...]) -> None:
        self._registered = registered
        self._graph = exported.graph
        signature = exported.graph_signature
        self._parameters = dict(signature.inputs_to_parameters)
        self._images = set(signature.user_inputs)
        self._sources: dict[fx.Node, frozenset[str]] = {}
        self._makers: dict[fx.Node, str] = {}
        self._layers: dict[str, WeightedLayer] = {}
        self._norms = 0
        self._pooled = 0

    def read(self) -> NetworkShape:
        used = 0
        for node in self._graph.nodes:
            if node.op == "placeholder":
                self._sources[node] = frozenset([PICTURE] if node.name in self._images else [])
                used += _elements(node) if node.name in self._parameters and node.users else 0
            elif node.op == "call_function":
                self._sources[node] = self._operator(node)
        return NetworkShape(tuple(self._layers.values()), self._registered, used, self._norms, self._pooled)

    def _operator(self, node: fx.Node) -> frozenset[str]:
        sources = frozenset[str]().union(*(self._sources[value] for value in node.all_input_nodes))
        kind = str(node.target).removeprefix("aten.").partition(".")[0]
        if kind in _WEIGHTED:
            layer = self._weighted(node, kind, sources)
            if layer.name in self._layers:
                raise ValueError(f"layer {layer.name} runs more than once; give each run a layer of its own")
            self._layers[layer.name] = layer
            self._makers[node] = layer.name
            return frozenset([layer.name])
        if kind == "batch_norm" and node.args[0] in self._makers:
            self._fold(node)
        if kind in ("mean", "adaptive_avg_pool2d"):
            self._pooled += _elements(node.all_input_nodes[0]) + _elements(node)
        return sources

    def _weighted(self, node: fx.Node, kind: str, sources: frozenset[str]) -> WeightedLayer:
        weight = _input(node, 1)
        if weight.name not in self._parameters:
            raise ValueError(f"the weights behind {weight.name} are computed; count the float network and its plan")
        channels, *taps = _tensor(weight).shape
        return WeightedLayer(
            name=self._parameters[weight.name].rpartition(".")[0],
            kind=kind,
            macs=_elements(node) * prod(taps),
            outputs=_elements(node),
            weights=_elements(weight),
            channels=int(channels),
            biased=len(node.args) > 2 and node.args[2] is not None,
            normed=False,
            producers=tuple(sorted(sources)),
        )

    def _fold(self, node: fx.Node) -> None:
        """Note the batch norm at the layer right before it; one that stands elsewhere is not folded."""
        name = self._makers[_input(node, 0)]
        self._norms += 2 * _elements(_input(node, 1))
        self._layers[name] = replace(self._layers[name], normed=True)


def _input(node: fx.Node, index: int) -> fx.Node:
    value = node.args[index]
    assert isinstance(value, fx.Node)
    return value


def _tensor(node: fx.Node) -> Tensor:
    value: Tensor = node.meta["val"]
    return value


def _elements(node: fx.Node) -> int:
    return int(_tensor(node).numel())
