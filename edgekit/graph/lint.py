"""The Q/DQ linter: which rules a graph breaks for a target, at which node, and what to do about it.

docs/lint.md lists the rules with their evidence. A finding means that a backend refuses the graph, computes something
else, or runs it slower than it could: its severity says which. A graph that edgekit wrote has none.
"""

import difflib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from edgekit.bundle import Bundle
from edgekit.errors import ConfigError
from edgekit.graph import lint_any, lint_cpu, lint_importer, lint_trt
from edgekit.graph.findings import SEVERITIES, Finding

__all__ = ["SEVERITIES", "TARGETS", "Finding", "lint", "lint_bundle"]

Rule = Callable[[ir.Model], Iterator[Finding]]

_ANY: tuple[Rule, ...] = (
    lint_any.weights_with_activations,
    lint_any.no_batch_norm,
    lint_any.one_pair_a_tensor,
    lint_any.no_pair_behind_a_pair,
    lint_any.none_on_outputs,
    lint_any.none_after_pad,
    lint_any.none_on_shapes,
)
_TRT: tuple[Rule, ...] = (
    lint_importer.only_qdq,
    lint_importer.axis_needs_opset_13,
    lint_importer.half_needs_opset_19,
    lint_importer.scales_are_positive,
    lint_importer.scales_are_constant,
    lint_importer.symmetric_int8,
    *_ANY,
    lint_trt.activations_with_weights,
    lint_trt.activations_by_tensor,
    lint_trt.weights_by_output,
    lint_trt.nothing_after_weighted,
    lint_trt.residual_operand,
    lint_trt.concat_scales,
    lint_trt.commuting_scales,
    lint_importer.bias_stays_float,
    lint_trt.enough_channels,
    lint_trt.attention_stays_float,
)
_CPU: tuple[Rule, ...] = (
    lint_cpu.axis_needs_opset_13,
    lint_cpu.scales_are_positive,
    *_ANY,
    lint_cpu.quantized_behind_conv,
    lint_cpu.clamp_at_zero_point,
    lint_cpu.whole_elementwise,
    lint_cpu.int32_bias,
    lint_cpu.symmetric_weights,
)

TARGETS: dict[str, tuple[Rule, ...]] = {
    "fp32": (lint_any.no_qdq_at_all,),
    "fp16": (lint_any.no_qdq_at_all, lint_importer.operators_of_8),
    "trt8": (*_TRT, lint_importer.zero_point_is_written, lint_importer.weights_are_float, lint_importer.operators_of_8),
    "trt10": (*_TRT, lint_trt.typed_half, lint_importer.operators_of_10),
    "ort-x86": (*_CPU, lint_cpu.unsigned_on_x86),
    "ort-x86-tables": (*_CPU, lint_cpu.unsigned_on_x86),
    "ort-x86-narrow": (*_CPU, lint_cpu.unsigned_on_x86, lint_cpu.narrow_weights),
    "openvino": (*_CPU, lint_cpu.unsigned_on_x86),
    "ort-arm": _CPU,
    "packed": (*_CPU, lint_cpu.unsigned_on_x86),
    "binary": (*_CPU, lint_cpu.unsigned_on_x86),
}


def lint(model: ir.Model, target: str) -> list[Finding]:
    """What is wrong with `model` for `target`, in the order of the rules.

    Args:
        model: any ONNX graph.
        target: a key of `TARGETS`: a lowering's name, or "openvino".

    Raises:
        ConfigError: there is no such target.
    """
    if target not in TARGETS:
        close = difflib.get_close_matches(target, list(TARGETS), n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"there is no target {target!r} to check for; {hint}known: {', '.join(TARGETS)}")
    typed = model.clone()
    ShapeInferencePass()(typed)
    return [finding for rule in TARGETS[target] for finding in rule(typed)]


def lint_bundle(bundle: Bundle, lowerings: Sequence[str] | None = None) -> dict[str, list[dict[str, str]]]:
    """Lowering -> its findings as plain values, for each lowering in a bundle.

    Args:
        bundle: opened.
        lowerings: which; all that the linter knows where None.
    """
    names = [name for name in (lowerings or bundle.lowerings) if name in TARGETS]
    found = {}
    with tempfile.TemporaryDirectory(prefix="edgekit-lint-") as folder:
        for name in names:
            model = ir.load(os.fspath(bundle.materialise(name, folder)))
            found[name] = [finding.to_json() for finding in lint(model, name)]
    return found
