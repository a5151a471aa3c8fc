"""A network that is run again from the first layer whose weights were changed.

What a picture makes of the layers before it is kept; only what depends on the changed layers is computed. In a search,
where one layer at a time is changed, that is a third of the work.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import InputKind


class Replay:
    """A model in eval mode, as a graph, with the values of one picture.

    Attributes:
        layers: names of its modules that have a weight in the graph, in the order in which they run.
    """

    def __init__(self, model: nn.Module, example: Tensor):
        """Export the graph.

        Args:
            model: takes one tensor and returns one.
            example: (1, C, H, W); pictures must have its shape.
        """
        exported = torch.export.export(copy.deepcopy(model).eval(), (example,))
        self._nodes = [node for node in exported.graph.nodes if node.op == "call_function"]
        self._output = next(node for node in exported.graph.nodes if node.op == "output").args[0][0]
        self._constants: dict[fx.Node, Tensor] = {}
        weights: dict[str, fx.Node] = {}
        placeholders = [node for node in exported.graph.nodes if node.op == "placeholder"]
        for node, spec in zip(placeholders, exported.graph_signature.input_specs, strict=True):
            if spec.kind is InputKind.USER_INPUT:
                self._picture = node
                continue
            assert spec.target is not None
            name = spec.target
            value = exported.state_dict[name] if name in exported.state_dict else exported.constants[name]
            self._constants[node] = _channels_last(value.detach())
            if name.endswith(".weight"):
                weights[name.removesuffix(".weight")] = node
        # A layer is what has a kernel; vectors are norms.
        self._weights = {name: node for name, node in weights.items() if self._constants[node].ndim > 1 and node.users}
        self._behind = {name: self._dependants(node) for name, node in self._weights.items()}
        first = {node: place for place, node in enumerate(self._nodes)}
        self.layers = tuple(sorted(self._weights, key=lambda name: min(first[n] for n in self._weights[name].users)))
        self._values: dict[fx.Node, Tensor] = {}

    def see(self, x_nchw: Tensor) -> Tensor:
        """Run the whole network on a picture (1, C, H, W), keep what each operator gave, and return the output."""
        self._values = self._all(x_nchw, {})
        return self._values[self._output]

    def run(self, x_nchw: Tensor, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        """The output for a picture, with these layers (name -> weight) changed; what was kept stays."""
        return self._all(x_nchw, weights or {})[self._output]

    @torch.no_grad()
    def changed(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The output for the picture that was seen last, with these layers (name -> weight) changed."""
        if not self._values:
            raise ValueError("no picture has been seen")
        values = dict(self._values)
        todo: set[fx.Node] = set()
        for name, weight in weights.items():
            values[self._weights[name]] = weight
            todo |= self._behind[name]
        for node in self._nodes:
            if node in todo:
                values[node] = self._run(node, values)
        return values[self._output]

    @torch.no_grad()
    def _all(self, x_nchw: Tensor, weights: Mapping[str, Tensor]) -> dict[fx.Node, Tensor]:
        values = {**self._constants, self._picture: _channels_last(x_nchw)}
        values.update((self._weights[name], weight) for name, weight in weights.items())
        for node in self._nodes:
            values[node] = self._run(node, values)
        return values

    def _dependants(self, start: fx.Node) -> frozenset[fx.Node]:
        """The operators whose value depends on `start`."""
        found: set[fx.Node] = set()
        for node in self._nodes:
            if any(value is start or value in found for value in node.all_input_nodes):
                found.add(node)
        return frozenset(found)

    @staticmethod
    def _run(node: fx.Node, values: Mapping[fx.Node, Tensor]) -> Tensor:
        args = fx.node.map_arg(node.args, values.__getitem__)
        kwargs = fx.node.map_arg(node.kwargs, values.__getitem__)
        result: Tensor = node.target(*args, **kwargs)  # type: ignore[operator]
        return result


def _channels_last(x: Tensor) -> Tensor:
    """Four-dimensional tensors in the layout in which torch convolves fastest on processors."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
