"""Does every layer of a lowered graph give the codes that the canonical arithmetic gives, from the same input codes?

Two correct implementations of a deep INT8 network do not stay together: where one rounds 3.4999 and the other 3.5001, a
code differs by one, the next layers turn that into more, and after a hundred layers the outputs differ by as much as
quantisation itself cost. So a comparison of outputs says little. Here each layer is judged alone: the lowered graph
runs as a whole with its codes visible, and the *cut twin* computes every tensor's codes from the codes that the
lowered graph itself had on that layer's inputs.

Binary layers are judged in the same way: the cut twin computes what each gives from what the lowered graph itself had
in front of it, floats that a layer in float gave included. A sign that turns over would go as far as a code that is one
off.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from edgekit.graph.binary_operators import Reading
from edgekit.graph.runner import Runner
from edgekit.metrics.arrays import snr_db
from edgekit.precision import unpack_signs

_SUFFIX = "_given"
_NEGATIVE = "_negative"


@dataclass(frozen=True, slots=True)
class BinaryParity:
    """What binary layers give, over some images.

    Attributes:
        layers: how many were compared.
        differing: share of their values that are not the same float32.
        worst: largest difference of a value, in parts of the largest in its tensor; of floats whose signs they read,
            too.
        signs: share of signs that differ, where a layer gives signs alone.
    """

    layers: int
    differing: float
    worst: float
    signs: float


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
        binary: what the native operators give; None for a graph without any.
    """

    tensors: int
    max_difference: int
    differing: float
    worst: str | None
    worst_differing: float
    output_snr_db: float | None
    binary: BinaryParity | None = None

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
            **({} if self.binary is None else {"binary": asdict(self.binary)}),
        }


def compare_codes(
    lowered: ir.Model,
    twin: ir.Model,
    inputs: Sequence[np.ndarray],
    optimised: bool,
    readings: Mapping[str, Reading] | None = None,
    signs: Collection[str] = (),
) -> CodeParity:
    """Judge every quantised tensor of `lowered`.

    Args:
        lowered: a graph with Q/DQ pairs.
        twin: the same placement as int8 codes, tensor names alike.
        inputs: (1, 3, H, W) float32 each.
        optimised: run `lowered` with onnxruntime's optimisations.
        readings: tensor of `twin` that a binary layer gives, or whose signs it takes -> where `lowered` has it.
        signs: codes that are signs: one that differs is one step off, however far +1 and -1 lie apart.
    """
    names, readings = _code_names(lowered), readings or {}
    turned = dict(each.codes for each in readings.values() if each.codes is not None)
    outputs = [str(value.name) for value in lowered.graph.outputs]
    seen = _with_second_readers(lowered, readings)
    asked = [*names, *turned.values(), *(_seen_as(each) for each in readings.values()), *outputs]
    runner = Runner(seen, asked, optimised=optimised)
    names += turned
    cut = _cut_session(twin, names, readings)
    found = [_compare_one(runner, cut, names, readings, outputs, signs, x) for x in inputs]
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
        binary=_binary_parity(list(readings.values()), [each.binary for each in found]) if readings else None,
    )


@dataclass(frozen=True, slots=True)
class _OneImage:
    differing: dict[str, int]
    sizes: dict[str, int]
    largest: dict[str, int]
    snr_db: float
    binary: list[tuple[float, float]]


