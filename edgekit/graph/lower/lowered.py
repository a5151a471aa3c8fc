"""What a lowering gives back, and the steps that several share."""

from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from edgekit.precision import QuantPlan

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
    """

    name: str
    model: ir.Model
    requires: dict[str, Any]
    placement: str | None = None
    kept_float: dict[str, str] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """The ONNX opset of the graph."""
        return self.model.graph.opset_imports[""]


EMPTY_PLAN = QuantPlan()
