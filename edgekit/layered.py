"""Bundles of many precisions: one set of bit-planes, and the small rest of each precision.

docs/bundle.md is the specification. In short: plane 0 holds the most significant bits of all layers' 8-bit codes, plane
1 the next ones, and so on; b planes are the weights of b bits. A file of lower precision has the first planes of the
higher one, byte for byte and in the same order.
"""

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Set

import numpy as np

from edgekit.bundle import (
    FORMAT,
    LAYERED_VERSION,
    PART_KEYS,
    WEIGHTS,
    Blob,
    Bundle,
    LoweredGraph,
    WeightTensor,
    describe_lowering,
    open_bundle,
    plane_entry,
    record_of,
    write_entries,
)
from edgekit.errors import BundleError
from edgekit.files import PathLike
from edgekit.precision import bit_planes, midrise_codes, midrise_step, midrise_width


@dataclass(frozen=True)
class Part:
    """What one precision has for itself.

    Attributes:
        bits: of the weights, 1 to 8.
        tensors: every tensor that its lowerings name; layers in planes as `midrise_codes`.
        lowerings: name -> graph.
        plan: the plan as the manifest has it.
        golden: the golden records.
    """

    bits: int
    tensors: Sequence[WeightTensor]
    lowerings: Dict[str, LoweredGraph]
    plan: Dict[str, Any]
    golden: Sequence[Dict[str, Any]]


