"""The table of ranges that a calibration leaves behind: a reviewable JSON file, reused when its keys match.

Keys: the SHA-256 of the canonical graph, of each picture, and the preprocessing. Same network, pictures and seed give
the same file, byte for byte. Format: docs/quantization.md.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from edgekit.errors import DataError
from edgekit.files import atomic_write, sha256_bytes
from edgekit.graph.calibrate import METHODS, Histogram, Range, search_ranges
from edgekit.graph.calibrate.images import CalibrationImages
from edgekit.graph.calibrate.mse import mse_ranges
from edgekit.graph.calibrate.readers import activation_reader
from edgekit.graph.calibrate.stream import BOUNDED, spread
from edgekit.graph.load import model_bytes
from edgekit.process.prepare import Preprocess

FORMAT = "edgekit-ranges"
VERSION = 1
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class RangeTable:
    """Ranges of every float tensor of one network, by every method asked for.

    Attributes:
        model: a name, for people.
        model_sha256: of the canonical graph's bytes.
        images: (SHA-256) of each picture, in order.
        seed: what chose the pictures.
        preprocess: what the pictures went through.
        ranges: method -> tensor name -> (low, high).
    """

    model: str
    model_sha256: str
    images: tuple[str, ...]
    seed: int
    preprocess: Preprocess
    ranges: Mapping[str, Mapping[str, Range]]

    @property
    def file_name(self) -> str:
        """What the file is called: the name and the first 12 digits of the network's hash."""
        return f"{self.model}-{self.model_sha256[:12]}.json"

    def to_json(self) -> dict[str, Any]:
        """Plain values, sorted, floats rounded to 9 significant digits."""
        tensors = sorted({name for table in self.ranges.values() for name in table})
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": {"name": self.model, "sha256": self.model_sha256},
            "images": {"count": len(self.images), "seed": self.seed, "sha256": list(self.images)},
            "preprocess": self.preprocess.to_json(),
            "tensors": {
                name: {method: list(table[name]) for method, table in sorted(self.ranges.items())} for name in tensors
            },
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RangeTable":
        """The table that `to_json` wrote."""
        ranges: dict[str, dict[str, Range]] = {}
        for name, methods in value["tensors"].items():
            for method, (low, high) in methods.items():
                ranges.setdefault(method, {})[name] = (float(low), float(high))
        images = value["images"]
        return cls(
            value["model"]["name"],
            value["model"]["sha256"],
            tuple(images["sha256"]),
            images["seed"],
            Preprocess.from_json(value["preprocess"]),
            ranges,
        )


def make_table(
    name: str,
    model: ir.Model,
    histograms: Mapping[str, Histogram],
    images: CalibrationImages,
    preprocess: Preprocess,
    methods: Sequence[str] = tuple(METHODS),
) -> RangeTable:
    """Search the ranges of every float tensor.

    Args:
        name: of the network, for people and the file's name.
        model: the canonical graph that was run.
        histograms: of its observed tensors, as `stream` gives them.
        images: the pictures.
        preprocess: what they went through.
        methods: keys of `METHODS`.
    """
    everything = spread(model, histograms)
    inputs = {str(value.name): everything[str(value.name)] for value in model.graph.inputs}
    computed = {key: value for key, value in everything.items() if key not in inputs}
    unique = {id(value): value for value in computed.values()}
    tables = {}
    for method in methods:
        by_id = search_ranges({str(key): value for key, value in unique.items()}, method)
        table = {key: _rounded(by_id[str(id(value))]) for key, value in computed.items()}
        if method == "mse":
            table.update(_behind_activations(model, computed))
        # the picture's own range is a fact of its format, no outlier to be clipped
        table.update({key: _rounded(value) for key, value in search_ranges(inputs, "minmax").items()})
        table.update(_bounded(model))
        tables[method] = table
    return RangeTable(name, graph_digest(model), images.sha256, images.seed, preprocess, tables)


def graph_digest(model: ir.Model) -> str:
    """SHA-256 of the canonical graph's bytes, lower-case hex."""
    return sha256_bytes(model_bytes(model))


def save_table(table: RangeTable, folder: str) -> str:
    """Write `table` into `folder` under its own name and return the path.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    path = os.path.join(folder, table.file_name)
    text = json.dumps(table.to_json(), indent=1, sort_keys=True)
    with atomic_write(path, "w") as stream:
        stream.write(text + "\n")
    return path


def load_table(path: str) -> RangeTable:
    """Read a file that `save_table` wrote.

    Raises:
        DataError: it cannot be read or is not such a file.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
        if value.get("format") != FORMAT or value.get("version") != VERSION:
            seen = f"{value.get('format')} {value.get('version')}"
            raise DataError(f"{path} is {seen}, expected {FORMAT} {VERSION}; calibrate again")
        return RangeTable.from_json(value)
    except OSError as error:
        raise DataError(f"cannot read range table {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a range table: {error}; calibrate again") from error


def difference(
    table: RangeTable, model_sha256: str, images: CalibrationImages, preprocess: Preprocess, method: str
) -> str | None:
    """Which key of `table` differs from what is wanted, in words; None where the table can be used as it is."""
    if table.model_sha256 != model_sha256:
        return f"made for model {table.model_sha256[:12]}, this is {model_sha256[:12]}"
    if table.images != images.sha256:
        common = len(set(table.images) & set(images.sha256))
        return f"made from {len(table.images)} images, {common} of them among the {len(images.sha256)} given"
    if table.preprocess != preprocess:
        return f"made with {table.preprocess}, this is {preprocess}"
    if method not in table.ranges:
        return f"has no ranges of method {method}, only {', '.join(sorted(table.ranges))}"
    return None


def _bounded(model: ir.Model) -> dict[str, Range]:
    return {
        str(value.name): BOUNDED[node.op_type]
        for node in model.graph
        if node.op_type in BOUNDED
        for value in node.outputs
    }


def _behind_activations(model: ir.Model, histograms: Mapping[str, Histogram]) -> dict[str, Range]:
    """MSE ranges of the tensors that an activation function alone reads: the error counts behind it."""
    result = {}
    for node in model.graph:
        for value in node.outputs:
            function = activation_reader(value)
            if function is not None and value.name in histograms:
                result[str(value.name)] = _rounded(mse_ranges([histograms[str(value.name)]], [function])[0])
    return result


def _rounded(bounds: Range) -> Range:
    low, high = (float(f"{value:.{_DIGITS}g}") for value in bounds)
    return low + 0.0, high + 0.0
