"""One scale for tensors that are the same numbers: rules R5 and R6 of docs/lowerings.md.

R6  An operator that only moves values (MaxPool, Reshape, nearest Resize, …) has one scale on both sides.
R5  A Concat whose inputs' and output's scales lie within a factor of `CONCAT_RATIO` gets one scale, the largest:
    backends then copy instead of rescaling each branch. Beyond that factor the smallest branch would lose two bits
    or more, so it keeps its own scale.

A scale is only ever made larger, so nothing saturates that did not saturate in the plan.
"""

import math
from dataclasses import dataclass, replace

import onnx_ir as ir

from edgekit.graph.operators import commutes
from edgekit.precision import QuantPlan, QuantSpec

CONCAT_RATIO = 4.0


@dataclass(frozen=True, slots=True)
class Grids:
    """The grids of the planned activations, after R6 and R5.

    Attributes:
        specs: tensor name -> spec.
        group: tensor name -> name of the group of tensors that it shares its grid with.
    """

    specs: dict[str, QuantSpec]
    group: dict[str, str]

    def floors(self, known: dict[str, float]) -> dict[str, float]:
        """Tensor name -> lowest possible value in its group, where every member of the group has one."""
        lowest: dict[str, float] = {}
        for name, group in self.group.items():
            lowest[group] = min(lowest.get(group, math.inf), known.get(name, -math.inf))
        return {name: lowest[group] for name, group in self.group.items() if math.isfinite(lowest[group])}


def shared_grids(graph: ir.Graph, plan: QuantPlan, concat_ratio: float = CONCAT_RATIO) -> Grids:
    """The grid of every planned activation.

    Args:
        graph: the canonical graph.
        plan: its activations are keyed by tensor name.
        concat_ratio: unify a Concat when max scale / min scale is below this; 1 or less never does.
    """
    groups = _Groups(plan)
    for node in graph:
        if commutes(node):
            groups.join([node.inputs[0], *node.outputs])
    for node in graph:
        if node.op_type == "Concat":
            members = [*node.inputs, *node.outputs]
            if groups.ratio(members) < concat_ratio:
                groups.join(members)
    return groups.grids()


class _Groups:
    """Union-find over the plan's tensor names."""

    def __init__(self, plan: QuantPlan) -> None:
        self._plan = plan.activations
        self._parent = {name: name for name in plan.activations}

    def join(self, values: list[ir.Value | None]) -> None:
        names = [v.name for v in values if v is not None and v.name in self._parent]
        if len({self._plan[n].bits for n in names if n is not None}) > 1:
            return  # different widths cannot share codes
        roots = [self._root(str(name)) for name in names]
        for root in roots[1:]:
            self._parent[root] = self._root(roots[0])

    def ratio(self, values: list[ir.Value | None]) -> float:
        """Largest over smallest scale of the groups of `values`; infinite when one of them has no scale."""
        if any(v is None or v.name not in self._parent for v in values):
            return float("inf")
        roots = {self._root(str(v.name)) for v in values if v is not None}
        largest = [max(self._plan[n].scale[0] for n in self._parent if self._root(n) == root) for root in roots]
        return max(largest) / min(largest)

    def grids(self) -> Grids:
        group = {name: self._root(name) for name in self._plan}
        largest: dict[str, float] = {}
        for name, spec in self._plan.items():
            largest[group[name]] = max(largest.get(group[name], 0.0), spec.scale[0])
        specs = {name: replace(spec, scale=(largest[group[name]],)) for name, spec in self._plan.items()}
        return Grids(specs, group)

    def _root(self, name: str) -> str:
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name