def _compare_one(
    runner: Runner,
    cut: ort.InferenceSession,
    names: list[str],
    readings: Mapping[str, Reading],
    outputs: list[str],
    signs: Collection[str],
    x: np.ndarray,
) -> _OneImage:
    arrays = runner.run(x)
    last = arrays[len(names) + len(readings) :]
    given = {
        name: _nchw(array, each) for (name, each), array in zip(readings.items(), arrays[len(names) :], strict=False)
    }
    turned = {each.codes[0] for each in readings.values() if each.codes is not None}
    codes = {name: _signed(array) for name, array in zip(names, arrays[: len(names)], strict=True)}
    codes.update((name, np.ascontiguousarray(codes[name].transpose(0, 3, 1, 2))) for name in turned)
    wanted = {item.name for item in cut.get_inputs()}
    feeds = {f"{name}{_SUFFIX}": a for name, a in {**codes, **given}.items() if f"{name}{_SUFFIX}" in wanted}
    feeds.update((item.name, x) for item in cut.get_inputs() if not item.name.endswith(_SUFFIX))
    asked = list(dict.fromkeys([*names, *readings, *outputs]))
    expected = dict(zip(asked, cut.run(asked, feeds), strict=True))
    off = {name: np.abs(codes[name].astype(np.int16) - expected[name]) for name in names}
    off.update((name, np.minimum(off[name], 1)) for name in names if name in signs)
    return _OneImage(
        differing={name: int(np.count_nonzero(each)) for name, each in off.items()},
        sizes={name: each.size for name, each in off.items()},
        largest={name: int(each.max(initial=0)) for name, each in off.items()},
        snr_db=min(snr_db(expected[name], array) for name, array in zip(outputs, last, strict=True)),
        binary=[_compare_layer(expected[name], given[name], each.bits) for name, each in readings.items()],
    )


def _compare_layer(expected: np.ndarray, given: np.ndarray, bits: bool) -> tuple[float, float]:
    """The share of values, or of signs, that differs; the largest difference, in parts of the largest value."""
    if bits:
        return float(np.mean((expected < 0) != (given < 0))), 0.0
    largest = float(np.abs(expected).max(initial=0.0)) or 1.0
    return float(np.mean(expected != given)), float(np.abs(expected - given).max(initial=0.0)) / largest


def _binary_parity(readings: list[Reading], images: list[list[tuple[float, float]]]) -> BinaryParity:
    every = [pair for image in images for pair in zip(readings, image, strict=True)]
    values = [share for reading, (share, _) in every if reading.is_given and not reading.bits]
    signs = [share for reading, (share, _) in every if reading.bits]
    return BinaryParity(
        layers=sum(reading.is_given for reading in readings),
        differing=float(np.mean(values)) if values else 0.0,
        worst=max((worst for _, (_, worst) in every), default=0.0),
        signs=float(np.mean(signs)) if signs else 0.0,
    )


def _with_second_readers(lowered: ir.Model, readings: Mapping[str, Reading]) -> ir.Model:
    """A copy that gives the negative of what its binary layers give.

    Of a tensor whose only reader is Q, onnxruntime makes DQ(Q(tensor)) even if it is an output of the graph; a node
    that reads it too sees the tensor as it is.
    """
    copy = lowered.clone()
    values = {str(value.name): value for node in copy.graph for value in node.outputs}
    for reading in readings.values():
        if not reading.bits:
            value = values[reading.name]
            negative = ir.node("Neg", [value], name=f"{reading.name}{_NEGATIVE}")
            negative.outputs[0].name = _seen_as(reading)
            negative.outputs[0].shape, negative.outputs[0].dtype = value.shape, ir.DataType.FLOAT
            copy.graph.append(negative)
    return copy


def _seen_as(reading: Reading) -> str:
    return reading.name if reading.bits else f"{reading.name}{_NEGATIVE}"


def _nchw(array: np.ndarray, reading: Reading) -> np.ndarray:
    values = unpack_signs(array, reading.channels).astype(np.float32) if reading.bits else -array
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


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


def _cut_session(twin: ir.Model, names: list[str], readings: Mapping[str, Reading]) -> ort.InferenceSession:
    """The twin, its layers apart: what reads codes or a binary layer reads a graph input, what gives them an output."""
    proto = ir.to_proto(twin)
    known = {value.name: value for value in proto.graph.value_info}
    for node in proto.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in set(names):
            node.input[0] += _SUFFIX
        for index, name in enumerate(node.input):
            # What codes are computed from is computed here, where its signs alone are given.
            if name in readings and (node.op_type != "QuantizeLinear" or not readings[name].bits):
                node.input[index] += _SUFFIX
    read = {name for node in proto.graph.node for name in node.input}
    last = {value.name: value for value in proto.graph.output}
    for name in [*names, *readings]:
        value = onnx.ValueInfoProto.FromString((last.get(name) or known[name]).SerializeToString())
        if name not in last:
            proto.graph.output.append(value)
        if f"{name}{_SUFFIX}" in read:
            given = proto.graph.input.add()
            given.CopyFrom(value)
            given.name = f"{name}{_SUFFIX}"
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
