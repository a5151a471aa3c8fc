"""What is inside a bundle, counted: layers, bits, bytes, lowerings. The value behind `edgekit inspect`."""

import json
import os
import zipfile
from typing import Any, Dict, List, Optional

from edgekit.bundle import MANIFEST, WEIGHTS, Bundle, open_bundle
from edgekit.files import sha256_bytes

_KINDS = (
    (MANIFEST, "manifest"),
    (WEIGHTS, "weights"),
    ("planes/", "planes"),
    ("graphs/", "graphs"),
    ("golden/", "golden"),
)


def contents_of(bundle: Bundle) -> Dict[str, Any]:
    """Everything that a reader may ask of a bundle, as plain values; nothing is unpacked.

    Returns:
        file, bytes, sha256, model, precision, precisions, classes, input, outputs, preprocess, decode, layers,
        float_layers, totals, bytes_by_kind, lowerings, calibration, overflow, golden, provenance.
    """
    manifest = bundle.manifest
    layers = layers_of(manifest)
    return {
        "file": bundle.path,
        "bytes": os.path.getsize(bundle.path),
        "sha256": bundle.sha256,
        "model": {key: value for key, value in manifest["model"].items() if key != "classes"},
        "precision": bundle.precision,
        "precisions": precisions_of(bundle),
        "classes": list(bundle.classes),
        "input": manifest.get("input"),
        "outputs": manifest.get("outputs"),
        "preprocess": manifest["preprocess"],
        "decode": manifest["decode"],
        "totals": totals_of(layers, os.path.getsize(bundle.path)),
        "bytes_by_kind": bytes_by_kind(bundle.path),
        "lowerings": [_lowering(name, record, manifest) for name, record in manifest["lowerings"].items()],
        "calibration": _calibration(manifest.get("calibration")),
        "overflow": manifest.get("overflow"),
        "golden": _golden(manifest.get("golden") or []),
        "provenance": manifest.get("provenance") or {},
        "float_layers": (manifest.get("plan") or {}).get("excluded") or {},
        "layers": layers,
    }


def layers_of(manifest: Dict[str, Any]) -> List[Dict[str, Any]]:
    """One row a stored tensor: name, shape, parameters, bits, bytes on disk with its scales, and why it is float."""
    excluded = (manifest.get("plan") or {}).get("excluded") or {}
    rows = []
    for record in manifest["weights"]:
        parameters = 1
        for extent in record["shape"]:
            parameters *= extent
        coded = record["kind"] != "float32"
        rows.append(
            {
                "name": record["name"],
                "shape": list(record["shape"]),
                "parameters": parameters,
                "bits": record["bits"] if coded else 32,
                "coded": coded,
                "scales": record.get("scale_count", 0),
                "bytes": record["bytes"] + 4 * record.get("scale_count", 0),
                "reason": None if coded else _why_float(record, excluded),
            }
        )
    return rows


def precisions_of(bundle: Bundle) -> List[Dict[str, Any]]:
    """One row for each precision of a bundle of many, the highest first; empty for all others.

    Returns:
        bits; layers, how many of them have so many bits; planes, how many are read; plane_bytes, what these take;
        mean_weight_bits, over every stored parameter; lowerings, names.
    """
    rows = []
    for bits in bundle.precisions:
        view = open_bundle(bundle.path, False, bits)
        in_planes = [record for record in view.manifest["weights"] if record["kind"] == "planes"]
        layers = layers_of(view.manifest)
        rows.append(
            {
                "bits": bits,
                "layers": len(in_planes),
                "planes": bits,
                "plane_bytes": sum(record["bytes"] for record in in_planes),
                "mean_weight_bits": totals_of(layers, 0)["mean_weight_bits"],
                "lowerings": list(view.lowerings),
            }
        )
    return rows


def totals_of(layers: List[Dict[str, Any]], file_bytes: int) -> Dict[str, Any]:
    """Sums over the rows of `layers_of`.

    Returns:
        parameters; coded_parameters; mean_weight_bits over every stored parameter (float ones count 32);
        weight_bytes; fp32_bytes, what the parameters take as float32; ratio, fp32_bytes over the whole file.
    """
    parameters = sum(row["parameters"] for row in layers)
    bits = sum(row["parameters"] * row["bits"] for row in layers)
    fp32_bytes = 4 * parameters
    return {
        "tensors": len(layers),
        "parameters": parameters,
        "coded_parameters": sum(row["parameters"] for row in layers if row["coded"]),
        "mean_weight_bits": round(bits / parameters, 3) if parameters else None,
        "weight_bytes": sum(row["bytes"] for row in layers),
        "fp32_bytes": fp32_bytes,
        "ratio": round(fp32_bytes / file_bytes, 3) if file_bytes else None,
    }


def bytes_by_kind(path: str) -> Dict[str, int]:
    """Bytes that each kind of entry takes in the file; `container` is the zip's own."""
    sizes = {"manifest": 0, "weights": 0, "planes": 0, "graphs": 0, "golden": 0, "other": 0}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = next((kind for start, kind in _KINDS if info.filename.startswith(start)), "other")
            sizes[kind] += info.compress_size
    sizes["container"] = os.path.getsize(path) - sum(sizes.values())
    return {kind: count for kind, count in sizes.items() if count}


def _why_float(record: Dict[str, Any], excluded: Dict[str, str]) -> str:
    """A layer's own weights are called LAYER.weight; a float tensor may still have the name that its file gave it."""
    layer = record["name"][: -len(".weight")] if record["name"].endswith(".weight") else record["name"]
    if layer in excluded:
        return excluded[layer]
    return "bias or constant" if len(record["shape"]) < 2 else "kept in float"


def _lowering(name: str, record: Dict[str, Any], manifest: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "name": name,
        "opset": record["opset"],
        "requires": record["requires"],
        "graph_bytes": manifest["entries"][record["graph"]]["size"],
        "unpacked_bytes": manifest["entries"][record["graph"]]["size"] + record["data_bytes"],
        "parity": record["parity"],
        "float32_nodes": record.get("hints", {}).get("float32_nodes"),
    }


def _calibration(record: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
    """The record without its list of image hashes, which one digest stands for."""
    if record is None:
        return None
    short = {key: value for key, value in record.items() if key != "sha256"}
    hashes = record.get("sha256") or []
    short["digest"] = sha256_bytes(json.dumps(hashes).encode())[:16]
    return short


def _golden(records: List[Dict[str, Any]]) -> Dict[str, int]:
    return {"images": len(records), "detections": sum(len(record.get("detections", [])) for record in records)}
