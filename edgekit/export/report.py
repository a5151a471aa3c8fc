"""What an export did: sizes, layers, parity, and what to type next."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LoweringReport:
    """One graph of a bundle.

    Attributes:
        opset: ONNX opset.
        graph_bytes: the graph without its weights, before the zip deflates it.
        data_bytes: the weights that the device writes for it.
        kept_float: planned layers that run in float in this lowering -> why.
        float32_nodes: nodes that float16 may not hold -> why.
        parity: the parity report, plain values; None where it was not measured.
    """

    opset: int
    graph_bytes: int
    data_bytes: int
    kept_float: dict[str, str]
    float32_nodes: dict[str, str]
    parity: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "opset": self.opset,
            "graph_bytes": self.graph_bytes,
            "data_bytes": self.data_bytes,
            "kept_float": self.kept_float,
            "float32_nodes": self.float32_nodes,
            "parity": self.parity,
        }


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The value behind `edgekit export`.

    Attributes:
        output: the file written.
        output_bytes: its size.
        source: the model file.
        source_bytes: its size.
        family: head family.
        input_hw: height and width of the network's input.
        classes: how many classes.
        layers: how many layers with weights.
        float_layers: layer -> why it stays in float.
        layers_by_bits: width of the weights -> how many layers have it; empty for a float export.
        lowerings: name -> its report.
        golden_images: how many are inside.
        calibration: method, images, seed and cost, or None.
        overflow: limit, images, and the tensors beyond the limit; None where no picture was looked at.
        seconds: wall time of the export.
        next_commands: what to type next.
    """

    output: str
    output_bytes: int
    source: str
    source_bytes: int
    family: str
    input_hw: tuple[int, int]
    classes: int
    layers: int
    float_layers: dict[str, str]
    layers_by_bits: dict[int, int]
    lowerings: dict[str, LoweringReport]
    golden_images: int
    calibration: dict[str, Any] | None
    overflow: dict[str, Any] | None
    seconds: float
    next_commands: tuple[str, ...]

    @property
    def quantized_layers(self) -> int:
        """How many layers have integer weights."""
        return sum(self.layers_by_bits.values())

    @property
    def weight_bits(self) -> int | None:
        """The largest width of a quantised weight, None for a float export."""
        return max(self.layers_by_bits, default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {
            "output": self.output,
            "bytes": self.output_bytes,
            "source": self.source,
            "source_bytes": self.source_bytes,
            "size_ratio": round(self.output_bytes / self.source_bytes, 4),
            "family": self.family,
            "input_hw": list(self.input_hw),
            "classes": self.classes,
            "layers": self.layers,
            "quantized_layers": self.quantized_layers,
            "float_layers": self.float_layers,
            "weight_bits": self.weight_bits,
            "layers_by_bits": self.layers_by_bits,
            "lowerings": {name: report.to_json() for name, report in self.lowerings.items()},
            "golden_images": self.golden_images,
            "calibration": self.calibration,
            "overflow": self.overflow,
            "seconds": round(self.seconds, 2),
            "next": list(self.next_commands),
        }


@dataclass(frozen=True, slots=True)
class PrecisionReport:
    """One precision of a bundle of many.

    Attributes:
        planes_bytes: the weights of its planes.
        lowerings: name -> its report.
    """

    planes_bytes: int
    lowerings: dict[str, LoweringReport]


@dataclass(frozen=True, slots=True)
class PrecisionsReport:
    """The value behind `edgekit export` of a network of many precisions.

    Attributes:
        highest: the report of the file and of its highest precision.
        precisions: bits -> what each has, the highest first.
    """

    highest: ExportReport
    precisions: dict[int, PrecisionReport]

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        parts = {
            bits: {
                "planes_bytes": part.planes_bytes,
                "lowerings": {name: report.to_json() for name, report in part.lowerings.items()},
            }
            for bits, part in self.precisions.items()
        }
        return {**self.highest.to_json(), "precisions": parts}
