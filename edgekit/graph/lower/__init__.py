"""Canonical graph + plan -> a graph for one kind of backend; one file a lowering, one table of them all."""

import difflib
from collections.abc import Callable

import onnx_ir as ir

from edgekit.errors import ConfigError
from edgekit.graph.binary import planned_layers
from edgekit.graph.lower import binary, fp16, fp32, ort_arm, ort_x86, packed, trt8, trt10
from edgekit.graph.lower.lowered import LoweredModel, Overflow
from edgekit.graph.overflow import overflow_of
from edgekit.precision import QuantPlan

__all__ = [
    "BINARY_LOWERINGS",
    "FLOAT_LOWERINGS",
    "LOWERINGS",
    "ON_REQUEST",
    "LoweredModel",
    "check_lowering",
    "is_worth_writing",
    "lower",
]

LOWERINGS: dict[str, Callable[[ir.Model, QuantPlan, Overflow], LoweredModel]] = {
    "fp32": fp32.lower,
    "fp16": fp16.lower,
    "trt8": trt8.lower,
    "trt10": trt10.lower,
    "ort-x86": ort_x86.lower,
    "ort-x86-tables": ort_x86.lower_tables,
    "ort-x86-narrow": ort_x86.lower_narrow,
    "ort-arm": ort_arm.lower,
    "packed": packed.lower,
    "binary": binary.lower,
}

FLOAT_LOWERINGS = ("fp32", "fp16")

ON_REQUEST = ("packed",)
"""Not written unless named: a bundle's codes are packed already, and `ort-x86` serves the same machines from them."""

BINARY_LOWERINGS = ("binary",)
"""Of networks with layers of one bit alone, for which they are written by default; they need no calibration."""


def lower(name: str, model: ir.Model, plan: QuantPlan | None, overflow: Overflow | None = None) -> LoweredModel:
    """The lowering `name` of a canonical graph; the same arguments give the same graph.

    Args:
        name: a key of `LOWERINGS`.
        model: canonical; it is not changed.
        plan: what is quantised; None for a float network, which has only the `FLOAT_LOWERINGS`.
        overflow: tensor -> largest magnitude, of those that float16 may not hold (`edgekit.graph.overflow`), beside
            those of which the plan tells; None where nobody has looked.

    Raises:
        ConfigError: no such lowering, or one that needs a plan.
        ModelError: the network cannot be written in this form.
    """
    check_lowering(name, plan is not None)
    plan = plan if plan is not None else QuantPlan()
    return LOWERINGS[name](model, plan, {**overflow_of(plan), **(overflow or {})})


def is_worth_writing(name: str, model: ir.Model, plan: QuantPlan | None) -> bool:
    """Whether a lowering that nobody asked for gives a bundle something that its others do not."""
    if name in BINARY_LOWERINGS:
        return plan is not None and bool(planned_layers(model.graph, plan))
    return name != "ort-x86-tables" or (plan is not None and ort_x86.gains_from_tables(model, plan))


def check_lowering(name: str, quantized: bool) -> None:
    """Raise `ConfigError` unless a lowering of that name exists for a quantised, or a float, network."""
    if name not in LOWERINGS:
        close = difflib.get_close_matches(name, list(LOWERINGS), n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"there is no lowering {name!r}; {hint}known: {', '.join(LOWERINGS)}")
    if not quantized and name not in (*FLOAT_LOWERINGS, *BINARY_LOWERINGS):
        raise ConfigError(
            f"lowering {name!r} is INT8 and this network is not quantised; export with --int8 --calib IMAGES, "
            f"or take {' or '.join(FLOAT_LOWERINGS)}"
        )
