"""Does every layer of a lowered graph give the codes that the canonical arithmetic gives, from the same input codes?

Two correct implementations of a deep INT8 network do not stay together: where one rounds 3.4999 and the other 3.5001, a
code differs by one, the next layers turn that into more, and after a hundred layers the outputs differ by as much as
quantisation itself cost. So a comparison of outputs says little. Here each layer is judged alone: the lowered graph
runs as a whole with its codes visible, and the *cut twin* computes every tensor's codes from the codes that the
lowered graph itself had on that layer's inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from edgekit.graph.runner import Runner
from edgekit.metrics.arrays import snr_db

_SUFFIX = "_given"


@dataclass(frozen=True, slots=True)
class CodeParity:
    """Codes of all quantised tensors over some images.

    Attributes:
        tensors: how many tensors were compared.
        max_difference: largest difference of a code, in steps.
        differing: share of codes that differ at all.
        worst: the tensor with the largest difference, and among those the most differing codes.
        worst_differing: share of its codes that differ.
        output_snr_db: least SNR of the network's outputs, computed from the same codes; None for a perfect copy.
    """

    tensors: int
    max_difference: int
    differing: float
    worst: str | None
    worst_differing: float
    output_snr_db: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded for reading."""
        snr = self.output_snr_db
        return {
            "tensors": self.tensors,
            "max_difference": self.max_difference,
            "differing": round(self.differing, 7),
            "worst": self.worst,
            "worst_differing": round(self.worst_differing, 7),
            "output_snr_db": None if snr is None else round(snr, 2),
        }


def compare_codes(lowered: ir.Model, twin: ir.Model, inputs: Sequence[np.ndarray], optimised: bool) -> CodeParity:
    """Judge every quantised tensor of `lowered`.

    Args:
        lowered: a graph with Q/DQ pairs.
        twin: the same placement as int8 codes, tensor names alike.
        inputs: (1, 3, H, W) float32 each.
        optimised: run `lowered` with onnxruntime's optimisations.
    """
    names = _code_names(lowered)
    outputs = [str(value.name) for value in lowered.graph.outputs]
    runner = Runner(lowered, tensors=[*names, *outputs], optimised=optimised)
    cut = _cut_session(twin, names)
    found = [_compare_one(runner, cut, names, outputs, x) for x in inputs]
    counts = {name: sum(each.differing[name] for each in found) for name in names}
    sizes = {name: sum(each.sizes[name] for each in found) for name in names}
    largest = {name: max(each.largest[name] for each in found) for name in names}
    worst = max(names, key=lambda name: (largest[name], counts[name] / sizes[name]), default=None)
    snr = min((each.snr_db for each in found), default=float("inf"))
    return CodeParity(
        tensors=len(names),
        max_difference=max(largest.values(), default=0),
        differing=sum(counts.values()) / max(sum(sizes.values()), 1),
        worst=worst,
        worst_differing=counts[worst] / sizes[worst] if worst is not None else 0.0,
        output_snr_db=snr if np.isfinite(snr) else None,
    )


@dataclass(frozen=True, slots=True)
class _OneImage:
    differing: dict[str, int]
    sizes: dict[str, int]
    largest: dict[str, int]
    snr_db: float


def _compare_one(
    runner: Runner, cut: ort.InferenceSession, names: list[str], outputs: list[str], x: np.ndarray
) -> _OneImage:
    arrays = runner.run(x)
    codes = {name: _signed(array) for name, array in zip(names, arrays[: len(names)], strict=True)}
    wanted = {item.name for item in cut.get_inputs()}
    feeds = {f"{name}{_SUFFIX}": array for name, array in codes.items() if f"{name}{_SUFFIX}" in wanted}
    feeds.update((item.name, x) for item in cut.get_inputs() if not item.name.endswith(_SUFFIX))
    expected = dict(zip([*names, *outputs], cut.run([*names, *outputs], feeds), strict=True))
    off = {name: np.abs(codes[name].astype(np.int16) - expected[name]) for name in names}
    return _OneImage(
        differing={name: int(np.count_nonzero(each)) for name, each in off.items()},
        sizes={name: each.size for name, each in off.items()},
        largest={name: int(each.max(initial=0)) for name, each in off.items()},
        snr_db=min(snr_db(expected[name], array) for name, array in zip(outputs, arrays[len(names) :], strict=True)),
    )


def _code_names(model: ir.Model) -> list[str]:
    """Names of the codes of activations: what Q nodes give that read a computed tensor."""
    return [
        str(node.outputs[0].name)
        for node in model.graph
        if node.op_type == "QuantizeLinear" and node.inputs[0] is not None and node.inputs[0].const_value is None
    ]


def _signed(codes: np.ndarray) -> np.ndarray:
    """int8 codes; those of a uint8 grid are 128 less, which is how the int8 twin of that grid writes them."""
    return codes if codes.dtype == np.int8 else (codes.astype(np.int16) - 128).astype(np.int8)


def _cut_session(twin: ir.Model, names: list[str]) -> ort.InferenceSession:
    """The twin, its layers apart: every DQ of an activation reads a graph input, every Q writes a graph output."""
    proto = ir.to_proto(twin)
    known = {value.name: value for value in proto.graph.value_info}
    for node in proto.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in set(names):
            node.input[0] += _SUFFIX
    read = {name for node in proto.graph.node for name in node.input}
    for name in names:
        value = onnx.ValueInfoProto.FromString(known[name].SerializeToString())
        proto.graph.output.append(value)
        if f"{name}{_SUFFIX}" in read:
            given = proto.graph.input.add()
            given.CopyFrom(value)
            given.name = f"{name}{_SUFFIX}"
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
