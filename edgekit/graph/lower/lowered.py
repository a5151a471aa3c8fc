"""What a lowering gives back, and the steps that several share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from edgekit.graph.binary_operators import Reading
from edgekit.graph.limits import Release, needed_release, text

OPSET = 13
IR_VERSION = 8


@dataclass(frozen=True, slots=True)
class LoweredModel:
    """A graph for one kind of backend.

    Attributes:
        name: the lowering.
        model: the graph; its initializers carry their sources (`edgekit.graph.sources`).
        requires: what a machine must have, for example {"int8": True}.
        placement: the placement of its Q/DQ pairs, or None for a graph without any.
        kept_float: name of a planned layer -> why it runs in float here.
        layers: names of the layers whose weights carry Q/DQ.
        float32_nodes: name of a node that float16 may not hold -> why (`edgekit.graph.overflow`).
        readings: canonical tensor that a binary layer gives, or of which one takes the signs -> where it is in this
            graph.
    """

    name: str
    model: ir.Model
    requires: dict[str, Any]
    placement: str | None = None
    kept_float: dict[str, str] = field(default_factory=dict)
    layers: tuple[str, ...] = ()
    float32_nodes: dict[str, str] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """The ONNX opset of the graph."""
        return self.model.graph.opset_imports[""]


Overflow = Mapping[str, float]
"""Tensor -> largest magnitude, of the tensors that float16 may not hold."""


def tensorrt_range(model: ir.Model, oldest: Release, before: str = "") -> str:
    """Which TensorRT reads a graph: from `oldest` or what its newest operator needs, to below `before`."""
    return f">={text(max(oldest, needed_release(model)))}" + (f",<{before}" if before else "")
