"""What the Q/DQ linter says, and how it looks at a graph."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value

Severity = Literal["refused", "accuracy", "slow"]
SEVERITIES: tuple[Severity, ...] = ("refused", "accuracy", "slow")
"""What a broken rule leads to, worst first: no importer or builder of the target takes the graph; it computes something
else, or less exactly; it is right, and slower than it could be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule.

    Attributes:
        rule: its number in docs/lint.md.
        severity: one of `SEVERITIES`.
        node: name of the node.
        message: what is there and what it leads to.
        cure: what to do.
    """

    rule: str
    severity: Severity
    node: str
    message: str
    cure: str

    def to_json(self) -> dict[str, str]:
        """A plain dict."""
        return asdict(self)


QDQ = ("QuantizeLinear", "DequantizeLinear")


def quantizer_of(value: ir.Value | None) -> ir.Node | None:
    """The DequantizeLinear that makes `value`, or None."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == "DequantizeLinear" else None


def reads_quantized(node: ir.Node, index: int) -> bool:
    """Whether input `index` of `node` comes out of a DequantizeLinear."""
    return len(node.inputs) > index and quantizer_of(node.inputs[index]) is not None


def of_activation(node: ir.Node) -> bool:
    """Whether a Q or DQ node handles a computed tensor, not weights or a bias."""
    value = node.inputs[0]
    while value is not None and (maker := value.producer()) is not None:
        if maker.op_type not in ("QuantizeLinear", "DequantizeLinear", "Cast"):
            return True
        value = maker.inputs[0]
    return value is not None and value.const_value is None


def scale_of(node: ir.Node) -> tuple[float, ...]:
    """The scales of a Q or DQ node; empty when they are computed."""
    scale = constant_value(node.inputs[1])
    return () if scale is None else tuple(float(s) for s in np.atleast_1d(scale.astype(np.float32)))


def zero_point_of(node: ir.Node) -> np.ndarray:
    """The zero point of a Q or DQ node: uint8 0 where it is left out, as ONNX has it."""
    zero = constant_value(node.inputs[2]) if len(node.inputs) > 2 else None
    return np.zeros((), np.uint8) if zero is None else zero


def readers(node: ir.Node) -> list[ir.Node]:
    """The nodes that read any output of `node`, in graph order of their uses."""
    return list(dict.fromkeys(use.node for output in node.outputs for use in output.uses()))


def axes_before_opset_13(model: ir.Model) -> Iterator[tuple[ir.Node, int]]:
    """Q and DQ nodes with one scale a channel in an opset whose Q/DQ have no `axis`, and that opset."""
    opset = model.graph.opset_imports.get("", 0)
    for node in model.graph:
        if node.op_type in QDQ and opset < 13 and (len(scale_of(node)) > 1 or "axis" in node.attributes):
            yield node, opset


def bad_scales(model: ir.Model) -> Iterator[tuple[ir.Node, float]]:
    """Q and DQ nodes with a scale that is zero, negative or not finite, and the first such scale."""
    for node in model.graph:
        scales = scale_of(node) if node.op_type in QDQ else ()
        bad = next((s for s in scales if not (np.isfinite(s) and s > 0)), None)
        if bad is not None:
            yield node, bad