def write_layered(
    path: PathLike,
    *,
    manifest: Dict[str, Any],
    parts: Sequence[Part],
    in_planes: Sequence[str],
    files: Dict[str, bytes],
) -> Dict[str, Any]:
    """Write a bundle of many precisions; the file appears whole or not at all.

    The same arguments give the same bytes.

    Args:
        path: the `.ekb` file.
        manifest: what all precisions share (docs/bundle.md).
        parts: each precision, the highest first.
        in_planes: names of the tensors that are kept as planes; see `tensors_in_planes`.
        files: further entries by path.

    Returns:
        The manifest as written.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    blob, entries = Blob(once=True), dict(files)
    places, planes = _planes(parts[0], in_planes)
    described = [_describe(part, set(in_planes), places, blob, entries) for part in parts]
    entries[WEIGHTS] = blob.data()
    for index, plane in enumerate(planes):
        entries[plane_entry(index)] = plane
    whole = dict(manifest, format=FORMAT, version=LAYERED_VERSION)
    whole.update({key: described[0][key] for key in PART_KEYS})
    whole["precisions"] = [{"bits": parts[0].bits}] + described[1:]
    write_entries(path, whole, entries, [WEIGHTS] + [plane_entry(index) for index in range(len(planes))])
    return whole


def tensors_in_planes(parts: Sequence[Part]) -> List[str]:
    """Names of the coded tensors whose codes at every precision are slices of one set, in the order of the first part.

    All others, such as layers that keep 8 bits, are stored as they are.
    """
    lower = [{tensor.name: tensor for tensor in part.tensors} for part in parts[1:]]
    return [
        tensor.name
        for tensor in parts[0].tensors
        if _is_slice(tensor, parts[0].bits)
        and all(
            tensor.name in others and _same_slices(tensor, parts[0].bits, others[tensor.name], part.bits)
            for part, others in zip(parts[1:], lower)
        )
    ]


def cut_bundle(bundle: PathLike, output: PathLike, precision: int) -> Dict[str, Any]:
    """Write a bundle that has only `precision` and what is below it: a file with the first planes.

    Args:
        bundle: of many precisions.
        output: the `.ekb` file to write; another one.
        precision: the highest that is kept.

    Returns:
        The manifest as written.

    Raises:
        BundleError: the file is not a whole bundle of many precisions, or does not have this one.
        StorageError: the disk is full or the folder cannot be written.
    """
    highest = open_bundle(bundle, precision=precision)
    if highest.precision is None:
        raise BundleError("{} has one precision alone; there is nothing to cut off".format(highest.path))
    views = [open_bundle(bundle, False, bits) for bits in highest.precisions if bits <= precision]
    own = set(PART_KEYS) | {"format", "version", "entries", "precisions"}
    shared = {key: value for key, value in highest.manifest.items() if key not in own}
    files = {entry: highest.read(entry) for view in views for entry in _golden_entries(view)}
    in_planes = [record["name"] for record in highest.manifest["weights"] if record["kind"] == "planes"]
    return write_layered(
        output, manifest=shared, parts=[_part(view) for view in views], in_planes=in_planes, files=files
    )


def graph_entry(bits: int, lowering: str) -> str:
    """Name of the entry with a graph of one precision."""
    return "graphs/{}/{}.onnx".format(bits, lowering)


def _describe(
    part: Part, in_planes: Set[str], places: Dict[str, int], blob: Blob, entries: Dict[str, bytes]
) -> Dict[str, Any]:
    """The manifest's record of one precision; its data goes into `blob` and `entries`."""
    by_name = {tensor.name: tensor for tensor in part.tensors}
    lowerings = {}
    for name, lowered in part.lowerings.items():
        graph = graph_entry(part.bits, name)
        entries[graph] = lowered.onnx_bytes
        lowerings[name] = describe_lowering(graph, lowered, by_name)
    records = []
    for tensor in part.tensors:
        if tensor.name not in in_planes:
            records.append(blob.add(tensor))
            continue
        size = part.bits * ((tensor.values.size + 7) // 8)
        record = dict(record_of(tensor), kind="planes", bits=part.bits, offset=places[tensor.name], bytes=size)
        record.update(blob.add_scale(tensor))
        records.append(record)
    return {
        "bits": part.bits,
        "weights": records,
        "lowerings": lowerings,
        "plan": part.plan,
        "golden": list(part.golden),
    }


def _planes(highest: Part, in_planes: Sequence[str]) -> Any:
    """Where each tensor begins in every plane, and the planes, most significant first."""
    by_name = {tensor.name: tensor for tensor in highest.tensors}
    rows: List[np.ndarray] = []
    places, at = {}, 0
    for name in in_planes:
        planes = bit_planes(_container(by_name[name], highest.bits), 8)[: highest.bits]
        places[name] = at
        at += planes.shape[1]
        rows.append(planes)
    joined = np.concatenate(rows, axis=1) if rows else np.zeros((highest.bits, 0), np.uint8)
    return places, [plane.tobytes() for plane in joined]


def _container(tensor: WeightTensor, bits: int) -> np.ndarray:
    """8-bit codes whose slices are those of the tensor."""
    return (tensor.values.astype(np.int16) * midrise_step(bits)).astype(np.int8)


def _is_slice(tensor: WeightTensor, bits: int) -> bool:
    if tensor.bits != midrise_width(bits) or tensor.values.dtype != np.int8:
        return False
    return bits == 8 or bool((tensor.values % 2 != 0).all())


def _same_slices(high: WeightTensor, high_bits: int, low: WeightTensor, low_bits: int) -> bool:
    if low.bits != midrise_width(low_bits) or low.values.shape != high.values.shape:
        return False
    return np.array_equal(midrise_codes(_container(high, high_bits), low_bits), low.values)


def _part(view: Bundle) -> Part:
    """What a bundle has at the precision that it was opened at, as it was given to `write_layered`."""
    assert view.precision is not None
    tensors = view.tensors()
    lowerings = {
        name: LoweredGraph(
            view.read(record["graph"]),
            [(item["tensor"], item["encoding"]) for item in record["initializers"]],
            record["opset"],
            record["requires"],
            record["parity"],
            record.get("hints", {}),
        )
        for name, record in view.manifest["lowerings"].items()
    }
    ordered = [tensors[record["name"]] for record in view.manifest["weights"]]
    return Part(view.precision, ordered, lowerings, view.manifest["plan"], view.manifest["golden"])


def _golden_entries(view: Bundle) -> List[str]:
    records = view.manifest["golden"]
    return [entry for record in records for entry in [record["image"]] + sorted(record["outputs"].values())]
